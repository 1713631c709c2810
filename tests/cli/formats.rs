//! Formats that `goflame report` writes and reads, against the tools that they come from and go to.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::Project;

/// A program of which `perf record` has made `perf.data`. Nothing in it is inlined.
fn project_with_recording() -> Project {
    let project = Project::workload("profiles", "");
    let build = "go build -gcflags=all=-l -o program ./profiles";
    let record = "perf record -q -e cpu-clock -F 997 -g -o perf.data -- ./program .";
    project.shell(&format!("{build} && {record}")).run().code(0);
    project
}

fn report_json(project: &Project, source: &str) -> Value {
    let report = project.goflame(["report", source, "--json"]).run();
    serde_json::from_str(&report.code(0).stdout).unwrap()
}

fn total_weight(folded: &str) -> u64 {
    folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn output_of_perf_script_gives_what_the_recording_gives() {
    let project = project_with_recording();
    project.shell("perf script -i perf.data > plain.txt 2>/dev/null").run().code(0);
    let of_recording = report_json(&project, "perf.data");
    let of_text = report_json(&project, "plain.txt");
    for figure in ["samples", "total", "event", "unit", "duration_ns"] {
        let (text, recording) = (&of_text[figure], &of_recording[figure]);
        if figure == "duration_ns" {
            // Times in the text are in microseconds.
            assert!(text.as_u64().unwrap().abs_diff(recording.as_u64().unwrap()) < 1_000, "{text} of {recording}");
        } else {
            assert_eq!(text, recording, "{figure}");
        }
    }
    // Part of the total by function. Without periods, the total counts samples.
    let own_code = |summary: &Value| -> BTreeMap<String, f64> {
        let own = summary["functions"].as_array().unwrap().iter().filter(|function| function["origin"] == "main");
        own.map(|one| (one["display"].as_str().unwrap().to_owned(), one["cumulative_percent"].as_f64().unwrap()))
            .collect()
    };
    let expected = own_code(&of_recording);
    assert!(expected.len() > 2, "{of_recording}");
    // perf does not repair stacks: a few samples lack a caller.
    let assert_alike = |summary: &Value, title: &str| {
        let found = own_code(summary);
        for (name, percent) in &expected {
            let found = found.get(name).copied().unwrap_or_default();
            assert!((found - percent).abs() <= 5.0, "{title}: {name}: {found} and {percent} %");
        }
    };
    assert_alike(&of_text, "plain");

    // Reads other columns of `perf script`, from a pipe.
    for options in ["--header -F +srcline", "-F comm,pid,tid,time,event,ip,sym,dso", "--ns -F +pid"] {
        let script = format!("perf script -i perf.data {options} 2>/dev/null | $goflame report - --json");
        let summary: Value = serde_json::from_str(&project.shell(&script).run().code(0).stdout).unwrap();
        assert_eq!(summary["samples"], of_recording["samples"], "{options}");
        assert_alike(&summary, options);
    }
    let late = project.goflame(["report", "plain.txt", "--from", "0.01", "-f", "folded"]).run();
    assert!(total_weight(&late.code(0).stdout) < of_recording["samples"].as_u64().unwrap());
    project.goflame(["report", "plain.txt", "--event", "cycles"]).run().code(2).stderr(
        "error: cannot read the stacks of plain.txt\n  cause: it has no event `cycles`\n   help: it has cpu-clock\n",
    );
    project.goflame(["diff", "perf.data", "plain.txt"]).run().code(0);
}

#[test]
fn folded_stacks_are_written_and_read_again_as_the_same() {
    let project = project_with_recording();
    let folded = project.goflame(["report", "perf.data", "-f", "folded"]).run();
    let folded = &folded.code(0).stdout;
    let summary = report_json(&project, "perf.data");
    assert_eq!(total_weight(folded), summary["samples"].as_u64().unwrap());
    project.write("stacks.folded", folded);
    let again = project.goflame(["report", "stacks.folded", "-f", "folded"]).run();
    assert_eq!(&again.code(0).stdout, folded);
    let piped = project.shell("cat stacks.folded | $goflame report - -f folded").run();
    assert_eq!(&piped.code(0).stdout, folded);

    // Draws with inferno, with the default options of `inferno-flamegraph`.
    let mut svg = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    let (_, drawn) = svg.split_once("total_samples=\"").unwrap();
    assert_eq!(drawn.split('"').next().unwrap(), summary["samples"].to_string());

    project
        .goflame(["report", "stacks.folded", "--event", "cycles"])
        .run()
        .code(2)
        .stderr("error: stacks.folded holds folded stacks: they have neither events nor sample types\n");
    project
        .goflame(["report", "stacks.folded", "--from", "1"])
        .run()
        .code(2)
        .stderr_has("error: cannot select a range of time in stacks.folded: its samples have no times");
    project.write("fractions.folded", "app;main.main;main.a 0.5\napp;main.main 2\nnothing\n");
    let fractions = project.goflame(["report", "fractions.folded", "-f", "folded"]).run();
    fractions
        .code(0)
        .stdout("app;main.main 20\napp;main.main;main.a 5\n")
        .stderr_has("     Warning the weights have fractions: they are shown multiplied by 10");
    let diff = project.goflame(["diff", "stacks.folded", "perf.data", "--json"]).run();
    let diff: Value = serde_json::from_str(&diff.code(0).stdout).unwrap();
    assert_eq!(diff["old"]["samples"], diff["new"]["samples"], "{diff}");
}

#[test]
fn go_tool_pprof_finds_the_same_totals_and_all_tables() {
    let project = project_with_recording();
    project.goflame(["report", "perf.data", "-o", "out.pb.gz"]).run().code(0);
    let summary = report_json(&project, "perf.data");
    let raw = project.shell("go tool pprof -raw out.pb.gz 2>/dev/null").run();
    let raw = &raw.code(0).stdout;
    assert!(raw.contains("samples/count cpu/nanoseconds[dflt]"), "{raw}");
    let (_, samples) = raw.split_once("[dflt]\n").unwrap();
    let mut totals = [0, 0];
    for line in samples.lines().take_while(|line| *line != "Locations") {
        let (values, _) = line.split_once(':').unwrap_or_default();
        let values: Vec<u64> = values.split_whitespace().map_while(|value| value.parse().ok()).collect();
        if let [count, weight] = values[..] {
            totals = [totals[0] + count, totals[1] + weight];
        }
    }
    assert_eq!(totals, [&summary["samples"], &summary["total"]].map(|total| total.as_u64().unwrap()));
    assert!(raw.contains("process:[program]"), "labels\n{raw}");
    let (_, mappings) = raw.split_once("Mappings\n").unwrap();
    let build_id = mappings.lines().next().unwrap().split(' ').find(|word| word.len() == 40);
    assert!(build_id.is_some(), "{mappings}");
    let main = raw.lines().find(|line| line.contains(" main.compute ")).unwrap();
    assert!(!main.ends_with("s=0"), "{main}");
}

#[test]
fn options_of_flame_graphs_need_a_flame_graph() {
    let project = Project::empty();
    project.write("a.folded", "app;main.main;main.a 6\napp;main.main;main.b 3\n");
    let draw =
        ["--subtitle=of a test", "--width=640", "--minwidth=40%", "--colors=hot", "--inverted", "--reverse", "--hash"];
    let all = draw.map(|flag| format!("'{flag}'")).join(" ");
    let svg = project.shell(&format!("$goflame report a.folded -f svg --title 'A <title>' {all}")).run();
    let svg = &svg.code(0).stdout;
    for part in ["width=\"640\"", ">of a test</text>", ">A &lt;title&gt;</text>", "var inverted = true"] {
        assert!(svg.contains(part), "{part} is not in\n{svg}");
    }
    assert!(svg.contains("<title>main.a (") && !svg.contains("<title>main.b ("), "{svg}");
    for flag in draw {
        let name = flag.split('=').next().unwrap();
        for other in [&["-f", "json"][..], &[]] {
            let mut command = project.goflame(["report", "a.folded", flag]);
            for arg in other {
                command = command.arg(arg);
            }
            command.run().code(2).stderr(&format!(
                "error: `{name}` changes how a flame graph is drawn, but none is written\n   help: draw one with `-o flamegraph.svg` or `--format svg`\n"
            ));
        }
    }
    for (flag, reason) in [
        (
            "--colors=java",
            "this palette colours the names of other languages; `go` colours frames of Go by their origin",
        ),
        ("--colors=rainbow", "expected go, hot, mem, io, red, green, blue, aqua, yellow, purple, orange"),
        ("--minwidth=wide", "expected pixels or a percentage, such as 0.5 or 1%"),
        ("--width=7", "7 is not in 200..=20000"),
    ] {
        let (name, value) = flag.split_once('=').unwrap();
        let refused = project.goflame(["report", "a.folded", "-f", "svg", flag]).run();
        assert!(
            refused.code(2).stderr.starts_with(&format!("error: invalid value `{value}` for `{name} ")),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    }
}

#[test]
fn the_name_of_the_output_chooses_among_all_formats() {
    let project = Project::empty();
    project.write("a.folded", "app;main.main;main.a 6\n");
    for (name, beginning) in [
        ("a.speedscope.json", "{\"$schema\":\"https://www.speedscope.app/"),
        ("a.firefox.json", "{\"libs\":[]"),
        ("a.trace.json", "{\"displayTimeUnit\""),
        ("a.md", "### `a.folded`"),
        ("a.json", "{\n  \"schema\": 1"),
    ] {
        project.goflame(["report", "a.folded", "-o", name]).run().code(0);
        let text = String::from_utf8(project.read(name)).unwrap();
        assert!(text.starts_with(beginning), "{name}: {text}");
    }
    let markdown = project.goflame(["report", "a.folded", "-f", "markdown"]).run();
    let markdown = &markdown.code(0).stdout;
    assert!(markdown.contains("| 6 | 100 % | 6 | 100 % | `main.a` |"), "{markdown}");
}
