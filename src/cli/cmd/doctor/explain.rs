//! `--explain`: what one check is for, and what to do when it fails or warns.

use std::fmt::Write as _;

use crate::doctor::Check;
use crate::render::columns::wrap;

/// Column at which the texts begin, after their headings.
const TEXT_COLUMN: usize = 23;

pub(super) fn explanation(check: &Check, columns: usize) -> String {
    let mut text = format!("{}: {}\n", check.id, check.title);
    let made_by = if check.is_in_run { "goflame doctor, goflame run" } else { "goflame doctor" };
    for (heading, content) in [
        ("Group", check.group.title()),
        ("Needed for", check.feature),
        ("Made by", made_by),
        ("Why", check.why_it_matters),
        ("When it falls short", &check.shortcoming()),
    ] {
        for (index, line) in wrap(content, columns.saturating_sub(TEXT_COLUMN).max(30)).iter().enumerate() {
            let heading = if index == 0 { heading } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {heading:<width$}{line}", width = TEXT_COLUMN - 2);
        }
    }
    text
}
