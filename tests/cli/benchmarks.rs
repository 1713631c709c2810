//! Profiles of benchmarks.

use crate::harness::Project;

/// A module with benchmarks in two packages, and none in a third.
fn library_project(config: &str) -> Project {
    let project = Project::empty();
    if !config.is_empty() {
        project.write("goflame.toml", config);
    }
    project.write("go.mod", "module example.com/lib\n\ngo 1.21\n");
    project.write("lib.go", LIBRARY);
    project.write("lib_test.go", BENCHMARKS);
    project.write("inner/inner_test.go", INNER);
    project.write("plain/plain.go", "package plain\n");
    project
}

const LIBRARY: &str = "package lib

func Sum(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += i * i % 7
	}
	return sum
}
";

const BENCHMARKS: &str = "package lib

import (
	\"fmt\"
	\"testing\"
)

var sink int

func BenchmarkPlus(b *testing.B) {
	for i := 0; i < b.N; i++ {
		sink += Sum(200000)
	}
	b.ReportMetric(2.5, \"widgets/op\")
}

func BenchmarkSizes(b *testing.B) {
	for _, n := range []int{200000, 400000} {
		b.Run(fmt.Sprintf(\"n=%d\", n), func(b *testing.B) {
			for i := 0; i < b.N; i++ {
				done := make(chan int)
				go func() { done <- Sum(n) }()
				sink += Sum(n) + <-done
			}
		})
	}
}

func TestSum(t *testing.T) { fmt.Println(\"a test ran\") }
";

const INNER: &str = "package inner

import \"testing\"

func BenchmarkInner(b *testing.B) {
	for i := 0; i < b.N*1000000; i++ {
	}
}
";

/// Before: there was no flag for benchmarks, and their results were in `stdout.log` only.
#[test]
fn results_are_shown_and_kept_in_the_manifest() {
    let project = library_project("");
    let run = project.goflame(["run", "--bench", "Plus|Sizes", "--benchtime", "60x", "--count", "2"]).run();
    run.code(0).stderr_in_order(
        "        Note no goflame.toml was found: the benchmarks in ., with default settings; `goflame init` writes one
     Running [..].test '-test.run=^$' -test.benchmem '-test.bench=Plus|Sizes' -test.benchtime=60x -test.count=2
",
    );
    assert!(!run.stdout.contains("a test ran"), "{}", run.stdout);
    let table: Vec<&str> = run.stderr.lines().skip_while(|line| *line != "Benchmarks").take(5).collect();
    let [_, heading, plus, small, large] = table[..] else { panic!("{}", run.stderr) };
    let words = |line: &'_ str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        words(heading),
        ["ns/op", "spread", "B/op", "allocs/op", "widgets/op", "iterations", "benchmark"],
        "{}",
        run.stderr
    );
    assert!(plus.contains(" 2.500 ") && plus.contains(" 120  BenchmarkPlus"), "{plus}");
    assert!(
        small.contains("  BenchmarkSizes/n=200000") && large.contains("  BenchmarkSizes/n=400000"),
        "{small}{large}"
    );
    let manifest = project.manifest();
    let results = manifest["benchmarks"].as_array().unwrap();
    assert_eq!(results.len(), 6);
    assert_eq!((&results[0]["iterations"], results[0]["metrics"].as_array().unwrap().len()), (&60.into(), 4));
    assert_eq!(results[0]["metrics"][1], serde_json::json!({ "unit": "widgets/op", "value": 2.5 }));
    assert_eq!(manifest["app"]["kind"], "bench");

    let report = project.goflame(["report", "latest", "--by", "benchmark"]).run();
    let parts: Vec<&str> = report.code(0).stdout.lines().take_while(|line| !line.is_empty()).collect();
    for group in ["BenchmarkPlus", "BenchmarkSizes/* (sub-benchmarks in func1)"] {
        assert!(parts.iter().any(|line| line.ends_with(&format!("%  {group}"))), "no {group} in {parts:#?}");
    }
    assert!(report.stdout.contains("\nBenchmarks\n"), "{}", report.stdout);
}

/// Before: the usage of the test binary, a profile of one sample, and status 0.
#[test]
fn flags_of_go_test_are_accepted_after_two_dashes() {
    let project = library_project("app.kind = \"bench\"\n");
    let run = project.goflame(["run", "--", "-bench", "Plus", "-benchtime=30x", "-count", "1"]).run();
    run.code(0).stderr_has(
        "     Running [..].test '-test.run=^$' -test.benchmem -test.bench=Plus -test.benchtime=30x -test.count=1",
    );
    assert!(run.stderr.contains("  BenchmarkPlus"), "{}", run.stderr);
    assert!(!run.stderr.contains("BenchmarkSizes"), "{}", run.stderr);
}

/// Before: goflame knew no flag of benchmarks, and passed `-bench` on to the test binary, which does not know it.
#[test]
fn a_flag_of_go_test_that_an_option_replaces_is_said() {
    let project = library_project("app.kind = \"bench\"\n");
    let run = project.goflame(["run", "--dry-run", "--bench", "Plus", "--", "-v", "-bench", "Sizes", "-count=2"]).run();
    let warning = "     Warning `-bench` after `--` is not used: the option of goflame before it replaces it\n";
    run.code(0).stderr_has(warning.trim_end());
    assert!(run.stdout.contains("-test.bench=Plus") && run.stdout.contains("-test.count=2"), "{}", run.stdout);
}

/// Before: a profile of the empty test binary and "Finished", as after a success.
#[test]
fn no_matching_benchmark_is_said() {
    let project = library_project("app.kind = \"bench\"\n");
    let run = project.goflame(["run", "--bench", "Nope"]).run();
    run.code(0).stderr_has("     Warning no benchmark gave a result: `Nope` must match a name such as BenchmarkSort");
}

/// Before: "unexpected argument './...'".
#[test]
fn packages_of_a_pattern_run_one_after_the_other() {
    let project = library_project("");
    let run = project.goflame(["run", "./...", "--bench", ".", "--benchtime", "20x"]).run();
    run.code(0).stderr_in_order(
        "        Note no goflame.toml was found: the benchmarks of 2 packages, with default settings; `goflame init` writes one
     Skipped 1 package without benchmarks: ./plain
    Building . [debug: -N -l] with go1[..]
    Finished [..]
    Building ./inner [debug: -N -l] with go1[..]
    Finished [..]
    Profiled 2 of 2 packages, 0 failed; `goflame runs list` shows their runs
",
    );
    assert_eq!(project.names(".goflame/runs").len(), 2);
    // A package that does not build does not stop the others.
    project.write("inner/broken_test.go", "package inner\n\nvar x int = nil\n");
    let run = project.goflame(["run", "./...", "--bench", "Plus|Inner", "--benchtime", "20x"]).run();
    run.code(5).stderr_has("    Profiled 2 of 2 packages, 1 failed; `goflame runs list` shows their runs");
    assert_eq!(project.names(".goflame/runs").len(), 3);
    let none = project.goflame(["run", "./plain/...", "--bench", "."]).run();
    none.code(5).stderr("error: no package of `./plain/...` has benchmarks\n");
}

/// Before: nothing told how to profile the benchmarks of a package on the command line.
#[test]
fn a_package_without_a_main_function_runs_its_benchmarks() {
    let project = library_project("app.package = \"./plain\"\n");
    let plan = project.goflame(["run", "./inner", "--dry-run"]).run();
    plan.code(0).stdout("cd [dir] && [..]go test -c [..] ./inner\ncd [dir]/inner && [..]/inner.test [..]\n");
    project.goflame(["run"]).run().code(5).stderr_has(
        "   help: or profile its benchmarks: `goflame run ./plain --bench .`, or kind = \"bench\" in [app]",
    );
}
