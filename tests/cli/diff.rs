//! `goflame diff`: where it reads from and writes to, and what it refuses.

use serde_json::{Value, json};

use crate::harness::Project;

/// A project with two runs of one program.
fn project_with_two_runs() -> Project {
    let project = Project::workload("burner", "");
    for _ in 0..2 {
        project.goflame(["run", "--quiet"]).run().code(0);
    }
    project
}

#[test]
fn runs_files_and_standard_input_are_compared_with_each_other() {
    let project = project_with_two_runs();
    let run = project.names(".goflame/runs").pop().unwrap();
    let dir = format!(".goflame/runs/{run}");
    for (old, new) in [
        ("@1".to_owned(), "latest".to_owned()),
        (run.clone(), format!("{dir}/profile.pb.gz")),
        (dir.clone(), format!("{dir}/perf.data")),
        ("-".to_owned(), run.clone()),
    ] {
        let line = format!("$goflame diff {old} {new} --json < {dir}/perf.data");
        let diff = project.shell(&line).run();
        let diff: Value = serde_json::from_str(&diff.code(0).stdout).unwrap();
        assert_eq!(diff["schema"], 1);
        assert_eq!(diff["counts"]["grew"], 0, "{old} {new}: {}", diff["summary"]);
        let functions = diff["functions"].as_array().unwrap();
        let burn = functions.iter().find(|row| row["name"] == "main.burn").unwrap();
        assert!(burn["self"]["old"].as_f64().unwrap() > 0.5, "{old} {new}: {burn}");
        if old != "@1" {
            // The same run as archive and as pprof file does not differ.
            let differs = |row: &&Value| row["self"]["change"] != 0.0 || row["cumulative"]["change"] != 0.0;
            assert_eq!(functions.iter().find(differs), None, "{old} {new}");
        }
    }
}

#[test]
fn the_name_of_the_output_tells_its_format() {
    // Compares a run with itself, because in two different runs a function can change by chance.
    let project = project_with_two_runs();
    let table = project.goflame(["diff", "latest", "latest"]).run();
    let first = table.code(0).stdout.lines().next().unwrap();
    assert!(first.starts_with("no function changed beyond chance; total CPU time "), "{}", table.stdout);
    for (name, start, part) in [
        ("x.svg", "<?xml", "no change beyond chance"),
        ("x.html", "<!doctype html>", "Content-Security-Policy"),
        ("x.md", "### `burner [debug]`", "**no function changed beyond chance; total CPU time "),
        ("x.json", "{\n  \"schema\": 1,", "\"measure\": \"share\""),
        ("x.txt", "no function changed", " change  function\n"),
    ] {
        project
            .goflame(["diff", "latest", "latest", "-o", name])
            .run()
            .code(0)
            .stderr_has(&format!("       Wrote {name}"));
        let written = String::from_utf8(project.read(name)).unwrap();
        assert!(written.starts_with(start) && written.contains(part), "{name}: {written}");
    }
    let svg = project.goflame(["diff", "-f", "svg", "--title", "<b>&"]).run();
    assert!(svg.code(0).stdout.contains("&lt;b&gt;&amp;") && !svg.stdout.contains("<b>"));
}

#[test]
fn profiles_without_something_to_compare_are_refused() {
    let project = project_with_two_runs();
    let from = crate::harness::source().join("tests/workloads/profiles/main.go");
    project.write("profiles/main.go", std::fs::read(from).unwrap());
    project.shell("go build -o program ./profiles && ./program .").run().code(0);

    project.goflame(["diff", "latest", "heap.pb.gz"]).run().code(2).stderr_has(
        "error: cannot compare cpu-clock in nanoseconds with inuse_space in bytes: they measure different things",
    );
    project
        .goflame(["diff", "--focus", "no such function"])
        .run()
        .code(7)
        .stderr_has("error: [..] has no samples that the filters keep, so there is nothing to compare");
    project.goflame(["diff", "-", "-"]).run().code(2).stderr_has("error: standard input can be read only once");
    project.goflame(["diff", "no-such-run", "latest"]).run().code(10);
    project.goflame(["diff", "--units", "5,0"]).run().code(2);
    project.write("empty.pb.gz", "");
    project.goflame(["diff", "empty.pb.gz", "latest"]).run().code(7).stderr_has("error: empty.pb.gz is empty");

    // Warnings report few samples and different samplers.
    let mixed = project.goflame(["diff", "cpu.pb.gz", "latest"]).run();
    mixed
        .code(0)
        .stderr_has("     Warning cpu.pb.gz has only [..] samples: [..]")
        .stderr_has("     Warning the events differ: cpu and cpu-clock")
        .stderr_has("     Warning only [..] names functions of the kernel: they count for their callers")
        .stderr_has("     Warning only [..] has runtime.goexit: it is left out");
    let heap = project.goflame(["diff", "heap.pb.gz", "heap.pb.gz"]).run();
    assert!(heap.code(0).stdout.contains("the counts are not samples"), "{}", heap.stdout);
}

