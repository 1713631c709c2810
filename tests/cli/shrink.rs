//! Files that are truncated while goflame has them mapped. `tests/campaigns/shrink` runs the same attacks 1,000 times.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Finished, Project, send, wait_until};

/// Minimum number of reports whose file is truncated while they read it.
fn required_hits() -> u64 {
    std::env::var("GOFLAME_HITS").map_or(20, |hits| hits.parse().unwrap())
}

/// A project that has recorded two busy threads, with a copy of the recording outside of the archive.
fn project_with_recording() -> Project {
    let config = "[workload]\nargs = [\"-n\", \"2\", \"-seconds\", \"1\"]\n[archive]\ncompress = false\n";
    let project = Project::workload("threads", config);
    project.goflame(["run"]).run().code(0);
    project.write("perf.data", project.read(&format!("{}/perf.data", project.only_run())));
    project
}

/// Reports the recording, and truncates `file` some milliseconds after goflame has mapped it.
fn report_while_cutting<'p>(project: &'p Project, file: &str, attempt: u64) -> Finished<'p> {
    let report = project.goflame(["report", "perf.data"]).spawn();
    let about = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", report.pid())).unwrap();
    wait_until(|| about("maps").contains(file) || about("status").contains("State:\tZ")).unwrap();
    sleep(Duration::from_millis(attempt % 20));
    let cut = OpenOptions::new().write(true).open(project.path(file)).unwrap();
    cut.set_len(cut.metadata().unwrap().len() / 10 * (attempt % 10)).unwrap();
    report.finish()
}

/// Repeats until the file was truncated during enough reports. A report that read the file before the truncation must
/// succeed.
#[expect(clippy::print_stdout, reason = "the figures of a campaign")]
fn attack(project: &Project, file: &str, named: &str) {
    let whole = project.read(file);
    let modified = fs::metadata(project.path(file)).unwrap().modified().unwrap();
    let (mut hit, mut missed) = (0, 0);
    while hit < required_hits() {
        project.write(file, &whole);
        // A program that is newer than the recording is not read.
        OpenOptions::new().write(true).open(project.path(file)).unwrap().set_modified(modified).unwrap();
        let report = report_while_cutting(project, file, hit + missed);
        if report.stderr.contains(" was cut short ") {
            report.code(7).stdout("").stderr(&format!("error: {named} was cut short while it was read\n"));
            hit += 1;
        } else {
            report.code(0);
            missed += 1;
        }
        assert!(missed < 50 * required_hits(), "only {hit} of {missed} attempts hit the file");
    }
    println!("{file}: {hit} hits, each of them exit code 7; {missed} reports were faster");
}

#[test]
fn a_recording_that_shrinks_while_it_is_read_is_exit_code_7() {
    // Before: SIGBUS killed goflame 4 times in 1,000, when two threads read the missing part at the same time. The
    // message named no file.
    attack(&project_with_recording(), "perf.data", "perf.data");
}

#[test]
fn a_program_that_shrinks_while_it_is_read_is_exit_code_7() {
    let project = project_with_recording();
    let [hash] = &project.names(".goflame/bin")[..] else { panic!("one program was stored") };
    let program = format!(".goflame/bin/{hash}/threads");
    fs::set_permissions(project.path(&program), Permissions::from_mode(0o755)).unwrap();
    attack(&project, &program, &format!("[dir]/{program}"));
}

#[test]
fn a_sigbus_that_no_file_is_to_blame_for_is_not_swallowed() {
    let project = Project::empty();
    project.shell("mkfifo pipe").run().code(0);
    let report = project.goflame(["report", "./pipe"]).spawn();
    // The call returns when goflame has opened the pipe for reading. goflame then waits for data.
    let _pipe = File::options().write(true).open(project.path("pipe")).unwrap();
    send(report.pid(), Signal::SIGBUS);
    // Before: exit code 7, "a file was cut short while it was read".
    report.finish().killed(Signal::SIGBUS).stderr("");
}
