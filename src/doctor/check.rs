//! A readiness check as data.

use std::collections::BTreeMap;

use super::finding::{Finding, Group, Status};
use super::inputs::{Inputs, Purpose};

/// For each check id, the text that explains its warnings and failures.
const SHORTCOMINGS: &str = include_str!("../../docs/checks.toml");

/// A readiness check.
#[derive(Debug)]
pub struct Check {
    /// Id of the check, in kebab case. Ids do not change between versions of goflame.
    pub id: &'static str,
    /// Subject of the check.
    pub group: Group,
    /// A title of a few words.
    pub title: &'static str,
    /// The feature of goflame or of other tools that the check is about.
    pub feature: &'static str,
    /// Why the check matters.
    pub why_it_matters: &'static str,
    /// Whether `goflame run` performs the check too. It performs the checks that find causes of a failed or incomplete
    /// profile.
    pub is_in_run: bool,
    pub(super) judge: Judge,
}

/// The function that performs the check.
#[derive(Debug)]
pub(super) enum Judge {
    /// Judges the machine, and always has a finding.
    Always(fn(&'static Check, &Inputs) -> Finding),
    /// Judges an optional input, and has no finding if this input is missing.
    Optional(fn(&'static Check, &Inputs) -> Option<Finding>),
}

impl Check {
    /// Performs the check. `None` without the check's input. A check that the user ignores has the status skipped, but
    /// still reports what it found.
    pub(super) fn judge(&'static self, inputs: &Inputs) -> Option<Finding> {
        let mut finding = match self.judge {
            Judge::Always(judge) => judge(self, inputs),
            Judge::Optional(judge) => judge(self, inputs)?,
        };
        if inputs.ignored_ids.iter().any(|id| id == self.id) {
            finding.status = Status::Skipped;
            finding.found.push_str(" (ignored on request)");
            finding.fix = None;
        }
        Some(finding)
    }

    /// Whether the check belongs to the command and to the checks that the user selected.
    pub(super) fn is_requested(&self, inputs: &Inputs) -> bool {
        (inputs.purpose == Purpose::Doctor || self.is_in_run)
            && (inputs.selected_ids.is_empty() || inputs.selected_ids.iter().any(|id| id == self.id))
    }

    /// Makes a finding of this check. The finding says why it matters with the check's general reason.
    pub(super) fn finding(&self, status: Status, found: impl Into<String>, needed: impl Into<String>) -> Finding {
        Finding {
            id: self.id,
            group: self.group,
            title: self.title,
            status,
            found: found.into(),
            needed: needed.into(),
            feature: self.feature,
            why: self.why_it_matters.to_owned(),
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
