//! Findings as text for people. The verdict is first. Each group has one line. Each finding that can be repaired has a
//! paragraph. All repairs follow, ready to paste. Every line except a command fits the width.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects, Style};

use super::fix::goflame_command;
use crate::doctor::{Finding, RepairPlan, Status, status_summary, summary_line};
use crate::pipeline::Checkup;
use crate::render::columns::{self, align_left, max_width};
use crate::render::sanitize;

/// Column of the ids, after the status.
const ID_COLUMN: usize = 11;
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
pub(super) fn format_table(
    checkup: &Checkup,
    verdict: Verdict,
    detail: Detail,
    columns: usize,
    has_color: bool,
) -> String {
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
    let summary = wrap_text(&summary_line(findings), columns - word.len() - 2).join("\n  ");
    let mut text = format!("{style}{word}{style:#}: {summary}\n");
    // Writing to a string cannot fail.
    for group in findings.chunk_by(|a, b| a.group == b.group) {
        let bold = paint(BOLD);
        let title = group.first().map_or("", |finding| finding.group.title());
        let _ = match detail {
            Detail::Groups => writeln!(text, "{bold}{title}{bold:#}: {}", status_summary(group)),
            Detail::Checks => writeln!(text, "\n{bold}{title}{bold:#}"),
        };
        for finding in group.iter().filter(is_shown) {
            let (word, style) = status_label(finding.status);
            let style = paint(style);
            let mut found = wrap_text(&finding.found, columns.saturating_sub(ID_COLUMN + ids + 2)).into_iter();
            let first = found.next().unwrap_or_default();
            let _ = writeln!(text, "  {style}{word:<7}{style:#}  {}  {first}", align_left(finding.id, ids));
            for line in found {
                let _ = writeln!(text, "{:indent$}{line}", "", indent = ID_COLUMN + ids + 2);
            }
            if finding.is_bad() {
                let needed = format!("needed: {}, for {}", finding.needed, finding.feature);
                let needed = wrap_text(&needed, columns - ID_COLUMN);
                for line in needed.into_iter().chain(wrap_text(&finding.why, columns - ID_COLUMN)) {
                    let dim = paint(DIM);
                    let _ = writeln!(text, "{:ID_COLUMN$}{dim}{line}{dim:#}", "");
                }
            }
        }
    }
    text.push_str(&format_repairs(plan, paint(BOLD), paint(DIM)));
    if detail == Detail::Groups {
        let dim = paint(DIM);
        let _ = writeln!(text, "\n{dim}`goflame doctor -v` shows every check, `--explain ID` explains one{dim:#}");
    }
    text
}

/// Formats the commands, each with the checks that it repairs.
fn format_repairs(plan: &RepairPlan, bold: Style, dim: Style) -> String {
    let mut text = String::new();
    let mut command = |ids: &str, line: &str, remark: &str| {
        let _ = writeln!(text, "  {dim}# {ids}{remark}{dim:#}\n  {line}");
    };
    let sudo = if plan.needs_sudo { "sudo " } else { "" };
    for change in &plan.changes {
        let ids = plan.check_ids(change.setting).join(", ");
        command(&ids, &format!("{sudo}sysctl -w {}={}", change.setting.name(), change.after), "");
    }
    for by_hand in &plan.manual_repairs {
        let mut remark = if by_hand.on_host { " (on the host of this container)".to_owned() } else { String::new() };
        if let Some(why) = &by_hand.why {
            let _ = write!(remark, "; {}", sanitize(why));
        }
        command(&by_hand.ids.join(", "), &by_hand.command, &remark);
    }
    if !plan.changes_nothing() {
        let goflame = goflame_command(plan.needs_sudo);
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
fn wrap_text(text: &str, width: usize) -> Vec<String> {
    columns::wrap(&sanitize(text), width.max(16))
}

#[cfg(test)]
mod tests {
    use super::wrap_text;

    #[test]
    fn escapes_of_findings_are_not_passed_on() {
        assert_eq!(wrap_text("\u{1b}[31mred", 16), ["\u{fffd}[31mred"]);
    }
}
