#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::fs;

use super::*;

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

#[test]
fn captures_both_streams() {
    let captured = sh("echo out; echo err >&2").capture().unwrap();
    assert_eq!(captured.text(), "out\n");
    assert_eq!(captured.stderr, b"err\n");
}

#[test]
fn captures_more_than_a_pipe_holds() {
    let captured = sh("head -c 3000000 /dev/zero; head -c 200000 /dev/zero >&2").capture().unwrap();
    assert_eq!((captured.stdout.len(), captured.stderr.len()), (3_000_000, 200_000));
}

#[test]
fn an_error_contains_command_directory_status_and_last_lines() {
    let dir = tempfile::tempdir().unwrap();
    let error = sh("seq 100 >&2; exit 3").dir(dir.path()).capture().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`sh -c 'seq 100 >&2; exit 3'` in {} failed: exit status 3", dir.path().display())
    );
    let stderr_tail = error.source().unwrap().to_string();
    assert_eq!(stderr_tail.lines().count(), 20);
    assert!(stderr_tail.starts_with("81\n") && stderr_tail.ends_with("\n100"), "{stderr_tail}");
    let Error::Failed { status, .. } = error else { panic!("{error:?}") };
    assert_eq!(status, ExitStatus::Code(3));
}

#[test]
fn a_silent_failure_has_no_cause() {
    let error = sh("kill -9 $$").capture().unwrap_err();
    assert_eq!(error.to_string(), "`sh -c 'kill -9 $$'` failed: killed by SIGKILL (9)");
    assert!(error.source().is_none());
}

#[test]
fn long_output_without_lines_is_cut() {
    let Error::Failed { stderr_tail, .. } =
        sh("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1").capture().unwrap_err()
    else {
        panic!("must fail")
    };
    assert_eq!(stderr_tail.unwrap().text().len(), 4096);
}

#[test]
fn a_missing_program_is_named_with_path() {
    let error = Command::new("goflame-no-such-program").capture().unwrap_err();
    assert_eq!(error.to_string(), "`goflame-no-such-program` was not found on PATH");
    assert!(error.hints().concat().contains(&env::var("PATH").unwrap()));
    let error = Command::new("sh").env("PATH", "").capture().unwrap_err();
    assert_eq!(error.to_string(), "`sh` was not found on PATH");
    assert_eq!(error.hints(), ["PATH is empty"]);
    let error = find_program("sh".as_ref(), None, Path::new("/")).unwrap_err();
    assert_eq!(error.hints(), ["PATH is not set"]);
}

#[test]
fn programs_of_the_current_directory_are_not_found_by_name() {
    let (bin, sh) = (Path::new("/bin"), OsStr::new("sh"));
    for path in ["", ".", ":", "bin:."] {
        find_program(sh, Some(path.as_ref()), bin).unwrap_err();
    }
    assert_eq!(find_program(sh, Some(".:/bin".as_ref()), bin).unwrap(), Path::new("/bin/sh"));
    assert_eq!(find_program("./sh".as_ref(), None, bin).unwrap(), Path::new("/bin/./sh"));
}

#[test]
fn a_path_that_is_not_executable_is_an_error() {
    let error = Command::new("/etc/passwd").capture().unwrap_err();
    assert_eq!(error.to_string(), "`/etc/passwd` is not an executable file");
}

#[test]
fn a_missing_directory_is_not_taken_for_a_missing_program() {
    let error = sh("true").dir("/no/such/dir").capture().unwrap_err();
    assert_eq!(error.to_string(), "`sh -c true` cannot run in /no/such/dir: no such directory");
}

#[test]
fn a_script_with_a_missing_interpreter_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script");
    // A child creates the file: a descriptor open for writing here could leak into another test's fork (ETXTBSY).
    sh("printf '#!/no/such/interpreter\\n' > script; chmod +x script").dir(dir.path()).capture().unwrap();
    let error = Command::new(&file).capture().unwrap_err();
    assert_eq!(error.to_string(), format!("cannot run `{}`", file.display()));
    assert!(error.source().is_some());
}

#[test]
fn directory_and_environment_reach_the_child() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("/usr", &link).unwrap();
    let command = sh("echo $PWD; /bin/pwd -P; echo $A-$B").dir(&link).env("A", "1").envs([("B", "2"), ("A", "3")]);
    assert_eq!(command.capture().unwrap().text(), format!("{}\n/usr\n3-2\n", link.display()));
    assert_eq!(
        command.to_string(),
        format!("cd {} && A=1 B=2 A=3 sh -c 'echo $PWD; /bin/pwd -P; echo $A-$B'", link.display())
    );
}

#[test]
fn standard_input_is_empty() {
    assert_eq!(Command::new("cat").capture().unwrap().stdout, b"");
}

/// The background process still runs after the capture, which proves that the capture did not wait for it.
#[test]
fn a_background_process_that_keeps_the_output_open_is_not_waited_for() {
    let captured = sh("sleep 300 & echo $!").capture().unwrap();
    let pid = captured.text().trim().to_owned();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    sh(&format!("kill {pid}")).capture().unwrap();
    // "pid (name) state ...": the process exists and is not a zombie.
    assert!(!stat.contains(") Z"), "{stat}");
}

#[test]
fn the_child_stays_in_the_process_group_and_so_gets_ctrl_c() {
    let group = sh("cut -d' ' -f5 /proc/self/stat").capture().unwrap().text();
    assert_eq!(group.trim(), nix::unistd::getpgrp().to_string());
}

#[test]
fn pass_through_returns_any_end_as_data() {
    assert_eq!(sh("exit 7").pass_through().unwrap(), ExitStatus::Code(7));
    assert_eq!(sh("kill -15 $$").pass_through().unwrap(), ExitStatus::Signal(15));
}

#[test]
fn a_known_file_is_started_without_a_search() {
    let captured =
        Command::new("shell").with_program_file("/bin/sh").args(["-c", "echo hi"]).env("PATH", "").capture().unwrap();
    assert_eq!(captured.text(), "hi\n");
}

/// The test runs itself as a child, so that it can inspect both real streams.
#[test]
fn pass_through_writes_to_standard_error_alone() {
    const CHILD: &str = "GOFLAME_TEST_PASS_THROUGH";
    if env::var_os(CHILD).is_some() {
        assert_eq!(sh("echo to-out; echo to-err >&2").pass_through().unwrap(), ExitStatus::Code(0));
        return;
    }
    let test = "process::command::tests::pass_through_writes_to_standard_error_alone";
    let child = Command::new(env::current_exe().unwrap()).args(["--exact", test]).env(CHILD, "1").capture().unwrap();
    assert_eq!(child.stderr, b"to-out\nto-err\n");
    assert!(!child.text().contains("to-out"));
}
