//! The registry of all checks, and the only file that knows all of them. A new check goes into the table of its file.

use clap::ValueEnum;

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::inputs::Inputs;
use super::{binary, docker, kernel, rights, sampling, steadiness, symbols, toolchain};
use crate::config::nearest;

/// The check of goflame's settings. It is in this file because it needs the ids of all checks.
static SETTINGS_CHECKS: [Check; 1] = [Check {
    id: "ignore-list",
    group: Group::Settings,
    title: "ids of ignored checks",
    feature: "readiness",
    why_it_matters: "An unknown id ignores nothing, so the check that was meant is still made.",
    is_in_run: true,
    judge: Judge::Always(judge_ignore_list),
}];

/// All checks, in the order of the report.
pub fn catalogue() -> impl Iterator<Item = &'static Check> {
    let tables: [&[Check]; 9] = [
        &SETTINGS_CHECKS,
        &kernel::CHECKS,
        &symbols::CHECKS,
        &rights::CHECKS,
        &sampling::CHECKS,
        &toolchain::CHECKS,
        &docker::CHECKS,
        &binary::CHECKS,
        &steadiness::CHECKS,
    ];
    tables.into_iter().flatten()
}

/// Performs the checks, in the order of [`catalogue()`]. Each id occurs at most once.
pub fn check(inputs: &Inputs) -> Vec<Finding> {
    let asked = catalogue().filter(|check| check.is_requested(inputs));
    let judged = asked.filter_map(|check| {
        // A check that the user selected by id always has a finding, even without its input.
        let nothing = || check.finding(Status::Skipped, "nothing to check", "something to check");
        check.judge(inputs).or_else(|| (!inputs.selected_ids.is_empty()).then(nothing))
    });
    judged.collect()
}

/// An unknown id of a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no check `{id}`{}", nearest_id.map_or_else(String::new, |nearest_id| format!("; did you mean `{nearest_id}`?")))]
pub struct UnknownCheck {
    /// The unknown id.
    pub id: String,
    /// The most similar id of an existing check. `None` if no id is similar.
    pub nearest_id: Option<&'static str>,
}

/// Replaces the names of groups by the ids of their checks.
pub fn expand_groups(names: &[String]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        match Group::from_str(name, false) {
            Ok(group) => ids.extend(catalogue().filter(|check| check.group == group).map(|check| check.id.to_owned())),
            Err(_) => ids.push(name.clone()),
        }
    }
    ids
}

/// Returns the ids that no check has.
pub fn unknown_checks(ids: &[String]) -> Vec<UnknownCheck> {
    ids.iter()
        .filter(|id| !catalogue().any(|check| check.id == id.as_str()))
        .map(|id| UnknownCheck { id: id.clone(), nearest_id: nearest(id, catalogue().map(|check| check.id)) })
        .collect()
}

fn judge_ignore_list(check: &'static Check, inputs: &Inputs) -> Finding {
    let unknown: Vec<String> = unknown_checks(inputs.ignored_ids).iter().map(ToString::to_string).collect();
    let (status, found) = match (unknown.is_empty(), inputs.ignored_ids.len()) {
        (false, _) => (Status::Warning, unknown.join(", ")),
        (true, 0) => (Status::Ok, "no check is ignored".to_owned()),
        (true, _) => (Status::Ok, format!("ignored: {}", inputs.ignored_ids.join(", "))),
    };
    check.finding(status, found, "ids of existing checks")
}
