//! Decides which runs form a series and how many of them are kept. Also makes room for the next run.

use std::path::PathBuf;

use serde::Deserialize;

use super::Error;
use super::manifest::{AppRecord, is_inside};
use super::observer::{Observer, PipelineEvent, Warning};
use crate::archive::{KeepLimits, PartialRun, PrunePlan, Run, RunId, Store};
use crate::config::Config;

/// Margin in bytes: free space that a run needs in addition to the size of the previous one.
const FREE_SPACE_MARGIN_BYTES: u64 = 16 << 20;

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
        let project = (!is_inside(store.dir(), &config.root)).then(|| config.root.clone());
        Self { app: config.app.name.clone(), project }
    }

    /// Returns the series of a run; `None` if the manifest cannot be read.
    fn from_run(run: &Run, store: &Store) -> Option<Self> {
        let ManifestHead { app } = run.manifest().ok()?;
        // Older manifests do not say whether the archive was inside the project.
        let own = app.own_archive.unwrap_or_else(|| is_inside(store.dir(), &app.root));
        Some(Self { app: app.name, project: (!own).then_some(app.root) })
    }
}

/// Runs that `goflame runs prune` removes.
#[derive(Debug)]
pub struct Pruning {
    /// Outdated runs of each app of this project, newest first.
    pub runs: Vec<Run>,
    /// All incomplete runs of the archive that no process is writing.
    pub partials: Vec<PartialRun>,
}

impl Pruning {
    /// Returns the ids of these runs, as the plan that the archive executes.
    pub fn plan(&self) -> PrunePlan {
        prune_plan(&self.runs, &self.partials)
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
    let keep = keep_limits(config, keep);
    Ok(Pruning { runs: store.outdated_runs(keep, of_project)?, partials: abandoned_partial_runs(store)? })
}

/// Removes outdated runs after the run `new` is complete: older runs of the same app, and incomplete runs of the app
/// except the newest.
pub(super) fn prune_after_run(config: &Config, store: &Store, new: &RunId) -> Result<(), Error> {
    let mut runs = outdated_runs_of_app(config, store, keep_limits(config, config.archive.keep))?;
    // Keeps the new run even if edited manifests change the order of runs.
    runs.retain(|run| run.id() != new);
    let partials = abandoned_partial_runs(store)?.into_iter().filter(|partial| partial.id.name() == new.name()).skip(1);
    Ok(store.prune(&prune_plan(&runs, &partials.collect::<Vec<_>>()))?)
}

/// Makes room if the next run would not fit. Removes the runs that the next run would make outdated anyway, except the
/// previous run, and the incomplete runs of the app. The required space is an estimate: the size of the app's previous
/// run or of its largest incomplete run, plus a quarter, plus a margin.
pub(super) fn make_room(config: &Config, store: &Store, observer: &dyn Observer) -> Result<(), Error> {
    let name = RunId::name_part(&config.app.name);
    let mut partials = abandoned_partial_runs(store)?;
    partials.retain(|partial| partial.id.name() == name);
    let last = outdated_runs_of_app(config, store, keep_limits(config, 0))?.first().map(Run::size);
    let expected = last.max(partials.iter().map(|partial| partial.size).max());
    let needed =
        expected.unwrap_or(0).saturating_add(expected.unwrap_or(0) / 4).saturating_add(FREE_SPACE_MARGIN_BYTES);
    if store.free_bytes()? >= needed {
        return Ok(());
    }
    let runs = outdated_runs_of_app(config, store, keep_limits(config, config.archive.keep.saturating_sub(1).max(1)))?;
    // Prunes even with an empty plan: this also removes programs without a run and finishes interrupted removals.
    store.prune(&prune_plan(&runs, &partials))?;
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

/// Returns the limits that keep the newest `runs` runs, within the configured size.
fn keep_limits(config: &Config, runs: usize) -> KeepLimits {
    KeepLimits { run_count: runs, total_bytes: config.archive.keep_bytes }
}

/// Returns the runs of the app that `keep` does not cover, newest first.
fn outdated_runs_of_app(config: &Config, store: &Store, keep: KeepLimits) -> Result<Vec<Run>, Error> {
    let own = Series::from_config(config, store);
    Ok(store.outdated_runs(keep, |run| Series::from_run(run, store).filter(|series| *series == own))?)
}

fn abandoned_partial_runs(store: &Store) -> Result<Vec<PartialRun>, Error> {
    let mut partials = store.partial_runs()?;
    partials.retain(|partial| !partial.in_progress);
    Ok(partials)
}

fn prune_plan(runs: &[Run], partials: &[PartialRun]) -> PrunePlan {
    PrunePlan {
        runs: runs.iter().map(|run| run.id().clone()).collect(),
        partial_runs: partials.iter().map(|partial| partial.id.clone()).collect(),
    }
}

fn total_size(runs: &[Run], partials: &[PartialRun]) -> u64 {
    let sizes = runs.iter().map(Run::size).chain(partials.iter().map(|partial| partial.size));
    sizes.fold(0, u64::saturating_add)
}
