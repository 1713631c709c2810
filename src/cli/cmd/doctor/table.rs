//! Findings as text for people. The verdict is first. A group takes one line, and a finding with something to repair a
//! paragraph. All repairs follow below, ready to paste. Every line except a command fits the width.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects, Style};

use super::fix::goflame;
use crate::doctor::{Finding, RepairPlan, Status, count_statuses, summary_line};
use crate::pipeline::Checkup;
use crate::render::columns::{self, align_left, max_width};
use crate::render::sanitize;

/// Column of the ids, after the status.
const INDENT: usize = 11;
/// Minimum width of the table in columns. A narrower table is unreadable.
const MIN_COLUMNS: usize = 40;

const BOLD: Style = Style::new().effects(Effects::BOLD);
const DIM: Style = Style::new().effects(Effects::DIMMED);

/// The result of all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ready,
    NotReady,
    /// Every selected check was skipped, so nothing is known.
    NothingChecked,
}

/// How much the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// One line for each group, and the checks that have something to repair.
    Groups,
    /// Every check.
    Checks,
}

/// Formats the verdict, the findings and the repairs.
pub(super) fn table(checkup: &Checkup, verdict: Verdict, detail: Detail, columns: usize, has_color: bool) -> String {
    let Checkup { findings, plan } = checkup;
    let columns = columns.max(MIN_COLUMNS);
    let paint = |style: Style| if has_color { style } else { Style::new() };
    let is_shown = |finding: &&Finding| detail == Detail::Checks || finding.is_bad();
    let ids = max_width(findings.iter().filter(is_shown).map(|finding| finding.id));
    let (word, color) = match verdict {
        Verdict::Ready => ("Ready", AnsiColor::Green),
        Verdict::NotReady => ("Not ready", AnsiColor::Red),
        Verdict::NothingChecked => ("Nothing checked", AnsiColor::Yellow),
    };
    let style = paint(color.on_default().effects(Effects::BOLD));
    let summary = wrapped(&summary_line(findings), columns - word.len() - 2).join("\n  ");
    let mut text = format!("{style}{word}{style:#}: {summary}\n");
    // Writing to a string cannot fail.
    for group in findings.chunk_by(|a, b| a.group == b.group) {
        let bold = paint(BOLD);
        let title = group.first().map_or("", |finding| finding.group.title());
        let _ = match detail {
            Detail::Groups => writeln!(text, "{bold}{title}{bold:#}: {}", count_statuses(group)),
            Detail::Checks => writeln!(text, "\n{bold}{title}{bold:#}"),
        };
        for finding in group.iter().filter(is_shown) {
            let (word, style) = status_label(finding.status);
            let style = paint(style);
            let mut found = wrapped(&finding.found, columns.saturating_sub(INDENT + ids + 2)).into_iter();
            let first = found.next().unwrap_or_default();
            let _ = writeln!(text, "  {style}{word:<7}{style:#}  {}  {first}", align_left(finding.id, ids));
            for line in found {
                let _ = writeln!(text, "{:indent$}{line}", "", indent = INDENT + ids + 2);
            }
            if finding.is_bad() {
                let needed = format!("needed: {}, for {}", finding.needed, finding.feature);
                let needed = wrapped(&needed, columns - INDENT);
                for line in needed.into_iter().chain(wrapped(&finding.why, columns - INDENT)) {
                    let dim = paint(DIM);
                    let _ = writeln!(text, "{:INDENT$}{dim}{line}{dim:#}", "");
                }
            }
        }
    }
    text.push_str(&repairs(plan, paint(BOLD), paint(DIM)));
    if detail == Detail::Groups {
        let dim = paint(DIM);
        let _ = writeln!(text, "\n{dim}`goflame doctor -v` shows every check, `--explain ID` explains one{dim:#}");
    }
    text
}

/// Formats the commands, each with the checks that it repairs.
fn repairs(plan: &RepairPlan, bold: Style, dim: Style) -> String {
    let mut text = String::new();
    let mut command = |ids: &str, line: &str, remark: &str| {
        let _ = writeln!(text, "  {dim}# {ids}{remark}{dim:#}\n  {line}");
    };
    let sudo = if plan.sudo { "sudo " } else { "" };
    for change in &plan.changes {
        let ids = plan.check_ids(change.setting).join(", ");
        command(&ids, &format!("{sudo}sysctl -w {}={}", change.setting.name(), change.after), "");
    }
    for by_hand in &plan.by_hand {
        let mut remark = if by_hand.on_host { " (on the host of this container)".to_owned() } else { String::new() };
        if let Some(why) = &by_hand.why {
            let _ = write!(remark, "; {}", sanitize(why));
        }
        command(&by_hand.ids.join(", "), &by_hand.command, &remark);
    }
    if !plan.is_empty() {
        let goflame = goflame(plan.sudo);
        command("all kernel settings at once, also after a reboot", &format!("{goflame} doctor --fix --persist"), "");
    }
    if text.is_empty() { text } else { format!("\n{bold}To repair{bold:#}\n{text}") }
}

fn status_label(status: Status) -> (&'static str, Style) {
    match status {
        Status::Ok => ("ok", AnsiColor::Green.on_default()),
        Status::Info => ("note", AnsiColor::Cyan.on_default()),
        Status::Warning => ("warning", AnsiColor::Yellow.on_default().effects(Effects::BOLD)),
        Status::Failure => ("failure", AnsiColor::Red.on_default().effects(Effects::BOLD)),
        Status::Skipped => ("skipped", DIM),
    }
}

/// Wraps a text into lines. Lines of less than 16 columns are unreadable.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    columns::wrap(&sanitize(text), width.max(16))
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn escapes_of_findings_are_not_passed_on() {
        assert_eq!(wrapped("\u{1b}[31mred", 16), ["\u{fffd}[31mred"]);
    }
}
