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

/// Before: `execvp` handed it to /bin/sh, which took its bytes for commands.
#[test]
fn a_program_of_another_machine_is_never_handed_to_a_shell() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    // This `go` builds for another machine than it reports.
    let script = "#!/bin/sh\nPATH=${PATH#*:}\ncase $1 in build) export GOARCH=arm64 ;; esac\nexec go \"$@\"\n";
    project.write("bin/go", script);
    fs::set_permissions(project.path("bin/go"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    let run = project.goflame(["run", "--release"]).env("PATH", path).run();
    let text = &run.stderr;
    assert!(text.contains("Exec format error") || text.contains("not ready"), "{text}");
    assert!(!text.contains("not found") && !text.contains("Syntax error"), "{text}");
}

#[test]
fn a_program_for_another_machine_is_refused_before_it_is_built() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    for (name, value) in [("GOARCH", "arm64"), ("GOOS", "windows")] {
        let run = project.goflame(["run"]).env(name, value).run();
        run.code(4).stderr_has(&format!("error: not ready: go-target: {name}={value}"));
        let doctor = project.goflame(["doctor", "--only", "go-target"]).env(name, value).run();
        assert!(doctor.stdout.contains(&format!("failure  go-target  {name}={value}")), "{}", doctor.stdout);
    }
    assert_eq!(project.names(".goflame/build"), Vec::<String>::new());
}
