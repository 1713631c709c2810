//! Full disks. These tests mount small file systems, which needs root.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::Project;

/// Small file system that is mounted until the value is dropped.
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
        // Lazily: after a failed assertion, a process may still use it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_while_recording_ends_the_run_with_an_error() {
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
     Warning what was sampled is kept, and may hold parts of the program's memory: `goflame report {partial}/perf.data`
error: the recording stopped, because [dir]/{partial}/perf.data cannot be written
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
fn a_disk_that_is_full_while_archiving_is_an_error() {
    // The workload fills the disk; only the last samples fit. The copy of goflame.toml does not fit.
    let config = format!("[workload]\nargs = [\".goflame/fill\"]\n[record]\nstack = 0\n# {}\n", "x".repeat(400_000));
    let project = Project::program(
        "package main

import (
	\"os\"
	\"syscall\"
	\"time\"
)

func main() {
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
	}
	fill, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(fill.Fd()), &disk); err != nil {
		panic(err)
	}
	if _, err := fill.Write(make([]byte, int64(disk.Bavail)*disk.Bsize-200<<10)); err != nil {
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
        .stderr_has(&format!("     Warning what was sampled is kept, and may hold parts of the program's memory: `goflame report {partial}/perf.data`"));
    project.assert_nothing_runs();
    assert_eq!(project.names(".goflame/runs"), Vec::<String>::new());
    let report = project.goflame(["report"]).arg(project.path(&format!("{partial}/perf.data"))).run();
    report.code(0);
    assert!(report.stdout.contains("main.main"), "{}", report.stdout);
}

#[test]
fn output_that_cannot_be_written_is_never_silent() {
    // At the usual frequency, this short program has a single sample at times.
    let project = Project::workload("printer", "record.frequency = 10007\n");
    let run = project.shell("$goflame run > /dev/full").run();
    // The run was completed.
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
    // goflame did not replace the device by a file.
    project.shell("test -c /dev/full").run().code(0);
}

#[test]
fn an_archive_on_a_noexec_file_system_is_an_error() {
    // Without the readiness check `build-directory`, which reports the same earlier.
    let project = Project::workload("printer", "doctor.ignore = [\"build-directory\"]");
    let _mount = Mount::new(&project, ".goflame", "size=64m,noexec");
    // Before: "cannot run [..]: Permission denied", after the build.
    project.goflame(["run"]).run().code(10).stdout("").stderr(
        "error: programs cannot be started from [dir]/.goflame: its file system is mounted noexec
   help: name a directory on another file system as `[archive] dir`
",
    );
    project.goflame(["build"]).run().code(0);
}

/// Fills the file system of `file` to the last byte. The file stands for a recording.
fn fill_disk(project: &Project, file: &str) {
    project.write(file, "");
    let mut out = std::fs::File::options().append(true).open(project.path(file)).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if out.write(&vec![0; size]).is_err() {
            size /= 2;
        }
    }
}

#[test]
fn room_is_made_before_a_run_that_would_not_fit() {
    let project = Project::workload("printer", "");
    let _mount = Mount::new(&project, ".goflame", "size=64m");
    let run = project.goflame(["run", "--quiet"]).run();
    run.code(0);
    let first = project.only_run();
    // A run that filled the disk and was killed.
    let id = "20200101-000000-printer-0000";
    fill_disk(&project, &format!(".goflame/partial/{id}/perf.data"));
    // Before: the run failed for lack of space, and so did every later run.
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_has("     Removed 1 partial run, [..] MB in all, to make room");
    assert_eq!(project.partials(), Vec::<String>::new());
    assert!(project.path(&first).exists(), "completed runs within `keep` stay");
    assert_eq!(project.names(".goflame/runs").len(), 2);
}

#[test]
fn runs_can_be_removed_from_a_full_disk() {
    let project = Project::workload("printer", "");
    let _mount = Mount::new(&project, ".goflame", "size=64m");
    project.goflame(["run", "--quiet"]).run().code(0);
    let run = project.only_run();
    let id = "20200101-000000-printer-0000";
    for command in [["runs", "prune"].as_slice(), &["runs", "rm", id]] {
        fill_disk(&project, &format!(".goflame/partial/{id}/perf.data"));
        project.shell(&format!("$goflame {}", command.join(" "))).run().code(0);
        assert_eq!(project.partials(), Vec::<String>::new());
    }
    // Removing completed runs, and files of an interrupted removal, makes room too.
    fill_disk(&project, ".goflame/trash/20200101-000000-printer-0001/perf.data");
    project.goflame(["runs", "rm", "latest"]).run().code(0);
    assert!(!project.path(&run).exists());
    assert_eq!((project.names(".goflame/trash"), project.names(".goflame/bin")), (vec![], vec![]));
}
