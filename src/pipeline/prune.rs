//! Decides which runs form a series and how many of them are kept. Also makes room for the next run.

use std::path::PathBuf;

use serde::Deserialize;

use super::Error;
use super::manifest::{AppRecord, lies_in};
use super::observer::{Observer, PipelineEvent, Warning};
use crate::archive::{Keep, Partial, PrunePlan, Run, RunId, Store};
use crate::config::Config;

/// Margin in bytes: free space that a run needs in addition to the size of the previous one.
const MARGIN: u64 = 16 << 20;

/// Series of runs that `[archive] keep` counts: the runs of one app of one project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    app: String,
    /// Directory of the project. `None` for the project that contains the archive, even if both have been moved since.
    project: Option<PathBuf>,
}

/// Part of a manifest that identifies the series.
#[derive(Deserialize)]
struct ManifestHead {
    app: AppRecord,
}

impl Series {
    fn from_config(config: &Config, store: &Store) -> Self {
        let project = (!lies_in(store.dir(), &config.root)).then(|| config.root.clone());
        Self { app: config.app.name.clone(), project }
    }

    /// Returns the series of a run; `None` if the manifest does not say it.
    fn from_run(run: &Run, store: &Store) -> Option<Self> {
        let ManifestHead { app } = run.manifest().ok()?;
        // Older manifests do not say whether the archive was inside the project.
        let own = app.own_archive.unwrap_or_else(|| lies_in(store.dir(), &app.root));
        Some(Self { app: app.name, project: (!own).then_some(app.root) })
    }
}

/// Runs that `goflame runs prune` removes.
#[derive(Debug)]
pub struct Pruning {
    /// For each app of this project, the runs that are older than those that are kept. Newest first.
    pub runs: Vec<Run>,
    /// All incomplete runs of the archive that no process is writing.
    pub partials: Vec<Partial>,
}

impl Pruning {
    /// Converts to a plan for the archive.
    pub fn plan(&self) -> PrunePlan {
        plan(&self.runs, &self.partials)
    }

    /// Total size of the removed files in bytes.
    pub fn size(&self) -> u64 {
        total_size(&self.runs, &self.partials)
    }
}

/// Plans `goflame runs prune`.
pub fn plan_prune(config: &Config, store: &Store, keep: usize) -> Result<Pruning, Error> {
    let project = Series::from_config(config, store).project;
    let of_project = |run: &Run| Series::from_run(run, store).filter(|series| series.project == project);
    let keep = keep_newest(config, keep);
    Ok(Pruning { runs: store.outdated(keep, of_project)?, partials: abandoned(store)? })
}

/// Removes outdated runs after `new` has been completed: the older runs of the same app, and all incomplete runs of the same app except the newest.
pub(super) fn after_run(config: &Config, store: &Store, new: &RunId) -> Result<(), Error> {
    let mut runs = outdated_of_app(config, store, keep_newest(config, config.archive.keep))?;
    // The new run has the highest sequence number, unless somebody has edited a manifest.
    runs.retain(|run| run.id() != new);
    let partials = abandoned(store)?.into_iter().filter(|partial| partial.id.name() == new.name()).skip(1);
    Ok(store.prune(&plan(&runs, &partials.collect::<Vec<_>>()))?)
}

/// Makes room if the next run would not fit. Removes the runs that the next run would make outdated anyway, and the
/// incomplete runs of the app. The required space is an estimate: the size of the app's previous run, plus a quarter,
/// plus a margin.
pub(super) fn before_run(config: &Config, store: &Store, observer: &dyn Observer) -> Result<(), Error> {
    let name = RunId::name_part(&config.app.name);
    let mut partials = abandoned(store)?;
    partials.retain(|partial| partial.id.name() == name);
    let last = outdated_of_app(config, store, keep_newest(config, 0))?.first().map(Run::size);
    let expected = last.max(partials.iter().map(|partial| partial.size).max());
    let needed = expected.unwrap_or(0).saturating_add(expected.unwrap_or(0) / 4).saturating_add(MARGIN);
    if store.free_bytes()? >= needed {
        return Ok(());
    }
    let runs = outdated_of_app(config, store, keep_newest(config, config.archive.keep.saturating_sub(1).max(1)))?;
    // Runs even with an empty plan: it also removes programs without a run and finishes interrupted removals.
    store.prune(&plan(&runs, &partials))?;
    if !runs.is_empty() || !partials.is_empty() {
        let bytes = total_size(&runs, &partials);
        observer.event(&PipelineEvent::MadeRoom { runs: runs.len(), partials: partials.len(), bytes });
    }
    let free = store.free_bytes()?;
    if let Some(expected) = expected.filter(|expected| *expected > free) {
        observer.warning(&Warning::LittleSpace { free, archive: store.dir(), expected });
    }
    Ok(())
}

/// The newest runs, within the configured size.
fn keep_newest(config: &Config, runs: usize) -> Keep {
    Keep { runs, bytes: config.archive.keep_bytes }
}

/// Returns the runs of the app that do not stay, newest first.
fn outdated_of_app(config: &Config, store: &Store, keep: Keep) -> Result<Vec<Run>, Error> {
    let own = Series::from_config(config, store);
    Ok(store.outdated(keep, |run| Series::from_run(run, store).filter(|series| *series == own))?)
}

fn abandoned(store: &Store) -> Result<Vec<Partial>, Error> {
    let mut partials = store.partials()?;
    partials.retain(|partial| !partial.in_progress);
    Ok(partials)
}

fn plan(runs: &[Run], partials: &[Partial]) -> PrunePlan {
    PrunePlan {
        runs: runs.iter().map(|run| run.id().clone()).collect(),
        partials: partials.iter().map(|partial| partial.id.clone()).collect(),
    }
}

fn total_size(runs: &[Run], partials: &[Partial]) -> u64 {
    let sizes = runs.iter().map(Run::size).chain(partials.iter().map(|partial| partial.size));
    sizes.fold(0, u64::saturating_add)
}
