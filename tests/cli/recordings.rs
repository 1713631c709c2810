//! `goflame report` on files that are not recordings, on damaged recordings, and on recordings of the real perf.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::harness::{Finished, Project};

#[track_caller]
fn report_refused_file<'p>(project: &'p Project, file: &str) -> Finished<'p> {
    let report = project.goflame(["report", file]).run();
    report.code(7).stdout("");
    report
}

#[test]
fn files_of_other_formats_are_refused() {
    let project = Project::empty();
    project.write("empty", "");
    project.write("text.txt", "once upon a time\n");
    for file in ["/dev/zero", "text.txt"] {
        report_refused_file(&project, file).stderr(&format!(
            "error: {file} is not a profile that goflame can read
   help: goflame reads perf.data files, pprof profiles (profile.proto, gzipped or not), folded stacks and [..]
"
        ));
    }
    for file in ["/dev/null", "./empty"] {
        report_refused_file(&project, file).stderr(&format!(
            "error: {file} is empty
   help: a CPU profile stays empty when the program ends without `pprof.StopCPUProfile`: os.Exit skips deferred calls
"
        ));
    }
}

#[test]
fn a_missing_file_or_a_directory_is_refused() {
    let project = Project::empty();
    project.write("there/x", "");
    report_refused_file(&project, "there").stderr("error: cannot read there\n  cause: it is a directory, not a file\n");
    report_refused_file(&project, "none/perf.data")
        .stderr("error: cannot read none/perf.data\n  cause: No such file or directory (os error 2)\n");
}

#[test]
fn every_other_kind_of_path_is_unreadable_input() {
    let project = Project::empty();
    let prepare =
        "ln -s loop loop && ln -s nowhere dangling && mkdir dir && ln -s dir link && mkfifo fifo && touch secret
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")' && chmod 0 secret && chmod 755 .";
    project.shell(prepare).run().code(0);
    // Before: the name of a broken link was taken for the name of a run: status 10, "no archive in".
    for (file, cause) in [
        ("loop", "Too many levels of symbolic links (os error 40)"),
        ("./loop", "Too many levels of symbolic links (os error 40)"),
        ("loop/x", "Too many levels of symbolic links (os error 40)"),
        ("dangling", "No such file or directory (os error 2)"),
        ("dir", "it is a directory, not a file"),
        ("link", "it is a directory, not a file"),
        ("socket", "it is a socket, not a file"),
    ] {
        report_refused_file(&project, file).stderr(&format!("error: cannot read {file}\n  cause: {cause}\n"));
    }
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups $goflame report secret";
    project.shell(nobody).run().code(7).stderr("error: cannot read secret\n  cause: Permission denied (os error 13)\n");
    project
        .shell("echo once upon a time > fifo & $goflame report fifo")
        .run()
        .code(7)
        .stderr_in_order("error: fifo is not a profile that goflame can read\n");
}

#[test]
fn a_recording_of_the_real_perf_without_any_project() {
    let project = Project::empty();
    let perf = "perf record -q -e cpu-clock -F 997 -g -o perf.data -- sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'";
    project.shell(perf).run().code(0);
    let report = project.goflame(["report", "perf.data"]).run();
    report.code(0).stderr_has("   Analysing [..] samples of perf.data in [..] s");
    assert!(report.stdout.contains("Hottest functions"), "{}", report.stdout);
    let folded = project.goflame(["report", "perf.data", "-f", "folded"]).run();
    folded.code(0);
    assert!(folded.stdout.contains(';'), "{}", folded.stdout);
    assert_eq!(project.names("."), ["perf.data"], "report writes nothing that it was not told to");
}

/// A project with perf's recording of a shell that counts, as `perf.data`.
fn project_with_shell_recording(events: &str) -> Project {
    let project = Project::empty();
    let count = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    project.shell(&format!("perf record -q -e {events} -F 997 -g -o perf.data -- sh -c '{count}'")).run().code(0);
    project
}

