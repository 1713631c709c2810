//! Findings of `goflame doctor` about the engine, the image and the lock, compared with the build that follows.

use serde_json::Value;

use crate::engine::{Engine, engine, project};
use crate::harness::Project;

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";

/// Returns the status and the finding of a check.
fn check_finding(engine: &Engine, project: &Project, id: &str, code: i32) -> (String, String) {
    let doctor = engine.goflame(project, ["doctor", "--json", "--only", id]).run();
    doctor.code(code);
    let report: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let finding = &report["findings"].as_array().unwrap()[0];
    assert_eq!(finding["id"], id);
    (finding["status"].as_str().unwrap().to_owned(), finding["found"].as_str().unwrap().to_owned())
}

#[test]
fn doctor_agrees_with_the_build_that_follows() {
    let engine = engine();
    let project = project(EMPTY_PROGRAM, "build.docker = true\n");
    let said = |id, code| check_finding(&engine, &project, id, code);
    assert_eq!(said("docker-reachable", 0).0, "ok");
    assert_eq!(said("docker-image", 0).0, "ok");
    assert_eq!(said("docker-digest", 0).0, "info", "nothing is locked yet");
    engine.goflame(&project, ["build"]).run().code(0);
    assert_eq!(said("docker-digest", 0).0, "ok");

    // An id that no engine has: a build fails too.
    let lock = String::from_utf8(project.read("goflame.lock")).unwrap();
    let (start, rest) = lock.split_once("digest = \"sha256:").unwrap();
    project.write("goflame.lock", format!("{start}digest = \"sha256:{}{}", "0".repeat(64), &rest[64..]));
    let found = "the locked image is not on this machine, and in no registry";
    assert_eq!(said("docker-digest", 4), ("failure".to_owned(), found.to_owned()));
    engine.goflame(&project, ["build"]).run().code(11);

    // A project that builds in a container needs no Go on the machine.
    project.write("goflame.lock", lock);
    let doctor = engine.goflame(&project, ["doctor", "--json"]).env("PATH", "/nonexistent").run();
    assert!(!doctor.stdout.contains("\"go-found\""), "{}", doctor.stdout);
}

#[test]
fn doctor_says_that_there_is_no_engine() {
    let project = project(EMPTY_PROGRAM, "build.docker = true\n");
    let nowhere = format!("unix://{}", project.path("nobody.sock").display());
    let doctor = project.goflame(["doctor", "--only", "docker-reachable"]).env("DOCKER_HOST", &nowhere).run();
    doctor.code(4);
    assert!(doctor.stdout.contains("failure"), "{}", doctor.stdout);
    project.goflame(["build"]).env("DOCKER_HOST", &nowhere).run().code(11);
    assert!(!project.path("goflame.lock").exists());
}
