//! `goflame runs`: the list on terminals of any width, tags, and the page about all runs.

use std::fs;

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::harness::Project;

/// A project with one run, and its id.
fn project_with_one_run() -> (Project, String) {
    let project = Project::workload("burner", "");
    project.goflame(["run", "--quiet", "-f", "svg,html"]).run().code(0);
    let id = project.only_run().rsplit('/').next().unwrap().to_owned();
    (project, id)
}

/// Copies a run to another id, changes its manifest, and returns its id.
fn copy_run(project: &Project, from: &str, number: u64, change: impl FnOnce(&mut Value)) -> String {
    let id = format!("20260101-{number:06}-burner-{number:04x}");
    let mut manifest: Value =
        serde_json::from_slice(&project.read(&format!(".goflame/runs/{from}/manifest.json"))).unwrap();
    manifest["id"] = id.as_str().into();
    manifest["sequence"] = (1000 + number).into();
    change(&mut manifest);
    project.write(&format!(".goflame/runs/{id}/manifest.json"), manifest.to_string());
    id
}

#[test]
fn the_list_fits_terminals_of_any_width() {
    let (project, id) = project_with_one_run();
    copy_run(&project, &id, 1, |manifest| {
        manifest["variant"] = "a-variant-with-a-long-name-that-somebody-chose".into();
        manifest["hottest"] = "github.com/acme/very/long/path/to/package.(*世界Server).Handle\u{1b}[31m".into();
        manifest["git"] = serde_json::json!({ "commit": "0123456789abcdef0123456789abcdef01234567", "dirty": true });
    });
    project.goflame(["runs", "tag", "0001", "baseline"]).run().code(0);
    project.write(".goflame/runs/20260101-000002-burner-0002/manifest.json", "{");
    for columns in [200, 80, 40] {
        let list = project.goflame(["runs", "list"]).env("COLUMNS", columns.to_string()).run();
        list.code(0).stderr("");
        for line in list.stdout.lines() {
            assert!(line.width() <= columns, "{} of {columns}: {line:?}\n{}", line.width(), list.stdout);
        }
        for text in ["RUN", "TOP FUNCTION", "TAGS", "01234567*", "baseline", "Handle", "damaged", "burner"] {
            assert!(list.stdout.contains(text), "{text} with {columns} columns\n{}", list.stdout);
        }
        assert!(!list.stdout.contains('\u{1b}'));
    }
    let wide = project.goflame(["runs", "list"]).env("COLUMNS", "200").run();
    assert_eq!(wide.stdout.lines().count(), 5, "a line for each run, and one for the damage\n{}", wide.stdout);
    let list: Value = serde_json::from_str(&project.goflame(["runs", "list", "--json"]).run().code(0).stdout).unwrap();
    let tagged = list["runs"].as_array().unwrap().iter().find(|run| run["tags"] == serde_json::json!(["baseline"]));
    assert!(tagged.unwrap()["bytes"].as_u64().unwrap() > 0);
}

/// Before: the empty columns COMMIT and TAGS made the list wider than 100 columns, and a server that goflame had stopped
/// after its window was "stopped" in place of "good".
#[test]
fn the_list_has_no_empty_columns_and_judges_stopped_servers() {
    let (project, id) = project_with_one_run();
    for (number, failed) in [(1, false), (2, true)] {
        copy_run(&project, &id, number, |manifest| {
            manifest["hottest"] = "github.com/acme/shop/internal/server.(*Server).Handle".into();
            manifest["workload"]["exit_code"] = 143.into();
            manifest["workload"]["ending"] = "stopped".into();
            manifest["workload"]["failed"] = failed.into();
        });
    }
    let list = project.goflame(["runs", "list"]).env("COLUMNS", "90").run();
    let lines: Vec<&str> = list.code(0).stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", list.stdout);
    let heading: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(heading, ["RUN", "TIME", "(UTC)", "APP", "VARIANT", "CPU", "TOP", "FUNCTION", "QUALITY", "SIZE"]);
    for (name, quality) in [("0001", ["good", "fair", "poor"].as_slice()), ("0002", &["failed"])] {
        let row = lines.iter().find(|line| line.starts_with(name)).unwrap();
        assert!(quality.iter().any(|quality| row.contains(&format!("Handle  {quality} "))), "{}", list.stdout);
    }
    // A pipe without COLUMNS has no width to which names of functions are shortened.
    let piped = project.goflame(["runs", "list"]).env("COLUMNS", "").run();
    let name = "github.com…rver.(*Server).Handle";
    assert_eq!([&list, piped.code(0)].map(|list| list.stdout.contains(name)), [false, true], "{}", piped.stdout);
}