#[test]
fn ranges_of_time_add_up_to_the_whole_recording() {
    let project = project_with_shell_recording("cpu-clock");
    let counts = |range: &str| {
        let report = project.shell(&format!("$goflame report perf.data -f folded {range}")).run();
        let mut counts = BTreeMap::<String, u64>::new();
        for line in report.code(0).stdout.lines() {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            *counts.entry(stack.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
        counts
    };
    let mut sum = BTreeMap::new();
    let slices = ["--to 0.03", "--from 0.03 --to 0.06", "--from 0.06"].map(counts);
    // The time of the first sample is 0. On a busy machine, the program can wait for a CPU in all of the second range.
    assert!(!slices[0].is_empty() && !slices[2].is_empty(), "{slices:?}");
    for (stack, count) in slices.into_iter().flatten() {
        *sum.entry(stack).or_default() += count;
    }
    assert_eq!(sum, counts(""));
    assert!(counts("--from 3600").is_empty());
    let table = project.shell("$goflame report perf.data --from 0.03 --to 0.06 --by thread").run();
    table.code(0).stderr_has("     Showing [..] samples between 0.030 s and 0.060 s");
    let usage = |range: &str| project.shell(&format!("$goflame report perf.data {range}")).run();
    usage("--from 2 --to 2").code(2).stderr("error: the range of time is empty: `--from` must be less than `--to`\n");
    for wrong in ["-1", "x", "inf", "1e30"] {
        usage(&format!("--to={wrong}")).code(2).stderr_has(&format!(
            "error: invalid value `{wrong}` for `--to <SECONDS>`: expected a number of seconds, such as 1.5"
        ));
    }
}

#[test]
fn an_event_of_a_recording_is_selected_by_its_name() {
    let project = project_with_shell_recording("cpu-clock,page-faults");
    let most = project.goflame(["report", "perf.data"]).run();
    most.code(0).stderr_has("     Showing cpu-clock; `--event` takes page-faults too");
    let faults = project.goflame(["report", "perf.data", "--event", "page-faults", "-f", "json"]).run();
    faults.code(0).stderr_has("     Showing page-faults; `--event` takes cpu-clock too");
    let summary: serde_json::Value = serde_json::from_str(&faults.stdout).unwrap();
    assert_eq!((&summary["event"], &summary["unit"]), (&"page-faults".into(), &"events".into()));
    project.goflame(["report", "perf.data", "--event", "cycles"]).run().code(2).stderr(
        "error: cannot analyse perf.data
  cause: it has no event `cycles`
   help: it has cpu-clock, page-faults
",
    );
}

#[test]
fn compressed_recordings_and_directories_of_the_real_perf() {
    let project = Project::empty();
    for options in ["-z", "--threads", "--threads -z"] {
        let perf = format!(
            "rm -rf perf.data; perf record -q -e cpu-clock -F 997 -g {options} -o perf.data -- \
             sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'"
        );
        project.shell(&perf).run().code(0);
        let report = project.goflame(["report", "perf.data", "-f", "folded"]).run();
        report.code(0).stderr_has("   Analysing [..] samples of perf.data in [..] s");
        assert!(report.stdout.lines().any(|line| line.starts_with("sh;")), "{options}: {}", report.stdout);
    }
}

/// A CPU profile of gperftools with two stacks, in a program that names its addresses.
#[test]
fn a_cpu_profile_of_gperftools() {
    let project = Project::empty();
    project
        .write("main.c", "int leaf(int n) { return n * 3; }\nint main(int n, char **v) { (void)v; return leaf(n); }\n");
    let line = "gcc -O0 -no-pie -o program main.c && nm program | sed -n 's/ T \\(leaf\\|main\\)$/ \\1/p'";
    let symbols = project.shell(line).run();
    let address = |name: &str| {
        let line = symbols.code(0).stdout.lines().find(|line| line.ends_with(name)).unwrap();
        u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
    };
    let (leaf, main) = (address("leaf") + 4, address("main") + 8);
    let words = [0, 3, 0, 10_000, 0, 7, 2, leaf, main, 2, 1, main, 0, 1, 0];
    let start = leaf & !0xfff;
    let maps = format!(
        "{start:x}-{:x} r-xp {:08x} 08:02 17 {}\n",
        start + 0x1000,
        start - 0x40_0000,
        project.path("program").display()
    );
    let profile: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_le_bytes()).chain(maps.bytes()).collect();
    project.write("cpu.prof", &profile);
    let report = project.goflame(["report", "cpu.prof", "-f", "folded"]).run();
    report.code(0).stdout("program;main 2\nprogram;main;leaf 7\n");

    project.write("cut.prof", &profile[..70]);
    report_refused_file(&project, "cut.prof").stderr(
        "error: cannot read cut.prof
  cause: the gperftools profile is cut off or damaged at byte 40
   help: a profile is whole once the program has ended or called `ProfilerStop`; record again
",
    );
}

#[test]
fn kernel_symbols_are_kept_from_one_report_to_the_next() {
    let project = Project::empty();
    let perf = "perf record -q -e cpu-clock -F 997 -g -o perf.data -- dd if=/dev/zero of=/dev/null bs=64k count=40000 status=none";
    project.shell(perf).run().code(0);
    let folded = || {
        let report =
            project.goflame(["report", "perf.data", "-f", "folded"]).env("XDG_CACHE_HOME", project.path("cache"));
        let report = report.run();
        report.code(0);
        assert!(report.stdout.contains("vfs_read"), "{}", report.stdout);
        report.stdout.clone()
    };
    let (asked, kept) = (folded(), project.path("cache/goflame/kernel-symbols"));
    let whole = fs::read(&kept).unwrap();
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(folded(), asked);
    for damaged in [&b"once upon a time"[..], &whole[..whole.len() / 2], b""] {
        fs::write(&kept, damaged).unwrap();
        assert_eq!(folded(), asked);
        assert!(fs::read(&kept).unwrap() == whole, "kept anew");
    }
    // The cache directory cannot be created, or belongs to another user.
    fs::remove_dir_all(project.path("cache")).unwrap();
    project.write("cache", "a file");
    assert_eq!(folded(), asked);
}

#[test]
fn every_kind_of_cut_is_an_error_or_a_warning_and_never_a_panic() {
    let project = Project::workload("burner", "[archive]\ncompress = false\n");
    project.goflame(["run"]).run().code(0);
    let whole = project.read(&format!("{}/perf.data", project.only_run()));
    for length in [1, 7, 8, 15, 16, 103, 104, 150, 240] {
        project.write("cut", &whole[..length]);
        let report = report_refused_file(&project, "./cut");
        if length < 8 {
            assert!(
                report.stderr.starts_with("error: ./cut is not a profile that goflame can read\n"),
                "{}",
                report.stderr
            );
            continue;
        }
        assert!(report.stderr.starts_with("error: cannot "), "{length}: {}", report.stderr);
        assert!(report.stderr.contains("\n  cause: "), "{length}: {}", report.stderr);
    }
    // A recording with records but without samples.
    project.write("cut", &whole[..400]);
    let report = project.goflame(["report", "./cut"]).run();
    report
        .code(0)
        .stdout("no samples\n")
        .stderr_has("     Warning the file is damaged, and was read only up to the damage: [..]");
    for length in [whole.len() / 2, whole.len() - 1000] {
        project.write("cut", &whole[..length]);
        let report = project.goflame(["report", "./cut"]).run();
        report.code(0).stderr_has("     Warning the file is damaged, and was read only up to the damage: [..]");
        report.stderr_has("     Warning the recording ends early: its file was cut off");
        assert!(report.stdout.contains("main.burn"), "{}", report.stdout);
    }
}

#[test]
fn a_recording_of_a_deleted_program_names_the_missing_file() {
    let project = Project::workload("burner", "");
    project.goflame(["run"]).run().code(0);
    fs::copy(project.path(&format!("{}/perf.data", project.only_run())), project.path("perf.data")).unwrap();
    fs::remove_dir_all(project.path(".goflame")).unwrap();
    project.goflame(["report", "perf.data"]).run().code(0).stderr_has("     Quality poor: [..]").stderr_has(
        "     Warning [..] of user frames have no name, mostly: the file cannot be read: No such file or directory[..]",
    );
}

/// ELF program with 4 KB of code at 0x401000 and with sections of these names that share the same bytes of the file.
fn program(sections: &[&str], flags: u64, contents: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x2000];
    file.extend(contents);
    let mut names = b"\0.text\0.shstrtab\0".to_vec();
    // Name, type, flags, address, offset, size: of the null section, the code, the requested sections, the names.
    let mut headers = vec![[0; 6], [1, 1, 6, 0x40_1000, 0x1000, 0x1000]];
    for name in sections {
        headers.push([names.len(), 1, usize::try_from(flags).unwrap(), 0, 0x2000, contents.len()]);
        names.extend(name.bytes().chain([0]));
    }
    headers.push([7, 3, 0, 0, file.len(), names.len()]);
    file.extend(names);
    let start = file.len() as u64;
    for [name, kind, flags, address, offset, size] in &headers {
        file.extend([*name, *kind].map(|word| u32::try_from(word).unwrap().to_le_bytes()).concat());
        file.extend([*flags, *address, *offset, *size, 0, 1, 0].map(usize::to_le_bytes).concat());
    }
    let count = u16::try_from(headers.len()).unwrap();
    let header = [
        &b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0"[..],
        &[0x40_1000, 64, start].map(u64::to_le_bytes).concat(),
        &[0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0],
        &[count, count - 1].map(u16::to_le_bytes).concat(),
        // The first 0x2000 bytes are mapped as executable.
        &[1_u32, 5].map(u32::to_le_bytes).concat(),
        &[0, 0x40_0000, 0x40_0000, 0x2000, 0x2000, 0x1000].map(u64::to_le_bytes).concat(),
    ]
    .concat();
    file[..header.len()].copy_from_slice(&header);
    file
}

