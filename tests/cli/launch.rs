//! Launch of the workload: only processes of goflame can talk to supervisor and gate.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::Project;

const DESCRIPTORS: &str = "package main

import (
	\"fmt\"
	\"os\"
)

func main() {
	entries, _ := os.ReadDir(\"/proc/self/fd\")
	for _, entry := range entries {
		target, _ := os.Readlink(\"/proc/self/fd/\" + entry.Name())
		fmt.Println(\"fd\", entry.Name(), target)
	}
	for line := make([]byte, 99); ; {
		count, err := os.Stdin.Read(line)
		if err != nil {
			return
		}
		os.Stdout.Write(line[:count])
	}
}
";

/// A PATH with a `perf` that does something before it becomes the real one: while supervisor and gate are being launched.
fn path_with_perf(project: &Project, does: &str) -> String {
    let script = format!("#!/bin/sh\ncase $1 in record) {does} ;; esac\nPATH=${{PATH#*:}} exec perf \"$@\"\n");
    project.write("bin/perf", script);
    fs::set_permissions(project.path("bin/perf"), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap())
}

/// Found by tests/campaigns/kills. Before: status 6, "the supervisor ended early".
#[test]
fn a_signal_to_the_process_group_during_the_launch_is_an_interrupt() {
    let project = Project::program(DESCRIPTORS, "[record]\nengine = \"perf\"\n");
    let path = path_with_perf(&project, "kill -TERM 0");
    let run = project.goflame(["run"]).env("PATH", path).run();
    run.code(128 + 15).stderr_has("error: interrupted before the workload began");
    assert_eq!((project.partials(), project.names(".goflame/runs")), (vec![], vec![]));
    project.assert_nothing_runs();
}

/// Before: the socket's directory had mode 777, and its path was in the arguments, for any user to connect to.
#[test]
fn no_socket_is_open_to_other_users() {
    let project = Project::program(DESCRIPTORS, "[record]\nengine = \"perf\"\n");
    let path = path_with_perf(&project, "{ echo \"$@\"; ls -lR \"$TMPDIR\"; } >seen");
    fs::create_dir(project.path("temporary")).unwrap();
    let run = project.shell("umask 000; $goflame run").env("TMPDIR", project.path("temporary")).env("PATH", path).run();
    run.code(0);
    let seen = String::from_utf8(project.read("seen")).unwrap();
    assert!(seen.contains("__gate - -- "), "{seen}");
    assert!(!seen.contains("socket"), "{seen}");
    assert!(seen.ends_with("/temporary:\ntotal 0\n"), "{seen}");
}

#[test]
fn the_workload_has_the_standard_input_and_no_descriptor_of_goflames() {
    for engine in ["native", "perf"] {
        let project = Project::program(DESCRIPTORS, &format!("[record]\nengine = \"{engine}\"\n"));
        let run = project.goflame(["run"]).stdin("typed\n").run();
        run.code(0);
        assert!(run.stdout.contains("fd 0 pipe:") && run.stdout.contains("typed\n"), "{}", run.stdout);
        assert!(!run.stdout.contains("socket:"), "{}", run.stdout);
    }
}
