//! `goflame runs`.

mod list;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use self::list::{format_list, format_list_json, tags_of};
use super::Project;
use crate::archive::{self, Discrepancy, PrunePlan, RunId, Store};
use crate::cli::failure::Failure;
use crate::cli::output::{Terminal, format_megabytes, format_run_counts};
use crate::cli::runs_args::RunsCommand;
use crate::config::{Config, Overrides};
use crate::pipeline::{Error, ExportOptions, Manifest, plan_prune};
use crate::process::quote_command;
use crate::render::{columns, sanitize};

pub(in crate::cli) fn runs(
    project: &Project<'_>,
    args: &RunsCommand,
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    let (config, _) = project.load_settings_or_defaults(&Overrides::default())?;
    let store = match (Store::open_existing(&config.archive.dir), args) {
        (Err(archive::Error::NoStore { .. }), RunsCommand::Import { file }) => {
            return share::import(&config, &project.resolve_path(file), terminal);
        }
        (Err(archive::Error::NoStore { .. }), RunsCommand::List { json: true }) => {
            terminal.write_data(format_list_json(&[], &[], &BTreeMap::new()).as_bytes()).map_err(Failure::Stdout)?;
            return Ok(ExitCode::SUCCESS);
        }
        (store, _) => store.map_err(Error::from)?,
    };
    let text = match args {
        RunsCommand::List { json } => format_list(&store, *json, terminal).map_err(Error::from)?,
        RunsCommand::Show { run, json } => format_run(&store, run, *json).map_err(Error::from)?,
        RunsCommand::Tag { run, name } => return tag(&store, run, name, terminal),
        RunsCommand::Untag { names } => return untag(&store, names, terminal),
        RunsCommand::Verify { run } => return verify(&store, run, terminal),
        RunsCommand::Export { run, output, with_binary, all } => {
            let options = ExportOptions { with_binary: *with_binary, with_all_files: *all };
            let run = store.find(run).map_err(Error::from)?;
            let output = output.clone().unwrap_or_else(|| format!("{}.tar.zst", run.id()).into());
            return share::export(&config, &store, &run, &project.resolve_path(output), options, terminal);
        }
        RunsCommand::Import { file } => return share::import(&config, &project.resolve_path(file), terminal),
        RunsCommand::Index { open } => return share::index(&store, *open, terminal),
        RunsCommand::Rm { runs } => return remove(&store, runs, terminal),
        RunsCommand::Prune { keep, plan_only } => {
            let keep = keep.map_or(config.archive.keep, |keep| usize::try_from(keep).unwrap_or(usize::MAX));
            return prune(&config, &store, keep, *plan_only, terminal);
        }
    };
    terminal.write_data(text.as_bytes()).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn tag(store: &Store, query: &str, name: &str, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let run = store.find(query).map_err(Error::from)?;
    let before = store.tag(run.id(), name).map_err(Error::from)?;
    let before = before.map_or_else(String::new, |before| format!("; before, it was {before}"));
    terminal.report_step("Tagged", &format!("{} as {name}{before}; tagged runs are never pruned", run.id()));
    Ok(ExitCode::SUCCESS)
}

fn untag(store: &Store, names: &[String], terminal: &Terminal) -> Result<ExitCode, Failure> {
    for name in names {
        let id = store.untag(name).map_err(Error::from)?;
        terminal.report_step("Untagged", &format!("{id}, which was {name}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(store: &Store, queries: &[String], terminal: &Terminal) -> Result<ExitCode, Failure> {
    let partials = store.partial_runs().map_err(Error::from)?;
    // All names are resolved before the first run is removed. `latest` then means the same run throughout, and a wrong
    // name removes nothing.
    let ids: Result<BTreeSet<RunId>, _> = queries.iter().map(|query| store.find_id(query)).collect();
    let mut plan = PrunePlan::default();
    for id in ids.map_err(Error::from)? {
        match partials.iter().find(|partial| partial.id == id) {
            Some(partial) if partial.in_progress => return Err(Error::from(archive::Error::InProgress { id }).into()),
            Some(_) => plan.partial_runs.push(id),
            None => plan.runs.push(id),
        }
    }
    for (tag, id) in store.tags().map_err(Error::from)? {
        if plan.runs.contains(&id) {
            store.untag(&tag).map_err(Error::from)?;
            terminal.report_step("Untagged", &format!("{id}, which was {tag}"));
        }
    }
    store.prune(&plan).map_err(Error::from)?;
    for id in plan.runs.iter().chain(&plan.partial_runs) {
        terminal.report_step("Removed", id.as_str());
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
        let why =
            format!("{}, older than the newest {keep}{or_size} of {}", format_megabytes(run.size()), sanitize(name));
        let _ = writeln!(text, "{}  {why}", run.id());
    }
    for partial in &pruning.partials {
        let _ = writeln!(text, "{}  {}, partial: not completed", partial.id, format_megabytes(partial.size));
    }
    terminal.write_data(text.as_bytes()).map_err(Failure::Stdout)?;
    let tagged = store.tags().map_err(Error::from)?.into_values().collect::<BTreeSet<_>>().len();
    if tagged > 0 {
        let runs = if tagged == 1 { "1 tagged run".to_owned() } else { format!("{tagged} tagged runs") };
        terminal.report_step("Keeping", &format!("{runs}: `goflame runs untag` lets them go"));
    }
    let counts = format_run_counts(pruning.runs.len(), pruning.partials.len());
    let size = format_megabytes(pruning.size());
    if plan_only {
        terminal.report_step("Planned", &format!("to remove {counts}, {size} in all"));
        return Ok(ExitCode::SUCCESS);
    }
    store.prune(&pruning.plan()).map_err(Error::from)?;
    terminal.report_step("Removed", &format!("{counts}, {size} in all"));
    Ok(ExitCode::SUCCESS)
}

fn format_run(store: &Store, query: &str, as_json: bool) -> Result<String, archive::Error> {
    let run = store.find(query)?;
    if as_json {
        return Ok(format!("{:#}\n", run.manifest_json()));
    }
    let manifest: Manifest = run.manifest()?;
    let tags = store.tags()?;
    let (workload, sampler) = (&manifest.workload, &manifest.sampler);
    let build = manifest.build.as_ref();
    let not_built = || "not by goflame".to_owned();
    let kernel = if sampler.kernel { "user and kernel" } else { "user space only" };
    let user = workload.user.as_ref().map_or_else(String::new, |user| format!(", as {user}"));
    let rows = [
        ("run", run.id().to_string()),
        ("tags", tags_of(run.id(), &tags).join(" ")),
        ("directory", run.dir().display().to_string()),
        ("created", manifest.created.clone()),
        ("app", format!("{} ({} {})", manifest.app.name, manifest.app.kind, manifest.app.package)),
        ("variant", manifest.variant.clone()),
        ("commit", manifest.short_commit(usize::MAX).replace('*', ", with uncommitted changes")),
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
        ("workload", format!("{}{user}", quote_command(&workload.argv))),
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
        ("size", format_megabytes(run.size())),
        ("files", run.files().keys().cloned().collect::<Vec<_>>().join(" ")),
        ("left out", manifest.left_out.iter().map(|left| left.file.as_str()).collect::<Vec<_>>().join(" ")),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let rows = rows.map(|(name, value)| [columns::align_right(name, 10), sanitize(&value).into_owned()]);
    Ok(columns::table(&rows.collect::<Vec<_>>(), [0, 0]))
}

fn verify(store: &Store, query: &str, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let run = store.find(query).map_err(Error::from)?;
    let problems = store.verify(&run).map_err(Error::from)?;
    for problem in &problems {
        terminal.warn(&problem.to_string());
    }
    if problems.is_empty() {
        terminal.report_step("Verified", &format!("{} files of run {}", run.files().len(), run.id()));
        return Ok(ExitCode::SUCCESS);
    }
    let (run, count) = (run.id().to_string(), problems.len());
    if problems.iter().all(|problem| matches!(problem.problem, Discrepancy::Unreadable(_))) {
        return Err(Failure::Unreadable { run, count });
    }
    Err(Failure::Changed { run, count })
}
