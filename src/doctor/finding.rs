//! The result of a check, and summaries of all results.

use clap::ValueEnum;
use serde::Serialize;

use super::fix::Fix;

/// Subject of a check. Text output is grouped by subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// goflame's settings.
    Settings,
    /// Kernel settings and privileges.
    Kernel,
    /// Abilities of the sampler on this machine.
    Sampling,
    /// The Go toolchain.
    Toolchain,
    /// Docker, if the project builds in a container.
    Docker,
    /// The binary to profile.
    Binary,
    /// Causes of different run times of the same program.
    Steadiness,
}

impl Group {
    /// The heading in text output.
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
    /// Nothing to repair.
    Ok,
    /// Useful to know, but nothing to repair.
    Info,
    /// The profile will be incomplete or less comparable.
    Warning,
    /// There would be no profile, or a wrong profile.
    Failure,
    /// Not judged. `found` says why.
    Skipped,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the check, in kebab case. Ids do not change between versions of goflame.
    pub id: &'static str,
    /// Subject of the check.
    pub group: Group,
    /// A title of a few words.
    pub title: &'static str,
    /// Whether there is a problem, and how serious it is.
    pub status: Status,
    /// The state that was found.
    pub found: String,
    /// The state that is needed.
    pub needed: String,
    /// The feature of goflame or of other tools that the check is about.
    pub feature: &'static str,
    /// Why the finding matters, in one or two sentences.
    pub why: String,
    /// The repair. Present only for warnings and failures that a command can repair.
    pub fix: Option<Fix>,
    /// The command that explains the check.
    pub link: String,
}

impl Finding {
    /// Replaces the check's general reason with a specific reason.
    pub(super) fn with_reason(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds a repair, if there is something to repair.
    pub(super) fn with_fix(mut self, fix: impl Into<Option<Fix>>) -> Self {
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

/// Which warnings count as failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Strictness {
    /// Whether warnings of all groups except steadiness count as failures.
    pub fails_on_warnings: bool,
    /// Whether warnings of steadiness count as failures. They concern only comparisons between runs.
    pub fails_on_unsteadiness: bool,
}

impl Strictness {
    /// Whether the finding prevents a run.
    pub fn counts_as_failure(self, finding: &Finding) -> bool {
        match (finding.status, finding.group) {
            (Status::Failure, _) => true,
            (Status::Warning, Group::Steadiness) => self.fails_on_unsteadiness,
            (Status::Warning, _) => self.fails_on_warnings,
            (Status::Ok | Status::Info | Status::Skipped, _) => false,
        }
    }
}

/// Whether a profile can be recorded.
pub fn is_ready(findings: &[Finding], strictness: Strictness) -> bool {
    !findings.iter().any(|finding| strictness.counts_as_failure(finding))
}

/// Number of findings with a status.
pub fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

/// A summary such as `24 readiness checks: 22 ok, 2 warnings`.
pub fn summary_line(findings: &[Finding]) -> String {
    format!("{}: {}", format_count(findings.len(), "readiness check"), status_summary(findings))
}

/// Counts the findings by status, in a text such as `22 ok, 2 warnings`. Statuses other than `ok` that do not occur are
/// left out.
pub fn status_summary(findings: &[Finding]) -> String {
    let mut parts = vec![format!("{} ok", count(findings, Status::Ok))];
    for (status, noun) in [(Status::Info, "note"), (Status::Warning, "warning"), (Status::Failure, "failure")] {
        match count(findings, status) {
            0 => {}
            number => parts.push(format_count(number, noun)),
        }
    }
    match count(findings, Status::Skipped) {
        0 => {}
        number => parts.push(format!("{number} skipped")),
    }
    parts.join(", ")
}

fn format_count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
