//! From settings to a program that was built and looked at: `Config` → [`BuildPlan`] → [`Artifact`].
//!
//! [`GoTool::find`] asks the machine's Go what it is, [`plan`] decides the command without touching the disk,
//! [`run`] executes it, [`Artifact::read`] inspects what came out instead of believing that the flags took.
//! Must not record, analyse or print; `go build` itself writes straight to standard error.

mod artifact;
mod error;
mod git;
mod goflags;
mod inspect;
mod native;
mod packages;
mod plan;
mod toolchain;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use artifact::Artifact;
pub use error::Error;
pub use git::{GitState, git_state};
pub use inspect::{Mismatch, inspect};
pub use native::run;
pub use packages::{Discovered, MainPackage, discover};
pub use plan::{BuildPlan, plan, workload_argv};
pub use toolchain::GoTool;
