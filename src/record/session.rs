//! The recording itself: one loop over ring buffers, signals, the supervisor and the clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::{SIGINT, SIGKILL, SIGTERM};
use std::os::fd::AsFd;

use super::launch::{Launched, Own, launch};
use super::message::{Exit, Order, Report, Usage};
use super::outcome::{Ending, Recording, Sampling};
use super::plan::{RecordPlan, Sampler};
use super::sampler::NativeSampler;
use super::tee::tee;
use super::{Error, Settled};
use crate::perfdata::Features;
use crate::perfevent::Rings;
use crate::process::{Signals, Status, terminal_signals_reach_program};

/// The stream that the program wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Receives the events of a recording, to show them while it runs.
pub trait Progress: Sync {
    /// The program wrote these bytes.
    fn output(&self, stream: OutputStream, bytes: &[u8]);
    /// Time has passed.
    fn tick(&self, elapsed: Duration, samples: Option<u64>);
    /// The program is being stopped. The text says how or why, without a subject.
    fn stopping(&self, text: &str);
}

/// Interval of the clock checks when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Steps of stopping the program: the time since the stop began, and the signal. The first entry is the stop itself.
const ESCALATION: [(Duration, i32); 3] =
    [(Duration::ZERO, 0), (Duration::from_secs(5), SIGTERM), (Duration::from_secs(10), SIGKILL)];

/// Timeout for the supervisor to kill everything after the order.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Launches the program, samples it until it ends or is stopped, and writes the file.
///
/// After an error no process is left running, and the samples so far are in `plan.perf_data`.
pub fn record(
    plan: &RecordPlan,
    settled: &Settled,
    features: Features,
    progress: &dyn Progress,
) -> Result<Recording, Error> {
    let mut signals = Signals::catch().map_err(|source| Error::Launch { step: "catching signals", source })?;
    let outcome = record_until(plan, settled, features, progress, &mut signals);
    // A signal may have arrived just after the program ended, or while its output was still being shown. A signal to
    // the process group during the launch ends goflame's helpers; then the signal is the cause, not the error.
    match (outcome, signals.take()) {
        (Ok(recording), Some(signal)) if recording.ending == Ending::Own => {
            Ok(Recording { ending: Ending::Interrupted(signal), ..recording })
        }
        (Err(error), Some(signal)) if !error.has_samples() => Err(Error::Interrupted { signal }),
        (outcome, _) => outcome,
    }
}

fn record_until(
    plan: &RecordPlan,
    settled: &Settled,
    features: Features,
    progress: &dyn Progress,
    signals: &mut Signals,
) -> Result<Recording, Error> {
    let mut launched = launch(plan, settled, signals)?;
    let sampler = match plan.sampler {
        Sampler::Native => Some(NativeSampler::start(plan, settled, launched.pid, features)?),
        Sampler::Perf(_) => None,
    };
    let (stdout, stderr) = (launched.stdout.take(), launched.stderr.take());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let copies = [
            stdout.map(|pipe| scope.spawn(|| tee(pipe, OutputStream::Stdout, plan, progress, &over))),
            stderr.map(|pipe| scope.spawn(|| tee(pipe, OutputStream::Stderr, plan, progress, &over))),
        ];
        let outcome = launched.go(plan).and_then(|()| {
            let mut session = Session::new(plan, &launched, sampler, progress);
            session.run(&mut launched, signals)
        });
        // Dropping it kills all remaining processes that may be killed. This closes the pipes that the copies read.
        drop(launched);
        over.store(true, Ordering::SeqCst);
        let problems = copies.into_iter().flatten().filter_map(|copy| copy.join().ok().flatten()).collect();
        outcome.map(|recording| Recording { output_problems: problems, ..recording })
    })
}

struct Session<'a> {
    plan: &'a RecordPlan,
    progress: &'a dyn Progress,
    sampler: Option<NativeSampler>,
    started: Instant,
    gate_own: Own,
    /// When and why the program was asked to stop, and how many times.
    stopping: Option<Stopping>,
    failure: Option<Error>,
    exit: Option<(Exit, Instant)>,
}

#[derive(Clone, Copy)]
struct Stopping {
    since: Instant,
    escalated: usize,
    ending: Ending,
}

