//! The archive: names of runs, listing, verifying, and reports that need nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::signal::Signal;

use crate::harness::Project;

/// The formats of `goflame report`, and the files of a run that hold them.
const REPORT_FILES: [(&str, &str); 4] =
    [("svg", "flamegraph.svg"), ("folded", "profile.folded"), ("pprof", "profile.pb.gz"), ("json", "summary.json")];

fn project_with_one_run() -> Project {
    let project = Project::workload("burner", "");
    project.goflame(["run", "--quiet"]).run().code(0);
    project
}

/// The name of a run in the list.
fn name_in_list(id: &str) -> &str {
    &id[id.len() - 4..]
}

#[test]
fn a_report_from_the_archive_alone_gives_the_same_bytes() {
    let project = project_with_one_run();
    let run = project.only_run();
    // Only the archive and the settings of the project are left, and Go is not on PATH.
    for gone in [".goflame/build", ".goflame/bin", "burner"] {
        fs::remove_dir_all(project.path(gone)).unwrap();
    }
    fs::remove_file(project.path("go.mod")).unwrap();
    for (format, file) in REPORT_FILES {
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
    let project = project_with_one_run();
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
fn a_run_is_found_by_id_prefix_and_position() {
    let project = project_with_one_run();
    let older = project.only_run();
    project.goflame(["run", "--quiet", "--release", "--", "-seconds", "0.2"]).run().code(0);
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
        (name_in_list(older), older),
        (&format!(".goflame/runs/{older}"), older),
    ] {
        let report = project.goflame(["report", name]).run();
        report.code(0).stderr_has(&format!("   Analysing [..] samples of run {run} in [..] s"));
    }

    let ambiguous = project.goflame(["report", &older[..4]]).run();
    ambiguous.code(10).stdout("").stderr(&format!(
        "error: `{}` matches 2 runs\n   help: it matches {newer}\n   help: it matches {older}\n",
        &older[..4]
    ));
    for unknown in ["@2", "@x", "19700101", "nosuch"] {
        project.goflame(["report", unknown]).run().code(10).stdout("").stderr(&format!(
            "error: no run `{unknown}` in [dir]/.goflame\n   help: `goflame runs list` shows all runs\n"
        ));
    }

    let list = project.goflame(["runs", "list"]).run();
    list.code(0).stderr("").stdout(&format!(
        "RUN   TIME (UTC)        APP     VARIANT     CPU  TOP FUNCTION  QUALITY    SIZE
{}  20[..]-[..]-[..] [..]:[..]  burner  release  0.[..] s  main.burn     [..] MB
{}  20[..]-[..]-[..] [..]:[..]  burner  debug    0.[..] s  main.burn     [..] MB
",
        name_in_list(newer),
        name_in_list(older)
    ));
    let list = project.goflame(["runs", "list", "--json"]).run();
    let list: serde_json::Value = serde_json::from_str(&list.code(0).stdout).unwrap();
    assert_eq!(list["runs"][0]["id"], newer);
    assert_eq!(list["runs"][1]["manifest"]["variant"], "debug");

    let show = project.goflame(["runs", "show", "@1"]).run();
    show.code(0).stderr("");
    for line in [format!("       run  {older}"), "     ended  exit status 0 (own)".into(), "   variant  debug".into()] {
        assert!(show.stdout.lines().any(|found| found == line), "no {line:?} in\n{}", show.stdout);
    }
    let manifest = project.goflame(["runs", "show", "--json", older]).run();
    let manifest: serde_json::Value = serde_json::from_str(&manifest.code(0).stdout).unwrap();
    assert_eq!(manifest["id"], older);
}

#[test]
fn verify_names_every_changed_file() {
    let project = project_with_one_run();
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
error: 3 files of run {id} have changed since they were archived
"
    ));
}

#[test]
fn a_damaged_manifest_is_listed_with_the_reason() {
    let project = project_with_one_run();
    let run = project.only_run();
    let id = run.rsplit('/').next().unwrap();
    project.write(&format!("{run}/manifest.json"), "{");
    let list = project.goflame(["runs", "list"]).run();
    list.code(0).stderr("");
    assert!(list.stdout.contains(&format!("\n{}  20", name_in_list(id))), "{}", list.stdout);
    let words = list.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(" damaged ") && words.contains("manifest.json is not a manifest: "), "{}", list.stdout);
    project.goflame(["report"]).run().code(10).stdout("").stderr_has(&format!("error: run {id} is damaged"));
}

