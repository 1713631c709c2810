//! Limits of the system and of the user: sizes of files and of the stack, rights of an installed goflame.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::harness::{Goflame, Project};

/// Two busy threads and large samples: some megabytes a second.
const BUSY: &str = "[workload]\nargs = [\"-n\", \"2\", \"-seconds\", \"600\"]\n[record]\nstack = 16384\n";

#[test]
fn a_limit_on_the_size_of_files_is_reported_and_the_samples_are_kept() {
    let project = Project::workload("threads", BUSY);
    // In units of 1024 bytes: room for the program, and for some samples. Before: SIGXFSZ killed goflame without a message.
    let run = project.shell("ulimit -f 4096; exec $goflame run").run();
    let partial = project.only_partial();
    run.code(6).stderr_in_order(&format!(
        "    Stopping the workload: its samples cannot be written
     Warning what was sampled is kept, and may hold parts of the program's memory: `goflame report {partial}/perf.data`
error: the recording stopped, because [dir]/{partial}/perf.data cannot be written
  cause: File too large (os error 27)
   help: raise the limit on the size of files: `ulimit -f`
"
    ));
    project.assert_nothing_runs();
    let report = project.goflame(["report"]).arg(project.path(&format!("{partial}/perf.data"))).run();
    report.code(0);
    assert!(report.stdout.contains("main.spin"), "{}", report.stdout);
    // Before: SIGXFSZ killed goflame.
    project
        .shell(&format!("ulimit -f 1; $goflame report {partial}/perf.data -f svg -o out.svg"))
        .run()
        .code(10)
        .stderr_has("   help: raise the limit on the size of files: `ulimit -f`");
}

#[test]
fn a_small_stack_is_enough() {
    let project = Project::workload("printer", "");
    // Before: "thread 'main' has overflowed its stack", status 134, of this and of every other command.
    for line in ["run", "report latest", "runs list", "--help"] {
        project.shell(&format!("ulimit -s 64; $goflame {line}")).run().code(0);
    }
}

#[test]
fn a_recording_ends_at_its_size_limit_and_all_outputs_say_so() {
    let config = BUSY.replace("600", "1") + "[archive]\nmax_bytes = \"1MB\"\nraw = true\n";
    let project = Project::workload("threads", &config);
    let warning =
        "     Warning the recording is truncated at 1 000 000 bytes after [..] s: the profile shows the beginning only";
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_has(warning);
    assert!(run.stderr.contains("main.spin"), "{}", run.stderr);
    let directory = project.only_run();
    let size = fs::metadata(project.path(&format!("{directory}/perf.data"))).unwrap().size();
    assert!((800_000..=1_000_000).contains(&size), "{size}");
    assert_eq!(project.manifest()["quality"]["size_bound"]["bytes"], 1_000_000);
    for file in ["flamegraph.svg", "summary.json"] {
        let text = String::from_utf8(project.read(&format!("{directory}/{file}"))).unwrap();
        assert!(text.contains("truncated at 1 000 000 bytes after"), "{file}");
    }
    project.goflame(["report", "latest"]).run().code(0).stderr_has(warning);
    // perf can read perf.data, because goflame completed the file.
    project.shell(&format!("perf report --stdio -i {directory}/perf.data")).run().code(0);
}

#[test]
fn the_real_perf_has_no_size_limit_and_a_warning_says_so() {
    let config = "[record]\nengine = \"perf\"\n[archive]\nmax_bytes = \"1MB\"\n";
    let project = Project::workload("printer", config);
    let unbounded = "`max_bytes` in [archive] does not bound perf.data with `engine = \"perf\"`";
    project.goflame(["run"]).run().code(0).stderr_has(&format!("     Warning {unbounded}"));
    assert!(project.manifest()["notes"].as_array().unwrap().iter().any(|note| note == unbounded));
}

