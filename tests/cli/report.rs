//! `goflame report`: its tables, and where it reads from and writes to.

use std::fs;

use crate::harness::{Project, source};

/// A program that compiles regular expressions in a loop, in a library of its workspace.
fn slow_cli_project() -> Project {
    let project = Project::empty();
    let from = source().join("examples/slowcli");
    for name in ["goflame.toml", "go.work", "cli/go.mod", "cli/main.go", "textlib/go.mod", "textlib/text.go"] {
        project.write(name, fs::read(from.join(name)).unwrap());
    }
    project
}

// Before, the terminal named no line, and no function of the workspace outside of the path of calls.
#[test]
fn the_guilty_line_of_a_slow_cli_is_in_the_first_25_lines() {
    let project = slow_cli_project();
    let text = fs::read_to_string(project.path("textlib/text.go")).unwrap();
    for variant in ["debug", "release"] {
        let terminal = project.shell(&format!("$goflame run --variant {variant} -- -lines 20000 2>&1")).run();
        for call in ["regexp.MustCompile", "FindAllString"] {
            let line = text.lines().position(|line| line.contains(call)).unwrap() + 1;
            let place = format!("textlib/text.go:{line} ");
            let shown = terminal.code(0).stdout.lines().take(25).find(|line| line.contains(&place));
            assert!(shown.is_some_and(|line| line.contains(call)), "{variant}: no {place} in\n{}", terminal.stdout);
        }
    }
    let json = project.goflame(["report", "-f", "json"]).run();
    let json: serde_json::Value = serde_json::from_str(&json.code(0).stdout).unwrap();
    let hottest = &json["own_lines"][0];
    assert_eq!(hottest["function"], "example.com/slowcli/textlib.CountWords");
    assert!(hottest["callee"].as_str().unwrap().starts_with("regexp."), "{hottest}");

    let table = project.goflame(["report", "-n", "3", "--sort", "cum"]).run();
    let (lines, functions) = table.code(0).stdout.split_once("\n\n").unwrap();
    assert_eq!(lines.lines().count(), 2 + 3, "{lines}");
    assert!(functions.lines().nth(2).unwrap().ends_with("runtime.goexit"), "{functions}");
}

// Before, the tables were written into x.svg.
#[test]
fn the_name_of_the_output_tells_its_format() {
    let project = Project::workload("burner", "");
    project.goflame(["run", "--quiet"]).run().code(0);
    let run = project.only_run();
    for (name, file) in [
        ("x.svg", "flamegraph.svg"),
        ("x.pb.gz", "profile.pb.gz"),
        ("x.folded", "profile.folded"),
        ("x.json", "summary.json"),
    ] {
        project.goflame(["report", "-o", name]).run().code(0);
        assert!(project.read(name) == project.read(&format!("{run}/{file}")), "{name} differs from {file}");
    }
    project.goflame(["report", "-o", "x.svg", "-f", "folded"]).run().code(0);
    assert_eq!(project.read("x.svg"), project.read(&format!("{run}/profile.folded")));
    project.goflame(["report", "-o", "x.txt"]).run().code(0);
    assert!(project.read("x.txt").starts_with(b"In your code"));

    // On a pipe, a binary format is printed. On a terminal it is refused.
    let line = "$goflame report -f pprof | cmp - x.pb.gz && script -qec '$goflame report -f pprof' /dev/null";
    let terminal = project.shell(line).run();
    terminal.code(2);
    assert!(terminal.stdout.contains("this format is binary and standard output is a terminal"), "{}", terminal.stdout);
}

#[test]
fn a_report_reads_standard_input() {
    let project = Project::workload("burner", "");
    project.goflame(["run", "--quiet"]).run().code(0);
    let run = project.only_run();
    let folded = project.read(&format!("{run}/profile.folded"));
    for line in [
        format!("$goflame report -f folded - < {run}/perf.data"),
        format!("cat {run}/perf.data | $goflame report -f folded -"),
    ] {
        assert_eq!(project.shell(&line).run().code(0).stdout.as_bytes(), folded, "{line}");
    }
    let terminal = project.shell("script -qec '$goflame report -' /dev/null").run();
    terminal.code(2);
    assert!(
        terminal.stdout.contains("standard input is a terminal, so there is nothing to read"),
        "{}",
        terminal.stdout
    );
}

/// Before, the tables as text were written into `x.png`, and filters that leave nothing were not mentioned.
#[test]
fn a_report_never_pretends_to_be_another() {
    let project = Project::workload("burner", "");
    project.goflame(["run", "-q"]).run().code(0);
    for (command, file) in [("report", "x.png"), ("report", "x.PDF"), ("diff latest latest", "x.jpeg")] {
        let run = project.shell(&format!("$goflame {command} -o {file}")).run();
        run.code(2).stdout("").stderr(&format!(
            "error: `{file}` would hold tables as text, not what its name says
   help: choose a name that ends in .svg or .txt, or the format with `--format`
"
        ));
        assert!(!project.path(file).exists());
    }
    project
        .goflame(["report", "--focus", "nothing"])
        .run()
        .code(0)
        .stderr_has("     Warning the filters leave no sample");
}
