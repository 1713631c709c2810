//! The archive: names of runs, listing, verifying, and reports that need nothing else.

use std::fs;

use crate::harness::Project;

/// The formats of `goflame report`, and the files of a run that hold them.
const FILES: [(&str, &str); 4] =
    [("svg", "flamegraph.svg"), ("folded", "profile.folded"), ("pprof", "profile.pb.gz"), ("json", "summary.json")];

fn one_run() -> Project {
    let project = Project::workload("exit3", "");
    project.goflame(["run", "--quiet"]).run().code(0);
    project
}

#[test]
fn a_report_from_the_archive_alone_gives_the_same_bytes() {
    let project = one_run();
    let run = project.only_run();
    // Nothing of the project is left but its archive and its settings, and Go is gone.
    for gone in [".goflame/build", ".goflame/bin", "exit3"] {
        fs::remove_dir_all(project.path(gone)).unwrap();
    }
    fs::remove_file(project.path("go.mod")).unwrap();
    for (format, file) in FILES {
        let out = format!("again.{format}");
        let report = project.goflame(["report", "latest", "-f", format, "-o", &out]).env("PATH", "/nonexistent").run();
        report.code(0).stdout("").stderr_has(&format!("       Wrote {out}"));
        assert!(project.read(&out) == project.read(&format!("{run}/{file}")), "{file} differs");
    }
    // Text formats on standard output are the same as well.
    let folded = project.goflame(["report", "-f", "folded"]).run();
    assert_eq!(folded.stdout.as_bytes(), project.read(&format!("{run}/profile.folded")));
}

#[test]
fn a_run_is_complete_without_its_archive() {
    let project = one_run();
    let run = project.only_run();
    let folded = project.read(&format!("{run}/profile.folded"));
    let name = run.rsplit('/').next().unwrap();
    fs::rename(project.path(&run), project.path(name)).unwrap();
    fs::remove_dir_all(project.path(".goflame")).unwrap();
    fs::remove_file(project.path("goflame.toml")).unwrap();
    for source in [format!("./{name}/perf.data"), format!("./{name}")] {
        let report = project.goflame(["report", "-f", "folded", &source]).run();
        assert_eq!(report.code(0).stdout.as_bytes(), folded, "{source}");
    }
}

#[test]
fn runs_have_many_names() {
    let project = one_run();
    let older = project.only_run();
    project.goflame(["run", "--quiet", "--release"]).run().code(0);
    let runs = project.names(".goflame/runs");
    assert_eq!(runs.len(), 2);
    let older = older.rsplit('/').next().unwrap();
    let newer = runs.iter().map(String::as_str).find(|run| *run != older).unwrap();
    for (name, run) in [
        ("latest", newer),
        ("@0", newer),
        ("@1", older),
        (newer, newer),
        (older, older),
        (&older[..older.len() - 1], older),
        (&format!(".goflame/runs/{older}"), older),
    ] {
        let report = project.goflame(["report", name]).run();
        report.code(0).stderr_has(&format!("   Analysing [..] samples of run {run} in [..] s"));
    }

    let ambiguous = project.goflame(["report", &older[..4]]).run();
    ambiguous
        .code(10)
        .stdout("")
        .stderr(&format!("error: `{}` fits 2 runs\n   help: it fits {newer}\n   help: it fits {older}\n", &older[..4]));
    for unknown in ["@2", "@x", "19700101", "nosuch"] {
        project.goflame(["report", unknown]).run().code(10).stdout("").stderr(&format!(
            "error: no run `{unknown}` in [dir]/.goflame\n   help: `goflame runs list` shows all runs\n"
        ));
    }

    let list = project.goflame(["runs", "list"]).run();
    list.code(0).stderr("").stdout(&format!(
        "{newer}  release  [..] s [..] samples  exit status 3\n{older}  debug    [..] s [..] samples  exit status 3\n"
    ));
    let list = project.goflame(["runs", "list", "--json"]).run();
    let list: serde_json::Value = serde_json::from_str(&list.code(0).stdout).unwrap();
    assert_eq!(list["runs"][0]["id"], newer);
    assert_eq!(list["runs"][1]["manifest"]["variant"], "debug");

    let show = project.goflame(["runs", "show", "@1"]).run();
    show.code(0).stderr("");
    for line in [format!("       run  {older}"), "     ended  exit status 3 (own)".into(), "   variant  debug".into()] {
        assert!(show.stdout.lines().any(|found| found == line), "no {line:?} in\n{}", show.stdout);
    }
    let manifest = project.goflame(["runs", "show", "--json", older]).run();
    let manifest: serde_json::Value = serde_json::from_str(&manifest.code(0).stdout).unwrap();
    assert_eq!(manifest["id"], older);
}

#[test]
fn verify_names_what_was_tampered_with() {
    let project = one_run();
    let run = project.only_run();
    let id = run.rsplit('/').next().unwrap();
    project
        .goflame(["runs", "verify"])
        .run()
        .code(0)
        .stdout("")
        .stderr(&format!("    Verified [..] files of run {id}\n"));

    let mut folded = project.read(&format!("{run}/profile.folded"));
    folded[0] ^= 1;
    project.write(&format!("{run}/profile.folded"), &folded);
    fs::remove_file(project.path(&format!("{run}/stdout.log"))).unwrap();
    project.write(&format!("{run}/extra"), "");
    project.goflame(["runs", "verify", "latest"]).run().code(10).stdout("").stderr(&format!(
        "     Warning extra: not in the manifest
     Warning profile.folded: changed: SHA-256 [..] instead of [..]
     Warning stdout.log: missing
error: 3 files of run {id} are not as they were archived
"
    ));
}

#[test]
fn a_damaged_manifest_is_listed_and_said() {
    let project = one_run();
    let run = project.only_run();
    let id = run.rsplit('/').next().unwrap();
    project.write(&format!("{run}/manifest.json"), "{");
    let list = project.goflame(["runs", "list"]).run();
    list.code(0).stdout(&format!("{id}  damaged: [..]\n"));
    project.goflame(["report"]).run().code(10).stdout("").stderr_has(&format!("error: run {id} is damaged"));
}

#[test]
fn a_project_that_has_not_run_yet() {
    let project = Project::workload("exit3", "");
    for line in ["report", "runs list", "runs show", "runs verify"] {
        project
            .shell(&format!("$goflame {line}"))
            .run()
            .code(10)
            .stdout("")
            .stderr_has("error: no archive in [dir]/.goflame");
    }
    project.goflame(["build", "--quiet"]).run().code(0);
    let list = project.goflame(["runs", "list"]).run();
    list.code(0).stdout("").stderr("       Found no runs in [dir]/.goflame; `goflame run` makes one\n");
    assert_eq!(project.names(".goflame/runs"), Vec::<String>::new());
}

#[test]
fn old_runs_go_when_there_are_too_many() {
    let project = Project::workload("printer", "[archive]\nkeep = 2\n");
    for _ in 0..3 {
        project.goflame(["run", "--quiet"]).run().code(0);
    }
    assert_eq!(project.names(".goflame/runs").len(), 2);
}

#[test]
fn a_directory_that_is_used_otherwise_is_not_made_an_archive() {
    let project = Project::workload("printer", "[archive]\ndir = \"printer\"\n");
    let refused = project.goflame(["run"]).run();
    refused.code(10).stdout("").stderr(
        "error: [dir]/printer is not an archive: it holds `main.go`
   help: name an empty or new directory as `[archive] dir`
",
    );
    assert_eq!(project.names("printer"), ["main.go"]);
}