#[test]
fn bounded_output_keeps_its_beginning_and_its_end() {
    let project = Project::program(
        "package main

import (
	\"bufio\"
	\"fmt\"
	\"os\"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	for line := 1; line <= 300000; line++ {
		fmt.Fprintf(out, \"line %d\\n\", line)
	}
	out.Flush()
	println(\"done\")
}
",
        "[archive]\nmax_bytes = 1000000\n",
    );
    let run = project.goflame(["run"]).run();
    // Standard output has all lines, and the log only the first and the last.
    run.code(0);
    assert!(run.stdout.contains("\nline 150000\n") && run.stdout.contains("\nline 300000\n"));
    let log = String::from_utf8(project.read(&format!("{}/stdout.log", project.only_run()))).unwrap();
    assert!(log.starts_with("line 1\nline 2\n") && log.ends_with("line 299999\nline 300000\n"));
    assert!((999_000..=1_000_000).contains(&log.len()), "{}", log.len());
    let written: usize = (1..=300_000).map(|line: i32| format!("line {line}\n").len()).sum();
    let gap = log.lines().find(|line| line.starts_with("[goflame: ")).unwrap();
    let left_out = written - (log.len() - gap.len() - 2);
    let told = format!("{left_out} bytes are left out in the middle (`max_bytes` in [archive])");
    assert_eq!(gap, format!("[goflame: {told}]"));
    run.stderr_has(&format!("     Warning stdout.log is not complete: {told}"));
    let notes = project.manifest()["notes"].clone();
    assert!(
        notes.as_array().unwrap().iter().any(|note| *note == *format!("stdout.log is not complete: {told}")),
        "{notes}"
    );
    assert_eq!(project.read(&format!("{}/stderr.log", project.only_run())), b"done\n");
}

/// Copies goflame into the project, to which other users have access.
fn install_goflame(project: &Project, mode: u32) {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, to become another user");
    fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_goflame"), project.path("goflame")).unwrap();
    fs::set_permissions(project.path("goflame"), fs::Permissions::from_mode(mode)).unwrap();
}

/// The installed goflame, run by an ordinary user.
fn run_as_user<'p>(project: &'p Project, line: &str) -> Goflame<'p> {
    project.shell(&format!("exec setpriv --reuid=65534 --regid=65534 --clear-groups ./goflame {line}"))
}

#[test]
fn a_setuid_or_setgid_goflame_does_not_run() {
    for mode in [0o4755, 0o2755] {
        let project = Project::empty();
        install_goflame(&project, mode);
        // Before: the gate ran any program as root for every user.
        for line in ["doctor", "--help", "__gate socket - -- /bin/sh", "__supervise socket -- /bin/sh"] {
            run_as_user(&project, line).run().code(4).stdout("").stderr(
                "error: goflame is installed setuid or setgid and refuses to run: it would give the rights of its owner to every user
   help: remove the bits with `chmod u-s,g-s`; `setcap cap_perfmon,cap_syslog+ep` instead lets ordinary users sample the kernel
",
            );
        }
    }
}

#[test]
fn a_goflame_with_file_capabilities_names_the_vdso() {
    let project = Project::program(
        "package main

import \"time\"

func main() {
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
	}
}
",
        "",
    );
    project.goflame(["run"]).run().code(0);
    install_goflame(&project, 0o755);
    // `setcap cap_perfmon,cap_syslog+ep`, numbers 38 and 34, as `struct vfs_cap_data` (linux/capability.h): revision 2 with
    // the effective bit, then permitted and inheritable, each lower half first.
    let words: [u32; 5] = [0x0200_0001, 0, 0, 1 << (38 - 32) | 1 << (34 - 32), 0];
    let capabilities: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(project.path("goflame"), "security.capability", &capabilities, none).unwrap();

    project.write("perf.data", project.read(&format!("{}/perf.data", project.only_run())));
    let report = run_as_user(&project, "report perf.data -f folded").run();
    report.code(0);
    // Before: "mostly: the vdso cannot be read", and 70 % of the samples were in `[vdso]`.
    assert!(report.stdout.contains("vdso_clock_gettime"), "{}\n{}", report.stdout, report.stderr);
}
