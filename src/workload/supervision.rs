//! Supervises a workload in one loop: its monitor, signals, the supervisor and the clock.

use std::collections::VecDeque;
use std::iter::once;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::{SIGINT, SIGTERM};
use nix::unistd::Pid;

use super::error::Error;
use super::launch::{Launched, WaitingProgram, launch};
use super::message::{GroupTimes, HelperReport, Order, Usage};
use super::monitor::{MAX_STOP_DELAY, Monitor};
use super::outcome::{Ending, Outcome};
use super::output::copy_output;
use super::phases::{FinishedPhases, Phases};
use super::plan::LaunchPlan;
use super::progress::{Escalation, OutputStream, Progress, StopReason};
use super::ready_sign::{AwaitedSign, check_port_is_free};
use crate::config::Stop;
use crate::gotrace::RuntimeTrace;
use crate::process::{ExitStatus, Signals, descendants_of, listening_address, terminal_signals_reach_program};
use crate::profile::{Phase, PhaseName};

/// Maximum time between two checks of the clock.
const TICK: Duration = Duration::from_millis(100);

/// Time between two readings of the program's CPU time, which the kernel must sum up over all CPUs.
const CPU_TIME_INTERVAL: Duration = Duration::from_secs(1);

/// Time from the start of a program to the first search for a socket on which the program listens.
const FIRST_SOCKET_SEARCH: Duration = Duration::from_millis(500);

/// Stronger ways to stop a program, and how long after the first signal they are used.
const ESCALATION: [(Duration, Escalation); 2] =
    [(Duration::from_secs(5), Escalation::Terminate), (Duration::from_secs(10), Escalation::KillAll)];

/// Timeout for the supervisor to kill all processes after the order.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Catches the signals that ask goflame to end. Call this before the user sees that the program starts, so that every
/// signal ends the run in order.
pub fn catch_signals() -> Result<Signals, Error> {
    Signals::catch().map_err(|source| Error::Launch { step: "catching signals", source })
}

/// Launches the program and runs a monitor until the program ends or is stopped. Returns both results.
///
/// `start_monitor` receives the program before its start. After an error, no process is left running.
pub fn run<M, E>(
    plan: &LaunchPlan,
    progress: &dyn Progress,
    mut signals: Signals,
    start_monitor: impl FnOnce(&mut WaitingProgram<'_>) -> Result<M, M::Error>,
) -> Result<(Outcome, M::Output), E>
where
    M: Monitor,
    E: From<Error> + From<M::Error>,
{
    // A signal to the process group during the launch ends goflame's helpers. Then the signal is the cause, not the
    // error.
    let (launched, monitor) = start(plan, progress, start_monitor, &mut signals).map_err(|error: E| {
        let signal = signals.take();
        signal.map_or(error, |signal| Error::Interrupted { signal }.into())
    })?;
    let (mut outcome, output) = supervise::<M, E>(plan, launched, monitor, progress, &mut signals)?;
    // A signal can have arrived just after the program ended, or while its output was still being shown.
    if let (Ending::ByItself, Some(signal)) = (outcome.ending, signals.take()) {
        outcome.ending = Ending::Interrupted(signal);
    }
    Ok((outcome, output))
}

/// Launches the helper processes, starts the monitor, and lets the program begin.
fn start<M: Monitor, E: From<Error> + From<M::Error>>(
    plan: &LaunchPlan,
    progress: &dyn Progress,
    start_monitor: impl FnOnce(&mut WaitingProgram<'_>) -> Result<M, M::Error>,
    signals: &mut Signals,
) -> Result<(Launched, M), E> {
    if let Some((sign, _)) = &plan.server.ready_sign {
        check_port_is_free(sign)?;
    }
    if let Some(load) = &plan.server.load {
        load.command.program_file().map_err(Error::NoLoad)?;
    }
    let mut launched = launch(plan, progress, signals)?;
    let monitor = start_monitor(&mut launched.waiting_program())?;
    launched.execute_program(plan)?;
    Ok((launched, monitor))
}

/// Supervises the running program and copies its output.
fn supervise<M: Monitor, E: From<Error> + From<M::Error>>(
    plan: &LaunchPlan,
    mut launched: Launched,
    monitor: M,
    progress: &dyn Progress,
    signals: &mut Signals,
) -> Result<(Outcome, M::Output), E> {
    let sign = plan.server.ready_sign.as_ref().map(|(sign, _)| AwaitedSign::new(sign));
    let streams = [
        (launched.stdout.take(), OutputStream::Stdout, &plan.stdout_log, None),
        (launched.stderr.take(), OutputStream::Stderr, &plan.stderr_log, plan.runtime_log.as_deref()),
    ];
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let copies = streams.map(|(from, stream, log, runtime_log)| {
            let mut lines = sign.as_ref().and_then(AwaitedSign::line_reader);
            let over = &over;
            let show = move |bytes: &[u8]| {
                progress.show_output(stream, bytes);
                if let Some(lines) = &mut lines {
                    lines.read(bytes);
                }
            };
            from.map(|from| scope.spawn(move || copy_output(from, log, runtime_log, plan.max_log_bytes, over, show)))
        });
        let result = Supervision::new(plan, progress, monitor, sign).run(&mut launched, signals);
        // Dropping it kills all remaining processes, as far as permitted. This closes the streams that the copies read.
        drop(launched);
        over.store(true, Ordering::SeqCst);
        let (mut incomplete_logs, mut runtime) = (Vec::new(), RuntimeTrace::default());
        for copied in copies.into_iter().flatten().filter_map(|copy| copy.join().ok()) {
            incomplete_logs.extend(copied.incomplete_logs);
            if !copied.runtime.is_empty() {
                runtime = copied.runtime;
            }
        }
        result.map(|(mut outcome, output)| {
            outcome.incomplete_logs.extend(incomplete_logs);
            (Outcome { runtime, ..outcome }, output)
        })
    })
}

