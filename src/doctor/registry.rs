//! The registry of all checks: the only file that knows every check. To add a check, add it to the table of its file.

use clap::ValueEnum;

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::inputs::{Inputs, Purpose};
use super::{binary, docker, kernel, rights, sampling, steadiness, symbols, toolchain};
use crate::config::nearest;

/// The check of goflame's own settings. It is in this file because it needs the ids of all checks.
static SETTINGS: [Check; 1] = [Check {
    id: "ignore-list",
    group: Group::Settings,
    title: "ids of ignored checks",
    feature: "readiness",
    why: "An unknown id ignores nothing, so the check that was meant is still made.",
    in_run: true,
    judge: Judge::Always(ignore_list),
}];

/// All checks, in the order of the report.
pub fn catalogue() -> impl Iterator<Item = &'static Check> {
    let tables: [&[Check]; 9] = [
        &SETTINGS,
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

/// Makes the checks, in the order of [`catalogue()`]. Each id occurs at most once. An ignored check has the status skipped,
/// and still reports what it found.
pub fn check(inputs: &Inputs) -> Vec<Finding> {
    let mut findings: Vec<Finding> = catalogue()
        .filter(|check| inputs.purpose == Purpose::Doctor || check.in_run)
        .filter(|check| inputs.only.is_empty() || inputs.only.iter().any(|id| id == check.id))
        .filter_map(|check| match check.judge {
            Judge::Always(judge) => Some(judge(check, inputs)),
            // A check that the user selected by its id has a finding even without its input.
            Judge::Optional(judge) => judge(check, inputs).or_else(|| {
                let skipped = || check.finding(Status::Skipped, "nothing to check", "something to check");
                (!inputs.only.is_empty()).then(skipped)
            }),
        })
        .collect();
    for finding in findings.iter_mut().filter(|finding| inputs.ignore.iter().any(|id| id == finding.id)) {
        finding.status = Status::Skipped;
        finding.found.push_str(" (ignored on request)");
        finding.fix = None;
    }
    findings
}

/// An id of no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no check `{id}`{}", nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?")))]
pub struct UnknownCheck {
    /// The id.
    pub id: String,
    /// The most similar id of a check.
    pub nearest: Option<&'static str>,
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

/// The ids of no check.
pub fn unknown_checks(ids: &[String]) -> Vec<UnknownCheck> {
    ids.iter()
        .filter(|id| !catalogue().any(|check| check.id == id.as_str()))
        .map(|id| UnknownCheck { id: id.clone(), nearest: nearest(id, catalogue().map(|check| check.id)) })
        .collect()
}

fn ignore_list(check: &'static Check, inputs: &Inputs) -> Finding {
    let unknown: Vec<String> = unknown_checks(inputs.ignore).iter().map(ToString::to_string).collect();
    let (status, found) = match (unknown.is_empty(), inputs.ignore.len()) {
        (false, _) => (Status::Warning, unknown.join(", ")),
        (true, 0) => (Status::Ok, "no check is ignored".to_owned()),
        (true, _) => (Status::Ok, format!("ignored: {}", inputs.ignore.join(", "))),
    };
    check.finding(status, found, "ids of existing checks")
}
