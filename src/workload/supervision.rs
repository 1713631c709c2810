//! The life of a workload: one loop over its monitor, signals, the supervisor and the clock.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::{SIGINT, SIGTERM};

use super::error::Error;
use super::launch::{Launched, WaitingProgram, launch};
use super::message::{GroupTimes, HelperReport, Order, Usage};
use super::monitor::Monitor;
use super::outcome::{Ending, Outcome};
use super::output::copy_output;
use super::plan::LaunchPlan;
use super::progress::{Escalation, OutputStream, Progress, StopReason};
use crate::process::{ExitStatus, Signals, terminal_signals_reach_program};

/// Interval of the clock checks when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Interval of the readings of the program's CPU time: the kernel sums it up over all CPUs.
const CPU_TIME_INTERVAL: Duration = Duration::from_secs(1);

/// Stronger means against a program that does not stop, and the time since the stop began when they are used.
const ESCALATION: [(Duration, Escalation); 2] =
    [(Duration::from_secs(5), Escalation::Terminate), (Duration::from_secs(10), Escalation::KillAll)];

/// Timeout for the supervisor to kill everything after the order.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Launches the program and runs a monitor until the program ends or is stopped. Returns both results.
///
/// `start_monitor` receives the program before its start. After an error no process is left running.
pub fn run<M, E>(
    plan: &LaunchPlan,
    progress: &dyn Progress,
    start_monitor: impl FnOnce(&mut WaitingProgram<'_>) -> Result<M, M::Error>,
) -> Result<(Outcome, M::Output), E>
where
    M: Monitor,
    E: From<Error> + From<M::Error>,
{
    let mut signals = Signals::catch().map_err(|source| Error::Launch { step: "catching signals", source })?;
    // A signal to the process group during the launch ends goflame's helpers. Then the signal is the cause, not the
    // error.
    let (launched, monitor) = start(plan, progress, start_monitor, &mut signals).map_err(|error: E| {
        let signal = signals.take();
        signal.map_or(error, |signal| Error::Interrupted { signal }.into())
    })?;
    let (mut outcome, output) = supervise::<M, E>(plan, launched, monitor, progress, &mut signals)?;
    // A signal may have arrived just after the program ended, or while its output was still being shown.
    if let (Ending::Own, Some(signal)) = (outcome.ending, signals.take()) {
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
    let mut launched = launch(plan, progress, signals)?;
    let monitor = start_monitor(&mut launched.waiting_program())?;
    launched.execute(plan)?;
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
    let (stdout, stderr) = (launched.stdout.take(), launched.stderr.take());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let copies = [
            stdout.map(|from| scope.spawn(|| copy_output(from, OutputStream::Stdout, plan, progress, &over))),
            stderr.map(|from| scope.spawn(|| copy_output(from, OutputStream::Stderr, plan, progress, &over))),
        ];
        let result = Supervision::new(plan, progress).run(&mut launched, monitor, signals);
        // Dropping it kills all remaining processes that may be killed. This closes the streams that the copies read.
        drop(launched);
        over.store(true, Ordering::SeqCst);
        let incomplete_logs = copies.into_iter().flatten().filter_map(|copy| copy.join().ok().flatten()).collect();
        result.map(|(outcome, output)| (Outcome { incomplete_logs, ..outcome }, output))
    })
}

struct Supervision<'a> {
    plan: &'a LaunchPlan,
    progress: &'a dyn Progress,
    started: Instant,
    /// CPU time of the program, and when it was read.
    used_cpu: Option<(Instant, Option<Duration>)>,
    /// The stop of the program, once it has begun.
    stopping: Option<Stopping>,
    /// How and when the program ended.
    ended: Option<(ExitStatus, Instant)>,
}

#[derive(Clone, Copy)]
struct Stopping {
    since: Instant,
    /// Number of steps of [`ESCALATION`] that were taken.
    escalated: usize,
    ending: Ending,
}

impl<'a> Supervision<'a> {
    fn new(plan: &'a LaunchPlan, progress: &'a dyn Progress) -> Self {
        Self { plan, progress, started: Instant::now(), used_cpu: None, stopping: None, ended: None }
    }

