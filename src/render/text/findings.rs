//! Findings as text.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::report::{Layout, MIN_COLUMNS};
use super::style::Styles;
use crate::findings::ProfileFinding;
use crate::render::{columns, name};

/// Maximum number of shown findings. `summary.json` has all.
const MAX_FINDINGS: usize = 3;

/// Writes the findings with the largest effect. Without findings, writes nothing.
pub fn write_findings(findings: &[ProfileFinding], layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let styles = Styles::new(layout.has_color);
    let mut text = format!("\n{}\n", styles.bold("Findings"));
    for finding in findings.iter().take(MAX_FINDINGS) {
        let (title, facts, advice) = (&finding.title, finding.evidence_text(), &finding.advice);
        for (first, paragraph) in [("- ", title), ("  ", &facts), ("  → ", advice)] {
            let (mut indent, indented) = (first.to_owned(), columns::width(first));
            for line in columns::wrap(&name::clean_name(paragraph), layout.columns.max(MIN_COLUMNS) - indented) {
                let line = if first == "  " { styles.dim(&line) } else { line };
                let _ = writeln!(text, "{indent}{line}");
                indent = " ".repeat(indented);
            }
        }
    }
    let hidden = findings.len().saturating_sub(MAX_FINDINGS);
    if hidden > 0 {
        let _ = writeln!(text, "{}", styles.dim(&format!("{hidden} more in summary.json")));
    }
    out.write_all(text.as_bytes())
}