struct Supervision<'a, M: Monitor> {
    plan: &'a LaunchPlan,
    progress: &'a dyn Progress,
    monitor: M,
    /// Why the monitor stopped working.
    monitor_error: Option<M::Error>,
    started: Instant,
    phases: Phases<'a>,
    /// CPU time of the program at the start and at the end of the window, if known.
    window_cpu: (Option<Duration>, Option<Duration>),
    /// Whether the window ends before the stop, so that it does not include the program's reaction to the stop.
    window_ends_before_stop: bool,
    /// Time of the last reading of the program's CPU time, and the CPU time, if known.
    used_cpu: Option<(Instant, Option<Duration>)>,
    /// Time from the start of the program to the next search for a listening socket.
    next_search: Duration,
    listening_address: Option<SocketAddr>,
    /// The stop of the program, once it has begun.
    stopping: Option<Stopping>,
    /// How and when the program ended.
    ended: Option<(ExitStatus, Instant)>,
}

struct Stopping {
    /// When the stop was requested. Once the signal is sent, the time of the signal.
    since: Instant,
    /// The signal that is not sent yet. `None` after it was sent.
    unsent: Option<i32>,
    /// The remaining ways to stop the program, and how long after the signal they are used.
    escalation: VecDeque<(Duration, Escalation)>,
    ending: Ending,
}

impl<'a, M: Monitor> Supervision<'a, M> {
    fn new(plan: &'a LaunchPlan, progress: &'a dyn Progress, monitor: M, sign: Option<AwaitedSign>) -> Self {
        Self {
            plan,
            progress,
            monitor,
            monitor_error: None,
            started: Instant::now(),
            phases: Phases::new(plan, progress, sign),
            window_cpu: (None, None),
            window_ends_before_stop: plan.server.has_phases(),
            used_cpu: None,
            next_search: FIRST_SOCKET_SEARCH,
            listening_address: None,
            stopping: None,
            ended: None,
        }
    }

