//! `goflame runs list`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::archive::{self, PartialRun, RunEntry, RunId, Store};
use crate::cli::output::{Terminal, format_megabytes};
use crate::pipeline::{Manifest, describe_with_causes};
use crate::render::{columns, sanitize};

/// Maximum width of names in the list.
const MAX_NAME_COLUMNS: usize = 32;

/// Minimum width to which the name of a function is shortened, so that the row of a run fits on one line.
const MIN_FUNCTION_COLUMNS: usize = 16;

const HEADING: [&str; 10] =
    ["RUN", "TIME (UTC)", "APP", "VARIANT", "COMMIT", "CPU", "TOP FUNCTION", "QUALITY", "SIZE", "TAGS"];

/// Column of the function with the most CPU time.
const FUNCTION_COLUMN: usize = 6;

/// Columns of figures, which are aligned at the right.
const FIGURE_COLUMNS: [usize; 2] = [5, 8];

/// Number of digits of a commit id that are shown.
const COMMIT_DIGITS: usize = 8;

pub(super) fn format_list(store: &Store, as_json: bool, terminal: &Terminal) -> Result<String, archive::Error> {
    let (entries, partials, tags) = (store.list()?, store.partial_runs()?, store.tags()?);
    if as_json {
        return Ok(format_list_json(&entries, &partials, &tags));
    }
    if entries.is_empty() && partials.is_empty() {
        terminal.report_step("Found", &format!("no runs in {}; `goflame run` creates one", store.dir().display()));
        return Ok(String::new());
    }
    let ids: Vec<&RunId> =
        entries.iter().map(|entry| &entry.id).chain(partials.iter().map(|partial| &partial.id)).collect();
    let name = |id: &RunId| id.short_name(&ids, &tags).to_owned();
    let mut rows = vec![(HEADING.map(str::to_owned), None)];
    for entry in &entries {
        let manifest = entry.run.as_ref().map_err(state_and_reason).and_then(|run| {
            run.manifest::<Manifest>()
                .map(|manifest| (run, manifest))
                .map_err(|error| ("damaged", describe_with_causes(&error)))
        });
        let tags = tags_of(&entry.id, &tags).join(" ");
        rows.push(match manifest {
            Ok((run, manifest)) => (complete_row(name(&entry.id), &manifest, run.size(), tags), None),
            Err((kind, reason)) => {
                (incomplete_row(name(&entry.id), &entry.id, &kind.replace('_', " "), String::new(), tags), Some(reason))
            }
        });
    }
    for partial in &partials {
        let state = if partial.in_progress { "being written" } else { "not completed" };
        let size = format_megabytes(partial.size);
        rows.push((incomplete_row(name(&partial.id), &partial.id, state, size, String::new()), None));
    }
    Ok(lay_out_rows(rows, terminal.columns(), terminal.known_columns().is_some()))
}

/// Formats a table of at most `limit` columns. With `shorten`, names of functions are shortened so that a run takes one line.
fn lay_out_rows(rows: Vec<([String; 10], Option<String>)>, limit: usize, shorten: bool) -> String {
    let (mut cells, remarks): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    for column in 0..HEADING.len() {
        // A column without values has no heading: most projects have no tags, and some have no commits.
        if cells.iter().skip(1).all(|row| row[column].is_empty()) {
            cells[0][column].clear();
        }
    }
    for column in FIGURE_COLUMNS {
        let width = columns::max_width(cells.iter().map(|row| &row[column]));
        for row in &mut cells {
            row[column] = columns::align_right(&row[column], width);
        }
    }
    let widths = (0..HEADING.len()).filter(|column| *column != FUNCTION_COLUMN);
    let widths = widths.map(|column| columns::max_width(cells.iter().map(|row| &row[column])));
    let others: usize = widths.filter(|width| *width > 0).map(|width| width + columns::GAP.len()).sum();
    // A row that needs two lines anyway shows the whole name.
    let room = limit.saturating_sub(others);
    if shorten && room >= MIN_FUNCTION_COLUMNS {
        for row in &mut cells {
            row[FUNCTION_COLUMN] = columns::shorten(&row[FUNCTION_COLUMN], room).into_owned();
        }
    }
    let mut text = String::new();
    for (lines, remark) in columns::wrapped_table(&cells, limit).into_iter().zip(remarks) {
        text.push_str(&lines);
        let indent = columns::INDENT;
        for line in
            remark.iter().flat_map(|remark| columns::wrap(&sanitize(remark), limit.saturating_sub(indent.len())))
        {
            let _ = writeln!(text, "{indent}{line}");
        }
    }
    text
}

