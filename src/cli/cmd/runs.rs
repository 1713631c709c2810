//! `goflame runs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Project;
use crate::archive::{self, Discrepancy, Partial, PrunePlan, RunEntry, RunId, Store};
use crate::cli::args::RunsCommand;
use crate::cli::failure::Failure;
use crate::cli::output::{Terminal, count_runs, megabytes};
use crate::config::{Config, Overrides};
use crate::pipeline::{Error, Manifest, plan_prune, with_causes};
use crate::process::quote_command;
use crate::profile::format_number;
use crate::render::{columns, sanitize};

pub(in crate::cli) fn runs(
    project: &Project<'_>,
    args: &RunsCommand,
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    let (config, _) = project.settings_or_defaults(&Overrides::default())?;
    let store = match (Store::open_existing(&config.archive.dir), args) {
        (Err(archive::Error::NoStore { .. }), RunsCommand::List { json: true }) => {
            terminal.data(list_json(&[], &[]).as_bytes()).map_err(Failure::Stdout)?;
            return Ok(ExitCode::SUCCESS);
        }
        (store, _) => store.map_err(Error::from)?,
    };
    let text = match args {
        RunsCommand::List { json } => list(&store, *json, terminal).map_err(Error::from)?,
        RunsCommand::Show { run, json } => show(&store, run, *json).map_err(Error::from)?,
        RunsCommand::Verify { run } => return verify(&store, run, terminal),
        RunsCommand::Rm { runs } => return remove(&store, runs, terminal),
        RunsCommand::Prune { keep, plan_only } => {
            let keep = keep.map_or(config.archive.keep, |keep| usize::try_from(keep).unwrap_or(usize::MAX));
            return prune(&config, &store, keep, *plan_only, terminal);
        }
    };
    terminal.data(text.as_bytes()).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, as_json: bool, terminal: &Terminal) -> Result<String, archive::Error> {
    let (entries, partials) = (store.list()?, store.partials()?);
    if as_json {
        return Ok(list_json(&entries, &partials));
    }
    if entries.is_empty() && partials.is_empty() {
        terminal.step("Found", &format!("no runs in {}; `goflame run` creates one", store.dir().display()));
    }
    let now = jiff::Timestamp::now();
    let mut rows = Vec::new();
    for entry in &entries {
        let manifest = entry
            .run
            .as_ref()
            .map_err(reason)
            .and_then(|run| run.manifest::<Manifest>().map_err(|error| ("damaged", with_causes(&error))));
        rows.push(match manifest {
            Ok(manifest) => row(&entry.id, &manifest, now),
            Err((kind, reason)) => unlisted(&entry.id, &kind.replace('_', " "), &reason),
        });
    }
    for partial in &partials {
        let state = if partial.in_progress { "being written" } else { "not completed" };
        rows.push(unlisted(&partial.id, "partial", &format!("{}, {state}", megabytes(partial.size))));
    }
    if !rows.is_empty() {
        let heading = ["RUN", "AGE", "VARIANT", "CPU", "SAMPLES", "RESULT", "HOTTEST", "ARGUMENTS"];
        rows.insert(0, heading.map(str::to_owned));
    }
    Ok(columns::table(&rows, [0; 8]))
}

