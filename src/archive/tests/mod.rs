//! The complete life cycle of runs, in temporary directories.

#![allow(clippy::unwrap_used)]

mod drafts;
mod exports;
mod ids;
mod programs;
mod prune;
mod runs;
mod store;
mod tags;

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tempfile::TempDir;

use super::{Damage, Discrepancy, Draft, Error, KeepLimits, Program, PrunePlan, Run, RunId, Store, Substitution, tree};

/// 2026-11-23 06:50:01 UTC plus this number of seconds.
fn start_time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_416_601 + seconds)
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join(".goflame")).unwrap();
    (dir, store)
}

fn draft(store: &Store, id: &RunId) -> Draft {
    let draft = store.begin(id).unwrap();
    fs::write(draft.path("perf.data"), b"PERFILE2").unwrap();
    draft
}

fn add(store: &Store, seconds: u64) -> Run {
    draft(store, &RunId::new(start_time(seconds), "server")).commit(&json!({"command": "run"})).unwrap()
}

/// Stores a program in the same way as a build.
fn store_program(store: &Store, source: &Path, name: &str) -> Result<Program, Error> {
    let entry = tree::hash_file(source)?;
    store.add_program(source, name, &entry)
}

/// Adds a run of this program.
fn add_run_with(store: &Store, seconds: u64, source: &Path) -> Run {
    let draft = draft(store, &RunId::new(start_time(seconds), "server"));
    draft.add_program(&store_program(store, source, "server").unwrap()).unwrap();
    draft.commit(&json!({})).unwrap()
}

/// Rule that keeps this number of runs, of any size.
fn keep_newest(runs: usize) -> KeepLimits {
    KeepLimits { run_count: runs, total_bytes: None }
}

/// The runs that pruning removes when all runs belong to one app.
fn outdated_runs(store: &Store, keep: usize) -> PrunePlan {
    let runs = store.outdated_runs(keep_newest(keep), |_| Some(())).unwrap();
    PrunePlan { runs: runs.iter().map(|run| run.id().clone()).collect(), partial_runs: Vec::new() }
}

fn count_entries(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn ids(store: &Store) -> Vec<RunId> {
    store.list().unwrap().into_iter().map(|entry| entry.id).collect()
}

/// The error and all its causes, as the printer joins them.
fn error_chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The reason why the only run of a store cannot be loaded.
fn damage_of_only_run(store: &Store) -> Damage {
    let entry = store.list().unwrap().remove(0);
    match entry.run {
        Err(Error::Damaged { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}
