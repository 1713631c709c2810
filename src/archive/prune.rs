//! Removal of runs: first a plan, then its execution.

use std::collections::{BTreeMap, HashSet};

use super::dir::Dir;
use super::error::Error;
use super::id::RunId;
use super::lock;
use super::program;
use super::run::Run;
use super::store::{Store, lock_name};

/// The runs to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Completed runs.
    pub runs: Vec<RunId>,
    /// Runs that were never completed.
    pub partial_runs: Vec<RunId>,
}

impl PrunePlan {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.partial_runs.is_empty()
    }
}

/// Limits for the runs of a series that stay. The newest runs stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepLimits {
    /// Maximum number of runs.
    pub run_count: usize,
    /// Maximum size of the runs together, in bytes. The newest run stays even if it is larger.
    pub total_bytes: Option<u64>,
}

/// Counts the runs of a series, from the newest to the oldest.
#[derive(Debug, Default)]
struct KeptRuns {
    runs: usize,
    bytes: u64,
    /// SHA-256 of each counted file: runs share their programs.
    files: HashSet<String>,
}

impl KeptRuns {
    /// Adds the next older run. Returns whether the run stays.
    fn add(&mut self, run: &Run, keep: KeepLimits) -> bool {
        self.runs += 1;
        for file in run.files().values() {
            if self.files.insert(file.sha256.clone()) {
                self.bytes = self.bytes.saturating_add(file.size);
            }
        }
        self.runs <= keep.run_count && (self.runs == 1 || keep.total_bytes.is_none_or(|bytes| self.bytes <= bytes))
    }
}

impl Store {
    /// Returns the runs to remove, newest first, so that the newest runs of each series stay. Skips runs without a series,
    /// tagged runs, and runs that cannot be loaded: of another user, of a newer version, or damaged. Changes nothing.
    pub fn outdated_runs<S: Ord>(
        &self,
        keep: KeepLimits,
        series: impl Fn(&Run) -> Option<S>,
    ) -> Result<Vec<Run>, Error> {
        let mut kept = BTreeMap::new();
        let mut outdated = Vec::new();
        let tagged = self.tagged_runs()?;
        for run in self.list()?.into_iter().filter_map(|entry| entry.run.ok()) {
            let Some(series) = series(&run).filter(|_| !tagged.contains(run.id())) else { continue };
            let kept: &mut KeptRuns = kept.entry(series).or_default();
            if !kept.add(&run, keep) {
                outdated.push(run);
            }
        }
        Ok(outdated)
    }

    /// Removes the runs of the plan, and programs that no run uses any more. Skips runs that are already gone, are being
    /// written now, or have a tag. Each run disappears by one rename before its files are removed.
    pub fn prune(&self, plan: &PrunePlan) -> Result<(), Error> {
        let _lock = self.lock()?;
        let (runs, partial, trash) =
            (self.open_sub_dir("runs")?, self.open_sub_dir("partial")?, self.open_sub_dir("trash")?);
        // Empty the trash of an interrupted removal first: a full disk may need its space for the rest.
        empty_trash(&trash)?;
        let tagged = self.tagged_runs()?;
        for id in plan.runs.iter().filter(|id| !tagged.contains(*id)) {
            move_to_trash(&runs, id, &trash)?;
        }
        for id in &plan.partial_runs {
            if !lock::is_held(&partial, &lock_name(id))? {
                move_to_trash(&partial, id, &trash)?;
            }
        }
        remove_idle_locks(&partial)?;
        empty_trash(&trash)?;
        program::remove_unused_programs(self)
    }
}

/// Moves a run to the trash.
fn move_to_trash(dir: &Dir, id: &RunId, trash: &Dir) -> Result<(), Error> {
    if dir.file_type(id.as_str())?.is_none() {
        return Ok(());
    }
    dir.rename(id.as_str(), trash, id.as_str())?;
    dir.sync()
}

/// Removes the runs in the trash. Other names do not belong to goflame.
fn empty_trash(trash: &Dir) -> Result<(), Error> {
    for name in trash.utf8_names()?.iter().filter(|name| name.parse::<RunId>().is_ok()) {
        trash.remove(name)?;
    }
    Ok(())
}

/// Removes lock files without a run. They remain from removed partial runs, or from a crash right after completion.
fn remove_idle_locks(partial: &Dir) -> Result<(), Error> {
    for name in partial.utf8_names()? {
        let Some(Ok(id)) = name.strip_suffix(".lock").map(str::parse::<RunId>) else { continue };
        if partial.file_type(id.as_str())?.is_none() && !lock::is_held(partial, &name)? {
            partial.remove(&name)?;
        }
    }
    Ok(())
}
