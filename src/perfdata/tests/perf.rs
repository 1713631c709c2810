//! Comparison with the real `perf`: `perf` reads the writer's files, and for perf's own files `perf script` prints what
//! the reader returns.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Disk, features, native_event, native_file, native_writer};
use crate::perfdata::abi::record_type;
use crate::perfdata::*;

/// Standard output of a program that must exist and succeed.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {stderr}", output.status);
    output.stdout
}

fn perf(file: &Path, args: &[&str]) -> String {
    let (command, args) = args.split_first().unwrap();
    // Without -f perf refuses files of another user; and perf would read the file from a pipe on standard input.
    let mut perf = Command::new("perf");
    perf.arg(command).arg("-f").arg("-i").arg(file).args(args).stdin(Stdio::null());
    String::from_utf8(run(&mut perf)).unwrap()
}

/// The script of a busy shell.
const BUSY: &str = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; true | true";

/// Records a busy shell with these options of `perf record`. Returns the bytes and the path of the file.
fn record(dir: &Path, args: &[&str]) -> (Vec<u8>, std::path::PathBuf) {
    let file = dir.join("perf.data");
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-F", "999"]).args(args).arg("-o");
    if args.contains(&"--pipe") {
        perf = Command::new("perf");
        perf.args(["record", "-q", "-F", "999"]).args(args.iter().filter(|arg| **arg != "--pipe"));
        perf.args(["-o", "-", "sh", "-c", BUSY]);
        std::fs::write(&file, run(&mut perf)).unwrap();
    } else {
        perf.arg(&file).args(["sh", "-c", BUSY]);
        run(&mut perf);
    }
    (std::fs::read(&file).unwrap(), file)
}

/// A record of the kernel, as `perf script -D` prints it.
#[derive(Debug, PartialEq, Eq, Default)]
struct Dumped {
    time: u64,
    offset: u64,
    /// Instruction pointer, pid, tid and period of a sample.
    sample: Option<(u64, i32, i32, u64)>,
    callchain: Vec<u64>,
    regs: Vec<u64>,
    stack: usize,
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The kernel's records in the order in which perf processes them, except that records without time come first: perf
/// processes them where they are in the file.
fn dump(file: &Path) -> Vec<Dumped> {
    /// Types of records that perf itself writes.
    const PERF_TYPES: [&str; 9] = [
        "ATTR",
        "FEATURE",
        "BUILD_ID",
        "ID_INDEX",
        "EVENT_UPDATE",
        "THREAD_MAP",
        "CPU_MAP",
        "FINISHED_ROUND",
        "FINISHED_INIT",
    ];
    let mut all: Vec<Dumped> = Vec::new();
    let mut in_kernel_record = false;
    for line in perf(file, &["script", "-D"]).lines() {
        if let Some((head, tail)) = line.split_once(": PERF_RECORD_")
            && let Some((position, _size)) = head.split_once(" [0x")
        {
            let name: String = tail.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            in_kernel_record = !PERF_TYPES.contains(&name.as_str());
            if in_kernel_record {
                let mut position = position.split(' ').rev();
                let mut record = Dumped { offset: hex(position.next().unwrap()), ..Dumped::default() };
                record.time = position.next().unwrap().parse().unwrap();
                if name == "SAMPLE" {
                    // SAMPLE(IP, 0x2): 42/43: 0x401000 period: 1001001 addr: 0
                    let words: Vec<_> = tail.split([' ', ':', '/']).filter(|word| !word.is_empty()).collect();
                    let number = |at: usize| words[at].parse().unwrap();
                    record.sample = Some((hex(words[4]), number(2), number(3), words[6].parse().unwrap()));
                }
                all.push(record);
            }
        } else if in_kernel_record && let Some(record) = all.last_mut() {
            if let Some(frame) = line.strip_prefix(".....") {
                // Counter values also start with five dots: "..... id 0000, value 00".
                if let Some((index, address)) = frame.split_once(": ")
                    && index.trim().parse::<usize>().is_ok()
                {
                    record.callchain.push(hex(address));
                }
            } else if let Some((_, register)) = line.split_once("0x")
                && line.starts_with(".... ")
            {
                record.regs.push(hex(register));
            } else if let Some(stack) = line.strip_prefix("... ustack: size ") {
                record.stack = stack.split(',').next().unwrap().parse().unwrap();
            } else if line.is_empty() {
                in_kernel_record = false;
            }
        }
    }
    all.sort_by_key(|record| if record.time == 0 { record.offset } else { u64::MAX });
    all
}

/// The records as goflame's reader returns them.
fn read_records(file: &PerfData<'_>) -> Vec<Dumped> {
    let records = file.records().map(Result::unwrap);
    records
        .map(|record| {
            let mut out = Dumped { time: record.time.unwrap(), offset: record.offset, ..Dumped::default() };
            if let RecordKind::Sample(sample) = record.kind {
                out.sample = Some((sample.ip.unwrap(), sample.pid.unwrap(), sample.tid.unwrap(), sample.period));
                out.callchain = sample.callchain.collect();
                out.regs = sample.user_regs.iter().flat_map(|regs| (0..64).filter_map(|bit| regs.get(bit))).collect();
                out.stack = sample.user_stack.map_or(0, <[u8]>::len);
            }
            out
        })
        .collect()
}

/// Time and event name of each sample, as `perf script` prints them.
fn printed_samples(file: &Path) -> Vec<(u64, String)> {
    let printed = perf(file, &["script", "--ns", "-G", "-F", "time,event"]);
    let samples = printed.lines().map(|line| {
        let (time, event) = line.trim().split_once(": ").unwrap();
        let (seconds, nanos) = time.split_once('.').unwrap();
        let time = seconds.parse::<u64>().unwrap() * 1_000_000_000 + nanos.parse::<u64>().unwrap();
        (time, event.trim().trim_end_matches(':').to_owned())
    });
    samples.collect()
}

fn read_samples(file: &PerfData<'_>) -> Vec<(u64, String)> {
    let samples = file.records().filter_map(|record| match record.unwrap().kind {
        RecordKind::Sample(sample) => Some((sample.time.unwrap(), file.events()[sample.event].name.clone())),
        _ => None,
    });
    samples.collect()
}

/// Records with these options and compares goflame's reader with `perf script`.
fn compare(args: &[&str]) -> (Vec<u8>, Vec<Dumped>) {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, path) = record(dir.path(), args);
    let file = PerfData::parse(&bytes).unwrap();
    assert!(file.is_complete());
    let (mut expected, got) = (dump(&path), read_records(&file));
    if args.contains(&"--pipe") {
        // For a pipe, perf's offsets do not include the header of 16 bytes.
        for record in &mut expected {
            record.offset += 16;
        }
    }
    assert!(expected.len() > 15, "perf dumped only {} records", expected.len());
    for (expected, got) in expected.iter().zip(&got) {
        assert_eq!(expected, got);
    }
    assert_eq!(expected.len(), got.len());
    let mut printed = printed_samples(&path);
    if args.iter().any(|arg| arg.ends_with(":S")) {
        // perf computes samples for the members of a group from the values in the leader's samples.
        printed.retain(|(_, event)| *event == file.events()[0].name);
    }
    assert!(printed.len() > 10, "perf printed only {} samples", printed.len());
    assert_eq!(printed, read_samples(&file));
    (bytes, got)
}