/// The program with one more data segment, up to the end of a file of this size.
fn with_data_segment(mut program: Vec<u8>, size: u64) -> Vec<u8> {
    let words = [0x2000, 0x60_0000, 0x60_0000, size - 0x2000, size - 0x2000, 0x1000].map(u64::to_le_bytes).concat();
    let segment = [[1_u32, 6].map(u32::to_le_bytes).concat(), words].concat();
    // The number of segments.
    program[56] = 2;
    program[120..176].copy_from_slice(&segment);
    program
}

/// A recording of 50 samples in the code of that program.
fn recording_of(program: &str) -> Vec<u8> {
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let record = |kind: u32, body: &[u8]| {
        let size = u16::try_from(body.len() + 8).unwrap();
        [&kind.to_le_bytes()[..], &2_u16.to_le_bytes(), &size.to_le_bytes(), body].concat()
    };
    let task = (7 << 32) | 7;
    let mut path = program.as_bytes().to_vec();
    path.resize(path.len() / 8 * 8 + 8, 0);
    let mut records = record(1, &[words(&[task, 0x40_0000, 0x2000, 0]), path, words(&[task, 1])].concat());
    for at in 0..50 {
        // The address, the task, the time, and a callchain of user addresses.
        let user = (-512_i64).cast_unsigned();
        records.extend(record(9, &words(&[0x40_1000 + at, task, 1000 + at, 3, user, 0x40_1000 + at, 0x40_1100])));
    }
    // cpu-clock, with the fields IP, TID, TIME and CALLCHAIN, and sample ids (TID, TIME) on other records.
    let attr = words(&[112 << 32 | 1, 0, 1_000_000, 0x27, 0, 1 << 18, 0, 0, 0, 0, 0, 0, 0, 0]);
    let header = words(&[104, 128, 104, 128, 232, records.len() as u64, 0, 0, 0, 0, 0, 0]);
    [b"PERFILE2", &header[..], &attr, &words(&[0, 0]), &records].concat()
}

