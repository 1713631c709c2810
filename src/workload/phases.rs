//! The phases of a run: decides when the next phase begins.

use std::time::{Duration, Instant};

use super::kept_log::IncompleteLog;
use super::load::{Load, LoadOutcome};
use super::plan::LaunchPlan;
use super::progress::{Progress, ServerStep};
use super::ready_sign::AwaitedSign;
use super::server_failure::ServerFailure;
use crate::perfevent::monotonic_ns;
use crate::process::ExitStatus;
use crate::profile::{Phase, PhaseName};

/// The phases of a run in progress.
pub(super) struct Phases<'a> {
    plan: &'a LaunchPlan,
    progress: &'a dyn Progress,
    current: PhaseName,
    /// Start of the current phase, in nanoseconds on the clock of the records.
    since_ns: u64,
    finished: Vec<Phase>,
    sign: Option<AwaitedSign>,
    load: Option<Load>,
    finished_load: Option<FinishedLoad>,
    failure: Option<ServerFailure>,
}

struct FinishedLoad {
    since: Instant,
    outcome: LoadOutcome,
    incomplete_log: Option<IncompleteLog>,
}

/// Time to wait for the server's end after the load failed. The server's end can be the cause of the failure.
const SERVER_END_DELAY: Duration = Duration::from_millis(300);

impl<'a> Phases<'a> {
    /// Begins with the first phase. `sign` is the plan's sign that the server is ready.
    pub(super) fn new(plan: &'a LaunchPlan, progress: &'a dyn Progress, sign: Option<AwaitedSign>) -> Self {
        let (load, finished_load, failure) = (None, None, None);
        let (current, since_ns) = (PhaseName::Start, monotonic_ns());
        Self { plan, progress, current, since_ns, finished: Vec::new(), sign, load, finished_load, failure }
    }

    /// Returns the phase that begins now. `None` if the current phase continues. `ended` is how the program ended, if
    /// it has ended.
    pub(super) fn next(&mut self, ended: Option<ExitStatus>) -> Option<PhaseName> {
        self.finish_load();
        match self.current {
            PhaseName::Start => self.next_after_start(ended),
            PhaseName::WarmUp | PhaseName::Window => self.next_under_load(ended),
            PhaseName::Stop => None,
        }
    }

    fn next_after_start(&mut self, ended: Option<ExitStatus>) -> Option<PhaseName> {
        let (elapsed, plan) = (self.elapsed(), &self.plan.server);
        if let (Some(sign), Some((_, within))) = (&self.sign, &plan.ready_sign) {
            if !sign.is_seen() {
                let failure = match ended {
                    Some(status) => ServerFailure::EndedBeforeReady(status),
                    None if elapsed >= *within => {
                        ServerFailure::NotReady { timeout: *within, last_failure: sign.last_failure() }
                    }
                    None => return None,
                };
                return Some(self.fail(failure));
            }
            self.progress.show_server_step(ServerStep::Ready(elapsed));
        }
        if let Some(load) = &plan.load {
            self.progress.show_server_step(ServerStep::Loading(&load.command));
            match Load::start(load, self.plan.max_log_bytes) {
                Ok(load) => self.load = Some(load),
                Err(reason) => return Some(self.fail(ServerFailure::LoadNotStarted(reason))),
            }
        }
        Some(if plan.warmup.is_zero() { PhaseName::Window } else { PhaseName::WarmUp })
    }

    fn next_under_load(&mut self, ended: Option<ExitStatus>) -> Option<PhaseName> {
        let (elapsed, plan) = (self.elapsed(), &self.plan.server);
        let is_warming_up = self.current == PhaseName::WarmUp;
        // Checked before the load: when a server dies, its load fails too, but the server's end is the reason.
        if let Some(status) = ended {
            // Without a load, the window can end with the program, unless both a ready sign and a duration are planned.
            let is_early = is_warming_up || plan.load.is_some() || plan.ready_sign.is_some() && plan.duration.is_some();
            return Some(if is_early { self.fail(ServerFailure::EndedEarly(status)) } else { PhaseName::Stop });
        }
        if let Some(load) = &self.finished_load {
            let status = load.outcome.status;
            if !status.success() {
                let server_can_be_cause = load.since.elapsed() < SERVER_END_DELAY;
                return if server_can_be_cause { None } else { Some(self.fail(ServerFailure::LoadFailed(status))) };
            }
            if is_warming_up {
                return Some(self.fail(ServerFailure::LoadTooShort));
            }
            if let Some(left) = plan.duration.and_then(|duration| duration.checked_sub(elapsed)) {
                self.progress.show_server_step(ServerStep::LoadEndedEarly(left));
            }
            return Some(PhaseName::Stop);
        }
        let (length, next) =
            if is_warming_up { (Some(plan.warmup), PhaseName::Window) } else { (plan.duration, PhaseName::Stop) };
        length.filter(|length| elapsed >= *length).map(|_| next)
    }

