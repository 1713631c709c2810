//! Runs an external program: finds it, starts it through `duct`, and says in plain words how it ended.
//!
//! Must not know what Go, git or perf is. Children stay in the terminal's process group, so Ctrl-C reaches
//! them without help from here, and goflame waits for them as long as its own signal handling lets it.

mod account;
mod command;
mod error;
mod quote;
mod signals;
mod status;

pub use account::{Account, act_for, acting_for, open_with_own_rights, runs_as_another, with_own_rights};
pub use command::{Captured, Command, find};
pub use error::{Error, Said};
pub use quote::{quote, quote_command, quote_line};
pub use signals::{SIGNALS, Signals, ignored_at_start, report_file_size_limit, terminal_signals_reach_program};
pub use status::Status;
