//! Go itself: where it is found, and when it is downloaded.

use std::fs;

use crate::harness::{Goflame, Project};

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";

/// A line for the shell on a machine whose /usr/local has only what `prepare` puts there. Needs root.
fn with_usr_local<'p>(project: &'p Project, prepare: &str, line: &str) -> Goflame<'p> {
    let bare = "export PATH=/nonexistent HOME=/usr/local/home";
    project.shell(&format!(
        "unshare --mount sh -c 'mount -t tmpfs tmpfs /usr/local && {{ {prepare}; }} && {bare} && exec {line}'"
    ))
}

const GO_IN_USR_LOCAL: &str = "mkdir -p /usr/local/go/bin && cp /bin/true /usr/local/go/bin/go";

#[test]
fn a_machine_without_go_gets_the_package_to_install() {
    let project = Project::program(EMPTY_PROGRAM, "");
    for command in ["build", "run", "init --force"] {
        with_usr_local(&project, "true", &format!("$goflame {command}")).run().code(4).stdout("").stderr(
            "error: building needs the Go toolchain
  cause: `go` was not found on PATH
   help: install `go` or add its directory to PATH, which is /nonexistent
   help: on Debian: apt install golang-go
",
        );
    }
}

/// Before, a Go in /usr/local/go was not mentioned, and a package was to be installed beside it.
#[test]
fn a_go_off_path_is_named_with_the_command_that_adds_it() {
    let project = Project::program(EMPTY_PROGRAM, "");
    with_usr_local(&project, GO_IN_USR_LOCAL, "$goflame run").run().code(4).stderr(
        "error: building needs the Go toolchain
  cause: `go` was not found on PATH
   help: Go is in /usr/local/go/bin: run `export PATH=\"$PATH\":/usr/local/go/bin`
",
    );
    let doctor = with_usr_local(&project, GO_IN_USR_LOCAL, "$goflame doctor --only go-found").run();
    doctor.code(4);
    let repair = "  # go-found\n  export PATH=\"$PATH\":/usr/local/go/bin\n";
    assert!(doctor.stdout.contains(repair), "{}", doctor.stdout);
    // A Go in the home directory is found too.
    let home = "mkdir -p /usr/local/home/go/bin && cp /bin/true /usr/local/home/go/bin/go";
    let help = "   help: Go is in /usr/local/home/go/bin: run `export PATH=\"$PATH\":/usr/local/home/go/bin`";
    with_usr_local(&project, home, "$goflame build").run().code(4).stderr_has(help);
}

/// Before, goflame under sudo advised to install the Go that the user has, because sudo has a PATH of its own.
#[test]
fn under_sudo_the_command_passes_the_path_on() {
    let project = Project::program(EMPTY_PROGRAM, "");
    let sudo = with_usr_local(&project, GO_IN_USR_LOCAL, "$goflame run --release -- \"a b\"");
    let sudo = sudo.env("SUDO_UID", "65534").env("SUDO_GID", "65534").env("SUDO_USER", "nobody");
    sudo.run().code(4).stderr_has(
        "   help: Go is in /usr/local/go/bin: run `sudo env PATH=\"$PATH\":/usr/local/go/bin goflame run --release -- 'a b'`",
    );
}

/// Writes a module proxy whose toolchain go1.98.7 is the Go of this machine.
const PROXY: &str = r##"package main

import (
	"archive/zip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

func main() {
	local, err := exec.LookPath("go")
	if err != nil {
		panic(err)
	}
	version := "v0.0.1-go1.98.7.linux-" + runtime.GOARCH
	dir := filepath.Join(os.Args[1], "golang.org/toolchain/@v")
	os.MkdirAll(dir, 0o777)
	os.WriteFile(filepath.Join(dir, version+".mod"), []byte("module golang.org/toolchain\n"), 0o666)
	os.WriteFile(filepath.Join(dir, version+".info"), []byte(fmt.Sprintf("{\"Version\":%q}", version)), 0o666)
	file, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		panic(err)
	}
	archive := zip.NewWriter(file)
	script := "#!/bin/sh\nunset GOROOT GOTOOLCHAIN_INTERNAL_SWITCH_VERSION GOTOOLCHAIN_INTERNAL_SWITCH_COUNT\n" +
		"GOTOOLCHAIN=local exec " + local + " \"$@\"\n"
	for name, text := range map[string]string{"bin/go": script, "bin/gofmt": "", "VERSION": "go1.98.7\n", "pkg/tool/none": "", "lib/none": ""} {
		entry, err := archive.Create("golang.org/toolchain@" + version + "/" + name)
		if err != nil {
			panic(err)
		}
		entry.Write([]byte(text))
	}
	if archive.Close() != nil || file.Close() != nil {
		panic("the zip file is not complete")
	}
}
"##;

