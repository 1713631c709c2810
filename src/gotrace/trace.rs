//! All events of a stream, with times on the clock of the samples.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::line::{GcCycle, PackageInit, RuntimeLine, SchedulerSnapshot};
use super::splitter::ArrivedLine;

/// Maximum number of stored events: enough for an hour with 50 collections per second. `runtime.log` has all lines.
const MAX_EVENTS: usize = 200_000;

/// The events that the runtime reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeTrace {
    /// Garbage collections, ordered by their end.
    #[serde(default)]
    pub gc: Vec<Timed<GcCycle>>,
    /// Snapshots of the scheduler.
    #[serde(default)]
    pub scheduler: Vec<Timed<SchedulerSnapshot>>,
    /// Initialisations of packages.
    #[serde(default)]
    pub inits: Vec<Timed<PackageInit>>,
    /// Number of events that were not stored, because the limit was reached.
    #[serde(default)]
    pub left_out: u64,
}

/// An event and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed<E> {
    /// Start of the event on the samples' clock (`CLOCK_MONOTONIC`), in nanoseconds.
    pub time_ns: u64,
    /// Time when goflame had read the line, on the same clock, in nanoseconds.
    pub arrived_ns: u64,
    /// Index of the process, which goflame infers from the figures in the lines. Collections and snapshots have
    /// separate indices, so the same index can mean two processes. Always 0 for initialisations of packages.
    pub process: usize,
    /// The event.
    #[serde(flatten)]
    pub event: E,
}

/// Sums over garbage collections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcTotals {
    /// Number of collections.
    pub cycles: usize,
    /// CPU time of marking by goroutines that allocate, in nanoseconds.
    pub assist_ns: u64,
    /// CPU time of marking by background workers, in nanoseconds.
    pub background_ns: u64,
    /// CPU time of marking by idle processors, in nanoseconds.
    pub idle_ns: u64,
    /// Wall time of all pauses, in nanoseconds.
    pub pauses_ns: u64,
}

impl GcTotals {
    /// CPU time of all marking, in nanoseconds.
    pub fn mark_ns(&self) -> u64 {
        self.assist_ns.saturating_add(self.background_ns).saturating_add(self.idle_ns)
    }
}

impl RuntimeTrace {
    /// Whether the runtime reported nothing.
    pub fn is_empty(&self) -> bool {
        self.gc.is_empty() && self.scheduler.is_empty() && self.inits.is_empty()
    }

    /// Returns the events that started within a range of times on the samples' clock.
    #[must_use]
    pub fn select_time_range(&self, range: &Range<u64>) -> Self {
        Self {
            gc: events_within(&self.gc, range),
            scheduler: events_within(&self.scheduler, range),
            inits: events_within(&self.inits, range),
            left_out: self.left_out,
        }
    }

    /// Sums up the garbage collections.
    pub fn gc_totals(&self) -> GcTotals {
        let mut totals = GcTotals { cycles: self.gc.len(), ..GcTotals::default() };
        for Timed { event, .. } in &self.gc {
            totals.assist_ns = totals.assist_ns.saturating_add(event.cpu.assist_ns);
            totals.background_ns = totals.background_ns.saturating_add(event.cpu.background_ns);
            totals.idle_ns = totals.idle_ns.saturating_add(event.cpu.idle_ns);
            let [first, _, second] = event.clock_ns;
            totals.pauses_ns = totals.pauses_ns.saturating_add(first).saturating_add(second);
        }
        totals
    }
}

fn events_within<E: Clone>(events: &[Timed<E>], range: &Range<u64>) -> Vec<Timed<E>> {
    events.iter().filter(|event| range.contains(&event.time_ns)).cloned().collect()
}

/// Collects the events of a stream.
#[derive(Debug, Default)]
pub struct TraceCollector {
    trace: RuntimeTrace,
    /// Whether the lines that follow contain the run queues of the last snapshot (`scheddetail=1`).
    has_details: bool,
}

impl TraceCollector {
    /// Adds the event of a line. Counts the event as left out if the limit is reached.
    pub fn add(&mut self, line: ArrivedLine) {
        let ArrivedLine { line, process, arrived_ns, .. } = line;
        let trace = &mut self.trace;
        if trace.gc.len() + trace.scheduler.len() + trace.inits.len() >= MAX_EVENTS {
            trace.left_out += 1;
            return;
        }
        match line {
            RuntimeLine::Gc(event) => trace.gc.push(Timed { time_ns: 0, arrived_ns, process, event }),
            RuntimeLine::Scheduler(event) => {
                self.has_details = event.processor_queues.is_empty();
                trace.scheduler.push(Timed { time_ns: 0, arrived_ns, process, event });
            }
            RuntimeLine::Processor(queue) => {
                if let Some(last) = trace.scheduler.last_mut().filter(|_| self.has_details) {
                    last.event.processor_queues.push(queue);
                }
            }
            RuntimeLine::Detail => {}
            RuntimeLine::Init(event) => trace.inits.push(Timed { time_ns: 0, arrived_ns, process, event }),
        }
    }

    /// Returns all events, with their times on the samples' clock.
    pub fn finish(self) -> RuntimeTrace {
        let mut trace = self.trace;
        set_event_times(&mut trace.gc, |cycle| {
            (cycle.at_ns, cycle.clock_ns.iter().fold(0, |sum, ns| ns.saturating_add(sum)))
        });
        set_event_times(&mut trace.scheduler, |snapshot| (snapshot.at_ms.saturating_mul(1_000_000), 0));
        set_event_times(&mut trace.inits, |init| (init.at_ns, init.clock_ns));
        trace
    }
}

/// Sets the time of each event. `start_and_duration` returns nanoseconds. The start counts from a zero that is different in
/// each process and unknown.
///
/// A line arrives after the end of its event, so the zero is at most `arrival - start - duration`. The zero is estimated as
/// the minimum over all lines of a process. The error is the delay of the fastest line, below a millisecond.
fn set_event_times<E>(events: &mut [Timed<E>], start_and_duration: impl Fn(&E) -> (u64, u64)) {
    let mut zeros: Vec<u64> = Vec::new();
    for event in events.iter() {
        let (start, duration) = start_and_duration(&event.event);
        let zero = event.arrived_ns.saturating_sub(start.saturating_add(duration));
        if zeros.len() <= event.process {
            zeros.resize(event.process + 1, u64::MAX);
        }
        if let Some(minimum) = zeros.get_mut(event.process) {
            *minimum = zero.min(*minimum);
        }
    }
    for event in events {
        let zero = zeros.get(event.process).copied().unwrap_or(0);
        event.time_ns = zero.saturating_add(start_and_duration(&event.event).0);
    }
}
