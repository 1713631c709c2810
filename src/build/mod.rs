//! Build stage: from settings to a built and inspected program: `Config` → [`BuildPlan`] → [`Artifact`].
//!
//! [`GoTool::find`] asks the Go of this machine for its settings. [`plan`] decides the command without touching the
//! disk. [`run`] executes it. [`Artifact::read`] inspects the program instead of trusting that the flags took effect.
//! Must not record, analyse or print. `go build` itself writes directly to standard error, unless its progress is shown.

mod advice;
mod artifact;
mod bench_args;
mod compare;
mod copy;
pub mod docker;
mod error;
mod git;
mod go_mod;
mod goflags;
mod inspect;
mod lock;
mod native;
mod off_path;
mod package_counter;
mod packages;
mod plan;
mod progress;
mod sources;
mod toolchain;
mod toolchains;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use advice::{SET_GOCACHE, first_release};
pub use artifact::Artifact;
pub use bench_args::find_replaced_flag;
pub use compare::{BuildDifference, ComparedProgram, Culprit, compare_programs};
pub use copy::ProjectCopy;
pub use error::{Error, NotOnePackage, PinSource};
pub use git::{GitState, git_state};
pub use go_mod::GoMod;
pub use inspect::{Mismatch, find_mismatches};
pub use lock::{digest_beside_go_mod, updated_lock};
pub use native::{run, run_in_container};
pub use off_path::GoOffPath;
pub use packages::{FoundPackage, discover_packages, list_packages};
pub use plan::{BuildPlan, plan_build, utf8_path, workload_argv};
pub use progress::{BuildProgress, CompiledPackages};
pub use sources::source_dirs;
pub use toolchain::{GoTool, MissingGo, release_number};
pub use toolchains::{InstalledGo, Installer, SearchPaths, install_go, list_installed};
