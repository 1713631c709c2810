//! What a check says, and what all of them together mean.

use serde::Serialize;

use super::check::Check;
use super::fix::Fix;

/// What a check is about; text output is grouped by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// goflame's own settings.
    Settings,
    /// Kernel settings and rights.
    Kernel,
    /// What the sampler can really do.
    Sampling,
    /// The Go toolchain.
    Toolchain,
    /// Docker, where a build in a container is asked for.
    Docker,
    /// The binary that is to be profiled.
    Binary,
    /// What makes measurements scatter.
    Steadiness,
}

impl Group {
    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Kernel => "Kernel and rights",
            Self::Sampling => "Sampling",
            Self::Toolchain => "Toolchain",
            Self::Docker => "Docker",
            Self::Binary => "Binary",
            Self::Steadiness => "Steadiness of measurements",
        }
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As needed.
    Ok,
    /// Worth knowing; nothing to repair.
    Info,
    /// The profile will lack something.
    Warning,
    /// There would be no profile, or a wrong one.
    Failure,
    /// Not judged; `found` says why.
    Skipped,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable kebab-case id.
    pub id: &'static str,
    /// What the check is about.
    pub group: Group,
    /// A title of a few words.
    pub title: &'static str,
    /// The outcome.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What is needed.
    pub needed: String,
    /// The feature that needs it.
    pub feature: &'static str,
    /// Why it matters, in one or two sentences.
    pub why: String,
    /// How to repair it; only on warnings and failures, and only where a command exists.
    pub fix: Option<Fix>,
    /// The page and the heading that explain it, from the root of goflame's repository.
    pub link: String,
}

impl Finding {
    /// A finding of a catalogued check, with the catalogue's reason why it matters.
    pub(super) fn new(check: &Check, status: Status, found: impl Into<String>, needed: impl Into<String>) -> Self {
        Self {
            id: check.id,
            group: check.group,
            title: check.title,
            status,
            found: found.into(),
            needed: needed.into(),
            feature: check.feature,
            why: check.why.to_owned(),
            fix: None,
            link: format!("docs/src/readiness-checks.md#{}", check.id),
        }
    }

    /// Replaces the general reason by one for this case.
    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds the repair, which a finding that is in order does not carry.
    pub(super) fn repaired_by(mut self, fix: impl Into<Option<Fix>>) -> Self {
        if self.is_bad() {
            self.fix = fix.into();
        }
        self
    }

    /// Whether there is something to repair.
    pub fn is_bad(&self) -> bool {
        matches!(self.status, Status::Warning | Status::Failure)
    }
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Go on.
    Ready,
    /// Stop: a failure, or a warning where warnings count.
    NotReady,
}

/// The meaning of all findings. `strict`: warnings count as failures.
pub fn verdict(findings: &[Finding], strict: bool) -> Verdict {
    let stops = |finding: &Finding| match finding.status {
        Status::Failure => true,
        Status::Warning => strict,
        Status::Ok | Status::Info | Status::Skipped => false,
    };
    if findings.iter().any(stops) { Verdict::NotReady } else { Verdict::Ready }
}

/// How many findings have a status.
pub fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

/// One line: `24 readiness checks: 22 ok, 2 warnings`. Outcomes that did not occur are left out.
pub fn summary_line(findings: &[Finding]) -> String {
    let plural = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![format!("{} ok", count(findings, Status::Ok))];
    for (status, noun) in [(Status::Info, "note"), (Status::Warning, "warning"), (Status::Failure, "failure")] {
        match count(findings, status) {
            0 => {}
            number => parts.push(plural(number, noun)),
        }
    }
    match count(findings, Status::Skipped) {
        0 => {}
        number => parts.push(format!("{number} skipped")),
    }
    format!("{}: {}", plural(findings.len(), "readiness check"), parts.join(", "))
}
