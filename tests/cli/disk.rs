//! Full disks. These tests mount small file systems, which needs root.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::Project;

/// A small file system that is mounted while this lives.
struct Mount(PathBuf);

impl Mount {
    /// Mounts `options` of tmpfs over a directory of the project.
    fn new(project: &Project, name: &str, options: &str) -> Self {
        let path = project.path(name);
        std::fs::create_dir_all(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        let mount = mount.expect("this test needs the program `mount`");
        let said = String::from_utf8_lossy(&mount.stderr);
        assert!(mount.status.success(), "this test needs root, for a mount of its own: {said}");
        Self(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: after a failed assertion something may still run in there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_while_recording() {
    // Room for the program and some seconds of large samples.
    let project = Project::workload(
        "threads",
        "[workload]\nargs = [\"-n\", \"2\", \"-seconds\", \"600\"]\n[record]\nstack = 16384\n",
    );
    let _mount = Mount::new(&project, ".goflame", "size=16m");
    let run = project.goflame(["run"]).run();
    let partial = project.only_partial();
    run.code(6).stderr(&format!(
        "     Locking go1[..] (goflame.lock)
    Building ./threads [debug: -N -l] with go1[..]
    Checking [..] (goflame doctor)
     Running .goflame/build/debug/threads -n 2 -seconds 600
    Stopping the workload: its samples cannot be written
     Warning what was sampled is kept: goflame report {partial}/perf.data
error: the workload was stopped, because [dir]/{partial}/perf.data cannot be written
  cause: No space left on device (os error 28)
   help: free disk space, or record shorter or at a lower frequency
"
    ));
    project.assert_nothing_runs();
    let report = project.goflame(["report"]).arg(project.path(&format!("{partial}/perf.data"))).run();
    report.code(0);
    assert!(report.stdout.contains("main.spin"), "{}", report.stdout);
}

#[test]
fn a_disk_that_is_full_when_the_run_is_archived() {
    // The workload itself fills the disk, but for what the last samples need. The copy of goflame.toml does not fit.
    let config = format!("[workload]\nargs = [\".goflame/fill\"]\n[record]\nstack = 0\n# {}\n", "x".repeat(400_000));
    let project = Project::program(
        "package main

import (
	\"os\"
	\"time\"
)

func main() {
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
	}
	fill, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := fill.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	end, err := fill.Seek(0, 1)
	if err != nil {
		panic(err)
	}
	if err := fill.Truncate(end - 200<<10); err != nil {
		panic(err)
	}
}
",
        &config,
    );
    let _mount = Mount::new(&project, ".goflame", "size=16m");
    let run = project.goflame(["run"]).run();
    let partial = project.only_partial();
    run.code(10)
        .stdout("")
        .stderr_has(&format!("error: cannot write [dir]/{partial}/[..]"))
        .stderr_has("  cause: No space left on device (os error 28)")
        .stderr_has(&format!("     Warning what was sampled is kept: goflame report {partial}/perf.data"));
    project.assert_nothing_runs();
    assert_eq!(project.names(".goflame/runs"), Vec::<String>::new());
    let report = project.goflame(["report"]).arg(project.path(&format!("{partial}/perf.data"))).run();
    report.code(0);
    assert!(report.stdout.contains("main.main"), "{}", report.stdout);
}

#[test]
fn output_that_cannot_be_written_is_never_silent() {
    let project = Project::workload("exit3", "");
    let run = project.shell("$goflame run > /dev/full").run();
    // The run itself is whole.
    run.code(1)
        .stderr_has(&format!("    Archived {}", project.only_run()))
        .stderr_has("error: cannot write to standard output");
    for line in
        ["report", "report -f svg", "runs list", "runs show", "run --json", "build --dry-run", "doctor", "--help"]
    {
        project
            .shell(&format!("$goflame {line} > /dev/full"))
            .run()
            .code(1)
            .stderr_has("error: cannot write to standard output");
    }
    for format in ["svg", "folded", "pprof", "json"] {
        project.goflame(["report", "-f", format, "-o", "/dev/full"]).run().code(10).stdout("").stderr(
            "   Analysing [..] samples of run [..] in [..] s
error: cannot write /dev/full
  cause: No space left on device (os error 28)
",
        );
    }
    // It is still a device.
    project.shell("test -c /dev/full").run().code(0);
}

#[test]
fn a_program_that_the_kernel_does_not_start() {
    let project = Project::workload("printer", "");
    let _mount = Mount::new(&project, ".goflame", "size=64m,noexec");
    let run = project.goflame(["run"]).run();
    run.code(6).stdout("").stderr(
        "     Locking go1[..] (goflame.lock)
    Building ./printer [debug: -N -l] with go1[..]
    Checking [..] (goflame doctor)
     Running .goflame/build/debug/printer
error: cannot run `[dir]/.goflame/build/debug/printer`: starting the program failed
  cause: Permission denied (os error 13)
   help: is the file executable for the user that runs the workload?
",
    );
    assert_eq!(project.partials(), Vec::<String>::new());
    project.assert_nothing_runs();
}
