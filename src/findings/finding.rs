//! A finding as a value.

use std::fmt;

use serde::{Serialize, Serializer};

/// Something that a profile shows and that its user may want to change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileFinding {
    /// Name for programs. It stays the same in later versions.
    pub id: &'static str,
    /// One sentence with the main figure.
    pub title: String,
    /// Figures of all sources that have some.
    pub evidence: Vec<Fact>,
    /// How far the sources support it.
    pub confidence: Confidence,
    /// The next step, or the place to look at.
    pub advice: String,
    /// Part of the CPU time or of the wall time that it is about, from 0 to 1. Orders findings.
    pub effect: f64,
}

/// The finding as one paragraph.
impl fmt::Display for ProfileFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finding: {} ({}); {}", self.title, self.facts(), self.advice)
    }
}

impl ProfileFinding {
    /// The figures of all sources as text.
    pub fn facts(&self) -> String {
        let facts: Vec<String> = self.evidence.iter().map(|fact| format!("{}: {}", fact.source, fact.text)).collect();
        facts.join("; ")
    }
}

/// A figure of one source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// `samples`, `gctrace`, `schedtrace`, `cgroup`, `pressure`, or `times` for the CPU times that the kernel counts.
    pub source: &'static str,
    /// The figure in words.
    pub text: String,
    /// The figure.
    #[serde(serialize_with = "rounded")]
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// How far the sources support a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Two sources agree.
    High,
    /// One source, with enough samples; or two that differ.
    Medium,
}

impl Fact {
    pub(super) fn new(source: &'static str, value: f64, unit: &'static str, text: String) -> Self {
        Self { source, text, value, unit }
    }
}

/// Writes four decimal places: more would not be known.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 10_000.0).round() / 10_000.0)
}

/// Formats a share of 1 in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
