//! From settings to a program that was built and looked at: `Config` → [`BuildPlan`] → [`Artifact`].
//!
//! [`GoTool::find`] asks the machine's Go what it is, [`plan`] decides the command without touching the disk,
//! [`run`] executes it, [`Artifact::read`] inspects what came out instead of believing that the flags took.
//! Must not record, analyse or print; `go build` itself writes straight to standard error.

mod artifact;
mod compare;
mod copy;
pub mod docker;
mod error;
mod git;
mod goflags;
mod inspect;
mod lock;
mod native;
mod packages;
mod plan;
mod toolchain;
mod toolchains;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use artifact::Artifact;
pub use compare::{Culprit, Difference, Side, compare};
pub use copy::Copy;
pub use error::{Error, PinnedBy};
pub use git::{GitState, git_state};
pub use inspect::{Mismatch, inspect};
pub use lock::{digest_above, settled};
pub use native::{run, run_in_container};
pub use packages::{Discovered, MainPackage, discover};
pub use plan::{BuildPlan, plan, workload_argv};
pub use toolchain::{Absent, GoTool, release};
pub use toolchains::{Installed, Origin, Places, install, installed};