    fn run<M: Monitor, E: From<Error> + From<M::Error>>(
        mut self,
        launched: &mut Launched,
        mut monitor: M,
        signals: &mut Signals,
    ) -> Result<(Outcome, M::Output), E> {
        let mut failure = None;
        let usage = loop {
            let mut others = vec![launched.supervisor.as_fd()];
            others.extend(signals.fds());
            let readable = monitor.wait(&others, TICK)?.first().copied().unwrap_or(false);
            if failure.is_none()
                && let Err(error) = monitor.work()
            {
                failure = Some(error);
                self.monitor_failed(launched);
            }
            if readable || launched.reports.has_buffered() {
                match launched.reports.receive::<HelperReport>() {
                    Ok(Some(HelperReport::Exited { wait_status })) => {
                        self.ended = Some((ExitStatus::from_wait_status(wait_status), Instant::now()));
                    }
                    Ok(Some(HelperReport::AllGone(usage))) => break usage,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(finish_after(Error::SupervisorLost, monitor, failure.is_some())),
                }
            }
            while let Some(signal) = signals.take() {
                if self.is_interrupted() {
                    launched.order(&Order::KillAll);
                    await_end(launched);
                    return Err(finish_after(Error::Abandoned { signal }, monitor, failure.is_some()));
                }
                self.interrupt(launched, signal);
            }
            if self.ended.is_none() {
                launched.resize_windows(self.progress);
                monitor.show_progress(self.started.elapsed(), self.used_cpu(launched));
            }
            self.check_clock(launched);
        };
        launched.reap();
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        let output = monitor.finish()?;
        Ok((self.outcome(launched, usage), output))
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

    /// Stops the program because its monitor failed. If it is being stopped already, the first reason is kept.
    fn monitor_failed(&mut self, launched: &Launched) {
        if self.stopping.is_none() {
            self.stop(launched, SIGTERM, Ending::Own);
            self.progress.stopping(StopReason::MonitorFailed);
        }
    }

    fn is_interrupted(&self) -> bool {
        self.stopping.is_some_and(|stopping| matches!(stopping.ending, Ending::Interrupted(_)))
    }

    /// Asks the program to stop after the first signal to goflame.
    fn interrupt(&mut self, launched: &Launched, signal: i32) {
        // The terminal's Ctrl-C has already reached the program. A second one could have another meaning for it.
        let pass_on = if signal == SIGINT && terminal_signals_reach_program() { 0 } else { signal };
        self.stop(launched, pass_on, Ending::Interrupted(signal));
        // Here and below, the message comes after the order: if nobody reads standard error, the message may block.
        self.progress.stopping(StopReason::Interrupted);
    }

    /// Asks the program to stop with `signal`. 0 means that the program already got the signal.
    fn stop(&mut self, launched: &Launched, signal: i32, ending: Ending) {
        if signal != 0 {
            launched.order(&Order::Signal { pid: launched.exec_gate.pid, signal });
        }
        self.stopping = Some(Stopping { since: Instant::now(), escalated: 0, ending });
    }

    /// Checks the timeout and escalates a stop.
    fn check_clock(&mut self, launched: &Launched) {
        if self.ended.is_some() {
            return;
        }
        if self.stopping.is_none() && self.started.elapsed() >= self.plan.timeout {
            self.stop(launched, SIGTERM, Ending::TimedOut);
            self.progress.stopping(StopReason::TimedOut(self.plan.timeout));
        }
        if let Some(stopping) = &mut self.stopping
            && let Some((after, escalation)) = ESCALATION.get(stopping.escalated)
            && stopping.since.elapsed() >= *after
        {
            stopping.escalated += 1;
            launched.order(&match escalation {
                Escalation::Terminate => Order::Signal { pid: launched.exec_gate.pid, signal: SIGTERM },
                Escalation::KillAll => Order::KillAll,
            });
            self.progress.stopping(StopReason::StillRuns(*after, *escalation));
        }
    }

    fn outcome(&self, launched: &Launched, usage: Usage) -> Outcome {
        let (status, ended) = self.ended.unwrap_or((ExitStatus::Code(0), Instant::now()));
        // The exec gate worked before it came into the group.
        let without_gate = usage.user_us.saturating_sub(u64::try_from(launched.exec_gate.cpu.as_micros()).unwrap_or(0));
        let rusage = GroupTimes { user_us: without_gate, system_us: usage.system_us };
        let cpu = usage.group.unwrap_or(rusage);
        Outcome {
            status,
            ending: self.stopping.map_or(Ending::Own, |stopping| stopping.ending),
            wall: ended.duration_since(self.started),
            user_cpu: Duration::from_micros(cpu.user_us),
            system_cpu: Duration::from_micros(cpu.system_us),
            has_cpu_times: true,
            // A smaller peak cannot be distinguished from the exec gate's own.
            max_rss_kib: Some(usage.max_rss_kib).filter(|peak| *peak > launched.exec_gate.rss_kib),
            outlived: usage.outlived,
            unstoppable: usage.unstoppable,
            incomplete_logs: Vec::new(),
        }
    }
}

/// Finishes a monitor that has not failed after an error of the supervision, so that its work so far is usable. An error
/// of the monitor takes precedence.
fn finish_after<M: Monitor, E: From<Error> + From<M::Error>>(error: Error, monitor: M, has_failed: bool) -> E {
    if has_failed {
        return error.into();
    }
    monitor.finish().map_or_else(E::from, |_| error.into())
}

/// Waits, with a timeout, until the supervisor reports that no process runs any more.
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
