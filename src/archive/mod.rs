//! The archive: stores, lists, loads, verifies and prunes runs.
//!
//! It keeps files and a manifest and must not know their contents. In the manifest it reads and writes only `schema`,
//! `id`, `sequence` and `files`. It also reads `workload.failed`, because a failed run is never `latest`. It renders
//! nothing, prints nothing and does not read the clock.
//!
//! # Layout
//!
//! ```text
//! <dir>/format               the number of this layout; it marks the directory as an archive; an older version of
//!                            goflame rejects a newer archive
//! <dir>/lock                 locked exclusively (flock) during every change
//! <dir>/.gitignore           `*`, and CACHEDIR.TAG, as Cargo writes them into target/
//! <dir>/runs/<id>/           complete runs: files and manifest.json, which contains the SHA-256 of each file
//! <dir>/partial/<id>/        a run that is being written, or was left behind after an error or a crash
//! <dir>/partial/<id>.lock    locked while the run is being written
//! <dir>/bin/<sha256>/<name>  programs and other sampled files by content; programs are started from here, and runs contain
//!                            hard links to them
//! <dir>/build/<variant>/     the last build, for users; `.tmp-…/` in it are private directories of builds
//! <dir>/trash/<id>/          runs that are being removed
//! <dir>/tags/<name>          the id of the run that has this tag
//! <dir>/index.html           a page about all runs, if it was asked for
//! ```
//!
//! Format 1 stored the programs as files `bin/<sha256>`, and its manifests had no sequence numbers. Such an archive can
//! be read. It is upgraded to format 2 when the first program is stored in it.
//!
//! A run appears in `runs/` by one rename, after its files and directories are synced to the disk. It is removed from
//! `runs/` by one rename. Therefore, after a crash at any point, an incomplete directory never looks like a run.
//!
//! Changes are made relative to the archive's open directory, and no symbolic link below it is followed. Only names
//! that the archive creates are removed: run ids, hashes, tags, `<id>.lock` and `.tmp-` with six letters or digits.
//!
//! # Exports
//!
//! An export is one run in a file: a tar archive, compressed with Zstandard. Its first entry is `<id>/manifest.json`, the
//! others are the files that this manifest lists, in the order of their names. All of them are plain files with the same
//! owner, mode and time, so that equal runs make equal bytes.

mod dir;
mod draft;
mod error;
mod export;
mod id;
mod import;
mod lock;
mod place;
mod problem;
mod program;
mod prune;
mod refusal;
mod run;
mod store;
mod tags;
mod tree;
mod zstd;

#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use error::Error;
pub use export::{ExportContent, write_export};
pub use id::{InvalidRunId, RunId};
pub use import::{CheckedExport, check_export, check_export_bytes};
pub use place::PrivateBuildDir;
pub use problem::{Damage, Discrepancy, FileProblem};
pub use program::{Program, StoredFile, Substitution};
pub use prune::{KeepLimits, PrunePlan};
pub use refusal::Refusal;
pub use run::Run;
pub use store::{PartialRun, RunEntry, Store};
pub use tree::FileEntry;
