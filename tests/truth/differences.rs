//! Tests `goflame diff` on programs whose differences are known.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Project, Run, print_figure, run_successfully, text, tool, wait_for_turn};

/// `goflame diff OLD NEW --json`.
fn diff(project: &Project, old: &Path, new: &Path, args: &[&str]) -> Value {
    let output = run_successfully(project.goflame().arg("diff").arg(old).arg(new).arg("--json").args(args));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The functions of the program, without those of the kernel: the kernel's work really differs from run to run.
fn program_functions(diff: &Value) -> impl Iterator<Item = &Value> {
    diff["functions"].as_array().unwrap().iter().filter(|row| row["origin"] != "kernel")
}

/// The names of the program's functions whose self or cumulative weight changed beyond chance.
fn changed_functions(diff: &Value) -> Vec<&str> {
    let clear = |row: &&Value| ["self", "cumulative"].iter().any(|kind| row[kind]["verdict"] != "unclear");
    program_functions(diff).filter(clear).map(|row| row["name"].as_str().unwrap()).collect()
}

/// A run of tests/workloads/regression. `percent` is the work of the function `checksum`.
fn run_workload(project: &Project, rate: &str, percent: &str) -> PathBuf {
    let run: Run = project.run(&["-F", rate, "--", percent]);
    run.dir
}

#[test]
fn a_planted_regression_is_first_and_two_runs_of_one_program_do_not_differ() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("regression", "build.variant = \"release\"\n");
    let [before, again, once_more, slower] =
        ["100", "100", "100", "120"].map(|percent| run_workload(&project, "3989", percent));
    for normalize in ["share", "time"] {
        let found = diff(&project, &before, &slower, &["--normalize", normalize]);
        let first = program_functions(&found).next().unwrap();
        assert_eq!(first["name"], "main.checksum", "{normalize}: {}", found["summary"]);
        assert_eq!(first["self"]["verdict"], "grew", "{normalize}: {first}");
        let relative = first["self"]["change"].as_f64().unwrap() / first["self"]["old"].as_f64().unwrap();
        print_figure(&format!("{normalize}: the planted 20 % are {:.1} %", relative * 100.0));
    }
    // CPU seconds also depend on the load of the machine, shares do not.
    // Other programs can disturb one of three runs, which then really differs. It is unlikely that they disturb two runs.
    let pairs = [[&before, &again], [&before, &once_more], [&again, &once_more]];
    let pairs = pairs.map(|[old, new]| diff(&project, old, new, &[]));
    let equal = pairs.iter().filter(|pair| changed_functions(pair).is_empty()).count();
    print_figure(&format!(
        "{equal} of 3 pairs of equal runs without a change, {} comparisons in each",
        pairs[0]["comparisons"]
    ));
    assert!(equal > 0, "{:?}", pairs.each_ref().map(|pair| changed_functions(pair)));
    // As above, for runs with two frequencies.
    let same = [(); 2].map(|()| {
        let [usual, seldom] = ["997", "100"].map(|rate| run_workload(&project, rate, "100"));
        diff(&project, &usual, &seldom, &[])
    });
    assert!(
        same.iter().any(|pair| changed_functions(pair).is_empty()),
        "{:?}",
        same.each_ref().map(|pair| changed_functions(pair))
    );
    let [same, _] = same;
    assert_eq!((&same["old"]["frequency"], &same["new"]["frequency"]), (&997.into(), &100.into()));
    let total = |side: &str| same[side]["total"].as_f64().unwrap();
    assert!((total("old") / total("new") - 1.0).abs() < 0.2, "weights of both rates are CPU time: {}", same["summary"]);
}

#[test]
fn a_function_that_a_go_version_renamed_is_matched() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("mapwalk", "");
    let profile = |toolchain: &str| {
        let (program, profile) =
            (project.path(&format!("program-{toolchain}")), project.path(&format!("{toolchain}.pb.gz")));
        let mut go = tool("go");
        go.env("GOTOOLCHAIN", toolchain).args(["build", "-o"]).arg(&program).arg("main.go");
        text(go.current_dir(project.path("")));
        text(tool(program.to_str().unwrap()).arg(&profile));
        profile
    };
    let found = diff(&project, &profile("go1.23.4"), &profile("go1.27.3"), &[]);
    let functions = found["functions"].as_array().unwrap();
    let named = |name: &str| functions.iter().find(|row| row["name"] == name);
    let next = named("internal/runtime/maps.(*Iter).Next").unwrap();
    assert_eq!(next["old_names"][0], "runtime.mapiternext");
    assert_eq!(next["new_names"][0], "internal/runtime/maps.(*Iter).Next");
    for side in ["old_samples", "new_samples"] {
        assert!(next["cumulative"][side].as_u64().unwrap() > 10, "{next}");
    }
    assert!(named("runtime.mapiternext").is_none());
}
