//! A finding with its figures, confidence and advice.

use std::fmt;

use serde::{Serialize, Serializer};

/// Something that a profile shows and that its user may want to change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileFinding {
    /// Name for programs. It stays the same in later versions.
    pub id: &'static str,
    /// One sentence with the main figure.
    pub title: String,
    /// The figures behind the finding, each with its source.
    pub evidence: Vec<Fact>,
    /// How far the sources support the finding.
    pub confidence: Confidence,
    /// The next step, or the place to look at.
    pub advice: String,
    /// Size of the problem, from 0 to 1, by which findings are sorted: the part of the CPU time, of the wall time or of
    /// the processors that the finding concerns. A fixed value for `run-queue`.
    pub effect: f64,
}

/// The finding as one paragraph.
impl fmt::Display for ProfileFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finding: {} ({}); {}", self.title, self.evidence_text(), self.advice)
    }
}

impl ProfileFinding {
    /// The evidence as one line of text.
    pub fn evidence_text(&self) -> String {
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
    #[serde(serialize_with = "serialize_rounded")]
    pub value: f64,
    /// Unit of the figure.
    pub unit: &'static str,
}

/// How far the sources support a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Two sources agree, or the kernel itself counted the problem.
    High,
    /// Only one source, or two sources that differ.
    Medium,
}

impl Fact {
    pub(super) fn new(source: &'static str, value: f64, unit: &'static str, text: String) -> Self {
        Self { source, text, value, unit }
    }
}

/// Rounds to four decimal places. Figures are not more exact than that.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn serialize_rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 10_000.0).round() / 10_000.0)
}

/// Formats a share from 0 to 1 in percent.
pub(super) fn format_percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
