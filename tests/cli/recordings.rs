//! `goflame report` on files that are no recordings, or only a part of one, and on those of the real perf.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Finished, Project};

#[track_caller]
fn refused<'p>(project: &'p Project, file: &str) -> Finished<'p> {
    let report = project.goflame(["report", file]).run();
    report.code(7).stdout("");
    report
}

#[test]
fn what_is_no_recording() {
    let project = Project::empty();
    project.write("empty", "");
    project.write("text.txt", "once upon a time\n");
    for file in ["/dev/zero", "text.txt"] {
        refused(&project, file).stderr(&format!(
            "error: {file} is no profile that goflame reads
   help: goflame reads perf.data files and pprof profiles (profile.proto), gzipped or not; [..]
"
        ));
    }
    for file in ["/dev/null", "./empty"] {
        refused(&project, file).stderr(&format!(
            "error: {file} is empty
   help: a CPU profile stays empty when the program ends without `pprof.StopCPUProfile`: os.Exit skips what was deferred
"
        ));
    }
}

#[test]
fn what_is_no_file() {
    let project = Project::empty();
    project.write("there/x", "");
    refused(&project, "there").stderr("error: cannot read there\n  cause: it is a directory, not a file\n");
    refused(&project, "none/perf.data")
        .stderr("error: cannot read none/perf.data\n  cause: No such file or directory (os error 2)\n");
}

#[test]
fn a_recording_of_the_real_perf_without_any_project() {
    let project = Project::empty();
    let perf = "perf record -q -e cpu-clock -F 997 -g -o perf.data -- sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'";
    project.shell(perf).run().code(0);
    let report = project.goflame(["report", "perf.data"]).run();
    report.code(0).stderr_has("   Analysing [..] samples of perf.data in [..] s");
    assert!(report.stdout.starts_with("Hottest functions"), "{}", report.stdout);
    let folded = project.goflame(["report", "perf.data", "-f", "folded"]).run();
    folded.code(0);
    assert!(folded.stdout.contains(';'), "{}", folded.stdout);
    assert_eq!(project.names("."), ["perf.data"], "report writes nothing that it was not told to");
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
    // Nowhere to keep them, or somebody else's place.
    fs::remove_dir_all(project.path("cache")).unwrap();
    project.write("cache", "a file");
    assert_eq!(folded(), asked);
}

#[test]
fn every_kind_of_cut_is_an_error_or_a_warning_and_never_a_panic() {
    let project = Project::workload("exit3", "[record]\nstack = 64\n");
    project.goflame(["run"]).run().code(0);
    let whole = project.read(&format!("{}/perf.data", project.only_run()));
    for length in [1, 7, 8, 15, 16, 103, 104, 150, 240] {
        project.write("cut", &whole[..length]);
        let report = refused(&project, "./cut");
        if length < 8 {
            assert!(report.stderr.starts_with("error: ./cut is no profile that goflame reads\n"), "{}", report.stderr);
            continue;
        }
        assert!(report.stderr.starts_with("error: cannot "), "{length}: {}", report.stderr);
        assert!(report.stderr.contains("\n  cause: "), "{length}: {}", report.stderr);
    }
    // Records, but no sample among them.
    project.write("cut", &whole[..400]);
    let report = project.goflame(["report", "./cut"]).run();
    report
        .code(0)
        .stdout("no samples\n")
        .stderr_has("     Warning the file is damaged, and was read up to there: [..]");
    for length in [whole.len() / 2, whole.len() - 1000] {
        project.write("cut", &whole[..length]);
        let report = project.goflame(["report", "./cut"]).run();
        report.code(0).stderr_has("     Warning the file is damaged, and was read up to there: [..]");
        report.stderr_has("     Warning the recording ends early: its file was cut off");
        assert!(report.stdout.contains("main.burn"), "{}", report.stdout);
    }
}

#[test]
fn a_recording_of_a_program_that_is_gone_says_what_is_missing() {
    let project = Project::workload("exit3", "");
    project.goflame(["run"]).run().code(0);
    fs::copy(project.path(&format!("{}/perf.data", project.only_run())), project.path("perf.data")).unwrap();
    fs::remove_dir_all(project.path(".goflame")).unwrap();
    project.goflame(["report", "perf.data"]).run().code(0).stderr_has("     Quality poor: [..]").stderr_has(
        "     Warning [..] of user frames have no name, mostly: the file cannot be read: No such file or directory[..]",
    );
}