fn list_json(entries: &[RunEntry], partials: &[Partial]) -> String {
    let run = |entry: &RunEntry| match &entry.run {
        Ok(run) => json!({ "id": entry.id.as_str(), "manifest": run.manifest_json() }),
        Err(error) => {
            let (kind, reason) = reason(error);
            json!({ "id": entry.id.as_str(), kind: reason })
        }
    };
    let partial = |partial: &Partial| {
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

/// Maximum width of names in the list.
const MAX_NAME: usize = 32;

fn row(id: &RunId, manifest: &Manifest, now: jiff::Timestamp) -> [String; 8] {
    let Manifest { workload, quality, .. } = manifest;
    let result = match (workload.exit_code, workload.ending.as_str()) {
        (0, _) => quality.assess().grade.to_string(),
        (_, "own") => workload.status.clone(),
        (_, ending) => ending.to_owned(),
    };
    let name = |text: &str| columns::shorten(&sanitize(text), MAX_NAME).into_owned();
    let created: Option<jiff::Timestamp> = manifest.created.parse().ok();
    [
        id.to_string(),
        created.map_or_else(String::new, |created| age(now.as_second().saturating_sub(created.as_second()))),
        name(&manifest.variant),
        format!("{:.2} s", workload.user_seconds + workload.system_seconds),
        format_number(quality.samples.unwrap_or(0)),
        result,
        name(manifest.hottest.as_deref().unwrap_or_default()),
        name(&quote_command(workload.argv.get(1..).unwrap_or_default())),
    ]
}

/// A row of a run without figures: its state, and more about it.
fn unlisted(id: &RunId, state: &str, about: &str) -> [String; 8] {
    let [none, state, about] = ["", state, about].map(|text| sanitize(text).into_owned());
    [id.to_string(), none.clone(), none.clone(), none.clone(), none.clone(), state, none, about]
}

/// Formats an age with its largest unit.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// Returns the state of a run that cannot be loaded, as a key of `--json`, and the reason.
fn reason(error: &archive::Error) -> (&'static str, String) {
    match error {
        archive::Error::Damaged { source, .. } => ("damaged", with_causes(source)),
        archive::Error::NotReadable { source, .. } => ("not_readable", with_causes(source)),
        error => ("damaged", with_causes(error)),
    }
}

fn remove(store: &Store, queries: &[String], terminal: &Terminal) -> Result<ExitCode, Failure> {
    let partials = store.partials().map_err(Error::from)?;
    // All names are resolved before the first run is removed. `latest` then means the same run throughout, and a wrong
    // name removes nothing.
    let ids: Result<BTreeSet<RunId>, _> = queries.iter().map(|query| store.find_id(query)).collect();
    let mut plan = PrunePlan::default();
    for id in ids.map_err(Error::from)? {
        match partials.iter().find(|partial| partial.id == id) {
            Some(partial) if partial.in_progress => return Err(Error::from(archive::Error::InProgress { id }).into()),
            Some(_) => plan.partials.push(id),
            None => plan.runs.push(id),
        }
    }
    store.prune(&plan).map_err(Error::from)?;
    for id in plan.runs.iter().chain(&plan.partials) {
        terminal.step("Removed", id.as_str());
    }
    Ok(ExitCode::SUCCESS)
}

fn prune(
    config: &Config,
    store: &Store,
    keep: usize,
    plan_only: bool,
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    let pruning = plan_prune(config, store, keep)?;
    let mut text = String::new();
    let or_size = if config.archive.keep_bytes.is_some() { " or than those within keep_bytes" } else { "" };
    for run in &pruning.runs {
        let name = run.manifest_json().pointer("/app/name").and_then(Value::as_str).unwrap_or_default();
        let why = format!("{}, older than the newest {keep}{or_size} of {}", megabytes(run.size()), sanitize(name));
        let _ = writeln!(text, "{}  {why}", run.id());
    }
    for partial in &pruning.partials {
        let _ = writeln!(text, "{}  {}, partial: not completed", partial.id, megabytes(partial.size));
    }
    terminal.data(text.as_bytes()).map_err(Failure::Stdout)?;
    let counts = count_runs(pruning.runs.len(), pruning.partials.len());
    let size = megabytes(pruning.size());
    if plan_only {
        terminal.step("Planned", &format!("to remove {counts}, {size} in all"));
        return Ok(ExitCode::SUCCESS);
    }
    store.prune(&pruning.plan()).map_err(Error::from)?;
    terminal.step("Removed", &format!("{counts}, {size} in all"));
    Ok(ExitCode::SUCCESS)
}

fn show(store: &Store, query: &str, as_json: bool) -> Result<String, archive::Error> {
    let run = store.find(query)?;
    if as_json {
        return Ok(format!("{:#}\n", run.manifest_json()));
    }
    let manifest: Manifest = run.manifest()?;
    let (workload, sampler) = (&manifest.workload, &manifest.sampler);
    let build = manifest.build.as_ref();
    let not_built = || "not by goflame".to_owned();
    let kernel = if sampler.kernel { "user and kernel" } else { "user space only" };
    let user = workload.user.as_ref().map_or_else(String::new, |user| format!(", as {user}"));
    let rows = [
        ("run", run.id().to_string()),
        ("directory", run.dir().display().to_string()),
        ("created", manifest.created.clone()),
        ("app", format!("{} ({} {})", manifest.app.name, manifest.app.kind, manifest.app.package)),
        ("variant", manifest.variant.clone()),
        (
            "built by",
            build.map_or_else(not_built, |build| format!("{} in {:.1} s: {}", build.go, build.seconds, build.command)),
        ),
        (
            "binary",
            build.map_or_else(not_built, |build| {
                format!("{}, {} bytes, sha256 {}", build.file, build.size, build.sha256)
            }),
        ),
        ("workload", format!("{}{user}", crate::process::quote_command(&workload.argv))),
        ("ended", format!("{} ({})", workload.status, workload.ending)),
        (
            "time",
            format!(
                "{:.2} s wall, {:.2} s user, {:.2} s system",
                workload.wall_seconds, workload.user_seconds, workload.system_seconds
            ),
        ),
        ("sampled", format!("{} at {} Hz by {}, {kernel}", sampler.event, sampler.frequency, sampler.engine)),
        ("quality", manifest.quality.summary()),
        ("files", run.files().keys().cloned().collect::<Vec<_>>().join(" ")),
    ];
    let rows = rows.map(|(name, value)| [columns::right(name, 10), sanitize(&value).into_owned()]);
    Ok(columns::table(&rows, [0, 0]))
}

fn verify(store: &Store, query: &str, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let run = store.find(query).map_err(Error::from)?;
    let problems = store.verify(&run).map_err(Error::from)?;
    for problem in &problems {
        terminal.warn(&problem.to_string());
    }
    if problems.is_empty() {
        terminal.step("Verified", &format!("{} files of run {}", run.files().len(), run.id()));
        return Ok(ExitCode::SUCCESS);
    }
    let (run, count) = (run.id().to_string(), problems.len());
    if problems.iter().all(|problem| matches!(problem.problem, Discrepancy::Unreadable(_))) {
        return Err(Failure::Unreadable { run, count });
    }
    Err(Failure::Changed { run, count })
}
