//! Runs an external program: finds it, starts it through `duct`, and reports in plain words how it ended.
//!
//! Must not know what Go, git or perf is. Programs stay in the terminal's process group, so Ctrl-C reaches them
//! directly. A guard process outside of that group ensures that none of their processes outlives goflame.

mod account;
mod command;
mod descendants;
mod error;
mod guard;
mod listening;
mod output;
mod private_dir;
mod process_stat;
mod quote;
mod signals;
mod status;
mod temporary;

pub use account::{
    Account, acting_account, drop_to_user, is_setuid_or_setgid, open_with_own_rights, run_with_own_rights,
};
pub use command::{CapturedOutput, Command, RunningCapture, RunningCommand, find_program};
pub use descendants::{
    become_reaper, descendants, descendants_of, has_children, kill_all, kill_and_reap_all, leave_group, stop_all,
};
pub use error::{Error, StderrTail, describe_with_causes};
pub use guard::{GUARD, guard_commands, outlive_signals, run_guard};
pub use listening::{listening_address, process_listening_on};
pub use output::read_output;
pub use private_dir::{KEEP, PrivateDir, run_keeper};
pub use process_stat::{ProcessStat, all_process_ids, thread_ids};
pub use quote::{quote, quote_command, quote_line};
pub use signals::{
    SIGNALS, Signals, WakeReason, ignore_interrupts, leave_signals_to_others, report_file_size_limit, stays_ignored,
    terminal_signals_reach_program,
};
pub use status::ExitStatus;