    fn fail(&mut self, failure: ServerFailure) -> PhaseName {
        self.failure = Some(failure);
        PhaseName::Stop
    }

    /// Time since the start of the current phase.
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(monotonic_ns().saturating_sub(self.since_ns))
    }

    /// Time until the current phase can end, at most `tick`.
    pub(super) fn wait_time(&self, tick: Duration) -> Duration {
        /// Interval of the checks for the ready sign and for the end of the load.
        const CHECK_INTERVAL: Duration = Duration::from_millis(20);
        let plan = &self.plan.server;
        let max_wait = if self.sign.is_some() || self.load.is_some() { tick.min(CHECK_INTERVAL) } else { tick };
        let end = match self.current {
            PhaseName::WarmUp => Some(plan.warmup),
            PhaseName::Window => plan.duration,
            PhaseName::Start | PhaseName::Stop => None,
        };
        end.map_or(max_wait, |end| end.saturating_sub(self.elapsed()).min(max_wait))
    }

    pub(super) fn current_phase(&self) -> PhaseName {
        self.current
    }

    /// Ends the current phase now, and begins the next one.
    pub(super) fn begin_phase(&mut self, next: PhaseName) {
        self.end_current();
        self.current = next;
    }

    pub(super) fn show(&self) {
        let plan = &self.plan.server;
        match self.current {
            PhaseName::WarmUp => self.progress.show_server_step(ServerStep::WarmingUp(plan.warmup)),
            PhaseName::Window if plan.has_phases() => {
                self.progress.show_server_step(ServerStep::Window(plan.duration));
            }
            _ => {}
        }
    }

    fn end_current(&mut self) {
        let now = monotonic_ns();
        // A run without a ready sign has no start phase.
        let is_phase = self.current != PhaseName::Start || self.sign.take().is_some();
        if is_phase {
            self.finished.push(Phase { name: self.current, start_ns: self.since_ns, end_ns: now });
        }
        self.since_ns = now;
    }

    /// Asks the load to end. `by_terminal` means that Ctrl-C in the terminal has already reached the load.
    pub(super) fn stop_load(&mut self, by_terminal: bool) {
        if let Some(load) = &mut self.load {
            load.stop(by_terminal);
        }
    }

    /// Whether no load is running.
    pub(super) fn is_load_over(&mut self) -> bool {
        self.finish_load();
        self.load.is_none()
    }

    fn finish_load(&mut self) {
        if let Some(load) = self.load.take_if(|load| load.has_ended()) {
            let (outcome, incomplete_log) = load.finish();
            self.finished_load = Some(FinishedLoad { since: Instant::now(), outcome, incomplete_log });
        }
    }

    /// Ends the last phase.
    pub(super) fn finish(mut self) -> FinishedPhases {
        self.end_current();
        let plan = &self.plan.server;
        if !plan.has_phases() {
            self.finished.retain(|phase| phase.name == PhaseName::Window);
        }
        let load = self.finished_load.map(|load| (load.outcome, load.incomplete_log));
        let (load, log) = load.unzip();
        FinishedPhases { phases: self.finished, load, incomplete_log: log.flatten(), failure: self.failure }
    }
}

/// The phases of a finished run.
pub(super) struct FinishedPhases {
    pub(super) phases: Vec<Phase>,
    pub(super) load: Option<LoadOutcome>,
    pub(super) incomplete_log: Option<IncompleteLog>,
    pub(super) failure: Option<ServerFailure>,
}