impl<'a> Session<'a> {
    fn new(
        plan: &'a RecordPlan,
        launched: &Launched,
        sampler: Option<NativeSampler>,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            plan,
            progress,
            sampler,
            started: Instant::now(),
            gate_own: launched.gate_own,
            stopping: None,
            failure: None,
            exit: None,
        }
    }

    fn run(&mut self, launched: &mut Launched, signals: &mut Signals) -> Result<Recording, Error> {
        let usage = loop {
            let readable = self.wait(launched, signals)?;
            if let Some(sampler) = &mut self.sampler
                && let Err(error) = sampler.drain()
            {
                // Without a file for samples the run is over. Report only the first reason.
                let is_first = self.stopping.is_none();
                self.failure.get_or_insert(error);
                self.stop(launched, SIGTERM, Ending::Own);
                if is_first {
                    self.progress.stopping("the workload: its samples cannot be written");
                }
            }
            if readable || launched.reports.has_buffered() {
                match launched.reports.receive::<Report>() {
                    Ok(Some(Report::Exited(exit))) => self.exit = Some((exit, Instant::now())),
                    Ok(Some(Report::Gone(usage))) => break usage,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Err(self.finish().err().unwrap_or(Error::SupervisorLost)),
                }
            }
            while let Some(signal) = signals.take() {
                self.interrupted(launched, signal)?;
            }
            self.mind_the_clock(launched);
        };
        launched.reap();
        let sampling = self.finish();
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        Ok(self.recording(usage, sampling?))
    }

    /// Waits for an event. True if the supervisor may have sent a report.
    fn wait(&mut self, launched: &Launched, signals: &Signals) -> Result<bool, Error> {
        let mut others = vec![launched.supervisor.as_fd()];
        others.extend(signals.fds());
        let mut none = Rings::none();
        let rings = self.sampler.as_mut().map_or(&mut none, |sampler| &mut sampler.rings);
        let ready = rings.wait(&others, TICK)?;
        Ok(ready.first().copied().unwrap_or(false))
    }

    /// Handles a signal: the first asks the program to stop, the second makes goflame leave at once.
    fn interrupted(&mut self, launched: &mut Launched, signal: i32) -> Result<(), Error> {
        if self.stopping.is_some_and(|stopping| matches!(stopping.ending, Ending::Interrupted(_))) {
            launched.order(&Order::KillAll);
            await_end(launched);
            self.finish()?;
            return Err(Error::Abandoned { signal });
        }
        // The terminal's Ctrl-C has already reached the program. A second one could have another meaning for it.
        let pass_on = if signal == SIGINT && terminal_signals_reach_program() { 0 } else { signal };
        self.stop(launched, pass_on, Ending::Interrupted(signal));
        // Here and below, the message comes after the order: if nobody reads standard error, the message may block.
        self.progress.stopping("the workload; interrupt again to leave at once");
        Ok(())
    }

    /// Asks the program to stop with `signal`. 0 means that the program already got the signal.
    fn stop(&mut self, launched: &Launched, signal: i32, ending: Ending) {
        if self.stopping.is_some() && ending == Ending::Own {
            return;
        }
        if signal != 0 {
            launched.order(&Order::Signal { pid: launched.pid, signal });
        }
        self.stopping = Some(Stopping { since: Instant::now(), escalated: 0, ending });
    }

    /// Checks the timeout, escalates the stop, and reports progress.
    fn mind_the_clock(&mut self, launched: &Launched) {
        let elapsed = self.started.elapsed();
        self.progress.tick(elapsed, self.sampler.as_ref().map(NativeSampler::samples));
        if self.exit.is_some() {
            return;
        }
        if self.stopping.is_none() && elapsed >= self.plan.timeout {
            self.stop(launched, SIGTERM, Ending::TimedOut);
            self.progress.stopping(&format!("the workload: its time is over ({:?})", self.plan.timeout));
        }
        if let Some(stopping) = &mut self.stopping
            && let Some((after, signal)) = ESCALATION.get(stopping.escalated + 1)
            && stopping.since.elapsed() >= *after
        {
            stopping.escalated += 1;
            let kills = *signal == SIGKILL;
            let name = if kills { "SIGKILL" } else { "SIGTERM" };
            let order = Order::Signal { pid: launched.pid, signal: *signal };
            launched.order(if kills { &Order::KillAll } else { &order });
            self.progress.stopping(&format!("the workload with {name}: it still runs after {after:?}"));
        }
    }

    fn finish(&mut self) -> Result<Option<Sampling>, Error> {
        match (&self.failure, &mut self.sampler) {
            (None, Some(sampler)) => sampler.finish().map(Some),
            _ => Ok(None),
        }
    }

    fn recording(&mut self, usage: Usage, sampling: Option<Sampling>) -> Recording {
        let (exit, ended) = self.exit.unwrap_or((Exit { code: None, signal: None }, Instant::now()));
        let status = match exit {
            Exit { signal: Some(signal), .. } => Status::Signal(signal),
            Exit { code, .. } => Status::Code(code.unwrap_or(0)),
        };
        Recording {
            status,
            ending: self.stopping.map_or(Ending::Own, |stopping| stopping.ending),
            wall: ended.duration_since(self.started),
            user_cpu: Duration::from_micros(usage.user_us).saturating_sub(self.gate_own.cpu),
            system_cpu: Duration::from_micros(usage.system_us),
            // A smaller peak cannot be distinguished from the gate's own.
            max_rss_kib: Some(usage.max_rss_kib).filter(|peak| *peak > self.gate_own.rss_kib),
            outlived: usage.outlived,
            unstoppable: usage.unstoppable,
            cpu_includes_sampler: sampling.is_none(),
            sampling,
            goroutines: self.sampler.as_mut().map_or_else(Vec::new, NativeSampler::goroutines),
            output_problems: Vec::new(),
        }
    }
}

/// Waits, with a timeout, until the supervisor reports that no process runs any more.
fn await_end(launched: &mut Launched) {
    let deadline = Instant::now() + LAST_WORDS;
    let _ = launched.supervisor.set_read_timeout(Some(LAST_WORDS));
    while Instant::now() < deadline {
        match launched.reports.receive::<Report>() {
            Ok(Some(Report::Gone(_)) | None) | Err(_) => return,
            Ok(Some(_)) => {}
        }
    }
}
