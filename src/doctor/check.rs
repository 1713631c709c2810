//! One check, all checks, and which of them are made.

use super::finding::{Finding, Group, Status};
use super::inputs::{Inputs, Purpose};
use super::{binary, docker, kernel, rights, sampling, settings, steadiness, symbols, toolchain};

/// A check: what it is for, and how it judges.
#[derive(Debug)]
pub struct Check {
    /// Stable kebab-case id.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// A title of a few words.
    pub title: &'static str,
    /// The feature that needs it.
    pub feature: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// Whether `goflame run` makes it: a profile may lack something without it, or not come about at all.
    pub in_run: bool,
    pub(super) judge: Judge,
}

/// How a check comes to its finding.
#[derive(Debug)]
pub(super) enum Judge {
    /// From the machine, which is always there.
    Always(fn(&'static Check, &Inputs) -> Finding),
    /// From something that may not be part of what is asked: then there is no finding.
    Asked(fn(&'static Check, &Inputs) -> Option<Finding>),
}

impl Check {
    pub(super) fn finds(&self, status: Status, found: impl Into<String>, needed: impl Into<String>) -> Finding {
        Finding::new(self, status, found, needed)
    }
}

/// Every check, in the order of the report.
pub fn catalogue() -> impl Iterator<Item = &'static Check> {
    let tables: [&[Check]; 9] = [
        &settings::CHECKS,
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

/// Judges everything that was handed in, in the order of [`catalogue()`]. Each id occurs at most once. An ignored check
/// is still there, as skipped, and still tells what it found.
pub fn check(inputs: &Inputs) -> Vec<Finding> {
    let mut findings: Vec<Finding> = catalogue()
        .filter(|check| inputs.purpose == Purpose::Doctor || check.in_run)
        .filter(|check| inputs.only.is_empty() || inputs.only.iter().any(|id| id == check.id))
        .filter_map(|check| match check.judge {
            Judge::Always(judge) => Some(judge(check, inputs)),
            // Whoever asks for one check is told when there is nothing to check.
            Judge::Asked(judge) => judge(check, inputs).or_else(|| {
                let skipped = || check.finds(Status::Skipped, "there is nothing here to check", "something to check");
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

/// An id that names no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` names no check{}", nearest.map_or_else(String::new, |nearest| format!(" (nearest: `{nearest}`)")))]
pub struct UnknownCheck {
    /// The id.
    pub id: String,
    /// The id that was probably meant.
    pub nearest: Option<&'static str>,
}

/// The ids among these that name no check.
pub fn unknown_checks(ids: &[String]) -> Vec<UnknownCheck> {
    ids.iter()
        .filter(|id| !catalogue().any(|check| check.id == id.as_str()))
        .map(|id| UnknownCheck { id: id.clone(), nearest: nearest(id) })
        .collect()
}

fn nearest(id: &str) -> Option<&'static str> {
    catalogue()
        .map(|check| (strsim::jaro_winkler(check.id, id), check.id))
        .filter(|&(likeness, _)| likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, id)| id)
}