/// Before: the error of `report` and `runs` did not say how to get an archive.
#[test]
fn a_project_without_runs_has_an_empty_list() {
    let project = Project::workload("burner", "");
    for line in ["report", "runs list", "runs show", "runs verify"] {
        project.shell(&format!("$goflame {line}")).run().code(10).stdout("").stderr(
            "error: no archive in [dir]/.goflame
   help: `goflame run` makes an archive with its first run; `-C DIR` names another project
",
        );
    }
    // Before, a script got status 10 from a project without runs.
    let none = project.goflame(["runs", "list", "--json"]).run();
    let none: serde_json::Value = serde_json::from_str(&none.code(0).stdout).unwrap();
    assert_eq!((&none["runs"], &none["schema"]), (&serde_json::json!([]), &1.into()));
    project.goflame(["build", "--quiet"]).run().code(0);
    let list = project.goflame(["runs", "list"]).run();
    list.code(0).stdout("").stderr("       Found no runs in [dir]/.goflame; `goflame run` creates one\n");
    assert_eq!(project.names(".goflame/runs"), Vec::<String>::new());
}

#[test]
fn a_run_removes_old_runs_above_the_limit() {
    let project = Project::workload("printer", "[archive]\nkeep = 2\n");
    for _ in 0..3 {
        project.goflame(["run", "--quiet"]).run().code(0);
    }
    assert_eq!(project.names(".goflame/runs").len(), 2);
}

#[test]
fn a_directory_with_other_files_does_not_become_an_archive() {
    let project = Project::workload("printer", "[archive]\ndir = \"printer\"\n");
    let refused = project.goflame(["run"]).run();
    refused.code(10).stdout("").stderr(
        "error: [dir]/printer is not an archive: it holds `main.go`
   help: name an empty or new directory as `[archive] dir`
",
    );
    assert_eq!(project.names("printer"), ["main.go"]);
}

#[test]
fn a_directory_with_an_archives_names_is_not_an_archive() {
    // Before: status 0, and everything in out/bin and out/trash was gone.
    let project = Project::workload("printer", "[archive]\ndir = \"out\"\n");
    for name in ["out/bin/tool", "out/trash/notes", "out/build/log"] {
        project.write(name, "theirs");
    }
    for command in ["run", "build"] {
        project.goflame([command]).run().code(10).stderr_has("error: [dir]/out is not an archive: it holds `bin`");
    }
    assert_eq!(project.names("out"), ["bin", "build", "trash"]);
    for name in ["out/bin/tool", "out/trash/notes", "out/build/log"] {
        assert_eq!(project.read(name), b"theirs");
    }
}

