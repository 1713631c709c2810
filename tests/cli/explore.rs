//! The views of `goflame report`: call tree, hot paths, callers and callees, source, filters. Their figures are those of
//! `go tool pprof`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::Project;

/// A project with `cpu.pb.gz`, a CPU profile of Go's runtime. `main.compute` is on nearly all stacks.
fn project_with_go_profile() -> Project {
    let project = Project::workload("profiles", "");
    project.shell("go build -o program ./profiles && ./program .").run().code(0);
    project
}

/// A project with `cpu.pb.gz`, goflame's own profile of the same program: with inlined calls, recursion, type arguments and
/// kernel functions.
fn project_with_recording() -> Project {
    let project = Project::workload("profiles", "");
    project.goflame(["run", "-q", "--release", "-F", "4999", "-f", "pprof", "--", "."]).run().code(0);
    project.write("cpu.pb.gz", project.read(&format!("{}/profile.pb.gz", project.only_run())));
    project
}

/// Weights of functions, lines or calls, in nanoseconds.
type Weights = BTreeMap<String, u64>;

/// A function in the output of pprof or goflame.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Function {
    flat: u64,
    cum: u64,
    callers: Weights,
    callees: Weights,
}

/// A function's name without its type arguments, as goflame shows it, and without pprof's notes.
fn shown_name(name: &str) -> String {
    let name = name.trim().trim_end_matches(" (inline)").trim_end_matches(" (partial-inline)");
    let (mut shown, mut depth) = (String::new(), 0);
    for c in name.chars() {
        depth -= u32::from(c == ']');
        if depth == 0 {
            shown.push(c);
        }
        if c == '[' && depth == 0 {
            shown.push_str("...");
        }
        depth += u32::from(c == '[');
    }
    shown
}

fn nanoseconds(text: &str) -> u64 {
    match text {
        "0" | "." => 0,
        text => text.strip_suffix("ns").and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{text}")),
    }
}

/// Runs pprof with all nodes and edges.
fn run_pprof(project: &Project, args: &str) -> String {
    let line = format!(
        "go tool pprof -unit=ns -nodefraction=0 -edgefraction=0 -nodecount=100000 {args} cpu.pb.gz 2>/dev/null"
    );
    let run = project.shell(&line).run();
    run.code(0).stdout.clone()
}

/// The functions in the output of `-tree` or `-peek`.
fn functions_of_pprof(text: &str) -> BTreeMap<String, Function> {
    let mut functions: BTreeMap<String, Function> = BTreeMap::new();
    for block in text.split("----------------------------------------------------------+-------------\n") {
        let lines: Vec<(Vec<&str>, &str)> = block
            .lines()
            .filter_map(|line| line.split_once('|'))
            .map(|(figures, name)| (figures.split_whitespace().collect(), name))
            .collect();
        // The line of the function has five figures: flat, share of flat, sum, cum, share of cum.
        let Some(at) = lines.iter().position(|(figures, _)| figures.len() == 5) else { continue };
        let function = functions.entry(shown_name(lines[at].1)).or_default();
        function.flat += nanoseconds(lines[at].0[0]);
        function.cum += nanoseconds(lines[at].0[3]);
        for (side, lines) in [(&mut function.callers, &lines[..at]), (&mut function.callees, &lines[at + 1..])] {
            for (figures, name) in lines {
                *side.entry(shown_name(name)).or_default() += nanoseconds(figures[0]);
            }
        }
    }
    functions
}

/// The JSON output of `goflame report` with these arguments.
fn run_goflame(project: &Project, args: &str) -> Value {
    let run = project.shell(&format!("$goflame report -q cpu.pb.gz --json {args}")).run();
    serde_json::from_str(&run.code(0).stdout).unwrap()
}

fn text_field<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