#[test]
fn work_and_time_normalise_weights() {
    let project = project_with_two_runs();
    let values = |args: &str| -> (f64, f64) {
        let diff = project.shell(&format!("$goflame diff --json {args}")).run();
        let diff: Value = serde_json::from_str(&diff.code(0).stdout).unwrap();
        let burn = diff["functions"].as_array().unwrap().iter().find(|row| row["name"] == "main.burn").unwrap();
        (burn["self"]["old"].as_f64().unwrap(), burn["self"]["new"].as_f64().unwrap())
    };
    let time = values("--normalize time");
    assert!(time.0 > 1e8 && time.1 > 1e8, "{time:?}");
    let units = values("--units 1000,2000");
    let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-9;
    assert!(near(units.0, time.0 / 1000.0) && near(units.1, time.1 / 2000.0), "{units:?} {time:?}");
    let wall = values("--normalize wall");
    assert!(wall.0 > time.0 / 1e3 && wall.0 < 1e9 * 64.0, "{wall:?}");
}

/// A program that spends its time in `main.mix`, which calls small functions.
const SMALL_FUNCTIONS: &str = "package main

import (
	\"fmt\"
	\"os\"
)

var table [256]uint64

func index(x uint64) int { return int(x & 255) }

func entry(x uint64) *uint64 { return &table[index(x)] }

func bump(x uint64) { *entry(x)++ }

//go:noinline
func mix(n int) (x uint64) {
	for i := 0; i < n; i++ {
		x += x/97 + uint64(i)
		bump(x)
	}
	return x
}

func main() {
	var sum uint64
	for i := 0; i < 2500; i++ {
		sum += mix(100_000)
	}
	fmt.Println(sum, len(os.Args))
}
";

