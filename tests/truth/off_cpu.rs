//! The time that threads wait, against what a program measured of itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Project, Run, alone, figure, percent, succeeded, text, tool};
use crate::unprivileged::{setting, user};

const SETTINGS: &str = "[app]\npackage = '.'\nname = 'waits'\n[build]\nvariant = 'release'\n";

/// Largest difference of a share, in percentage points.
const POINTS: f64 = 5.0;

/// Compares the shares of the three ways to wait with those that the program printed. Returns their part of all waits, in
/// percent.
fn compare(waits: &Value, run: &Run, of: &str) -> f64 {
    let measured: Vec<u64> = run.stdout_log().split_whitespace().map(|word| word.parse().unwrap()).collect();
    let functions = waits["functions"].as_array().unwrap();
    let weight = |name: &&str| {
        let function = functions.iter().find(|function| function["name"] == **name);
        function.map_or(0, |function| function["cumulative"].as_u64().unwrap())
    };
    let names = ["main.sleep", "main.read", "main.lock"];
    let found: Vec<u64> = names.iter().map(weight).collect();
    for ((name, measured_ns), found_ns) in names.iter().zip(&measured).zip(&found) {
        let [expected, share] =
            [(measured_ns, &measured), (found_ns, &found)].map(|(part, all)| percent(*part, all.iter().sum()));
        figure(&format!("{of}: {name} waits {expected:.1} % by its own clock, {share:.1} % in the profile"));
        assert!((share - expected).abs() <= POINTS, "{name}: {share} % instead of {expected} % in {waits}");
    }
    percent(found.iter().sum(), waits["total"].as_u64().unwrap())
}

/// The off-CPU profile of a run.
fn waits_of(mut goflame: Command, run: &Path) -> Value {
    let report = text(goflame.arg("report").arg(run).args(["--profile", "off-cpu", "--json"]));
    serde_json::from_str(&report).unwrap()
}

#[test]
fn waits_have_the_shares_that_the_program_measured() {
    let _alone = alone();
    let project = Project::from_workload("waits", SETTINGS);
    let run = project.run(&["--off-cpu"]);
    let waits = waits_of(project.goflame(), &run.dir);
    assert_eq!((&waits["off_cpu"]["from_last_samples"], &waits["off_cpu"]["lost"]), (&false.into(), &0.into()));
    let part = compare(&waits, &run, "switches");
    assert!(part >= 100.0 - POINTS, "the thread that computes and those without a goroutine do not wait: {part} %");
    // The CPU profile is what it is without.
    let cpu = run.summary();
    assert_ne!(cpu["event"], "off-cpu");
    assert_eq!(cpu["functions"][0]["name"], "main.compute");
}

#[test]
fn an_ordinary_user_sees_waits_by_the_last_samples_of_their_threads() {
    let _alone = alone();
    let project = Project::from_workload("waits", SETTINGS);
    project.go_build("waits", &[]);
    fs::copy(env!("CARGO_BIN_EXE_goflame"), project.path("goflame")).unwrap();
    let as_user = |program: &Path| {
        let mut command = tool("setpriv");
        if rustix::process::geteuid().is_root() {
            command.arg(format!("--reuid={0}", user())).arg(format!("--regid={0}", user())).arg("--clear-groups");
        }
        command.arg(program).current_dir(project.path("")).env("HOME", project.path(""));
        command
    };
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(project.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        chown(project.path(""), Some(user()), Some(user())).unwrap();
    }
    let goflame = project.path("goflame");
    let mut record = as_user(&goflame);
    record.args(["record", "--off-cpu", "--json", "--"]).arg(project.path("waits"));
    let run = Run::from_output(&succeeded(&mut record));
    let waits = waits_of(as_user(&goflame), &run.dir);
    let figures = &waits["off_cpu"];
    assert_eq!(figures["from_last_samples"], setting("perf_event_paranoid") > 1, "{figures}");
    compare(&waits, &run, "last samples");
}