#[test]
fn perf_record_with_frame_pointers() {
    let (bytes, records) = compare(&["-e", "cpu-clock", "-g"]);
    assert!(records.iter().any(|record| record.callchain.len() > 2));
    let file = PerfData::parse(&bytes).unwrap();
    let features = file.features();
    let uname = |flag| String::from_utf8(run(Command::new("uname").arg(flag))).unwrap().trim().to_owned();
    assert_eq!(features.arch.as_ref(), Some(&uname("-m")));
    assert_eq!(features.os_release.as_ref(), Some(&uname("-r")));
    assert_eq!(features.hostname.as_ref(), Some(&uname("-n")));
    assert_eq!(features.cmdline[1..4], ["record", "-q", "-F"]);
    assert!(features.nr_cpus.is_some_and(|cpus| cpus.online >= 1 && cpus.available >= cpus.online));
    assert!(features.cpu_desc.is_some());
    let times: Vec<_> = read_samples(&file).iter().map(|(time, _)| *time).collect();
    assert_eq!(features.sample_time, Some((times[0], times[times.len() - 1])));
    let sampled = |id: &&BuildId| id.path.ends_with(b"/dash") || id.path.windows(9).any(|part| part == b"/libc.so.");
    let id = features.build_ids.iter().find(sampled).unwrap();
    assert_eq!((id.id.len(), id.pid, id.cpu_mode), (20, -1, CpuMode::User));
    // Forks, an exec, and mappings with inodes.
    let kinds: Vec<_> = file.records().map(|record| record.unwrap().kind).collect();
    assert!(kinds.iter().any(|kind| matches!(kind, RecordKind::Comm { exec: true, name: b"sh", .. })));
    assert!(kinds.iter().any(|kind| matches!(kind, RecordKind::Fork(task) if task.pid != task.ppid)));
    assert!(kinds.iter().any(|kind| matches!(kind, RecordKind::Exit(_))));
    assert!(kinds.iter().any(|kind| matches!(kind, RecordKind::Mmap(map)
        if map.is_executable && map.path.starts_with(b"/") && map.inode.is_some_and(|file| file.inode > 0))));
}

