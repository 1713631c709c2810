//! `goflame runs`.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::Project;
use crate::archive::{self, Store};
use crate::cli::args::Runs;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::pipeline::{Error, Manifest, Observer};
use crate::render::sanitize;

pub(in crate::cli) fn runs(project: &Project<'_>, args: &Runs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let store = Store::open_existing(&project.archive()?, None).map_err(Error::from)?;
    let text = match args {
        Runs::List { json } => list(&store, *json, terminal).map_err(Error::from)?,
        Runs::Show { run, json } => show(&store, run, *json).map_err(Error::from)?,
        Runs::Verify { run } => return verify(&store, run, terminal),
    };
    terminal.data(text.as_bytes()).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, as_json: bool, terminal: &Terminal) -> Result<String, archive::Error> {
    let entries = store.list()?;
    if as_json {
        let values: Vec<_> = entries
            .iter()
            .map(|entry| match &entry.run {
                Ok(run) => json!({ "id": entry.id.as_str(), "manifest": run.manifest_json() }),
                Err(damage) => json!({ "id": entry.id.as_str(), "damaged": damage.to_string() }),
            })
            .collect();
        return Ok(format!("{:#}\n", json!({ "schema": 1, "runs": values })));
    }
    if entries.is_empty() {
        terminal.step("Found", &format!("no runs in {}; `goflame run` makes one", store.dir().display()));
    }
    let width = entries.iter().map(|entry| entry.id.as_str().len()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in &entries {
        let manifest = match &entry.run {
            Ok(run) => run.manifest::<Manifest>().map_err(|error| error.to_string()),
            Err(damage) => Err(damage.to_string()),
        };
        let about = match manifest {
            Ok(manifest) => format!(
                "{:<8} {:>7.1} s {:>9} samples  {}",
                manifest.variant,
                manifest.workload.wall_seconds,
                manifest.quality.samples.unwrap_or(0),
                manifest.workload.status,
            ),
            Err(damage) => format!("damaged: {damage}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<width$}  {}", entry.id.as_str(), sanitize(&about));
    }
    for partial in store.partials()? {
        terminal.remark(&format!("not completed: {}", partial.dir.display()));
    }
    Ok(text)
}

fn show(store: &Store, query: &str, as_json: bool) -> Result<String, archive::Error> {
    let run = store.find(query)?;
    if as_json {
        return Ok(format!("{:#}\n", run.manifest_json()));
    }
    let manifest: Manifest = run.manifest()?;
    let (workload, sampler) = (&manifest.workload, &manifest.sampler);
    let kernel = if sampler.kernel { "user and kernel" } else { "user space only" };
    let user = workload.user.as_ref().map_or_else(String::new, |user| format!(", as {user}"));
    let rows = [
        ("run", run.id().to_string()),
        ("directory", run.dir().display().to_string()),
        ("created", manifest.created.clone()),
        ("app", format!("{} ({} {})", manifest.app.name, manifest.app.kind, manifest.app.package)),
        ("variant", manifest.variant.clone()),
        ("built by", format!("{} in {:.1} s: {}", manifest.build.go, manifest.build.seconds, manifest.build.command)),
        ("binary", format!("{}, {} bytes, sha256 {}", manifest.build.file, manifest.build.size, manifest.build.sha256)),
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
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:>10}  {}", sanitize(&value));
    }
    Ok(text)
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
    Err(Failure::Changed { run: run.id().to_string(), count: problems.len() })
}
