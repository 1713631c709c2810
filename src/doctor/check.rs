//! A readiness check as data.

use super::finding::{Finding, Group, Status};
use super::inputs::Inputs;

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
            link: format!("docs/src/readiness-checks.md#{}", self.id),
        }
    }
}