#[test]
fn perf_record_with_stack_dumps_and_clock() {
    let (bytes, records) = compare(&["-e", "cpu-clock", "--call-graph", "dwarf,4096", "-k", "monotonic"]);
    assert!(records.iter().any(|record| record.stack > 1_000 && record.regs.len() > 10));
    let file = PerfData::parse(&bytes).unwrap();
    let clock = file.features().clock.unwrap();
    assert_eq!((clock.clockid, file.events()[0].attr.clockid), (1, 1));
    // perf reads both clocks at its start: before the first sample, and after the year 2019.
    assert!(clock.clock_ns < file.features().sample_time.unwrap().0);
    assert!(clock.wall_ns > 1_577_836_800_000_000_000);
}

#[test]
fn perf_record_with_two_events() {
    let (bytes, _) = compare(&["-e", "cpu-clock,page-faults", "-g"]);
    let file = PerfData::parse(&bytes).unwrap();
    let names: Vec<_> = file.events().iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["cpu-clock", "page-faults"]);
    let samples = read_samples(&file);
    assert!(names.iter().all(|name| samples.iter().any(|(_, event)| event == name)));
}

#[test]
fn perf_record_with_a_group_that_reads_its_values() {
    compare(&["-e", "{cpu-clock,page-faults}:S", "-g"]);
}

#[test]
fn perf_record_with_more_fields_and_build_ids() {
    let (bytes, _) = compare(&["-e", "cpu-clock", "-g", "-d", "--sample-cpu", "--phys-data", "-s", "--buildid-mmap"]);
    let file = PerfData::parse(&bytes).unwrap();
    let has_id = |record: Record<'_>| matches!(record.kind, RecordKind::Mmap(map) if map.build_id.is_some());
    assert!(file.records().any(|record| has_id(record.unwrap())));
}

#[test]
fn perf_record_into_a_pipe() {
    let (bytes, _) = compare(&["-e", "cpu-clock,page-faults", "-g", "--pipe"]);
    assert_eq!(bytes[8..16], [16, 0, 0, 0, 0, 0, 0, 0]);
    let file = PerfData::parse(&bytes).unwrap();
    assert!(file.features().arch.is_some());
}

/// Compares the samples of a recording that goflame unpacked with the samples that `perf script` prints.
fn compare_unpacked(path: &Path, bytes: &[u8], further: &[&[u8]]) {
    let plain = unpack(bytes, further).unwrap().expect("something to unpack");
    let file = PerfData::parse(&plain).unwrap();
    assert!(file.is_complete() && file.features().arch.is_some());
    let dumped = |records: Vec<Dumped>| {
        let samples = records.into_iter().filter(|record| record.sample.is_some());
        // For perf, an offset is a position in the bytes that it has unpacked so far.
        samples.map(|record| Dumped { offset: 0, ..record }).collect::<Vec<_>>()
    };
    let expected = dumped(dump(path));
    assert!(expected.len() > 10, "{} samples", expected.len());
    assert_eq!(dumped(read_records(&file)), expected);
    assert_eq!(printed_samples(path), read_samples(&file));
    assert_eq!(unpack(&plain, &[]).unwrap().unwrap_or(plain.clone()), plain, "it is plain now");
}

#[test]
fn perf_record_that_compresses() {
    for args in [&["-e", "cpu-clock", "-g", "-z"][..], &["-e", "cpu-clock,page-faults", "--call-graph=dwarf", "-z22"]] {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, path) = record(dir.path(), args);
        compare_unpacked(&path, &bytes, &[]);
    }
    let dir = tempfile::tempdir().unwrap();
    let (bytes, path) = record(dir.path(), &["-e", "cpu-clock", "-g", "-z", "--pipe"]);
    compare_unpacked(&path, &bytes, &[]);
}

#[test]
fn perf_record_with_threads_into_a_directory() {
    for args in [&["-e", "cpu-clock", "-g", "--threads"][..], &["-e", "cpu-clock", "-g", "--threads", "-z"]] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perf.data");
        run(Command::new("perf")
            .args(["record", "-q", "-F", "999"])
            .args(args)
            .arg("-o")
            .arg(&path)
            .args(["sh", "-c", BUSY]));
        let further = (0..).map_while(|number| std::fs::read(path.join(format!("data.{number}"))).ok());
        let further: Vec<Vec<u8>> = further.collect();
        assert!(!further.is_empty());
        let further: Vec<&[u8]> = further.iter().map(Vec::as_slice).collect();
        compare_unpacked(&path, &std::fs::read(path.join("data")).unwrap(), &further);
    }
}