fn number_field(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// The functions in the answer to `--peek`.
fn functions_of_goflame(json: &Value) -> BTreeMap<String, Function> {
    let weights = |rows: &Value| -> Weights {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (shown_name(text_field(row, "display")), number_field(row, "weight"))).collect()
    };
    let function = |one: &Value| {
        let function = Function {
            flat: number_field(one, "self"),
            cum: number_field(one, "cumulative"),
            callers: weights(&one["callers"]),
            callees: weights(&one["callees"]),
        };
        (shown_name(text_field(one, "display")), function)
    };
    json["functions"].as_array().unwrap().iter().map(function).collect()
}

#[test]
fn every_view_has_the_figures_of_pprof() {
    let project = project_with_recording();
    let expected = functions_of_pprof(&run_pprof(&project, "-tree"));
    assert!(expected.contains_key("main.compute") && expected.contains_key("runtime.main"), "{expected:?}");
    assert_eq!(functions_of_goflame(&run_goflame(&project, "--peek .")), expected);
    assert_tree_adds_up_to(&project, &expected);
    lines_are_those_of_pprof(&project);
    filters_are_those_of_pprof(&project);
}

fn assert_tree_adds_up_to(project: &Project, expected: &BTreeMap<String, Function>) {
    // The tree has the same functions and calls, counted once for each sample.
    let tree = run_goflame(project, "--tree --min-share 0");
    let mut found: BTreeMap<String, Function> = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    for row in tree["tree"].as_array().unwrap() {
        path.truncate(usize::try_from(number_field(row, "depth")).unwrap());
        path.push(shown_name(text_field(row, "display")));
        let weight = number_field(row, "self");
        found.entry(path.last().unwrap().clone()).or_default().flat += weight;
        let mut seen: Vec<&[String]> = Vec::new();
        for (at, name) in path.iter().enumerate() {
            if !path[..at].contains(name) {
                found.entry(name.clone()).or_default().cum += weight;
            }
            let call = &path[at.saturating_sub(1)..=at];
            if at > 0 && call[0] != call[1] && !seen.contains(&call) {
                seen.push(call);
                *found.entry(call[0].clone()).or_default().callees.entry(call[1].clone()).or_default() += weight;
                *found.entry(call[1].clone()).or_default().callers.entry(call[0].clone()).or_default() += weight;
            }
        }
    }
    for function in found.values_mut() {
        function.callers.retain(|_, weight| *weight > 0);
        function.callees.retain(|_, weight| *weight > 0);
    }
    assert_eq!(&found, expected);
    assert_eq!(number_field(&tree, "left_out"), 0);

    let paths = run_goflame(project, "--paths -n 1000");
    let sum: u64 = paths["paths"].as_array().unwrap().iter().map(|path| number_field(path, "weight")).sum();
    assert_eq!(sum, number_field(&tree, "total"), "every sample ends one path");
}

fn lines_are_those_of_pprof(project: &Project) {
    // By file and line: self and cumulative weight, and the text.
    let mut expected: BTreeMap<(String, u64), (u64, u64, String)> = BTreeMap::new();
    let mut function = String::new();
    for line in run_pprof(project, r"-list '^main\.'").lines() {
        if let Some(rest) = line.strip_prefix("ROUTINE ======================== ") {
            function = shown_name(rest.rsplit_once(" in ").unwrap().0);
        } else if let Some((head, source)) = line.split_once(':')
            && let [flat, cum, number] = head.split_whitespace().collect::<Vec<_>>()[..]
            && (flat, cum) != (".", ".")
        {
            let row = expected.entry((function.clone(), number.parse().unwrap())).or_default();
            row.0 += nanoseconds(flat);
            row.1 += nanoseconds(cum);
            source.clone_into(&mut row.2);
        }
    }
    assert!(!expected.is_empty());
    let mut found = BTreeMap::new();
    for function in run_goflame(project, r"--list '^main\.'")["functions"].as_array().unwrap() {
        assert_eq!(
            (&function["note"], text_field(function, "source").ends_with("/profiles/main.go")),
            (&Value::Null, true)
        );
        for line in function["lines"].as_array().unwrap().iter().filter(|line| number_field(line, "cumulative") > 0) {
            let row =
                (number_field(line, "self"), number_field(line, "cumulative"), text_field(line, "text").to_owned());
            found.insert((shown_name(text_field(function, "display")), number_field(line, "line")), row);
        }
    }
    assert_eq!(found, expected);
}

