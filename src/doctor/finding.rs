//! What a check says, and what all of them together mean.

use serde::Serialize;

use super::catalogue::CheckDoc;

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
    /// The binary that is to be profiled.
    Binary,
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

/// How to repair what a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// A shell command for now.
    pub now: String,
    /// The line for a file in `/etc/sysctl.d/` that keeps it after a reboot; `None` where `now` lasts or nothing does.
    pub persist: Option<String>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable kebab-case id.
    pub id: &'static str,
    /// What the check is about.
    pub group: Group,
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
}

impl Finding {
    /// A finding of a catalogued check, with the catalogue's reason why it matters.
    pub(super) fn new(doc: &CheckDoc, status: Status, found: impl Into<String>, needed: impl Into<String>) -> Self {
        Self {
            id: doc.id,
            group: doc.group,
            status,
            found: found.into(),
            needed: needed.into(),
            feature: doc.feature,
            why: doc.why.to_owned(),
            fix: None,
        }
    }

    /// Replaces the general reason by one for this case.
    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds the repair, which a finding that is in order does not carry.
    pub(super) fn repaired_by(mut self, fix: Option<Fix>) -> Self {
        if matches!(self.status, Status::Warning | Status::Failure) {
            self.fix = fix;
        }
        self
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

/// One line: `24 readiness checks: 22 ok, 2 warnings`. Outcomes that did not occur are left out.
pub fn summary_line(findings: &[Finding]) -> String {
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let plural = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![format!("{} ok", count(Status::Ok))];
    for (status, noun) in [(Status::Info, "note"), (Status::Warning, "warning"), (Status::Failure, "failure")] {
        if count(status) > 0 {
            parts.push(plural(count(status), noun));
        }
    }
    if count(Status::Skipped) > 0 {
        parts.push(format!("{} skipped", count(Status::Skipped)));
    }
    format!("{}: {}", plural(findings.len(), "readiness check"), parts.join(", "))
}
