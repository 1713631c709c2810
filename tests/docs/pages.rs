//! Parts of the documents that are generated from the code are current.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use goflame::doctor::{Check, catalogue};

use super::generated::assert_current;
use super::read;

#[test]
fn configuration_lists_the_keys_of_the_example() {
    assert_generated_part("docs/src/configuration.md", &configuration_page(&read("goflame.toml.example")));
}

#[test]
fn readiness_checks_lists_the_checks_of_the_doctor() {
    let shortcomings: BTreeMap<String, String> = toml::from_str(&read("docs/checks.toml")).unwrap();
    let mut unknown = shortcomings.keys().filter(|id| !catalogue().any(|check| check.id == id.as_str()));
    assert_eq!(unknown.next(), None, "docs/checks.toml explains a check that does not exist");
    assert_generated_part("docs/src/readiness-checks.md", &checks_page());
}

/// Compares the text between the marks `begin` and `end` of a page with the expected text.
#[track_caller]
fn assert_generated_part(path: &str, part: &str) {
    let page = read(path);
    let (head, rest) = page.split_once("<!-- begin: ").expect("a mark where the generated part begins");
    let (mark, rest) = rest.split_once('\n').unwrap();
    let (_, tail) = rest.split_once("<!-- end -->").expect("a mark where the generated part ends");
    assert_current(path, &format!("{head}<!-- begin: {mark}\n{part}\n<!-- end -->{tail}"));
}

fn checks_page() -> String {
    let (mut text, mut group) = (String::new(), None);
    for check in catalogue() {
        let Check { id, title, feature, why_it_matters: why, .. } = check;
        if group != Some(check.group) {
            let _ = write!(text, "\n## {}\n", check.group.title());
            group = Some(check.group);
        }
        let shortcoming = check.shortcoming();
        assert!(!shortcoming.is_empty(), "docs/checks.toml does not explain {id}");
        let made_by = if check.is_in_run { "`goflame doctor` and `goflame run`" } else { "`goflame doctor`" };
        let _ = write!(
            text,
            "\n### `{id}`\n\n- Checks: {title}\n- Needed for: {feature}\n- Made by: {made_by}\n- Why: {why}\n\
             - When it falls short: {shortcoming}\n"
        );
    }
    text
}

/// One line of goflame.toml.example.
enum Line<'a> {
    Table { name: &'a str, comment: &'a str },
    Key { name: &'a str, default: Option<&'a str>, comment: &'a str },
    Text(&'a str),
}

/// Converts goflame.toml.example to Markdown: a table for each TOML table, and a paragraph for each comment between keys.
fn configuration_page(example: &str) -> String {
    let (_, tables) = example.split_once("\n\n").expect("a head, and then the tables");
    let mut lines: Vec<_> = tables.lines().filter(|line| !line.is_empty()).map(Line::parse).collect();
    // A comment before a table describes that table.
    for at in 1..lines.len() {
        if matches!((&lines[at - 1], &lines[at]), (Line::Text(_), Line::Table { .. })) {
            lines.swap(at - 1, at);
        }
    }
    let (mut text, mut in_table) = (String::new(), false);
    for line in lines {
        let is_key = matches!(line, Line::Key { .. });
        if is_key && !in_table {
            text.push_str("\n| key | default | meaning |\n| --- | --- | --- |\n");
        }
        in_table = is_key;
        let _ = match line {
            Line::Table { name, comment: "" } => writeln!(text, "\n## `[{name}]`"),
            Line::Table { name, comment } => writeln!(text, "\n## `[{name}]`\n\n{comment}"),
            Line::Key { name, default: Some(default), comment } => {
                writeln!(text, "| `{name}` | `{default}` | {comment} |")
            }
            Line::Key { name, default: None, comment } => writeln!(text, "| `{name}` | none | {comment} |"),
            Line::Text(comment) => writeln!(text, "\n{comment}"),
        };
    }
    text
}

impl<'a> Line<'a> {
    /// Parses a line. A key or a table after `# ` has no default.
    fn parse(line: &'a str) -> Self {
        let code = line.strip_prefix("# ").unwrap_or(line);
        let (code, comment) = code.rsplit_once(" # ").map_or((code, ""), |(code, comment)| (code.trim(), comment));
        if let Some(name) = code.strip_prefix('[').and_then(|code| code.strip_suffix(']')) {
            return Self::Table { name, comment };
        }
        match code.split_once('=') {
            Some((name, default)) => {
                let default = (!line.starts_with('#')).then_some(default.trim());
                Self::Key { name: name.trim(), default, comment }
            }
            None => Self::Text(code),
        }
    }
}
