//! Compares the time that threads wait with what the program measured itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Project, Run, percent, print_figure, run_successfully, text, tool, wait_for_turn};
use crate::unprivileged::{kernel_setting, user_id};

const SETTINGS: &str = "[app]\npackage = '.'\nname = 'waits'\n[build]\nvariant = 'release'\n";

/// Maximum error of a share, in percentage points.
const TOLERANCE: f64 = 5.0;

/// Compares the shares of three kinds of waits with the shares that the program printed. Returns the share of all three
/// kinds together in the waiting time, in percent.
fn compare_waits(waits: &Value, run: &Run, title: &str) -> f64 {
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
        print_figure(&format!("{title}: {name} waits {expected:.1} % by its own clock, {share:.1} % in the profile"));
        assert!((share - expected).abs() <= TOLERANCE, "{name}: {share} % instead of {expected} % in {waits}");
    }
    percent(found.iter().sum(), waits["total"].as_u64().unwrap())
}

/// The off-CPU profile of a run.
fn off_cpu_profile(mut goflame: Command, run: &Path) -> Value {
    let report = text(goflame.arg("report").arg(run).args(["--profile", "off-cpu", "--json"]));
    serde_json::from_str(&report).unwrap()
}

#[test]
fn waits_have_the_shares_that_the_program_measured() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("waits", SETTINGS);
    let run = project.run(&["--off-cpu"]);
    let waits = off_cpu_profile(project.goflame(), &run.dir);
    assert_eq!((&waits["off_cpu"]["from_last_samples"], &waits["off_cpu"]["lost"]), (&false.into(), &0.into()));
    let part = compare_waits(&waits, &run, "switches");
    assert!(part >= 100.0 - TOLERANCE, "the thread that computes and those without a goroutine do not wait: {part} %");
    // The CPU profile is the same as without --off-cpu.
    let cpu = run.summary();
    assert_ne!(cpu["event"], "off-cpu");
    assert_eq!(cpu["functions"][0]["name"], "main.compute");
}

#[test]
fn for_an_ordinary_user_a_wait_has_the_stack_of_the_threads_last_sample() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("waits", SETTINGS);
    project.go_build("waits", &[]);
    fs::copy(env!("CARGO_BIN_EXE_goflame"), project.path("goflame")).unwrap();
    let as_user = |program: &Path| {
        let mut command = tool("setpriv");
        if rustix::process::geteuid().is_root() {
            command.arg(format!("--reuid={0}", user_id())).arg(format!("--regid={0}", user_id())).arg("--clear-groups");
        }
        command.arg(program).current_dir(project.path("")).env("HOME", project.path(""));
        command
    };
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(project.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        chown(project.path(""), Some(user_id()), Some(user_id())).unwrap();
    }
    let goflame = project.path("goflame");
    let mut record = as_user(&goflame);
    record.args(["record", "--off-cpu", "--json", "--"]).arg(project.path("waits"));
    let run = Run::from_output(&run_successfully(&mut record));
    let waits = off_cpu_profile(as_user(&goflame), &run.dir);
    let figures = &waits["off_cpu"];
    assert_eq!(figures["from_last_samples"], kernel_setting("perf_event_paranoid") > 1, "{figures}");
    compare_waits(&waits, &run, "last samples");
}
