//! Findings about the garbage collector.

use super::evidence::Evidence;
use super::finding::{Confidence, Fact, ProfileFinding, percent};
use super::shares::{ALLOCATION, ASSIST, BACKGROUND_MARK, SWEEP, Share, Shares};
use crate::gotrace::GcTotals;
use crate::profile::format_samples;

/// The collector takes a quarter of the processors while it marks. With 15 % over the whole time, it marks more than half
/// of the time.
const MARKING: f64 = 0.15;

/// Goroutines assist only if they allocate faster than the background workers mark. A twentieth of the CPU time is more
/// than a burst.
const ASSISTING: f64 = 0.05;

/// Sweeping costs about 1 % of the CPU time in programs with an ordinary heap.
const SWEEPING: f64 = 0.05;

/// Samples and gctrace agree if their shares differ by at most this.
const AGREEMENT: f64 = 0.05;

/// The share of the collector.
pub(super) fn share(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.at_least(MARKING, |bits| bits & (BACKGROUND_MARK | ASSIST) != 0)?;
    let (facts, confidence) = compared(evidence, share, "in marking", GcTotals::mark_ns);
    let caller = shares.heaviest_caller(|bits| bits & ALLOCATION != 0);
    let place = caller.map(|caller| format!(": most memory is allocated by {caller}")).unwrap_or_default();
    Some(ProfileFinding {
        id: "gc",
        title: format!("the garbage collector takes {} of the CPU time", percent(share.part)),
        evidence: facts,
        confidence,
        advice: format!("allocate less{place}; or let the heap grow, with GOGC or GOMEMLIMIT"),
        effect: share.part,
    })
}

/// Marking by goroutines that allocate.
pub(super) fn assists(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.at_least(ASSISTING, |bits| bits & ASSIST != 0)?;
    let (facts, confidence) = compared(evidence, share, "in assists", |totals| totals.assist_ns);
    let caller = shares.heaviest_caller(|bits| bits & ASSIST != 0).unwrap_or_else(|| "the program".into());
    Some(ProfileFinding {
        id: "gc-assist",
        title: format!("goroutines mark for the garbage collector in {} of the CPU time", percent(share.part)),
        evidence: facts,
        confidence,
        advice: format!(
            "{caller} allocates faster than the background workers mark: fewer allocations there shorten \
                         its own latency"
        ),
        effect: share.part,
    })
}

/// Sweeping, and returning memory to the kernel.
pub(super) fn sweeping(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.at_least(SWEEPING, |bits| bits & SWEEP != 0)?;
    Some(ProfileFinding {
        id: "gc-sweep",
        title: format!("sweeping and returning memory take {} of the CPU time", percent(share.part)),
        evidence: vec![share.fact("in sweeper and scavenger")],
        confidence: Confidence::Medium,
        advice:
            "a heap that grows and shrinks often is returned to the kernel and fetched again: see GOMEMLIMIT and GOGC"
                .into(),
        effect: share.part,
    })
}

/// Compares samples with gctrace.
fn compared(
    evidence: &Evidence<'_>,
    share: Share,
    what: &str,
    nanoseconds: impl Fn(&GcTotals) -> u64,
) -> (Vec<Fact>, Confidence) {
    let totals = evidence.trace.gc_totals();
    let mut facts = vec![share.fact(what)];
    let Some(used) = evidence.used_cpu().filter(|used| *used > 0.0 && totals.cycles > 0) else {
        return (facts, Confidence::Medium);
    };
    let seconds = nanoseconds(&totals) as f64 / 1e9;
    let part = seconds / used;
    let agree = (part - share.part).abs() <= AGREEMENT;
    // The runtime measures with a clock, so a worker that waits for a CPU seems to work.
    let why = if part > share.part + AGREEMENT { ", which counts waits for a CPU too" } else { "" };
    let pressure = evidence.pressure_seconds.filter(|_| !why.is_empty()).map(|seconds| {
        let text = format!("{seconds:.2} s in which a task of the machine waited for a CPU");
        Fact::new("pressure", seconds, "s", text)
    });
    facts.push(Fact::new(
        "gctrace",
        part * 100.0,
        "% of CPU time",
        format!("{seconds:.2} s {what} in {} collections ({} of the CPU time{why})", totals.cycles, percent(part)),
    ));
    facts.extend(pressure);
    (facts, if agree { Confidence::High } else { Confidence::Medium })
}

impl Share {
    /// The share as evidence.
    pub(super) fn fact(self, what: &str) -> Fact {
        let (seconds, count) = (self.seconds, format_samples(self.count));
        let text = format!("{seconds:.2} s {what} ({}, {count})", percent(self.part));
        Fact::new("samples", self.part * 100.0, "% of CPU time", text)
    }
}