#[test]
fn links_in_an_archive_are_not_followed() {
    // Before: the first run removed the targets of the links, or wrote to them.
    for link in ["trash", "bin", "runs", "partial", "build", "build/debug", "lock"] {
        let project = Project::workload("printer", "");
        project.goflame(["runs", "list"]).run().code(10);
        project.write("elsewhere/20200101-000000-printer-0000/perf.data", "theirs");
        project.write("elsewhere/notes", "theirs");
        project.write(".goflame/format", "2\n");
        let place = project.path(&format!(".goflame/{link}"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(project.path("elsewhere"), &place).unwrap();
        project
            .goflame(["run"])
            .run()
            .code(10)
            .stdout("")
            .stderr_has(&format!("error: [dir]/.goflame/{link} is a symbolic link, which goflame does not follow"));
        project.goflame(["runs", "prune"]).run();
        assert_eq!(project.names("elsewhere"), ["20200101-000000-printer-0000", "notes"], "{link}");
        assert_eq!(project.names("elsewhere/20200101-000000-printer-0000"), ["perf.data"], "{link}");
    }
}

#[test]
fn the_archive_itself_may_be_a_link() {
    let project = Project::workload("burner", "");
    fs::create_dir(project.path("disk")).unwrap();
    symlink(project.path("disk"), project.path(".goflame")).unwrap();
    project.goflame(["run", "--quiet"]).run().code(0);
    let run = project.only_run();
    let folded = project.read(&format!("{run}/profile.folded"));
    assert_eq!(project.names("disk/runs").len(), 1);
    project.goflame(["runs", "verify"]).run().code(0);
    // The mapped program is found in the run, whatever path the kernel recorded.
    for gone in ["disk/bin", "disk/build"] {
        fs::remove_dir_all(project.path(gone)).unwrap();
    }
    assert_eq!(project.goflame(["report", "-f", "folded"]).run().stdout.as_bytes(), folded);
}

/// A program that prints `name` and the path from which it was started.
fn program_that_prints(name: &str) -> String {
    format!(
        "package main

import (
	\"fmt\"
	\"os\"
)

func main() {{
	path, err := os.Executable()
	if err != nil {{
		panic(err)
	}}
	comm, err := os.ReadFile(\"/proc/self/comm\")
	if err != nil {{
		panic(err)
	}}
	fmt.Printf(\"{name} %s %s\", path, comm)
}}
"
    )
}

#[test]
fn two_configurations_of_one_directory_run_and_archive_their_own_programs() {
    // Before: of 120 runs, 27 executed the program of the other configuration, and 25 archived a program that never
    // ran.
    let project = Project::empty();
    project.write("go.mod", "module example.com/two\n\ngo 1.21\n");
    for name in ["a", "b"] {
        project.write(&format!("{name}/main.go"), program_that_prints(name));
        project.write(&format!("{name}.toml"), format!("app = {{ name = \"app\", package = \"./{name}\" }}\n"));
    }
    for _ in 0..3 {
        let run = |name| (name, project.goflame(["run", "--json", "--config", &format!("{name}.toml")]).spawn());
        for (name, running) in ["a", "b"].map(run) {
            let run = running.finish();
            run.code(0);
            let said = run.stderr.lines().find(|line| line.starts_with(&format!("{name} /"))).unwrap_or(&run.stderr);
            assert!(said.ends_with("/app app"), "{said}");
            let summary: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
            let archived = project.shell(&format!("{}/bin/app", summary["dir"].as_str().unwrap())).run();
            assert!(archived.code(0).stdout.starts_with(&format!("{name} /")), "{}", archived.stdout);
            project.goflame(["runs", "verify", summary["id"].as_str().unwrap()]).run().code(0);
        }
    }
    assert_eq!(project.names(".goflame/build/debug"), ["app"], "nothing is left of the private builds");
}

#[test]
fn the_stored_program_is_started_and_kept_for_perf() {
    let project = Project::workload("threads", "[workload]\nargs = [\"-n\", \"1\", \"-seconds\", \"0.3\"]\n");
    let run = project.goflame(["run"]).run();
    // The line can be copied and run.
    run.code(0).stderr_has("     Running .goflame/build/debug/threads -n 1 -seconds 0.3");
    let manifest = project.manifest();
    let (path, hash) = (&manifest["build"]["path"], manifest["build"]["sha256"].as_str().unwrap());
    let place = project.path(&format!(".goflame/bin/{hash}/threads")).canonicalize().unwrap();
    assert_eq!((path, &manifest["workload"]["argv"][0]), (&place.to_str().unwrap().into(), path));
    let perf = project.shell(&format!("perf report -i {}/perf.data --stdio", project.only_run())).run();
    assert!(perf.code(0).stdout.contains("main.spin"), "{}", perf.stdout);
}

#[test]
fn a_program_that_replaces_itself_is_a_warning() {
    let project = Project::program(
        "package main

import \"os\"

func main() {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	if err := os.Remove(path); err != nil {
		panic(err)
	}
	if err := os.WriteFile(path, []byte(\"another\"), 0o755); err != nil {
		panic(err)
	}
}
",
        "",
    );
    let warning = "[dir]/.goflame/bin/[..]/program was replaced while the workload ran: the profile may show another \
                   program than the one that the run keeps";
    project.goflame(["run"]).run().code(0).stderr_has(&format!("     Warning {warning}"));
    project.goflame(["runs", "verify"]).run().code(0);
    let notes = &project.manifest()["notes"];
    assert!(notes.as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("was replaced")), "{notes}");
    // The next run starts the built program again, which replaces itself again.
    project.goflame(["run"]).run().code(0).stderr_has(&format!("     Warning {warning}"));
}

/// Changes the time in the id of a run, as if the clock had been wrong.
fn restamp(project: &Project, run: &str, stamp: &str) -> String {
    let id = run.rsplit('/').next().unwrap();
    let new = format!("{stamp}{}", &id[stamp.len()..]);
    let manifest = String::from_utf8(project.read(&format!("{run}/manifest.json"))).unwrap();
    project.write(&format!("{run}/manifest.json"), manifest.replace(id, &new));
    fs::rename(project.path(run), project.path(&format!(".goflame/runs/{new}"))).unwrap();
    new
}

#[test]
fn the_new_run_is_kept_and_is_the_latest_when_the_clock_was_set_back() {
    let project = Project::workload("printer", "[archive]\nkeep = 2\n");
    let mut stamped = Vec::new();
    for stamp in ["20990101-000000", "20990101-000001"] {
        project.goflame(["run", "--quiet"]).run().code(0);
        let new = project.names(".goflame/runs").into_iter().find(|run| !stamped.contains(run)).unwrap();
        stamped.push(restamp(&project, &format!(".goflame/runs/{new}"), stamp));
    }
    // Before: "Archived …" and status 0, but the run was removed at once, and `latest` was an old one.
    project.goflame(["run", "--quiet"]).run().code(0);
    let runs = project.names(".goflame/runs");
    let new = runs.iter().find(|run| !stamped.contains(run)).expect("the new run");
    assert_eq!(runs, [new.clone(), stamped[1].clone()], "the oldest went");
    let list = project.goflame(["runs", "list"]).env("COLUMNS", "200").run();
    assert_eq!(
        list.stdout.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(),
        [name_in_list(new), name_in_list(&runs[1])]
    );
    project.goflame(["runs", "verify"]).run().code(0).stderr_has(&format!("    Verified [..] files of run {new}"));
}

#[test]
fn runs_are_kept_by_app_and_project() {
    let project = Project::empty();
    for (dir, app) in [("one", "app"), ("two", "app")] {
        project.write(&format!("{dir}/go.mod"), "module example.com/shared\n\ngo 1.21\n");
        project.write(&format!("{dir}/main.go"), "package main\n\nfunc main() {}\n");
        let config = format!("app.name = \"{app}\"\narchive = {{ dir = \"../.goflame\", keep = 1 }}\n");
        project.write(&format!("{dir}/goflame.toml"), &config);
        project.write(&format!("{dir}/other.toml"), config.replace("\"app\"", "\"other\""));
    }
    // Before: only one run was left.
    for (dir, config) in [("one", "goflame.toml"), ("two", "goflame.toml"), ("two", "other.toml")] {
        let line = format!("cd {dir} && $goflame run --quiet --config {config}");
        project.shell(&line).run().code(0);
        project.shell(&line).run().code(0);
    }
    assert_eq!(project.names(".goflame/runs").len(), 3);
    // The plan, too, names only runs of this project.
    project.shell("cd one && $goflame runs prune").run().code(0).stderr("     Removed 0 runs, 0.0 MB in all\n");

    // A project that was moved together with its archive is still the same project.
    let moved = project.path("moved");
    for dir in ["before", "moved"] {
        project.write("before/goflame.toml", "app.name = \"app\"\narchive.keep = 1\n");
        project.write("before/go.mod", "module example.com/moved\n\ngo 1.21\n");
        project.write("before/main.go", "package main\n\nfunc main() {}\n");
        if dir == "moved" {
            fs::rename(project.path("before"), &moved).unwrap();
        }
        project.shell(&format!("cd {dir} && $goflame run --quiet")).run().code(0);
    }
    assert_eq!(project.names("moved/.goflame/runs").len(), 1);
}

#[test]
fn runs_are_removed_by_name() {
    let project = project_with_one_run();
    let first = project.only_run().rsplit('/').next().unwrap().to_owned();
    project.goflame(["run", "--quiet"]).run().code(0);
    let second = project.names(".goflame/runs").into_iter().find(|run| *run != first).unwrap();
    let partial = "20200101-000000-burner-0000";
    project.write(&format!(".goflame/partial/{partial}/perf.data"), vec![0; 1_500_000]);

    let list = project.goflame(["runs", "list"]).run();
    list.code(0).stderr("");
    let partial_row = list.stdout.lines().last().unwrap();
    assert!(partial_row.starts_with("0000  2020-01-01 00:00  burner"), "{partial_row}");
    assert!(partial_row.ends_with("  not completed  1.5 MB"), "{partial_row}");
    let json: serde_json::Value =
        serde_json::from_str(&project.goflame(["runs", "list", "--json"]).run().code(0).stdout).unwrap();
    assert_eq!(json["partials"][0]["id"], partial);
    assert_eq!(
        (&json["partials"][0]["bytes"], &json["partials"][0]["in_progress"]),
        (&1_500_000.into(), &false.into())
    );
    project.goflame(["report", partial]).run().code(10).stderr(&format!(
        "error: run {partial} was not completed
   help: `goflame report [dir]/.goflame/partial/{partial}/perf.data` shows its samples, if there are enough
"
    ));

    // A wrong name removes nothing.
    project
        .goflame(["runs", "rm", "latest", "nosuch"])
        .run()
        .code(10)
        .stdout("")
        .stderr("error: no run `nosuch` in [dir]/.goflame\n   help: `goflame runs list` shows all runs\n");
    project
        .goflame(["runs", "rm", "latest", &second, partial])
        .run()
        .code(0)
        .stdout("")
        .stderr(&format!("     Removed {second}\n     Removed {partial}\n"));
    assert_eq!((project.names(".goflame/runs"), project.partials()), (vec![first.clone()], vec![]));
    project.goflame(["runs", "verify"]).run().code(0);
    // A damaged run is removed too; the last run is removed with its program.
    project.write(&format!(".goflame/runs/{first}/manifest.json"), "{");
    project.goflame(["runs", "rm", &first]).run().code(0);
    assert_eq!((project.names(".goflame/runs"), project.names(".goflame/bin")), (vec![], vec![]));
}

#[test]
fn pruning_prints_its_plan_first() {
    let project = project_with_one_run();
    let first = project.only_run().rsplit('/').next().unwrap().to_owned();
    project.goflame(["run", "--quiet"]).run().code(0);
    let second = project.names(".goflame/runs").into_iter().find(|run| *run != first).unwrap();
    let partials = ["20200101-000001-burner-0000", "20200101-000000-burner-0000"];
    for partial in partials {
        project.write(&format!(".goflame/partial/{partial}/perf.data"), "");
    }
    let plan = format!(
        "{first}  [..] MB, older than the newest 1 of burner\n{}  0.0 MB, partial: not completed\n{}  0.0 MB, partial: not completed\n",
        partials[0], partials[1]
    );
    let dry = project.goflame(["runs", "prune", "--keep", "1", "--dry-run"]).run();
    dry.code(0).stdout(&plan).stderr("     Planned to remove 1 run and 2 partial runs, [..] MB in all\n");
    assert_eq!((project.names(".goflame/runs").len(), project.partials().len()), (2, 2));
    let prune = project.goflame(["runs", "prune", "--keep", "1"]).run();
    prune.code(0).stdout(&plan).stderr("     Removed 1 run and 2 partial runs, [..] MB in all\n");
    assert_eq!((project.names(".goflame/runs"), project.partials()), (vec![second], vec![]));
    project.goflame(["runs", "prune"]).run().code(0).stdout("").stderr("     Removed 0 runs, 0.0 MB in all\n");
    // After a completed run, only the newest run of the app is kept.
    for partial in [partials[0], partials[1], "20200101-000000-another-0000"] {
        project.write(&format!(".goflame/partial/{partial}/perf.data"), "");
    }
    project.goflame(["run", "--quiet"]).run().code(0);
    assert_eq!(project.partials(), ["20200101-000000-another-0000", partials[0]]);
}

#[test]
fn a_run_that_is_being_written_is_listed_and_not_removed() {
    let project = Project::workload("sleeper", "");
    let run = project.goflame(["run"]).spawn();
    run.workload();
    let [id] = &project.partials()[..] else { panic!("{:?}", project.partials()) };
    project
        .goflame(["runs", "list"])
        .run()
        .code(0)
        .stdout(&format!("RUN [..]\n{}  20[..]  sleeper  being written  [..] MB\n", name_in_list(id)));
    project
        .goflame(["runs", "rm", id])
        .run()
        .code(10)
        .stderr(&format!("error: run {id} is being written\n   help: stop that goflame first\n"));
    project.goflame(["runs", "prune"]).run().code(0).stdout("");
    run.signal(Signal::SIGTERM);
    run.finish();
    assert_eq!(project.names(".goflame/runs"), std::slice::from_ref(id));
    project.goflame(["runs", "verify"]).run().code(0);
}

#[test]
fn the_run_of_another_user_is_not_readable_rather_than_damaged() {
    let project = project_with_one_run();
    fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    let id = project.only_run().rsplit('/').next().unwrap().to_owned();
    let nobody = |command| {
        project.shell(&format!("setpriv --reuid=65534 --regid=65534 --clear-groups $goflame runs {command}")).run()
    };
    // Before: "damaged: run … is damaged".
    let list = nobody("list");
    assert!(list.code(0).stdout.contains("  not readable"), "{}", list.stdout);
    let reason = list.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(reason.ends_with("/manifest.json: Permission denied (os error 13)"), "{}", list.stdout);
    nobody("verify").code(10).stderr(&format!(
        "error: run {id} is not readable
  cause: cannot read [dir]/.goflame/runs/{id}/manifest.json
  cause: Permission denied (os error 13)
   help: it may belong to another user
"
    ));
}
