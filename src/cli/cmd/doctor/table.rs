//! Findings as text for people, in groups. A finding that is in order takes one line, any other a paragraph. All
//! repairs follow below, ready to paste. Every line except a command fits the width.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects, Style};

use super::fix::goflame;
use crate::doctor::{RepairPlan, Status, summary_line};
use crate::pipeline::Checkup;
use crate::render::columns::{self, left, widest};
use crate::render::sanitize;

/// Column of the ids, after the status.
const INDENT: usize = 11;
/// Minimum width of the table in columns. A narrower table is unreadable.
const MIN_COLUMNS: usize = 40;

const BOLD: Style = Style::new().effects(Effects::BOLD);
const DIM: Style = Style::new().effects(Effects::DIMMED);

pub(super) fn table(checkup: &Checkup, ready: bool, columns: usize, color: bool) -> String {
    let Checkup { findings, plan } = checkup;
    let columns = columns.max(MIN_COLUMNS);
    let paint = |style: Style| if color { style } else { Style::new() };
    let ids = widest(findings.iter().map(|finding| finding.id));
    let mut text = String::new();
    let mut group = None;
    // Writing to a string cannot fail.
    for finding in findings {
        if group != Some(finding.group) {
            let (bold, gap) = (paint(BOLD), if group.is_some() { "\n" } else { "" });
            let _ = writeln!(text, "{gap}{bold}{}{bold:#}", finding.group.title());
            group = Some(finding.group);
        }
        let (word, style) = status_label(finding.status);
        let style = paint(style);
        let mut found = wrapped(&finding.found, columns.saturating_sub(INDENT + ids + 2)).into_iter();
        let first = found.next().unwrap_or_default();
        let _ = writeln!(text, "  {style}{word:<7}{style:#}  {}  {first}", left(finding.id, ids));
        for line in found {
            let _ = writeln!(text, "{:indent$}{line}", "", indent = INDENT + ids + 2);
        }
        if finding.is_bad() {
            let needed = format!("needed: {}, for {}", finding.needed, finding.feature);
            for line in wrapped(&needed, columns - INDENT).into_iter().chain(wrapped(&finding.why, columns - INDENT)) {
                let dim = paint(DIM);
                let _ = writeln!(text, "{:INDENT$}{dim}{line}{dim:#}", "");
            }
        }
    }
    text.push_str(&repairs(plan, paint(BOLD), paint(DIM)));
    let (word, color) = if ready { ("Ready", AnsiColor::Green) } else { ("Not ready", AnsiColor::Red) };
    let style = paint(color.on_default().effects(Effects::BOLD));
    let _ = writeln!(text, "\n{style}{word}{style:#}: {}", summary_line(findings));
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
        let ids = plan.ids_of(change.setting).join(", ");
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