    fn run<E: From<Error> + From<M::Error>>(
        mut self,
        launched: &mut Launched,
        signals: &mut Signals,
    ) -> Result<(Outcome, M::Output), E> {
        // Without a ready sign to wait for, the next phase begins with the program.
        self.enter_due_phases(launched, false);
        let mut usage = None;
        loop {
            if usage.is_some() && self.phases.is_load_over() {
                break;
            }
            let mut others: Vec<_> = signals.fds().collect();
            if usage.is_none() {
                others.insert(0, launched.supervisor.as_fd());
            }
            let wait_time = self.phases.wait_time(TICK);
            let readable = self.monitor.wait(&others, wait_time)?.first().copied().unwrap_or(false);
            if self.monitor_error.is_none() {
                let worked = self.monitor.work();
                self.note_error(worked, launched);
            }
            if usage.is_none() && (readable || launched.reports.has_buffered()) {
                match launched.reports.receive::<HelperReport>() {
                    Ok(Some(HelperReport::Exited { wait_status })) => {
                        self.ended = Some((ExitStatus::from_wait_status(wait_status), Instant::now()));
                    }
                    Ok(Some(HelperReport::AllGone(all))) => usage = Some(all),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(self.finish_after_error(Error::SupervisorLost)),
                }
            }
            while let Some(signal) = signals.take() {
                if self.is_interrupted() {
                    launched.send_order(&Order::KillAll);
                    await_end(launched);
                    return Err(self.finish_after_error(Error::Abandoned { signal }));
                }
                self.interrupt(launched, signal);
            }
            self.enter_due_phases(launched, usage.is_some());
            if self.ended.is_none() {
                launched.resize_terminals(self.progress);
                if self.phases.current_phase() != PhaseName::Start {
                    let used = self.used_cpu(launched);
                    self.monitor.show_progress(self.started.elapsed(), used);
                }
                self.search_socket_if_due(launched);
            }
            self.check_clock(launched);
        }
        launched.reap_supervisor();
        if let Some(error) = self.monitor_error {
            return Err(error.into());
        }
        let Some(usage) = usage else { return Err(Error::SupervisorLost.into()) };
        let (monitor, outcome) = self.into_outcome(launched, usage);
        Ok((outcome, monitor.finish()?))
    }

    /// Stops the program if its monitor failed. Only the first error is stored.
    fn note_error(&mut self, result: Result<(), M::Error>, launched: &Launched) {
        if let Err(error) = result
            && self.monitor_error.is_none()
        {
            self.monitor_error = Some(error);
            if self.stopping.is_none() {
                self.stop(launched, SIGTERM, Ending::ByItself);
                self.progress.show_stopping(StopReason::MonitorFailed);
            }
        }
    }

    /// Begins all phases that are due now. `is_over` says that all processes of the program have ended.
    fn enter_due_phases(&mut self, launched: &Launched, is_over: bool) {
        // The window of a program without phases includes processes that outlive the program.
        let ended = self.ended.filter(|_| is_over || self.plan.server.has_phases()).map(|(status, _)| status);
        while let Some(next) = self.phases.next(ended) {
            self.begin_phase(next, launched);
            if next == PhaseName::Stop {
                self.phases.stop_load(false);
            }
        }
        let is_to_stop =
            self.phases.current_phase() == PhaseName::Stop && self.stopping.is_none() && self.ended.is_none();
        // The load ends before the program is stopped, so that the load sees no errors.
        if is_to_stop && self.phases.is_load_over() {
            let Stop { signal, grace } = self.plan.server.stop;
            let escalation = [(grace, Escalation::KillAll)].into();
            self.stop_with_escalation(launched, signal, Ending::Stopped, escalation);
            self.progress.show_stopping(StopReason::Planned);
        }
    }

