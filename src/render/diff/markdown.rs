//! The differences as Markdown, for a comment on a pull request.

use std::io::{self, Write};

use super::debug_only::{self, DEBUG_ONLY_HEADING};
use super::document::{DiffDocument, format_others, verdict_word};
use crate::profile::format_number;
use crate::render::markdown::{code, escape};
use crate::views::FunctionChange;

/// Writes the result, a table of the changed functions, the gone functions, and the functions that were matched under
/// different names. Lists have at most `rows` entries.
pub(super) fn write(document: &DiffDocument<'_>, rows: usize, out: &mut dyn Write) -> io::Result<()> {
    let values = document.value_format();
    writeln!(out, "### {}\n\n**{}**\n", code(&document.headline()), escape(&document.summary()))?;
    for (side, label) in document.labels.into_iter().enumerate() {
        writeln!(out, "- {label}: {}", code(&document.description(side)))?;
    }
    if let Some(work) = document.work {
        writeln!(out, "- {}", escape(work))?;
    }
    writeln!(out)?;
    let is_clear = |row: &&FunctionChange| row.self_weight.is_clear() || row.cumulative.is_clear();
    let clear: Vec<_> = document.diff.functions.iter().filter(is_clear).collect();
    if !clear.is_empty() {
        let [old, new] = document.labels;
        writeln!(out, "| | function | self {old} | self {new} | change | cum {old} | cum {new} | change |")?;
        writeln!(out, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    }
    for row in clear.iter().take(rows) {
        let shown = if row.self_weight.is_clear() { &row.self_weight } else { &row.cumulative };
        let mut cells = vec![verdict_word(shown).to_owned(), code(&document.function_name(row.function))];
        for change in [&row.self_weight, &row.cumulative] {
            cells.extend(change.values.map(|value| escape(&values.format_value(value))));
            let difference = values.format_difference(change);
            cells.push(if change.is_clear() { format!("**{difference}**") } else { difference });
        }
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    let hidden = clear.len().saturating_sub(rows);
    let others = (document.diff.functions.len() - clear.len() + hidden) as u64;
    let noun = if others == 1 { "other function" } else { "other functions" };
    let changed = match hidden {
        0 => format!("not changed{}", document.beyond_chance_words()),
        hidden => format!("{} of them changed", format_number(hidden as u64)),
    };
    writeln!(out, "\n{} {noun}: {changed}. Figures: {}.", format_number(others), document.explanation())?;
    let debug_only = debug_only::entries(document).into_iter().map(|entry| {
        format!(
            "{} {}: {}",
            code(&document.function_name(entry.function)),
            escape(&entry.shares),
            escape(&entry.reason)
        )
    });
    write_list(out, DEBUG_ONLY_HEADING, &debug_only.collect::<Vec<_>>(), rows)?;
    let gone = document.gone_functions().into_iter().map(|row| {
        format!(
            "{} {}",
            code(&document.function_name(row.function)),
            escape(&values.format_value(row.cumulative.values[0]))
        )
    });
    write_list(out, "Gone, with what they called", &gone.collect::<Vec<_>>(), rows)?;
    let renamed = document.renamed_functions().into_iter().map(|[old, new]| format!("{} → {}", code(&old), code(&new)));
    write_list(out, "Matched under different names", &renamed.collect::<Vec<_>>(), rows)?;
    let notes: Vec<_> = document.notes.iter().map(|note| code(note)).collect();
    write_list(out, "Notes", &notes, usize::MAX)?;
    out.flush()
}

fn write_list(out: &mut dyn Write, title: &str, items: &[String], rows: usize) -> io::Result<()> {
    if !items.is_empty() {
        writeln!(out, "\n{title}:\n")?;
    }
    for item in items.iter().take(rows) {
        writeln!(out, "- {item}")?;
    }
    if items.len() > rows {
        writeln!(out, "- {}", format_others(items.len() - rows))?;
    }
    Ok(())
}
