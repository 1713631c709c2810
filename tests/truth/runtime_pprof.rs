//! Compares shares with the CPU profile that Go's runtime makes of the same program at the same time.

use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Project, print_figure, wait_for_turn};

/// Maximum difference of a share, in percentage points, in addition to the difference by chance. On a busy machine, signals
/// are late: one function of hotspots had 7.4 points more, with 235 samples of the runtime.
const TOLERANCE: f64 = 5.0;

/// Minimum number of samples of the runtime, which takes 100 a second. With fewer, chance could explain any difference.
const MIN_FETCHED: u64 = 100;

/// Number of hottest functions that are compared.
const TOP: usize = 10;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn settings(package: &str, port: u16, args: &str) -> String {
    format!(
        "[app]\npackage = '{package}'\nname = 'program'\n[build]\nvariant = 'release'\n\
         [workload]\ntimeout = '6s'\nargs = [{args}]\n\
         [runtime]\npprof = 'http://127.0.0.1:{port}/debug/pprof'\nprofiles = ['cpu']\n"
    )
}

/// Runs the project, and asserts that the ten hottest functions have the same shares in both profiles.
fn check_hottest_functions(project: &Project, name: &str) {
    let run = project.run(&[]);
    let compared = &run.summary()["runtime_pprof_comparison"];
    let number = |row: &Value, field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field}: {row}"));
    assert!(compared["fetched_samples"].as_u64() >= Some(MIN_FETCHED), "{compared}\n{}", run.stderr);
    let mut rows: Vec<&Value> = compared["functions"].as_array().unwrap().iter().collect();
    rows.sort_by(|a, b| number(b, "sampled_percent").total_cmp(&number(a, "sampled_percent")));
    rows.truncate(TOP);
    for row in &rows {
        let reaches = number(row, "low") <= TOLERANCE && number(row, "high") >= -TOLERANCE;
        assert!(reaches, "{name}: {row:#} in {compared:#}");
    }
    let largest = rows.iter().map(|row| number(row, "points").abs()).fold(0.0, f64::max);
    let samples = (compared["sampled_samples"].as_u64().unwrap(), compared["fetched_samples"].as_u64().unwrap());
    print_figure(&format!("{name}: {} and {} samples, at most {largest:.2} points", samples.0, samples.1));
}

#[test]
fn hotspots_has_the_shares_that_the_runtime_sees() {
    let _alone = wait_for_turn();
    let (project, port) = (Project::copy_of("examples/hotspots"), free_port());
    project.write("goflame.toml", &settings(".", port, "'-seconds', '3000'"));
    let serve = format!(
        "package main\n\nimport (\n\t\"net/http\"\n\t_ \"net/http/pprof\"\n)\n\n\
         func init() {{ go http.ListenAndServe(\"127.0.0.1:{port}\", nil) }}\n"
    );
    project.write("serve.go", &serve);
    check_hottest_functions(&project, "hotspots");
}

#[test]
fn a_server_has_the_shares_that_the_runtime_sees() {
    let _alone = wait_for_turn();
    let port = free_port();
    let args = format!("'-addr', '127.0.0.1:{port}', '-rates', '-busy', '40ms'");
    let project = Project::from_workload("endpoint", &settings(".", port, &args));
    check_hottest_functions(&project, "server");
}
