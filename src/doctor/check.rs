//! A readiness check as data.

use std::collections::BTreeMap;

use super::finding::{Finding, Group, Status};
use super::inputs::{Inputs, Purpose};

/// A text for each check, by its id.
const SHORTCOMINGS: &str = include_str!("../../docs/checks.toml");

/// A readiness check.
#[derive(Debug)]
pub struct Check {
    /// Stable kebab-case id.
    pub id: &'static str,
    /// Subject of the check.
    pub group: Group,
    /// A title of a few words.
    pub title: &'static str,
    /// The feature that needs it.
    pub feature: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// Whether `goflame run` makes the check: without it, a profile may be incomplete or fail.
    pub in_run: bool,
    pub(super) judge: Judge,
}

/// The function that judges the inputs.
#[derive(Debug)]
pub(super) enum Judge {
    /// Judges the machine, and so has a finding in any case.
    Always(fn(&'static Check, &Inputs) -> Finding),
    /// Judges an optional input, and has no finding without it.
    Optional(fn(&'static Check, &Inputs) -> Option<Finding>),
}

impl Check {
    /// Makes the check. A check that the user ignores has the status skipped, and still reports what it found. `None` without
    /// the check's input.
    pub(super) fn judge(&'static self, inputs: &Inputs) -> Option<Finding> {
        let mut finding = match self.judge {
            Judge::Always(judge) => judge(self, inputs),
            Judge::Optional(judge) => judge(self, inputs)?,
        };
        if inputs.ignore.iter().any(|id| id == self.id) {
            finding.status = Status::Skipped;
            finding.found.push_str(" (ignored on request)");
            finding.fix = None;
        }
        Some(finding)
    }

    /// Whether these inputs ask for the check.
    pub(super) fn is_asked_for(&self, inputs: &Inputs) -> bool {
        (inputs.purpose == Purpose::Doctor || self.in_run)
            && (inputs.only.is_empty() || inputs.only.iter().any(|id| id == self.id))
    }

    /// A finding of this check, with the check's general reason why it matters.
    pub(super) fn finding(&self, status: Status, found: impl Into<String>, needed: impl Into<String>) -> Finding {
        Finding {
            id: self.id,
            group: self.group,
            title: self.title,
            status,
            found: found.into(),
            needed: needed.into(),
            feature: self.feature,
            why: self.why.to_owned(),
            fix: None,
            link: format!("goflame doctor --explain {}", self.id),
        }
    }

    /// Explains the usual causes of a warning or failure, and what to do.
    pub fn shortcoming(&self) -> String {
        let texts: BTreeMap<String, String> = toml::from_str(SHORTCOMINGS).unwrap_or_default();
        texts.get(self.id).cloned().unwrap_or_default()
    }
}
