//! `goflame build --verify`: reproducible programs, and the reasons for differences.

use crate::engine::{engine, project};
use crate::harness::Project;

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() { println(\"hello\") }\n";
const RELEASE: &str = "build.variant = \"release\"\n";

fn provenance_record(project: &Project) -> serde_json::Value {
    serde_json::from_slice(&project.read(".goflame/build/release/program.provenance.json")).unwrap()
}

#[test]
fn a_pure_go_program_is_the_same_here_and_in_a_container() {
    let engine = engine();
    let project = project(EMPTY_PROGRAM, RELEASE);
    let mut sums = Vec::new();
    for (args, how) in [
        (["build", "--native", "--verify"], "native twice"),
        (["build", "--docker", "--verify"], "Docker twice"),
        (["build", "--native", "--verify=docker"], "native and Docker"),
    ] {
        let verify = engine.goflame(&project, args).run();
        verify
            .code(0)
            .stdout("")
            .stderr_has(&format!("    Verified .goflame/build/release/program: {how}, the same [..] bytes"));
        let record = provenance_record(&project);
        assert_eq!(record["verified"]["how"], how);
        let sum = record["program"]["sha256"].as_str().unwrap().to_owned();
        assert!(verify.stderr.contains(&format!("      Sha256 {sum}\n")), "{}", verify.stderr);
        sums.push(sum);
    }
    // Commands 1 and 3 build with the cgo setting of this machine. Command 2 can differ: the container can have another.
    assert_eq!(sums[0], sums[2]);
    assert_eq!(engine.containers(&project), [""; 0]);
    let inputs = &provenance_record(&project)["inputs"];
    assert!(inputs["go"]["version"].as_str().unwrap().starts_with("go1."), "{inputs}");
    assert!(inputs["digest"].as_str().unwrap().starts_with("sha256:"), "{inputs}");
    assert_eq!(inputs["go_mod"].as_str().unwrap().len(), 64);

    // A run of the verified program says so; a run of another program does not.
    project.goflame(["run"]).run().code(0);
    assert_eq!(project.manifest()["build"]["verified"]["program"]["sha256"], sums[0].as_str());
    std::fs::remove_dir_all(project.path(".goflame/runs")).unwrap();
    project.goflame(["run", "--variant", "debug"]).run().code(0);
    assert!(project.manifest()["build"]["verified"].is_null());
    engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
}

#[test]
fn a_path_and_c_code_are_named_as_reasons() {
    let main =
        "package main\n\n// static int one(void) { return 1; }\nimport \"C\"\n\nfunc main() { println(C.one()) }\n";
    let project =
        Project::program(main, "build.variant = \"release\"\nvariant.release = { trimpath = false, cgo = true }\n");
    let verify = project.goflame(["build", "--verify"]).run();
    verify
        .code(5)
        .stdout("")
        .stderr_has("error: native twice: the programs differ")
        .stderr_has("[..].gopclntab: [..] bytes[..]")
        .stderr_has("   help: paths: the program contains the path [dir]: trimpath = true in the variant removes it")
        .stderr_has(
            "   help: cgo: C code is linked in, so the C compiler, its flags and the C library are inputs too: [..]",
        );
    assert!(!project.path(".goflame/build/release/program.provenance.json").exists());
}

#[test]
fn a_stamp_with_uncommitted_changes_is_named_as_reason() {
    let project = Project::program(EMPTY_PROGRAM, "build.variant = \"release\"\nvariant.release.buildvcs = true\n");
    let commit = "git init -q . && echo /.goflame/ > .gitignore && git add . && \
                  git -c user.name=t -c user.email=t@example.com commit -qm one";
    project.shell(commit).run().code(0);
    project.goflame(["build"]).run().code(0);
    project
        .shell("git add goflame.lock && git -c user.name=t -c user.email=t@example.com commit -qm two")
        .run()
        .code(0);
    project.write("stray", "");
    project.goflame(["build", "--verify", "--locked"]).run().code(5).stderr_has(
        "   help: vcs: the repository has uncommitted changes or files, which the stamp records (vcs.modified): [..]",
    );
}