pub(super) fn tags_of<'t>(id: &RunId, tags: &'t BTreeMap<String, RunId>) -> Vec<&'t str> {
    tags.iter().filter(|(_, tagged)| *tagged == id).map(|(tag, _)| tag.as_str()).collect()
}

pub(super) fn format_list_json(
    entries: &[RunEntry],
    partials: &[PartialRun],
    tags: &BTreeMap<String, RunId>,
) -> String {
    let run = |entry: &RunEntry| {
        let mut run = match &entry.run {
            Ok(run) => json!({ "manifest": run.manifest_json(), "bytes": run.size() }),
            Err(error) => {
                let (kind, reason) = state_and_reason(error);
                json!({ kind: reason })
            }
        };
        run["id"] = entry.id.as_str().into();
        run["tags"] = tags_of(&entry.id, tags).into();
        run
    };
    let partial = |partial: &PartialRun| {
        json!({
            "id": partial.id.as_str(),
            "dir": partial.dir,
            "bytes": partial.size,
            "in_progress": partial.in_progress,
        })
    };
    let runs: Vec<Value> = entries.iter().map(run).collect();
    let partials: Vec<Value> = partials.iter().map(partial).collect();
    format!("{:#}\n", json!({ "schema": 1, "runs": runs, "partials": partials }))
}

fn complete_row(name: String, manifest: &Manifest, size: u64, tags: String) -> [String; 10] {
    let Manifest { workload, quality, .. } = manifest;
    let result = match (workload.exit_code, workload.ending.as_str()) {
        (0, _) => quality.assess().grade.to_string(),
        // goflame stopped the workload at the end of its window, which is not a failure.
        (_, "stopped" | "timed-out") if !workload.failed => quality.assess().grade.to_string(),
        (_, "stopped") => "failed".to_owned(),
        (_, "own") => workload.status.clone(),
        (_, ending) => ending.to_owned(),
    };
    let short = |text: &str| columns::shorten(&sanitize(text), MAX_NAME_COLUMNS).into_owned();
    let created: Option<jiff::Timestamp> = manifest.created.parse().ok();
    [
        name,
        created.map_or_else(String::new, |created| created.strftime("%Y-%m-%d %H:%M").to_string()),
        short(&manifest.app.name),
        short(&manifest.variant),
        sanitize(&manifest.short_commit(COMMIT_DIGITS)).into_owned(),
        format!("{:.2} s", workload.user_seconds + workload.system_seconds),
        short(manifest.hottest.as_deref().unwrap_or_default()),
        short(&result),
        format_megabytes(size),
        tags,
    ]
}

/// Row of a run that cannot be loaded or is not complete: without figures.
fn incomplete_row(name: String, id: &RunId, state: &str, size: String, tags: String) -> [String; 10] {
    let stamp = id.timestamp();
    let time = format!("{}-{}-{} {}:{}", &stamp[..4], &stamp[4..6], &stamp[6..8], &stamp[9..11], &stamp[11..13]);
    let app = columns::shorten(id.name(), MAX_NAME_COLUMNS).into_owned();
    let none = String::new;
    [name, time, app, none(), none(), none(), none(), state.to_owned(), size, tags]
}

/// Returns the state of a run that cannot be loaded, as a key of `--json`, and the reason.
fn state_and_reason(error: &archive::Error) -> (&'static str, String) {
    match error {
        archive::Error::Damaged { source, .. } => ("damaged", describe_with_causes(source)),
        archive::Error::NotReadable { source, .. } => ("not_readable", describe_with_causes(source)),
        error => ("damaged", describe_with_causes(error)),
    }
}
