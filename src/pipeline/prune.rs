//! Which runs belong together, how many of them are kept, and room for the next one.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::manifest::App;
use super::{Error, Observer};
use crate::archive::{Partial, PrunePlan, Run, RunId, Store};
use crate::config::Config;

/// Free space that a run needs beside what the last one took, in bytes.
const MARGIN: u64 = 16 << 20;

/// What `[archive] keep` counts: the runs of one app of one project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    app: String,
    /// The project's directory; `None`: the project that the archive lies in, wherever both have been moved since.
    project: Option<PathBuf>,
}

/// The part of a manifest that tells the series.
#[derive(Deserialize)]
struct Head {
    app: App,
}

impl Series {
    fn of_config(config: &Config, store: &Store) -> Self {
        let project = (!lies_in(store.dir(), &config.root)).then(|| config.root.clone());
        Self { app: config.app.name.clone(), project }
    }

    /// `None`: the manifest does not tell.
    fn of_run(run: &Run, store: &Store) -> Option<Self> {
        let Head { app } = run.manifest().ok()?;
        // Older manifests do not say whether the archive lay in the project.
        let own = app.own_archive.unwrap_or_else(|| lies_in(store.dir(), &app.root));
        Some(Self { app: app.name, project: (!own).then_some(app.root) })
    }
}

/// Whether a directory lies in a project, all links followed.
pub(super) fn lies_in(dir: &Path, project: &Path) -> bool {
    match (fs::canonicalize(dir), fs::canonicalize(project)) {
        (Ok(dir), Ok(project)) => dir.starts_with(project),
        _ => false,
    }
}

/// What `goflame runs prune` removes.
#[derive(Debug)]
pub struct Pruning {
    /// Runs of this project's apps, each beyond the newest ones that are kept; newest first.
    pub runs: Vec<Run>,
    /// Every run of the archive that was not completed and that nobody is writing.
    pub partials: Vec<Partial>,
}

impl Pruning {
    /// The same for the archive.
    pub fn plan(&self) -> PrunePlan {
        plan(&self.runs, &self.partials)
    }

    /// The total size of the files that it removes.
    pub fn size(&self) -> u64 {
        size(&self.runs, &self.partials)
    }
}

/// Plans `goflame runs prune`.
pub fn plan_prune(config: &Config, store: &Store, keep: usize) -> Result<Pruning, Error> {
    let project = Series::of_config(config, store).project;
    let of_project = |run: &Run| Series::of_run(run, store).filter(|series| series.project == project);
    Ok(Pruning { runs: store.outdated(keep, of_project)?, partials: abandoned(store)? })
}

/// Removes what is outdated once `new` has been completed: runs of the same app beyond the newest `keep`, and runs of the
/// same app that were not completed, but for the newest of these.
pub(super) fn after_run(config: &Config, store: &Store, new: &RunId) -> Result<(), Error> {
    let mut runs = of_app(config, store, config.archive.keep)?;
    // It has the highest sequence number, unless somebody has written a higher one into a manifest.
    runs.retain(|run| run.id() != new);
    let partials = abandoned(store)?.into_iter().filter(|partial| partial.id.name() == new.name()).skip(1);
    Ok(store.prune(&plan(&runs, &partials.collect::<Vec<_>>()))?)
}

/// Where the next run would not fit, removes what the next run would make outdated anyway, and the app's runs that were
/// not completed. How much that is, is an estimate: what its last run took, a quarter more, and a margin.
pub(super) fn before_run(config: &Config, store: &Store, observer: &dyn Observer) -> Result<(), Error> {
    let name = RunId::name_part(&config.app.name);
    let mut partials = abandoned(store)?;
    partials.retain(|partial| partial.id.name() == name);
    let last = of_app(config, store, 0)?.first().map(Run::size);
    let expected = last.max(partials.iter().map(|partial| partial.size).max());
    let needed = expected.unwrap_or(0).saturating_add(expected.unwrap_or(0) / 4).saturating_add(MARGIN);
    if store.free_bytes()? >= needed {
        return Ok(());
    }
    let runs = of_app(config, store, config.archive.keep.saturating_sub(1).max(1))?;
    // Even where there is nothing to plan: programs without a run and interrupted removals take room too.
    store.prune(&plan(&runs, &partials))?;
    if !runs.is_empty() || !partials.is_empty() {
        let counts = counted(runs.len(), partials.len());
        observer.step("Removed", &format!("{counts}, {} in all, to make room", megabytes(size(&runs, &partials))));
    }
    let free = store.free_bytes()?;
    if let Some(expected) = expected.filter(|expected| *expected > free) {
        observer.warn(&format!(
            "{} are free in {}, and the last run took {}: `goflame runs rm` makes room",
            megabytes(free),
            store.dir().display(),
            megabytes(expected)
        ));
    }
    Ok(())
}

/// Runs of the app beyond the newest `keep`, newest first.
fn of_app(config: &Config, store: &Store, keep: usize) -> Result<Vec<Run>, Error> {
    let own = Series::of_config(config, store);
    Ok(store.outdated(keep, |run| Series::of_run(run, store).filter(|series| *series == own))?)
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

fn size(runs: &[Run], partials: &[Partial]) -> u64 {
    let sizes = runs.iter().map(Run::size).chain(partials.iter().map(|partial| partial.size));
    sizes.fold(0, u64::saturating_add)
}

/// A size in words.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Counts of runs in words.
pub fn counted(runs: usize, partials: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let whole = (runs > 0 || partials == 0).then(|| format!("{runs} run{}", plural(runs)));
    let partial = (partials > 0).then(|| format!("{partials} partial run{}", plural(partials)));
    whole.into_iter().chain(partial).collect::<Vec<_>>().join(" and ")
}
