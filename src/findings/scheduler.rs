//! Findings about processors, run queues and CPU quotas.

use super::evidence::Evidence;
use super::finding::{Confidence, Fact, ProfileFinding, format_percent};
use super::shares::{CodeKinds, FUTEX, NETPOLL, SCHEDULER, Shares, is_lock_wait};
use crate::gotrace::SchedulerSnapshot;

/// With fewer snapshots of the scheduler, their means say too little about the time between them.
const MIN_SNAPSHOTS: usize = 5;

/// Two of five processors are idle on average: that is a lack of work, not a short pause.
const MIN_IDLE_SHARE: f64 = 0.4;

/// If the program used a larger part of the processors' time, they were not idle, whatever the snapshots show.
const MAX_PROCESSOR_USAGE: f64 = 0.75;

/// Runnable goroutines for each processor. The runtime lets each goroutine run for up to 10 ms, so the last of 8 waits 80 ms.
const MIN_QUEUE_LENGTH: f64 = 8.0;

/// Programs that compute spend a few percent of their CPU time in the scheduler. A fifth means too much switching.
const MIN_SCHEDULING_SHARE: f64 = 0.2;

/// Minimum share of the quota's periods that ended with a wait. A single such period can be a burst.
const MIN_THROTTLED_PERIODS_SHARE: f64 = 0.05;
/// Minimum of the waiting time, summed over all CPUs, as a share of the wall time.
const MIN_THROTTLED_TIME_SHARE: f64 = 0.01;

/// Means over all snapshots of the scheduler.
struct SchedulerMeans {
    snapshot_count: usize,
    idle_share: f64,
    idle_processors: f64,
    processors: f64,
    /// Goroutines in all run queues.
    queued_goroutines: f64,
}

impl SchedulerMeans {
    fn new(evidence: &Evidence<'_>) -> Option<Self> {
        let snapshots = &evidence.trace.scheduler;
        let count = snapshots.len();
        if count < MIN_SNAPSHOTS {
            return None;
        }
        let mean = |value: &dyn Fn(&SchedulerSnapshot) -> f64| {
            snapshots.iter().map(|snapshot| value(&snapshot.event)).sum::<f64>() / count as f64
        };
        let processors = mean(&|snapshot| snapshot.gomaxprocs.max(1) as f64);
        let idle = mean(&|snapshot| snapshot.idle_processors.min(snapshot.gomaxprocs) as f64);
        Some(Self {
            snapshot_count: count,
            idle_share: idle / processors,
            idle_processors: idle,
            processors,
            queued_goroutines: mean(&|snapshot| snapshot.queued() as f64),
        })
    }

    fn to_fact(&self) -> Fact {
        let text = format!(
            "{:.1} of {:.1} processors idle, {:.1} goroutines in run queues (mean of {})",
            self.idle_processors, self.processors, self.queued_goroutines, self.snapshot_count
        );
        Fact::new("schedtrace", self.idle_share * 100.0, "% of processors idle", text)
    }
}

/// Finding `idle-processors`: processors have no goroutine to run.
pub(super) fn find_idle_processors(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let means = SchedulerMeans::new(evidence)?;
    let used = evidence.processor_usage()?;
    let is_idle =
        means.idle_share >= MIN_IDLE_SHARE && means.queued_goroutines < means.processors && used <= MAX_PROCESSOR_USAGE;
    if !is_idle {
        return None;
    }
    let mut facts = vec![means.to_fact(), usage_fact(evidence, used)];
    facts.extend(shares.share_where(is_scheduling).map(|share| share.to_fact("in scheduler, futex and netpoll")));
    Some(ProfileFinding {
        id: "idle-processors",
        title: format!("{:.1} of {:.0} processors have no goroutine to run", means.idle_processors, means.processors),
        evidence: facts,
        // The two sources agree if idle and used time add up to about the whole time.
        confidence: if (means.idle_share + used - 1.0).abs() <= 0.2 { Confidence::High } else { Confidence::Medium },
        advice:
            "more goroutines that can run at the same time would use them; a program that waits has its reason outside \
                 of CPU samples: see its block and mutex profiles"
                .into(),
        effect: means.idle_share,
    })
}