#[test]
fn perf_reads_what_the_writer_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perf.data");
    let bytes = native_file();
    std::fs::write(&path, &bytes).unwrap();
    let file = PerfData::parse(&bytes).unwrap();
    assert_eq!(dump(&path), read_records(&file));
    assert_eq!(read_samples(&file).len(), 5);
    assert_eq!(printed_samples(&path), read_samples(&file));

    let header = perf(&path, &["report", "--header-only"]);
    for line in [
        "# hostname : box",
        "# os release : 6.18.44",
        "# perf version : goflame 0.1.0",
        "# arch : x86_64",
        "# nrcpus online : 2",
        "# nrcpus avail : 4",
        "# cpudesc : A CPU @ 3 GHz",
        "# cmdline : goflame record -- ./app ",
        "# clockid: monotonic (1)",
        "# event : name = cpu-clock, , id = { 11, 12 }, type = 1, size = 112,",
        "# event : name = page-faults, , id = { 21 }, type = 1, size = 112, config = 0x2,",
        "# time of first sample : 0.000001",
    ] {
        assert!(header.lines().any(|got| got.starts_with(line)), "no {line:?} in\n{header}");
    }
    let report = perf(&path, &["report", "--stdio", "--no-children", "-g", "none", "--sort", "comm,dso"]);
    assert!(report.contains("# Samples: 4  of event 'cpu-clock'"), "{report}");
    assert!(report.contains("# Samples: 1  of event 'page-faults'"), "{report}");
    let ids = perf(&path, &["buildid-list"]);
    assert_eq!(ids, format!("{} /bin/app\n", "ab".repeat(20)));
    let maps = perf(&path, &["script", "-G", "--show-mmap-events", "--show-task-events"]);
    for part in [
        "PERF_RECORD_MMAP -1/0: [0xffffffff81000000(0x1000000) @ 0xffffffff81000000]: x [kernel.kallsyms]_text",
        "PERF_RECORD_COMM: app:42/42",
        "@ 0 <abababababababababababababababababababab>]: r-xp /bin/app",
        "@ 0 08:01 77 3]: r--p /lib/x.so",
        "PERF_RECORD_FORK(42:43):(42:42)",
    ] {
        assert!(maps.contains(part), "no {part:?} in\n{maps}");
    }
}

/// `perf script` prints the same for perf's records and for the copy that goflame's writer makes of them.
#[test]
fn perf_reads_a_copy_of_its_own_records() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, path) = record(dir.path(), &["-e", "cpu-clock,page-faults", "-g"]);
    let file = PerfData::parse(&bytes).unwrap();
    let mut writer = Writer::create(Disk::new(usize::MAX), file.events()).unwrap();
    for record in file.records() {
        let at = usize::try_from(record.unwrap().offset).unwrap();
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let end = at + usize::from(short(at + 6));
        writer.record(u32::from(short(at)), short(at + 4), &bytes[at + 8..end]).unwrap();
    }
    let copy = dir.path().join("copy.data");
    std::fs::write(&copy, writer.finish(file.features()).unwrap().bytes()).unwrap();
    let fields = ["script", "--ns", "-F", "comm,pid,tid,time,event,period,ip,sym,dso"];
    assert_eq!(perf(&copy, &fields), perf(&path, &fields));
}

#[test]
fn perf_reads_a_recording_with_no_features() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perf.data");
    let writer = native_writer(&Disk::new(usize::MAX));
    std::fs::write(&path, writer.finish(&Features::default()).unwrap().bytes()).unwrap();
    assert_eq!(printed_samples(&path).len(), 5);
}

/// Many rounds of records, more than the writer's buffer holds, into a real file.
#[test]
fn perf_reads_a_long_recording() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perf.data");
    let out = std::fs::File::create(&path).unwrap();
    let mut writer = Writer::create(out, &[native_event("cpu-clock", 0, &[11])]).unwrap();
    let mut time = 1_000_000;
    for round in 0..40 {
        for cpu in 0..2 {
            for step in 0..100 {
                let chain = [abi::context::USER, 0x40_1000, 0x40_2000];
                let body = super::native_sample(11, time + step * 10 + u64::from(cpu), cpu, &chain);
                writer.record(record_type::SAMPLE, abi::misc::USER, &body).unwrap();
            }
        }
        time += 1_000;
        if round % 2 == 0 {
            writer.finished_round().unwrap();
        }
    }
    let size = writer.bytes_written();
    writer.finish(&features()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(size > 512 * 1024 && bytes.len() as u64 > size, "{size}");
    let file = PerfData::parse(&bytes).unwrap();
    let samples = read_samples(&file);
    assert_eq!(samples.len(), 8_000);
    assert!(samples.is_sorted());
    assert_eq!(printed_samples(&path), samples);
}
