//! Launches a program, supervises it and its descendants, and stops them.
//!
//! There are three processes, all running goflame's own binary:
//!
//! ```text
//! goflame ── supervisor ── exec gate ──exec──▶ the program ── its children …
//!    └──────── socket ─────────┘
//! ```
//!
//! The *exec gate* waits on a socket until the monitor is ready, and then executes the program. Therefore the program's
//! process id is known before the program starts. The *supervisor* is the parent and reaper of the program and of all
//! its orphans. The supervisor reports how the program ended, and the CPU time of all these processes. When any signal
//! kills goflame, the supervisor kills all these processes. The program is in goflame's process group, the supervisor
//! is not.
//!
//! A monitor can move the program into a [`ControlGroup`] before the program starts.
//!
//! A [`Monitor`] works while the program runs. Must not sample, and must not know what a monitor does.
//!
//! The run of a server has phases ([`ServerPlan`]): start, warm-up, window, stop. The window of a program without
//! phases is the whole run. [`Monitor::begin_window`] and [`Monitor::end_window`] mark the window in both cases.

mod control_group;
mod error;
mod exec_gate;
mod kept_log;
mod launch;
mod load;
mod message;
mod monitor;
mod outcome;
mod output;
mod phases;
mod plan;
mod progress;
mod ready_sign;
mod runtime_lines;
mod server_failure;
mod stdin;
mod stream;
mod supervision;
mod supervisor;

pub use control_group::{ContainerGroup, ControlGroup, NoControlGroup};
pub use error::Error;
pub use exec_gate::{EXEC_GATE, run_exec_gate};
pub use kept_log::{IncompleteLog, LogGap};
pub use launch::WaitingProgram;
pub use load::{LoadOutcome, LoadPlan};
pub use monitor::Monitor;
pub use outcome::{Ending, Outcome};
pub use plan::{LaunchPlan, ServerPlan, Stdin};
pub use progress::{Escalation, OutputStream, Progress, ServerStep, StopReason};
pub use server_failure::ServerFailure;
pub use supervision::{catch_signals, run};
pub use supervisor::{SUPERVISE, run_supervisor};
