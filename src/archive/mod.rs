//! The archive: stores, lists, loads, verifies and prunes runs.
//!
//! It keeps files and a manifest and must not know what is in them: of the manifest it reads and writes only
//! `schema`, `id` and `files`. It renders nothing, prints nothing and does not read the clock.
//!
//! # Layout
//!
//! ```text
//! <dir>/format            the number of this layout; an older program refuses a newer store
//! <dir>/lock              locked exclusively (flock) around every change
//! <dir>/.gitignore        `*`, and CACHEDIR.TAG, as Cargo writes them into target/
//! <dir>/runs/<id>/        whole runs: files and manifest.json, which holds the SHA-256 of each of them
//! <dir>/partial/<id>/     a run being written, or left behind by a crash
//! <dir>/partial/<id>.lock locked as long as the run is being written
//! <dir>/bin/<sha256>      binaries by content; runs hold hard links to them
//! <dir>/trash/            what is being removed
//! ```
//!
//! A run appears in `runs/` by one rename, after its files and directories have reached the disk, and leaves it by
//! one rename. Whatever crashes in between, nothing half-written or half-removed looks like a run.

mod binary;
mod draft;
mod error;
mod id;
mod lock;
mod prune;
mod run;
mod store;
mod tree;

#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use error::{Damage, Error};
pub use id::RunId;
pub use prune::PrunePlan;
pub use run::{FileEntry, FileProblem, Problem, Run};
pub use store::{Owner, Partial, RunEntry, Store};
