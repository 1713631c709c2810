//! The load: the command that sends requests to a server. It runs outside of the server's control group, so that it is
//! not sampled.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::kept_log::IncompleteLog;
use super::output::copy_output;
use crate::process::{Command, ExitStatus, RunningCommand, describe_with_causes};

/// How the load is run.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Program, arguments and directory.
    pub command: Command,
    /// File for a copy of the command's standard output and standard error.
    pub log: PathBuf,
}

/// Result of a load.
#[derive(Debug)]
pub struct LoadOutcome {
    /// How the command ended.
    pub status: ExitStatus,
    /// Whether goflame ended the load.
    pub was_stopped: bool,
    /// Time from the start to the end of the load.
    pub wall: Duration,
}

/// A running load.
pub(super) struct Load {
    running: RunningCommand,
    copy: JoinHandle<Option<IncompleteLog>>,
    over: Arc<AtomicBool>,
    started: Instant,
    was_stopped: bool,
}

impl Load {
    pub(super) fn start(plan: &LoadPlan, max_bytes: Option<u64>) -> Result<Self, String> {
        let (reader, writer) = io::pipe().map_err(|error| error.to_string())?;
        let running = plan.command.start(writer).map_err(|error| describe_with_causes(&error))?;
        let over = Arc::new(AtomicBool::new(false));
        let copy = thread::spawn({
            let (log, over) = (plan.log.clone(), Arc::clone(&over));
            move || {
                copy_output(File::from(OwnedFd::from(reader)), &log, None, max_bytes, &over, |_| {})
                    .incomplete_logs
                    .pop()
            }
        });
        Ok(Self { running, copy, over, started: Instant::now(), was_stopped: false })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.running.has_ended()
    }

    /// Asks the load to end, once. Load tools then print their results so far. `by_terminal` means that Ctrl-C in the
    /// terminal has already reached the load.
    pub(super) fn stop(&mut self, by_terminal: bool) {
        if !self.was_stopped && !self.has_ended() {
            self.was_stopped = true;
            self.running.end(by_terminal);
        }
    }

    /// Waits for the end of the command.
    pub(super) fn finish(self) -> (LoadOutcome, Option<IncompleteLog>) {
        let (wall, stopped) = (self.started.elapsed(), self.was_stopped);
        // An error would mean that other code has already waited for the process.
        let status = self.running.wait().unwrap_or(ExitStatus::Code(0));
        self.over.store(true, Ordering::SeqCst);
        (LoadOutcome { status, was_stopped: stopped, wall }, self.copy.join().ok().flatten())
    }
}