#[test]
fn a_tag_is_a_name_for_all_commands_and_protects_its_run() {
    let (project, first) = project_with_one_run();
    project
        .goflame(["runs", "tag", "latest", "baseline"])
        .run()
        .code(0)
        .stdout("")
        .stderr(&format!("      Tagged {first} as baseline; tagged runs are never pruned\n"));
    project
        .goflame(["report", "baseline"])
        .run()
        .code(0)
        .stderr_has(&format!("   Analysing [..] of run {first} in [..] s"));
    project.goflame(["runs", "show", "baseline"]).run().code(0);
    let second = copy_run(&project, &first, 1, |_| ());
    let third = copy_run(&project, &first, 2, |_| ());
    project.goflame(["diff", "baseline", "nosuch"]).run().code(10).stderr_has("error: no run `nosuch` in [..]");
    let prune = project.goflame(["runs", "prune", "--keep", "1"]).run();
    prune.code(0).stdout(&format!("{second}  [..], older than the newest 1 of burner\n")).stderr_in_order(
        "     Keeping 1 tagged run: `goflame runs untag` lets them go\n     Removed 1 run, [..] MB in all",
    );
    assert_eq!(project.names(".goflame/runs"), [third.clone(), first.clone()]);
    // A new run does not remove the tagged run either.
    let config = String::from_utf8(project.read("goflame.toml")).unwrap();
    project.write("goflame.toml", format!("{config}archive.keep = 1\n"));
    project.goflame(["run", "--quiet"]).run().code(0);
    assert!(project.names(".goflame/runs").contains(&first) && !project.names(".goflame/runs").contains(&third));

    project
        .goflame(["runs", "tag", "latest", "baseline"])
        .run()
        .code(0)
        .stderr_has(&format!("      Tagged [..] as baseline; before, it was {first}; tagged runs are never pruned"));
    project
        .goflame(["runs", "untag", "other"])
        .run()
        .code(10)
        .stderr("error: no run has the tag `other`\n   help: the tags are baseline\n");
    project.goflame(["runs", "tag", "latest", "v1.2"]).run().code(2).stderr_has("error: `v1.2` cannot be a tag");
    project.goflame(["runs", "untag", "baseline"]).run().code(0).stderr_has("    Untagged [..], which was baseline");
    project.goflame(["report", "baseline"]).run().code(10).stderr_has("error: no run `baseline` in [..]");
    // Removing a run by its tag also removes all its tags.
    project.goflame(["runs", "tag", &first, "one"]).run().code(0);
    project
        .goflame(["runs", "rm", "one"])
        .run()
        .code(0)
        .stderr(&format!("    Untagged {first}, which was one\n     Removed {first}\n"));
    assert_eq!(project.names(".goflame/tags"), [""; 0]);
}

#[test]
fn the_page_about_all_runs_links_to_their_reports_and_hints_at_changes() {
    let (project, id) = project_with_one_run();
    for number in 1..=12 {
        let run = copy_run(&project, &id, number, |manifest| {
            let seconds = if number <= 6 { 1.0 } else { 2.0 } + number as f64 / 100.0;
            manifest["workload"]["user_seconds"] = seconds.into();
            manifest["workload"]["argv"] = serde_json::json!(["burner", "<b>&\"'"]);
            manifest["created"] = format!("2026-01-01T00:{number:02}:00Z").into();
        });
        if number == 3 {
            project.goflame(["runs", "tag", &run, "third"]).run().code(0);
        }
    }
    let index = project.goflame(["runs", "index", "--open"]).env("BROWSER", "true").run();
    index.code(0).stdout("").stderr("       Wrote .goflame/index.html\n");
    let page = String::from_utf8(project.read(".goflame/index.html")).unwrap();
    for link in [format!("href=\"runs/{id}/report.html\""), format!("href=\"runs/{id}/flamegraph.svg\"")] {
        assert!(page.contains(&link), "{link}");
        let file = link.trim_start_matches("href=\"").trim_end_matches('"');
        assert!(project.path(".goflame").join(file).exists());
    }
    assert!(page.contains("13 runs. <a href=\"#trends-heading\">Figures that may have changed: 1</a>."));
    assert!(page.contains("From <a href=\"#20260101-000007-burner-0007\">"), "{page}");
    assert!(page.contains("<td>third</td>") && page.contains("&lt;b&gt;&amp;") && !page.contains("<b>"));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    // Commands ignore the page: it is not a run.
    project.goflame(["runs", "verify", &id]).run().code(0);
    fs::remove_dir_all(project.path(".goflame/runs")).unwrap();
    project.goflame(["runs", "index"]).run().code(0);
    assert!(String::from_utf8(project.read(".goflame/index.html")).unwrap().contains("0 runs."));
}