/// Finding `run-queue`: many goroutines wait for a processor.
pub(super) fn find_run_queue(evidence: &Evidence<'_>) -> Option<ProfileFinding> {
    let means = SchedulerMeans::new(evidence)?;
    let each = means.queued_goroutines / means.processors;
    if each < MIN_QUEUE_LENGTH {
        return None;
    }
    let mut facts = vec![means.to_fact()];
    facts.extend(evidence.processor_usage().map(|used| usage_fact(evidence, used)));
    Some(ProfileFinding {
        id: "run-queue",
        title: format!("{each:.0} goroutines wait for each processor"),
        evidence: facts,
        confidence: Confidence::Medium,
        advice:
            "the program is bound by its CPUs: give it more of them, or bound the number of goroutines that compute"
                .into(),
        effect: 0.5,
    })
}

/// Finding `scheduling`: switching between goroutines takes much of the CPU time.
pub(super) fn find_scheduling(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.share_if_at_least(MIN_SCHEDULING_SHARE, is_scheduling)?;
    Some(ProfileFinding {
        id: "scheduling",
        title: format!("switching between goroutines takes {} of the CPU time", format_percent(share.fraction)),
        evidence: vec![share.to_fact("in scheduler, futex and netpoll")],
        confidence: Confidence::Medium,
        advice: "goroutines do little before they wait again: hand over work in larger parts, for example in batches \
                 through a channel"
            .into(),
        effect: share.fraction,
    })
}

/// Finding `cpu-throttling`: a CPU quota stopped the program.
pub(super) fn find_throttling(evidence: &Evidence<'_>) -> Option<ProfileFinding> {
    let most = evidence.quotas.iter().max_by(|a, b| a.throttled_seconds.total_cmp(&b.throttled_seconds))?;
    let periods = most.throttled_periods as f64 / most.periods.max(1) as f64;
    let time = most.throttled_seconds / evidence.wall_seconds.max(1e-9);
    if periods < MIN_THROTTLED_PERIODS_SHARE || time < MIN_THROTTLED_TIME_SHARE {
        return None;
    }
    let waits = format!(
        "{} of {} periods ended with a wait, {:.2} s over all CPUs ({})",
        most.throttled_periods, most.periods, most.throttled_seconds, most.group
    );
    let mut facts = vec![Fact::new("cgroup", most.throttled_seconds, "s", waits)];
    if let Some(used) = evidence.cpu_seconds_total() {
        let each = used / evidence.wall_seconds.max(1e-9);
        facts.push(Fact::new("times", each, "CPUs", format!("{used:.2} s of CPU time, {each:.2} CPUs on average")));
    }
    let processors = evidence.gomaxprocs().map(|count| count as f64);
    facts.extend(
        processors.map(|count| Fact::new("schedtrace", count, "processors", format!("GOMAXPROCS is {count:.0}"))),
    );
    let too_many = processors.is_some_and(|count| count >= most.cpus + 1.0);
    let first = if too_many {
        "GOMAXPROCS is above the quota; Go 1.25 and later follow it by themselves if go.mod says so; or "
    } else {
        ""
    };
    Some(ProfileFinding {
        id: "cpu-throttling",
        title: format!(
            "the CPU quota of {:.2} CPUs stopped the program in {} of its periods",
            most.cpus,
            format_percent(periods)
        ),
        evidence: facts,
        confidence: Confidence::High,
        advice: format!(
            "{first}raise the quota (`cpu.max`, `docker run --cpus`, or the limit of the Kubernetes container)"
        ),
        effect: time.min(1.0),
    })
}

fn is_scheduling(kinds: CodeKinds) -> bool {
    kinds & (SCHEDULER | FUTEX | NETPOLL) != 0 && !is_lock_wait(kinds)
}

fn usage_fact(evidence: &Evidence<'_>, used: f64) -> Fact {
    let seconds = evidence.cpu_seconds_total().unwrap_or(0.0);
    let text = format!("{seconds:.2} s of CPU time, {} of each processor", format_percent(used));
    Fact::new("times", used * 100.0, "% of each processor", text)
}
