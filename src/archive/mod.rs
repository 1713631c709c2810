//! The archive: stores, lists, loads, verifies and prunes runs.
//!
//! It keeps files and a manifest and must not know what is in them: of the manifest it reads and writes only
//! `schema`, `id`, `sequence` and `files`. It renders nothing, prints nothing and does not read the clock.
//!
//! # Layout
//!
//! ```text
//! <dir>/format               the number of this layout, and what makes a directory an archive; an older program refuses
//!                            a newer store
//! <dir>/lock                 locked exclusively (flock) around every change
//! <dir>/.gitignore           `*`, and CACHEDIR.TAG, as Cargo writes them into target/
//! <dir>/runs/<id>/           whole runs: files and manifest.json, which holds the SHA-256 of each of them
//! <dir>/partial/<id>/        a run being written, or left behind by a crash
//! <dir>/partial/<id>.lock    locked as long as the run is being written
//! <dir>/bin/<sha256>/<name>  programs by content, which are started from here; runs hold hard links to them
//! <dir>/build/<variant>/     what was built last, for people; `.tmp-…/` in it are private directories of builds
//! <dir>/trash/<id>/          what is being removed
//! ```
//!
//! Format 1 had the programs as files `bin/<sha256>`, and no sequence numbers in the manifests. Such a store is read, and
//! becomes one of format 2 when the first program is stored in it.
//!
//! A run appears in `runs/` by one rename, after its files and directories have reached the disk, and leaves it by
//! one rename. Whatever crashes in between, nothing half-written or half-removed looks like a run.
//!
//! Changes are made relative to the archive's open directory, and no symbolic link below it is followed. Only names that
//! the archive gives are removed: run ids, hashes, `<id>.lock` and `.tmp-` with six letters or digits.

mod dir;
mod draft;
mod error;
mod id;
mod lock;
mod place;
mod program;
mod prune;
mod run;
mod store;
mod tree;

#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use error::{Damage, Error};
pub use id::RunId;
pub use place::BuildPlace;
pub use program::{Program, Substitution};
pub use prune::PrunePlan;
pub use run::{FileEntry, FileProblem, Problem, Run};
pub use store::{Partial, RunEntry, Store};
