//! Removal of old runs: first a plan, then the deed.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::binary;
use super::error::Error;
use super::id::RunId;
use super::lock;
use super::run::Run;
use super::store::Store;
use super::tree;
use crate::fsio::{self, FileError};

/// What pruning would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PrunePlan {
    /// Runs, newest first.
    pub runs: Vec<RunId>,
    /// Runs that were never completed and that nobody is writing, newest first.
    pub partials: Vec<RunId>,
}

impl PrunePlan {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.partials.is_empty()
    }
}

impl Store {
    /// What to remove so that the newest `keep` whole runs stay. Damaged runs and those that a crash left incomplete do
    /// not count; they go once they are older than every run that is kept. Changes nothing.
    pub fn plan_prune(&self, keep: usize) -> Result<PrunePlan, Error> {
        let ids = self.ids()?;
        let mut oldest = None;
        let mut end = 0;
        let mut whole = 0;
        for (position, id) in ids.iter().enumerate() {
            if whole == keep {
                break;
            }
            if Run::load(id, &self.run_dir(id)).is_ok() {
                whole += 1;
                (oldest, end) = (Some(id), position + 1);
            }
        }
        // Fewer than `keep`: nothing is older than what is kept.
        if whole < keep {
            return Ok(PrunePlan::default());
        }
        let outlived = |id: &RunId| oldest.is_none_or(|oldest| id.stamp() < oldest.stamp());
        let abandoned = self.partials()?.into_iter().filter(|partial| !partial.in_progress && outlived(&partial.id));
        Ok(PrunePlan { runs: ids[end..].to_vec(), partials: abandoned.map(|partial| partial.id).collect() })
    }

    /// Removes what the plan names, and binaries that no run needs any more. What is gone already, or is being written
    /// by now, is passed over. Each run vanishes by one rename before its files are removed.
    pub fn prune(&self, plan: &PrunePlan) -> Result<(), Error> {
        let _lock = self.lock()?;
        for id in &plan.runs {
            self.discard(&self.run_dir(id), id)?;
        }
        for id in &plan.partials {
            if !lock::is_held(&self.partial_lock(id))? {
                self.discard(&self.partial_dir(id), id)?;
            }
        }
        self.remove_idle_locks()?;
        let trash = self.dir().join("trash");
        for name in tree::names(&trash)? {
            remove(&trash.join(name))?;
        }
        binary::sweep(self)
    }

    /// Moves a directory out of sight.
    fn discard(&self, dir: &Path, id: &RunId) -> Result<(), Error> {
        if !tree::is_taken(dir) {
            return Ok(());
        }
        let trash = self.dir().join("trash");
        self.make_dir(&trash)?;
        let target = trash.join(id.as_str());
        if tree::is_taken(&target) {
            remove(&target)?;
        }
        fs::rename(dir, &target).map_err(|error| FileError::new("remove", dir, error))?;
        if let Some(parent) = dir.parent() {
            fsio::sync_dir(parent)?;
        }
        Ok(())
    }

    /// Lock files without a run: of removed partial runs, or of a crash right after completion.
    fn remove_idle_locks(&self) -> Result<(), Error> {
        let partial = self.dir().join("partial");
        for name in tree::names(&partial)? {
            let Some(Ok(id)) = name.strip_suffix(".lock").map(str::parse::<RunId>) else { continue };
            let path = partial.join(&name);
            if !tree::is_taken(&self.partial_dir(&id)) && !lock::is_held(&path)? {
                fs::remove_file(&path).map_err(|error| FileError::new("remove", &path, error))?;
            }
        }
        Ok(())
    }
}

/// Removes a file or a tree; a link itself, not its target.
fn remove(path: &Path) -> Result<(), FileError> {
    let wrap = |error| FileError::new("remove", path, error);
    if fs::symlink_metadata(path).map_err(wrap)?.is_dir() {
        fs::remove_dir_all(path).map_err(wrap)
    } else {
        fs::remove_file(path).map_err(wrap)
    }
}
