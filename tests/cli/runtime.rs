//! Reports of the Go runtime: `[runtime]`, `runtime.log`, and the findings.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Project, source};

/// Settings for a release build with the traces of the Go runtime.
const TRACE_SETTINGS: &str = "[build]\nvariant = \"release\"\n[runtime]\ngctrace = true\nschedtrace = \"50ms\"\n";

fn read_log(project: &Project, name: &str) -> Vec<u8> {
    project.read(&format!("{}/{name}", project.only_run()))
}

fn read_json(project: &Project, name: &str) -> Value {
    serde_json::from_slice(&read_log(project, name)).unwrap()
}

fn findings(project: &Project) -> Vec<String> {
    let summary = read_json(project, "summary.json");
    let list = summary["findings"].as_array().unwrap();
    assert!(list.iter().all(|finding| !finding["evidence"].as_array().unwrap().is_empty()), "{list:?}");
    list.iter().map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_programs_output_is_that_of_the_program_alone_without_the_runtimes_lines() {
    let project = Project::workload("partial", TRACE_SETTINGS);
    let run = project.goflame(["run"]).run();
    run.code(0);
    let program = project.path(&format!("{}/bin/partial", project.only_run()));
    let alone = Command::new(program).env_remove("GODEBUG").output().unwrap();
    assert!(alone.stderr.len() > 1_000_000, "{}", alone.stderr.len());
    assert!(read_log(&project, "stderr.log") == alone.stderr, "stderr.log differs");
    assert!(read_log(&project, "stdout.log") == alone.stdout, "stdout.log differs");
    assert!(run.stderr.contains(&*String::from_utf8_lossy(&alone.stderr)), "what the user sees differs");

    let lines = String::from_utf8(read_log(&project, "runtime.log")).unwrap();
    let collections: Vec<&str> = lines.lines().filter(|line| line.starts_with("gc ")).collect();
    assert!(collections.len() >= 5, "{lines}");
    for (number, line) in (1..).zip(&collections) {
        assert!(line.starts_with(&format!("gc {number} @")) && line.ends_with(" P (forced)"), "{line}");
    }
    assert!(lines.lines().all(|line| line.starts_with("gc ") || line.starts_with("SCHED ")), "{lines}");

    let events = read_json(&project, "runtime.json");
    assert_eq!(events["gc"].as_array().unwrap().len(), collections.len());
    let (from, until) = (events["from_ns"].as_u64().unwrap(), events["until_ns"].as_u64().unwrap());
    for event in events["gc"].as_array().unwrap().iter().chain(events["scheduler"].as_array().unwrap()) {
        let (time, arrived) = (event["time_ns"].as_u64().unwrap(), event["arrived_ns"].as_u64().unwrap());
        assert!(from <= time && time <= arrived && arrived <= until, "{event}");
    }
    assert_eq!(project.manifest()["workload"]["env"]["GODEBUG"], "gctrace=1,schedtrace=50");
}

#[test]
fn keys_of_the_users_own_godebug_stay_in_force() {
    let main = "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"runtime\"\n)\n\nfunc main() {\n\truntime.GC()\n\tfmt.Println(os.Getenv(\"GODEBUG\"))\n}\n";
    let project = Project::program(main, "[runtime]\ngctrace = true\ninittrace = true\n");
    project.goflame(["run"]).env("GODEBUG", "gctrace=0").run().code(0);
    assert_eq!(String::from_utf8(read_log(&project, "stdout.log")).unwrap(), "gctrace=1,inittrace=1,gctrace=0\n");
    let lines = String::from_utf8(read_log(&project, "runtime.log")).unwrap();
    assert!(lines.lines().count() > 3 && lines.lines().all(|line| line.starts_with("init ")), "{lines}");
}

#[test]
fn without_traces_the_runtimes_lines_stay_where_they_are() {
    // Go prints the line of the first collection before the second one starts. The line of the second can be missing.
    let main = "package main\n\nimport \"runtime\"\n\nfunc main() {\n\truntime.GC()\n\truntime.GC()\n}\n";
    let project = Project::program(main, "");
    project.goflame(["run"]).env("GODEBUG", "gctrace=1").run().code(0);
    assert!(String::from_utf8(read_log(&project, "stderr.log")).unwrap().starts_with("gc 1 @"));
    assert!(!project.path(&format!("{}/runtime.log", project.only_run())).exists());
}

#[test]
fn goroutines_that_compete_for_a_lock_give_their_finding_and_no_other() {
    let project = Project::workload("contention", TRACE_SETTINGS);
    let run = project.goflame(["run"]).run();
    run.code(0);
    assert_eq!(findings(&project), ["locks"]);
    // The JSON output has the same findings as the text.
    let report = project.goflame(["report"]).run();
    report.code(0);
    assert!(report.stdout.contains("\nFindings\n- waiting for locks takes "), "{}", report.stdout);
}

#[test]
fn processors_without_a_goroutine_give_their_finding_and_no_other() {
    let project = Project::workload("onegoroutine", TRACE_SETTINGS);
    project.goflame(["run"]).run().code(0);
    assert_eq!(findings(&project), ["idle-processors"]);
}

#[test]
fn a_quiet_program_gives_no_finding() {
    let project = Project::workload("quiet", TRACE_SETTINGS);
    let run = project.goflame(["run"]).run();
    run.code(0);
    assert_eq!(findings(&project), Vec::<String>::new());
    assert!(!run.stderr.contains("Findings") && !run.stdout.contains("Findings"), "{}", run.stdout);
}

#[test]
fn the_collectors_share_of_the_samples_is_that_of_gctrace() {
    let project = Project::with_config(&format!(
        "app.name = \"gcpressure\"\nworkload.env = {{ GOGC = \"50\" }}\n{TRACE_SETTINGS}"
    ));
    for file in ["main.go", "go.mod"] {
        project.write(file, std::fs::read(source().join("examples/gcpressure").join(file)).unwrap());
    }
    // On a busy machine, the clock by which the runtime measures goes on while its threads wait for a CPU. With this
    // priority they do not wait, where it is permitted.
    let line = "chrt --rr 1 true 2>/dev/null && first='chrt --rr 1'; $first $goflame run -- -duration 2s -workers 4";
    project.shell(line).run().code(0);
    let summary = read_json(&project, "summary.json");
    let finding = summary["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "gc").unwrap();
    let of = |source: &str| {
        let facts = finding["evidence"].as_array().unwrap();
        facts.iter().find(|fact| fact["source"] == source).unwrap()["value"].as_f64().unwrap()
    };
    let (samples, gctrace) = (of("samples"), of("gctrace"));
    let workload = &project.manifest()["workload"];
    let seconds = |name: &str| workload[name].as_f64().unwrap();
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    let used = (seconds("user_seconds") + seconds("system_seconds")) / seconds("wall_seconds") / cpus;
    assert!((15.0..80.0).contains(&samples), "{samples}");
    // 3 percentage points, and 2 for chance with 4000 samples. The runtime may count time without a CPU as collection.
    let most = samples / used.clamp(0.01, 1.0) + 5.0;
    assert!((samples - 5.0..most).contains(&gctrace), "samples {samples} %, gctrace {gctrace} %, CPUs used {used:.2}");
}
