//! A readiness check as data.

use std::collections::BTreeMap;

use super::finding::{Finding, Group, Status};
use super::inputs::{Inputs, Purpose};

/// For each check id, the text that explains its warnings and failures.
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
    /// The feature of goflame or of other tools that the check is about.
    pub feature: &'static str,
    /// Why the check matters.
    pub why: &'static str,
    /// Whether `goflame run` makes the check, because a profile can be incomplete or fail otherwise.
    pub in_run: bool,
    pub(super) judge: Judge,
}

/// The function that judges the inputs.
#[derive(Debug)]
pub(super) enum Judge {
    /// Judges the machine. There is always a finding.
    Always(fn(&'static Check, &Inputs) -> Finding),
    /// Judges an optional input. Without this input, there is no finding.
    Optional(fn(&'static Check, &Inputs) -> Option<Finding>),
}

impl Check {
    /// Makes the check. `None` without the check's input. A check that the user ignores has the status skipped, but
    /// still reports what it found.
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

    /// Whether the check belongs to the command and to the checks that the user selected.
    pub(super) fn is_requested(&self, inputs: &Inputs) -> bool {
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
