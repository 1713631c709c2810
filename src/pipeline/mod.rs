//! The order of things: the only place that knows which stage follows which.
//!
//! It turns the settings into each stage's options, moves values from one stage to the next, and fills the
//! manifest. Must not know flags, standard output or exit codes: what happens is told to an [`Observer`].

mod build;
mod cmdline;
mod error;
mod goroutines;
mod images;
mod init;
mod input;
mod kallsyms;
mod manifest;
mod outputs;
mod prune;
mod ready;
mod repair;
mod report;
mod run;
mod settle;
mod sudo;
mod toolchain;
mod tools;
mod verify;

pub use build::{Built, build, clean_cache, dockerfile};
pub use error::{Error, with_causes};
pub use init::{Initial, initial_settings};
pub use manifest::{Manifest, WorkloadResult};
pub use outputs::FLAME_GRAPH;
pub use prune::{Pruning, counted, megabytes, plan_prune};
pub use ready::{Checkup, CheckupOptions, checkup};
pub use repair::{Error as RepairError, Step, Undoable, carry_out, undo, undoable};
pub use report::{ReportOptions, Reported, Source, report};
pub use run::{RunOptions, RunOutcome, run};
pub use settle::{BuildOptions, InContainer, find_go, load_lock, plan};
pub use sudo::{act_for_caller, trusted_users};
pub use toolchain::{install_toolchain, toolchains, use_toolchain, wanted};
pub use verify::{Verified, Verify, verify};

pub use crate::perfevent::on_cut_short;

use crate::build::docker::Watch;
use crate::record::Progress;

/// Who watches a pipeline at work.
pub trait Observer: Progress + Watch {
    /// A stage does something; `verb` in Cargo's manner: `Building`, `Profiling`.
    fn step(&self, verb: &str, text: &str);
    /// Something that the user should know, and that is no problem.
    fn remark(&self, text: &str);
    /// Something that may spoil the result.
    fn warn(&self, text: &str);
}