fn filters_are_those_of_pprof(project: &Project) {
    for (pprof_flags, flags) in [
        (r"-focus='^main\.sorted'", r"--focus '^main\.sorted'"),
        (r"-focus='main\.go' -ignore=pprof", r"--focus 'main\.go' --ignore pprof"),
        (r"-ignore='main\.(mixed|fib)$'", r"--ignore 'main\.(mixed|fib)$'"),
        (r"-hide='^runtime|step'", r"--hide '^runtime|step'"),
        (r"-show='^main\.'", r"--show '^main\.'"),
        (r"-show_from='compute|mixed'", r"--show-from 'compute|mixed'"),
        (r"-hide='compute$' -show_from='^main' -focus=sorted", r"--hide 'compute$' --show_from '^main' --focus sorted"),
        ("-hide=kallsyms", "--hide kallsyms"),
        ("-tagfocus=process=profiles", "--tag-focus process=profiles"),
        ("-tagignore='goexit|main.main'", "--tag-ignore 'goexit|main.main'"),
    ] {
        let expected = functions_of_pprof(&run_pprof(project, &format!("-tree {pprof_flags}")));
        let found = run_goflame(project, &format!("--peek . {flags}"));
        assert_eq!(functions_of_goflame(&found), expected, "{flags}");
    }
}

/// Before, a mistyped filter of labels was silent if something else was left.
#[test]
fn a_filter_that_matches_nothing_says_so() {
    let project = project_with_go_profile();
    let report = |flags: &str| project.shell(&format!("$goflame report cpu.pb.gz {flags} > /dev/null")).run();
    report("--ignore nothing --hide 'zebras?'")
        .code(0)
        .stderr_has("     Warning `--ignore nothing` matches no function")
        .stderr_has("     Warning `--hide zebras?` matches no function");
    report("--tag-ignore tenent=acme").code(0).stderr_has(
        "     Warning `--tag-ignore tenent=acme` matches nothing: no sample has the label tenent; [..]tenant",
    );
    report("--tag-focus tenant=acne")
        .code(0)
        .stderr_has("     Warning `--tag-focus tenant=acne` matches no value of tenant")
        .stderr_has("     Warning the filters leave no sample");
    report("--focus '^main'").code(0).stderr_lacks("[..] matches no [..]");
    let diff = project.shell("$goflame diff cpu.pb.gz cpu.pb.gz --ignore nothing > /dev/null").run();
    diff.code(0).stderr_has("     Warning cpu.pb.gz: `--ignore nothing` matches no function");
}

#[test]
fn views_name_what_they_do_not_show() {
    let project = project_with_go_profile();
    let report = |flags: &str| project.shell(&format!("$goflame report cpu.pb.gz {flags}")).run();
    for view in ["--peek", "--list"] {
        report(&format!("{view} 'main.Compute'")).code(2).stdout("").stderr(
            "     Reading [..] samples of cpu.pb.gz in [..] s
     Showing cpu/nanoseconds; `--sample-type` takes samples too
error: no function matches `main.Compute`
   help: there is `main.compute`
",
        );
        let some = report(&format!("{view} ."));
        let headings = some.code(0).stdout.lines().filter(|line| line.contains(" self, ")).count();
        assert_eq!(headings, 3, "{}", some.stdout);
        some.stderr_has("        Note more functions match: [..]");
    }
    report("--tree --min-share 90").code(0);
    report("--tree --paths").code(2);
    report("--tree -f svg").code(2);
    report("--tree -o tree.svg").code(2).stderr_has("error: `tree.svg` would hold tables as text, [..]");
    report("--tree --min-share 101").code(2).stderr_has("[..]expected a number from 0 to 100, such as 0.5");
    report("--tree -q -o tree.txt").code(0);
    assert!(project.read("tree.txt").starts_with(b"Call tree"));
    report("--tree -q -o tree.json").code(0);
    let tree: Value = serde_json::from_slice(&project.read("tree.json")).unwrap();
    assert_eq!(tree["tree"][0]["depth"], 0);
}

