//! The templates for CI are valid YAML and use commands that exist.

use std::fs;
use std::process::Command;

use serde_yaml_ng::Value;

use crate::{GOFLAME, source};

/// Collects all strings in a YAML value.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Sequence(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Mapping(entries) => entries.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

#[test]
fn the_templates_for_ci_use_commands_and_flags_that_exist() {
    for (template, steps) in [("github-actions.yml", "/jobs/profile/steps"), ("gitlab-ci.yml", "/profile/script")] {
        let text = fs::read_to_string(source("templates").join(template)).unwrap();
        let yaml: Value = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{template}: {error}"));
        let steps = steps.split('/').skip(1).fold(&yaml, |value, key| &value[key]);
        assert!(steps.is_sequence(), "{template}: {yaml:?}");
        let mut lines = Vec::new();
        strings(steps, &mut lines);
        let lines: Vec<&str> = lines.iter().flat_map(|text| text.lines()).collect();
        let commands: Vec<Vec<&str>> = lines
            .iter()
            .filter_map(|line| Some(line.trim_start_matches("sudo ").strip_prefix("goflame ")?.split(' ').collect()))
            .collect();
        for wanted in ["doctor", "run"] {
            assert!(commands.iter().any(|words| words.first() == Some(&wanted)), "{template} lacks {wanted}");
        }
        for words in commands {
            // An unknown flag is an error even before --help.
            let help = Command::new(GOFLAME).args(&words).arg("--help").output().unwrap();
            assert!(help.status.success(), "{template}: {words:?}: {}", String::from_utf8_lossy(&help.stderr));
        }
    }
}