/// Before, a build was silent while Go downloaded a toolchain, and `toolchain list` could download one.
#[test]
fn a_toolchain_is_downloaded_only_by_a_build_that_says_so() {
    let project = Project::program(EMPTY_PROGRAM, "");
    project.write("tool/proxy.go", PROXY);
    project.shell("go run tool/proxy.go \"$PWD/proxy\"").run().code(0);
    fs::remove_dir_all(project.path("tool")).unwrap();
    project.write("go.mod", "module example.com/program\n\ngo 1.21\n\ntoolchain go1.98.7\n");
    let goflame = |line: &str| {
        let goflame = project.shell(&format!("$goflame {line}")).env("GOTOOLCHAIN", "auto");
        let proxy = format!("file://{}", project.path("proxy").display());
        goflame
            .env("GOSUMDB", "off")
            .env("GOPROXY", proxy)
            .env("GOMODCACHE", project.path("mod"))
            .env("GOFLAGS", "-modcacherw")
            .run()
    };
    for line in
        ["doctor", "doctor --json", "run --dry-run", "build --dry-run", "build --print-dockerfile", "toolchain list"]
    {
        let looked = goflame(line);
        assert!(!looked.stderr.contains("ownloading"), "{line}: {}", looked.stderr);
        assert_eq!(project.names("mod/golang.org"), [""; 0], "{line} downloaded a toolchain");
    }
    let built = goflame("build");
    built.code(0).stderr_has(" Downloading go1.98.7, which this project asks for");
    assert_eq!(project.names("mod/golang.org").len(), 1);
    let again = goflame("build");
    again.code(0);
    assert!(!again.stderr.contains("Downloading"), "{}", again.stderr);
}

/// Before, doctor advised to install Go, and a build with a lock said that go1.26.8 "cannot switch to" go1.26.8.
#[test]
fn a_home_that_cannot_hold_the_cache_of_go_has_advice() {
    let project = Project::program(EMPTY_PROGRAM, "");
    project.goflame(["build"]).run().code(0);
    let in_proc = |line| project.shell(line).env("HOME", "/proc").env("GOCACHE", "").env("XDG_CACHE_HOME", "").run();
    let build = in_proc("$goflame build");
    build.code(4).stderr_has("  cause: failed to initialize build cache at /proc/.cache/go-build: [..]");
    build.stderr_has("   help: [..], unless GOCACHE names one: `export GOCACHE=/var/tmp/go-build`");
    let doctor = in_proc("$goflame doctor --only go-found");
    doctor.code(4);
    assert!(doctor.stdout.contains("  # go-found\n  export GOCACHE=/var/tmp/go-build\n"), "{}", doctor.stdout);
}

/// Before: "Ready" and status 0, although `goflame run` fails there; and the reason began with the 200 characters of a
/// command.
#[test]
fn doctor_is_not_ready_in_a_module_that_go_cannot_build() {
    let project = Project::program(EMPTY_PROGRAM, "");
    fs::remove_file(project.path("goflame.toml")).unwrap();
    let line = "$goflame doctor --only go-found";
    let doctor = project.shell(line).env("HOME", "/proc").env("GOCACHE", "").env("XDG_CACHE_HOME", "").run();
    assert!(doctor.code(4).stdout.starts_with("Not ready: "), "{}", doctor.stdout);
    let words = doctor.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(" go-found `go env` failed: failed to initialize build cache at "), "{}", doctor.stdout);
    // Without a module, there is nothing to build, and a binary can still be profiled.
    fs::remove_file(project.path("go.mod")).unwrap();
    let doctor = project.shell(line).env("HOME", "/proc").env("GOCACHE", "").env("XDG_CACHE_HOME", "").run();
    assert!(doctor.code(0).stdout.starts_with("Ready: "), "{}", doctor.stdout);
}
