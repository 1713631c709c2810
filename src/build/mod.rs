//! Build stage: from settings to a built and inspected program: `Config` → [`BuildPlan`] → [`Artifact`].
//!
//! [`GoTool::find`] asks the Go of this machine for its settings. [`plan`] decides the command without touching the
//! disk. [`run`] executes it. [`Artifact::read`] inspects the program instead of trusting that the flags took effect.
//! Must not record, analyse or print. `go build` itself writes directly to standard error.

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
pub use packages::{Discovered, discover};
pub use plan::{BuildPlan, plan, workload_argv};
pub use toolchain::{Absent, GoTool, release};
pub use toolchains::{Installed, Origin, Places, install, installed};