#[test]
fn views_fit_any_terminal() {
    let project = project_with_go_profile();
    for columns in [20, 40, 80, 120] {
        for view in ["--tree --min-share 0", "--paths", r"--peek '^main\.'", r"--list '^main\.'"] {
            let run = project.shell(&format!("COLUMNS={columns} $goflame report -q cpu.pb.gz {view}")).run();
            let widest = run.code(0).stdout.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns, "{view}: {widest} of {columns} columns in\n{}", run.stdout);
        }
    }
    let tree = project.shell("COLUMNS=80 $goflame report -q cpu.pb.gz --tree").run();
    assert!(tree.code(0).stdout.contains(" %  █") && tree.stdout.contains(" → "), "{}", tree.stdout);
}

#[test]
fn source_that_is_absent_or_changed_is_said_to_be() {
    let project = project_with_go_profile();
    let list = || project.shell(r"$goflame report -q cpu.pb.gz --list '^main\.compute$'").run();
    let start = list();
    assert!(start.code(0).stdout.contains("func compute("), "{}", start.stdout);
    assert!(!start.stdout.contains("changed"), "{}", start.stdout);
    let source = String::from_utf8(project.read("profiles/main.go")).unwrap();
    project.write("profiles/main.go", source.replace("func compute(", "func compute ("));
    let changed = list();
    assert!(changed.code(0).stdout.contains("the file was changed after the profile was taken"), "{}", changed.stdout);
    project.write("profiles/main.go", format!("//\n\n//\n\n{source}"));
    let moved = list();
    let note = "the file has changed since the program was built: main.compute does not begin at line ";
    assert!(moved.code(0).stdout.contains(note), "{}", moved.stdout);
    std::fs::remove_file(project.path("profiles/main.go")).unwrap();
    let absent = list();
    assert!(absent.code(0).stdout.contains("/profiles/main.go is not on this machine"), "{}", absent.stdout);
    assert!(absent.stdout.lines().last().unwrap().contains(" ms "), "weights remain: {}", absent.stdout);
}

/// `script` provides the terminal, with 10 rows.
#[test]
fn long_output_is_paged_on_a_terminal_only() {
    let project = project_with_go_profile();
    let run_on_terminal = |pager: &str, flags: &str| {
        let command = format!("stty rows 10 cols 80; exec $goflame report -q cpu.pb.gz {flags}");
        let line = format!("rm -f paged; script --quiet --return --command '{command}' screen < /dev/null");
        let run = project.shell(&line).env("TERM", "xterm").env("GOFLAME_PAGER", pager).run();
        run.code(0);
        run.stdout.clone()
    };
    let paged = || String::from_utf8(project.read("paged")).unwrap();
    let screen = run_on_terminal("cat > paged", "--tree --min-share 0");
    assert!(!screen.contains("main.compute") && paged().contains("main.compute"), "{screen}");
    assert!(paged().contains("\u{1b}[") && !paged().contains("\u{1b}]8;"), "styles, but no links");
    // Leaving the pager early is no error, and neither is a pager that does not exist.
    run_on_terminal("head -c 1 > paged", "--tree --min-share 0");
    for (pager, flags) in [
        ("/absent/pager", "--tree --min-share 0"),
        ("cat > paged", "--tree --min-share 0 --no-pager"),
        ("cat > paged", r#"--peek "^main.main$""#),
        ("", "--tree --min-share 0"),
    ] {
        let screen = run_on_terminal(pager, flags);
        assert!(screen.contains("main.compute") && !project.path("paged").exists(), "{pager} {flags}: {screen}");
    }
    let links = run_on_terminal("", "");
    assert!(links.contains("\u{1b}]8;;file://") && links.contains("/profiles/main.go"), "{links}");
    project.shell("GOFLAME_PAGER='cat > paged' $goflame report -q cpu.pb.gz --tree --min-share 0 | cat").run().code(0);
    assert!(!project.path("paged").exists());
}
