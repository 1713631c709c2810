//! Findings about the garbage collector.

use super::evidence::Evidence;
use super::finding::{Confidence, Fact, ProfileFinding, format_percent};
use super::shares::{ALLOCATION, ASSIST, BACKGROUND_MARK, SWEEP, Share, Shares};
use crate::gotrace::GcTotals;
use crate::profile::format_samples;

/// The collector takes a quarter of the processors while it marks. A share of 15 % means that it marks more than half of the
/// time.
const MIN_MARK_SHARE: f64 = 0.15;

/// Goroutines assist only if they allocate faster than the background workers mark. A twentieth of the CPU time is more
/// than a burst.
const MIN_ASSIST_SHARE: f64 = 0.05;

/// Sweeping costs about 1 % of the CPU time in programs with an ordinary heap.
const MIN_SWEEP_SHARE: f64 = 0.05;

/// Samples and gctrace agree if their shares of the CPU time differ by at most 5 percentage points.
const MAX_DISAGREEMENT: f64 = 0.05;

/// Finding `gc`: the garbage collector takes much of the CPU time.
pub(super) fn find_garbage_collection(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.share_if_at_least(MIN_MARK_SHARE, |kinds| kinds & (BACKGROUND_MARK | ASSIST) != 0)?;
    let (facts, confidence) = compare_with_gctrace(evidence, share, "in marking", GcTotals::mark_ns);
    let caller = shares.heaviest_caller(|kinds| kinds & ALLOCATION != 0);
    let place = caller.map(|caller| format!(": most memory is allocated by {caller}")).unwrap_or_default();
    Some(ProfileFinding {
        id: "gc",
        title: format!("the garbage collector takes {} of the CPU time", format_percent(share.fraction)),
        evidence: facts,
        confidence,
        advice: format!("allocate less{place}; or let the heap grow, with GOGC or GOMEMLIMIT"),
        effect: share.fraction,
    })
}

/// Finding `gc-assist`: goroutines that allocate must mark memory for the collector.
pub(super) fn find_assists(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.share_if_at_least(MIN_ASSIST_SHARE, |kinds| kinds & ASSIST != 0)?;
    let (facts, confidence) = compare_with_gctrace(evidence, share, "in assists", |totals| totals.assist_ns);
    let caller = shares.heaviest_caller(|kinds| kinds & ASSIST != 0).unwrap_or_else(|| "the program".into());
    Some(ProfileFinding {
        id: "gc-assist",
        title: format!(
            "goroutines mark for the garbage collector in {} of the CPU time",
            format_percent(share.fraction)
        ),
        evidence: facts,
        confidence,
        advice: format!(
            "{caller} allocates faster than the background workers mark: fewer allocations there shorten \
                         its own latency"
        ),
        effect: share.fraction,
    })
}

/// Finding `gc-sweep`: sweeping memory and returning it to the kernel take much of the CPU time.
pub(super) fn find_sweeping(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.share_if_at_least(MIN_SWEEP_SHARE, |kinds| kinds & SWEEP != 0)?;
    Some(ProfileFinding {
        id: "gc-sweep",
        title: format!("sweeping and returning memory take {} of the CPU time", format_percent(share.fraction)),
        evidence: vec![share.to_fact("in sweeper and scavenger")],
        confidence: Confidence::Medium,
        advice:
            "a heap that grows and shrinks often is returned to the kernel and fetched again: see GOMEMLIMIT and GOGC"
                .into(),
        effect: share.fraction,
    })
}

/// Compares a share of the samples with the CPU time that gctrace reports for the same work. `work` is the text for
/// this work in the facts. Returns both figures, and high confidence if they agree.
fn compare_with_gctrace(
    evidence: &Evidence<'_>,
    share: Share,
    work: &str,
    nanoseconds: impl Fn(&GcTotals) -> u64,
) -> (Vec<Fact>, Confidence) {
    let totals = evidence.trace.gc_totals();
    let mut facts = vec![share.to_fact(work)];
    let Some(used) = evidence.cpu_seconds_total().filter(|used| *used > 0.0 && totals.cycles > 0) else {
        return (facts, Confidence::Medium);
    };
    let seconds = nanoseconds(&totals) as f64 / 1e9;
    let part = seconds / used;
    let agree = (part - share.fraction).abs() <= MAX_DISAGREEMENT;
    // The runtime measures with a clock, so a worker that waits for a CPU seems to work.
    let why = if part > share.fraction + MAX_DISAGREEMENT { ", which counts waits for a CPU too" } else { "" };
    let pressure = evidence.pressure_seconds.filter(|_| !why.is_empty()).map(|seconds| {
        let text = format!("{seconds:.2} s in which a task of the machine waited for a CPU");
        Fact::new("pressure", seconds, "s", text)
    });
    facts.push(Fact::new(
        "gctrace",
        part * 100.0,
        "% of CPU time",
        format!(
            "{seconds:.2} s {work} in {} collections ({} of the CPU time{why})",
            totals.cycles,
            format_percent(part)
        ),
    ));
    facts.extend(pressure);
    (facts, if agree { Confidence::High } else { Confidence::Medium })
}

impl Share {
    /// Returns the share as evidence. `place` says where the samples are, such as `in marking`.
    pub(super) fn to_fact(self, place: &str) -> Fact {
        let (seconds, count) = (self.seconds, format_samples(self.count));
        let text = format!("{seconds:.2} s {place} ({}, {count})", format_percent(self.fraction));
        Fact::new("samples", self.fraction * 100.0, "% of CPU time", text)
    }
}
