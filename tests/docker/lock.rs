//! `goflame.lock` of native builds.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::Project;

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";

fn lock_text(project: &Project) -> String {
    String::from_utf8(project.read("goflame.lock")).unwrap()
}

#[test]
fn the_first_build_writes_the_lock_and_the_second_changes_nothing() {
    let project = Project::program(EMPTY_PROGRAM, "[variant.debug]\ncgo = false\n");
    project.goflame(["build", "--locked"]).run().code(3).stdout("").stderr_in_order(
        "error: goflame.lock does not exist, and --locked forbids that
  cause: + native.go = \"1.[..]\"
         + variant.debug.env = { CGO_ENABLED = \"0\" }
         + variant.debug.flags = [\"-trimpath\", \"-buildvcs=false\", \"-gcflags=all=-N -l\", [..]]
         + variant.release.flags = [[..]]
   help: `goflame build --update-lock` writes it; commit it together with the change that caused it
",
    );
    assert!(!project.path("goflame.lock").exists());
    project.goflame(["build"]).run().code(0).stderr_has("     Locking go1.[..] (goflame.lock)");
    let first = fs::metadata(project.path("goflame.lock")).unwrap();
    for args in
        ["build", "build --locked", "build --release --locked", "build --dry-run", "build --dry-run --update-lock"]
    {
        project.shell(&format!("$goflame {args}")).run().code(0);
    }
    let then = fs::metadata(project.path("goflame.lock")).unwrap();
    assert_eq!((first.ino(), first.mtime_nsec()), (then.ino(), then.mtime_nsec()), "it was written again");
}

#[test]
fn the_lock_follows_settings_and_modules_unless_locked() {
    let project = Project::program(EMPTY_PROGRAM, "");
    project.goflame(["build"]).run().code(0);
    let before = lock_text(&project);
    project.write("go.sum", "example.com/unused v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    let config = String::from_utf8(project.read("goflame.toml")).unwrap();
    project.write("goflame.toml", format!("{config}[variant.release]\ntags = [\"netgo\"]\n"));
    let refused = project.goflame(["run", "--locked"]).run();
    refused.code(3).stdout("").stderr_in_order(
        "error: goflame.lock would change, and --locked forbids that
  cause: + modules.go_sum = \"sha256:[..]\"
         - variant.release.flags = [\"-trimpath\", \"-buildvcs=false\", \"-ldflags=-compressdwarf=false\"]
         + variant.release.flags = [\"-trimpath\", \"-buildvcs=false\", \"-ldflags=-compressdwarf=false\", \"-tags=netgo\"]
",
    );
    assert_eq!(lock_text(&project), before);
    assert_eq!(project.names(".goflame/runs"), [""; 0]);
    project.goflame(["build"]).run().code(0).stderr_has("     Locking go1.[..] (goflame.lock)");
    project.goflame(["build", "--locked"]).run().code(0);
    assert_ne!(lock_text(&project), before);
}

#[test]
fn damage_of_the_lock_is_shown_with_its_line() {
    let project = Project::program(EMPTY_PROGRAM, "");
    project.goflame(["build"]).run().code(0);
    let text = lock_text(&project);
    project.write("goflame.lock", text.replace("[native]", "[native"));
    for args in ["build", "run", "build --dry-run", "build --locked"] {
        project.shell(&format!("$goflame {args}")).run().code(3).stdout("").stderr(
            "error: unclosed table
 --> goflame.lock:4:8
  |
4 | [native
  |        ^ expected `]`
",
        );
    }
    project.write("goflame.lock", text.replace("format = 1", "format = 7"));
    project.goflame(["build"]).run().code(3).stderr_in_order(
        "error: invalid value for `format`
 --> goflame.lock:2:10
2 | format = 7
  = help: a newer goflame wrote this file
",
    );
    project.goflame(["build", "--update-lock"]).run().code(0);
    assert_eq!(lock_text(&project), text);
}

#[test]
fn a_build_works_in_a_read_only_directory() {
    let project = Project::program(EMPTY_PROGRAM, "");
    fs::create_dir(project.path("goflame.lock")).unwrap();
    project.goflame(["build"]).run().code(3).stderr_has("error: cannot read [..]goflame.lock");
    fs::remove_dir(project.path("goflame.lock")).unwrap();
    // Even root cannot write through a link into /proc.
    std::os::unix::fs::symlink("/proc/goflame", project.path("goflame.lock")).unwrap();
    let build = project.goflame(["build"]).run();
    build.code(0).stderr_has("     Warning goflame.lock cannot be written, so nothing is pinned: [..]");
}

#[test]
fn a_run_keeps_the_lock() {
    let project = Project::program(EMPTY_PROGRAM, "");
    project.goflame(["run", "--release"]).run().code(0);
    assert_eq!(project.read(&format!("{}/goflame.lock", project.only_run())), project.read("goflame.lock"));
}
