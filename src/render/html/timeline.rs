//! The lanes that the page shows above the samples, on the same axis of time: the phases of a server's run, its load, and the
//! events of the Go runtime.

use std::ops::Range;

use serde::Serialize;

use super::columns::Columns;
use crate::gotrace::{GcCycle, SchedulerSnapshot, Timed};
use crate::profile::PhaseName;
use crate::render::document::{Document, ServerRun};

/// The axis of time. All times are nanoseconds since the first sample, and negative before it.
#[derive(Serialize)]
pub(super) struct Timeline {
    from: i64,
    to: i64,
    /// Name, start and end of each phase. Empty if the samples of the whole run count.
    phases: Vec<(PhaseName, i64, i64)>,
    /// Start and end of the load.
    load: Option<(i64, i64)>,
}

impl Timeline {
    /// Returns the axis, which spans all samples, phases and events, and adds the columns of the events. Only the document's
    /// range of time counts. `None` if the samples have no times.
    pub(super) fn new(document: &Document<'_>, columns: &mut Columns) -> Option<Self> {
        let moments = document.view.profile().timed_samples()?;
        let first = moments.first()?.time;
        let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        let since_first = |ns: u64| signed(ns) - signed(first);
        let ServerRun { phases, load_time, .. } = document.server;
        let phases = if phases.len() > 1 { phases } else { &[] };
        let all = 0..u64::MAX;
        let shown = document.time.unwrap_or(&all);
        let ready = phases.iter().find(|phase| phase.name != PhaseName::Start).map(|phase| phase.start_ns);
        let load_ns = load_time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let load = ready.zip(load_ns).and_then(|(start, length)| clip((start, start.saturating_add(length)), shown));
        let spans_of_phases = phases.iter().filter_map(|phase| {
            let (start, end) = clip((phase.start_ns, phase.end_ns), shown)?;
            Some((phase.name, start, end))
        });
        let phases: Vec<(PhaseName, u64, u64)> = spans_of_phases.collect();

        let trace = document.runtime.map(|trace| trace.select_time_range(shown)).unwrap_or_default();
        let mut cycles: Vec<(u64, u64, &Timed<GcCycle>)> =
            trace.gc.iter().map(|cycle| (cycle.time_ns, cycle_end_ns(cycle).min(shown.end), cycle)).collect();
        cycles.sort_by_key(|(start, ..)| *start);
        let mut snapshots: Vec<&Timed<SchedulerSnapshot>> = trace.scheduler.iter().collect();
        snapshots.sort_by_key(|snapshot| snapshot.time_ns);

        let samples = moments.iter().take(1).chain(moments.last()).map(|moment| (moment.time, moment.time));
        let spans = samples
            .chain(phases.iter().map(|(_, start, end)| (*start, *end)))
            .chain(load)
            .chain(cycles.iter().map(|(start, end, _)| (*start, *end)))
            .chain(snapshots.iter().map(|snapshot| (snapshot.time_ns, snapshot.time_ns)));
        let (from, to) = spans.fold((first, first), |(from, to), span| (span.0.min(from), span.1.max(to)));
        add_cycles(&cycles, from, columns);
        add_queues(&snapshots, from, columns);
        Some(Self {
            from: since_first(from),
            to: since_first(to),
            phases: phases.iter().map(|(name, start, end)| (*name, since_first(*start), since_first(*end))).collect(),
            load: load.map(|(start, end)| (since_first(start), since_first(end))),
        })
    }
}

/// Returns the part of a span that is in a range. `None` if the whole span is outside.
fn clip((start, end): (u64, u64), range: &Range<u64>) -> Option<(u64, u64)> {
    let part = (start.max(range.start), end.min(range.end));
    (part.0 <= part.1).then_some(part)
}

/// Returns the end of a collection in nanoseconds, on the clock of the samples.
fn cycle_end_ns(cycle: &Timed<GcCycle>) -> u64 {
    cycle.event.clock_ns.iter().fold(cycle.time_ns, |end, ns| end.saturating_add(*ns))
}

fn add_cycles(cycles: &[(u64, u64, &Timed<GcCycle>)], from: u64, columns: &mut Columns) {
    columns.add("gc start", microseconds_since_previous(cycles.iter().map(|(start, ..)| *start), from));
    columns.add("gc length", cycles.iter().map(|(start, end, _)| (end - start) / 1000));
    columns.add("gc process", cycles.iter().map(|(.., cycle)| cycle.process as u64));
    columns.add("heap before", cycles.iter().map(|(.., cycle)| cycle.event.heap_before_mb));
    columns.add("heap after", cycles.iter().map(|(.., cycle)| cycle.event.heap_after_mb));
    columns.add("heap live", cycles.iter().map(|(.., cycle)| cycle.event.heap_live_mb));
}

fn add_queues(snapshots: &[&Timed<SchedulerSnapshot>], from: u64, columns: &mut Columns) {
    columns.add("queue time", microseconds_since_previous(snapshots.iter().map(|snapshot| snapshot.time_ns), from));
    columns.add("queue process", snapshots.iter().map(|snapshot| snapshot.process as u64));
    columns.add("queue length", snapshots.iter().map(|snapshot| snapshot.event.queued()));
}

/// Converts rising times in nanoseconds to microseconds since the previous time; the first one is since `from`. The times are
/// rounded, not the steps, so that rounding errors do not add up.
fn microseconds_since_previous(
    times: impl ExactSizeIterator<Item = u64>,
    from: u64,
) -> impl ExactSizeIterator<Item = u64> {
    let mut last = 0;
    times.map(move |time| {
        let now = (time - from) / 1000;
        now - std::mem::replace(&mut last, now)
    })
}