#[test]
fn the_debug_and_the_release_build_are_compared() {
    let project = Project::program(SMALL_FUNCTIONS, "");
    project.goflame(["diff", "--variants"]).run().code(10).stderr_has("error: no archive in [..]");
    project.goflame(["run", "-q", "-F", "3989", "--", "one", "two words"]).run().code(0);
    let alone = project.goflame(["diff", "--variants"]).run();
    alone
        .code(10)
        .stderr_has("error: no run of the release build to compare with [..] (debug)")
        .stderr_has("   help: `goflame run -q -F 3989 --variant release -- one 'two words'` makes it");

    // A run with other arguments is not compared.
    project.goflame(["run", "-q", "--release", "--", "one"]).run().code(0);
    project.goflame(["run", "-q", "-F", "3989", "--", "one", "two words"]).run().code(0);
    project
        .goflame(["diff", "--variants"])
        .run()
        .code(10)
        .stderr_has("   help: [..] differs: its arguments are one, not one 'two words'");
    project.shell("$goflame run --variant release -q -F 3989 -- one 'two words'").run().code(0);

    let table = project.goflame(["diff", "--variants", "-n", "50"]).run();
    table.code(0).stderr_has("     Warning the commit of both runs is unknown: [..]");
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(!lines[0].contains("total "), "{}", table.stdout);
    let starts = ["release  ", "debug    ", "CPU time: "];
    let [release, debug, time] = starts.map(|start| *lines.iter().find(|line| line.starts_with(start)).unwrap());
    assert!(release.contains("program [release]: ") && debug.contains("program [debug]: "), "{}", table.stdout);
    assert!(time.ends_with(" in debug"), "{}", table.stdout);
    assert!(table.stdout.contains("self release  debug"), "{}", table.stdout);
    assert!(table.stdout.contains("\nHot in the debug build only\n"), "{}", table.stdout);

    let diff: Value =
        serde_json::from_str(&project.goflame(["diff", "--variants", "--json"]).run().code(0).stdout).unwrap();
    let hot = diff["variants"]["debug_only"].as_array().unwrap();
    let is_small = |one: &&Value| ["main.index", "main.entry", "main.bump"].iter().any(|name| one["name"] == *name);
    let small: Vec<&Value> = hot.iter().filter(is_small).collect();
    assert!(!small.is_empty(), "{hot:?}");
    for one in small {
        assert_eq!(one["called"], false, "{one}");
        let share = |name: &str| one[name].as_f64().unwrap();
        assert!(share("debug_share") >= 2.0 * share("release_share"), "{one}");
        // All inlined calls with samples are in main.mix.
        assert!(one["inlined_into"].as_array().unwrap().iter().all(|host| host == "main.mix"), "{one}");
    }
    assert!(hot.iter().all(|one| one["name"] != "main.mix" && one["name"] != "main.main"), "{hot:?}");
    assert_eq!(diff["old"]["title"], "program [release]");

    let by_time = project.goflame(["diff", "--variants", "--json", "--normalize", "time"]).run();
    let by_time: Value = serde_json::from_str(&by_time.code(0).stdout).unwrap();
    assert_eq!(by_time["variants"], diff["variants"], "hot spots are judged by their shares");

    let markdown = project.goflame(["diff", "--variants", "-f", "markdown"]).run();
    assert!(markdown.code(0).stdout.contains("| self release | self debug |"), "{}", markdown.stdout);
    assert!(markdown.stdout.contains("\nHot in the debug build only:\n\n- "), "{}", markdown.stdout);
    let svg = project.goflame(["diff", "--variants", "-f", "svg"]).run();
    assert!(svg.code(0).stdout.contains("the release profile does not have the frame"));
    project.goflame(["diff", "--variants", "@1"]).run().code(2);

    let edit = |variants: &[&str], change: &dyn Fn(&mut Value)| {
        for run in project.names(".goflame/runs") {
            let path = format!(".goflame/runs/{run}/manifest.json");
            let mut manifest: Value = serde_json::from_slice(&project.read(&path)).unwrap();
            if variants.iter().any(|variant| manifest["variant"] == *variant) {
                change(&mut manifest);
                project.write(&path, manifest.to_string());
            }
        }
    };
    edit(&["release", "debug"], &|manifest| {
        manifest["workload"]["argv"] = json!(["program", "--token=***"]);
        manifest["command"] = json!(["goflame", "-C", "run", "run", "--", "--token=***"]);
    });
    edit(&["debug"], &|manifest| {
        manifest["build"]["go"] = json!("go1.20");
        manifest["host"]["cpu_model"] = json!({ "value": "a CPU" });
        manifest["host"]["online_cpus"] = json!({ "value": [0, 1, 2, 3, 4, 5, 6] });
        manifest["sampler"]["frequency"] = json!(97);
    });
    project
        .goflame(["diff", "--variants"])
        .run()
        .code(0)
        .stderr_has("     Warning the runs hold `***` in place of secrets: [..]")
        .stderr_has("     Warning the Go version differs: go[..] in release, go1.20 in debug")
        .stderr_has("     Warning the CPU model differs: [..] in release, a CPU in debug")
        .stderr_has("     Warning the number of CPUs differs: [..] in release, 7 in debug")
        .stderr_has("     Warning the sampling frequency differs: 3989 Hz in release, 97 Hz in debug");

    // A run that was stopped has done a part of its work only.
    for ending in ["interrupted", "timed-out"] {
        edit(&["debug"], &|manifest| manifest["workload"]["ending"] = json!(ending));
        project
            .goflame(["diff", "--variants"])
            .run()
            .code(10)
            .stderr_has("error: no run of the debug build to compare with [..] (release)")
            .stderr_has("   help: [..] does not count: it was stopped before its end")
            .stderr_has("   help: `goflame -C run run --variant debug -- '--token=***'` makes it")
            .stderr_has("   help: put the secrets in place of `***`");
    }
    edit(&["debug"], &|manifest| manifest["workload"]["ending"] = json!("stopped"));
    project.goflame(["diff", "--variants"]).run().code(0);
}

#[test]
fn benchmarks_of_both_builds_tell_the_time_of_an_operation() {
    let project = Project::empty();
    project.write("go.mod", "module example.com/lib\n\ngo 1.21\n");
    let benchmark = "package lib

import \"testing\"

var sink int

func square(i int) int { return i * i % 7 }

func BenchmarkSquares(b *testing.B) {
	for i := 0; i < b.N; i++ {
		for n := 0; n < 1000; n++ {
			sink += square(n)
		}
	}
}
";
    project.write("lib_test.go", benchmark);
    project.goflame(["run", "-q", "--bench", ".", "--benchtime", "20000x"]).run().code(0);
    project
        .goflame(["diff", "--variants"])
        .run()
        .code(10)
        .stderr_has("   help: `goflame run -q --bench . --benchtime 20000x --variant release` makes it");
    project.shell("$goflame run --variant release -q --bench . --benchtime 20000x").run().code(0);
    let diff = project.goflame(["diff", "--variants", "--json"]).run();
    let diff: Value = serde_json::from_str(&diff.code(0).stdout).unwrap();
    let work = diff["variants"]["work"].as_str().unwrap();
    assert!(work.starts_with("time of an operation of BenchmarkSquares"), "{work}");
    assert!(work.contains(" in release, ") && work.ends_with(" times as long"), "{work}");
}