    /// Ends the current phase and begins the next phase. Sampling begins after the start of the window, and ends before
    /// its end.
    fn begin_phase(&mut self, next: PhaseName, launched: &Launched) {
        if self.phases.current_phase() == PhaseName::Window {
            let ended = self.monitor.end_window();
            self.note_error(ended, launched);
            self.window_cpu.1 = launched.used_cpu();
        }
        self.phases.begin_phase(next);
        if next == PhaseName::Window {
            // A program that has just started has not used CPU time yet.
            self.window_cpu.0 = self.plan.server.window_begins_later().then(|| launched.used_cpu()).flatten();
            let begun = self.monitor.begin_window();
            self.note_error(begun, launched);
        }
        self.phases.show();
    }

    /// Returns the CPU time of the program, at most [`CPU_TIME_INTERVAL`] old.
    fn used_cpu(&mut self, launched: &Launched) -> Option<Duration> {
        match self.used_cpu {
            Some((read, used)) if read.elapsed() < CPU_TIME_INTERVAL => used,
            _ => {
                let used = launched.used_cpu();
                self.used_cpu = Some((Instant::now(), used));
                used
            }
        }
    }

    fn is_interrupted(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| matches!(stopping.ending, Ending::Interrupted(_)))
    }

    /// Asks the program to stop after the first signal to goflame.
    fn interrupt(&mut self, launched: &Launched, signal: i32) {
        // The terminal's Ctrl-C has already reached the program. A second SIGINT could have another meaning for the
        // program.
        let pass_on = if signal == SIGINT && terminal_signals_reach_program() { 0 } else { signal };
        self.stop(launched, pass_on, Ending::Interrupted(signal));
        // The message is shown after the signal was sent, because showing it blocks if nobody reads standard error.
        self.progress.show_stopping(StopReason::Interrupted);
    }

    /// Asks the program to stop with `signal`. 0 means that the program already got the signal.
    fn stop(&mut self, launched: &Launched, signal: i32, ending: Ending) {
        self.find_socket(launched);
        self.stop_with_escalation(launched, signal, ending, ESCALATION.into());
    }

    fn stop_with_escalation(
        &mut self,
        launched: &Launched,
        signal: i32,
        ending: Ending,
        escalation: VecDeque<(Duration, Escalation)>,
    ) {
        // The window then ends before the program reacts to the signal.
        self.window_ends_before_stop |= self.monitor.delays_stop();
        if self.window_ends_before_stop && self.phases.current_phase() != PhaseName::Stop {
            self.begin_phase(PhaseName::Stop, launched);
        }
        self.phases.stop_load(signal == 0);
        self.stopping = Some(Stopping { since: Instant::now(), unsent: Some(signal), escalation, ending });
        self.send_signal(launched);
    }

    /// Sends the signal that stops the program, once the monitor permits it. Returns whether the signal was sent.
    fn send_signal(&mut self, launched: &Launched) -> bool {
        let Some(stopping) = &mut self.stopping else { return false };
        let Some(signal) = stopping.unsent else { return true };
        let may_stop = self.monitor_error.is_some() || self.monitor.may_stop();
        if !may_stop && stopping.since.elapsed() < MAX_STOP_DELAY {
            return false;
        }
        (stopping.since, stopping.unsent) = (Instant::now(), None);
        if signal != 0 {
            launched.send_order(&Order::Signal { pid: launched.exec_gate.pid, signal });
        }
        true
    }

    /// Searches for a socket on which a program without phases listens, less often each time. After the terminal's
    /// Ctrl-C, a search would be too late.
    fn search_socket_if_due(&mut self, launched: &Launched) {
        if self.started.elapsed() >= self.next_search {
            self.next_search *= 2;
            self.find_socket(launched);
        }
    }

    fn find_socket(&mut self, launched: &Launched) {
        if self.plan.server.has_phases() || self.listening_address.is_some() || self.stopping.is_some() {
            return;
        }
        let program = launched.exec_gate.pid;
        let processes: Vec<i32> =
            once(program).chain(descendants_of(&[program], &[]).into_iter().map(Pid::as_raw)).collect();
        self.listening_address = listening_address(&processes);
    }

    /// Checks the timeout, and escalates a stop.
    fn check_clock(&mut self, launched: &Launched) {
        if self.ended.is_some() {
            return;
        }
        if self.stopping.is_none() && self.started.elapsed() >= self.plan.timeout {
            self.stop(launched, SIGTERM, Ending::TimedOut);
            self.progress.show_stopping(StopReason::TimedOut(self.plan.timeout));
        }
        if !self.send_signal(launched) {
            return;
        }
        if let Some(stopping) = &mut self.stopping
            && let Some((after, escalation)) = stopping.escalation.front().copied()
            && stopping.since.elapsed() >= after
        {
            stopping.escalation.pop_front();
            launched.send_order(&match escalation {
                Escalation::Terminate => Order::Signal { pid: launched.exec_gate.pid, signal: SIGTERM },
                Escalation::KillAll => Order::KillAll,
            });
            self.progress.show_stopping(StopReason::StillRuns(after, escalation));
        }
    }

    fn into_outcome(self, launched: &Launched, usage: Usage) -> (M, Outcome) {
        let (status, ended) = self.ended.unwrap_or((ExitStatus::Code(0), Instant::now()));
        // The control group does not count the exec gate, but `getrusage` does.
        let without_gate = usage.user_us.saturating_sub(u64::try_from(launched.exec_gate.cpu.as_micros()).unwrap_or(0));
        let rusage = GroupTimes { user_us: without_gate, system_us: usage.system_us };
        let cpu = usage.group.unwrap_or(rusage);
        let [user_cpu, system_cpu] = [cpu.user_us, cpu.system_us].map(Duration::from_micros);
        let ending = self.stopping.map_or(Ending::ByItself, |stopping| stopping.ending);
        let is_stopped = matches!(ending, Ending::Interrupted(_) | Ending::TimedOut);
        let (first, last) = self.window_cpu;
        // A window that is the whole run ends with the last process, after the last reading. So the total counts.
        let last = last.filter(|_| self.window_ends_before_stop).unwrap_or(user_cpu + system_cpu);
        let FinishedPhases { phases, load, incomplete_log, failure } = self.phases.finish();
        let has_window = Phase::find(&phases, PhaseName::Window).is_some();
        let window_cpu = if has_window { last.saturating_sub(first.unwrap_or_default()) } else { Duration::ZERO };
        let outcome = Outcome {
            status,
            ending,
            wall: ended.duration_since(self.started),
            user_cpu,
            system_cpu,
            has_cpu_times: true,
            // A smaller peak cannot be distinguished from the exec gate's peak.
            max_rss_kib: Some(usage.max_rss_kib).filter(|peak| *peak > launched.exec_gate.rss_kib),
            outliving_processes: usage.outliving_processes,
            unstoppable_processes: usage.unstoppable,
            incomplete_logs: incomplete_log.into_iter().collect(),
            phases,
            window_cpu,
            load,
            failure,
            listening_address: self.listening_address.filter(|_| is_stopped),
            runtime: RuntimeTrace::default(),
        };
        (self.monitor, outcome)
    }

    /// Completes the work of the monitor after an error of the supervision, so that this work is usable. Returns the
    /// monitor's error if this completion fails, otherwise `error`.
    fn finish_after_error<E: From<Error> + From<M::Error>>(self, error: Error) -> E {
        if self.monitor_error.is_some() {
            return error.into();
        }
        self.monitor.finish().map_or_else(E::from, |_| error.into())
    }
}

/// Waits at most [`KILL_TIMEOUT`] until the supervisor reports that all processes have ended.
fn await_end(launched: &mut Launched) {
    let deadline = Instant::now() + KILL_TIMEOUT;
    let _ = launched.supervisor.set_read_timeout(Some(KILL_TIMEOUT));
    while Instant::now() < deadline {
        match launched.reports.receive::<HelperReport>() {
            Ok(Some(HelperReport::AllGone(_)) | None) | Err(_) => return,
            Ok(Some(_)) => {}
        }
    }
}