#[test]
fn sections_that_share_one_compressed_stream_are_not_all_unpacked() {
    const MIB: usize = 1 << 20;
    // Size of one section in MiB. Before: a file of 0.4 MB with 10 such sections was unpacked to 600 MiB, and a file of
    // 6.6 MB took 8.6 GB. Now only the first section fits.
    const UNPACKED: usize = 60;
    let project = Project::empty();
    let sections = [
        ".debug_abbrev",
        ".debug_addr",
        ".debug_aranges",
        ".debug_info",
        ".debug_line",
        ".debug_line_str",
        ".debug_ranges",
        ".debug_rnglists",
        ".debug_str",
        ".debug_str_offsets",
    ];
    // Some random bytes in each MiB: a section that shrinks to less than 1/256 is refused earlier.
    let mut block = vec![0; MIB];
    let noise = (0..5000_u32).map(|at| at.wrapping_mul(0x9e37_79b9).rotate_left(at % 32).to_le_bytes()[1]);
    block.iter_mut().zip(noise).for_each(|(byte, noise)| *byte = noise);
    let mut stream = ZlibEncoder::new(Vec::new(), Compression::default());
    for _ in 0..UNPACKED {
        stream.write_all(&block).unwrap();
    }
    let stream = stream.finish().unwrap();
    let words = [1, (UNPACKED * MIB) as u64, 1].map(u64::to_le_bytes).concat();
    project.write("program", program(&sections, 0x800, &[words, stream].concat()));
    assert!(project.read("program").len() < MIB);
    project.write("perf.data", recording_of(project.path("program").to_str().unwrap()));
    let report = project.shell("ulimit -d 524288 && exec $goflame report ./perf.data").run();
    report.code(0).stderr_has("     Warning 100 % of user frames have no name, mostly: no symbols");
}

#[test]
fn programs_are_mapped_and_not_read_into_memory() {
    let project = Project::workload("burner", "");
    project.shell("go build -o small ./burner").run().code(0);
    let enlarged = |name: &str, bytes: &[u8], size: u64| {
        project.write(name, bytes);
        fs::File::options().write(true).open(project.path(name)).unwrap().set_len(size).unwrap();
    };
    let doctor = |file: &str| {
        project.shell(&format!("ulimit -d 262144 && exec $goflame doctor --only binary-file ./{file}")).run()
    };
    // A Go program of 1 GB took 987 MB.
    enlarged("large", &project.read("small"), 1 << 30);
    let found = doctor("small").code(0).stdout.replace("small", "large");
    doctor("large").code(0).stdout(&found);
    // Before: a sparse file of 1 TB was read until the memory was full, and so was a file with a segment of that size, which
    // is searched for Go's tables.
    enlarged("sparse", b"", 1 << 40);
    enlarged("sparse-program", &with_data_segment(program(&[], 0, &[]), 1 << 40), 1 << 40);
    doctor("sparse");
    doctor("sparse-program");
}
