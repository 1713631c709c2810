//! Findings about processors, run queues and CPU quotas.

use super::evidence::Evidence;
use super::finding::{Confidence, Fact, ProfileFinding, percent};
use super::shares::{FUTEX, NETPOLL, SCHEDULER, Shares, is_lock_wait};
use crate::gotrace::SchedulerSnapshot;

/// Fewer states of the scheduler say nothing about the time between them.
const MIN_SNAPSHOTS: usize = 5;

/// Two of five processors idle on average: not a moment without work, but a lack of it.
const IDLE: f64 = 0.4;

/// With idle processors, at least this part of their CPU time must be unused too.
const MAX_USED: f64 = 0.75;

/// Runnable goroutines for each processor. The runtime lets each one run for up to 10 ms, so the last of 8 waits 80 ms.
const QUEUE: f64 = 8.0;

/// Programs that compute spend a few percent in the scheduler. A fifth means that they switch more than they work.
const SCHEDULING: f64 = 0.2;

/// Periods that ended with a wait, and lost CPU time as a part of the wall time: one period may be a burst.
const THROTTLED_PERIODS: f64 = 0.05;
const THROTTLED_TIME: f64 = 0.01;

/// Means over the states of the scheduler.
struct Means {
    count: usize,
    /// Part of the processors that were idle.
    idle_part: f64,
    idle: f64,
    processors: f64,
    /// Goroutines in all run queues.
    queue: f64,
}

impl Means {
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
            count,
            idle_part: idle / processors,
            idle,
            processors,
            queue: mean(&|snapshot| snapshot.queued() as f64),
        })
    }

    fn fact(&self) -> Fact {
        let text = format!(
            "{:.1} of {:.1} processors idle, {:.1} goroutines in run queues (mean of {})",
            self.idle, self.processors, self.queue, self.count
        );
        Fact::new("schedtrace", self.idle_part * 100.0, "% of processors idle", text)
    }
}

/// Processors without a goroutine to run.
pub(super) fn idle_processors(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let means = Means::new(evidence)?;
    let used = evidence.cpu_per_processor()?;
    let is_idle = means.idle_part >= IDLE && means.queue < means.processors && used <= MAX_USED;
    if !is_idle {
        return None;
    }
    let mut facts = vec![means.fact(), cpu_fact(evidence, used)];
    facts.extend(shares.of(is_scheduling).map(|share| share.fact("in scheduler, futex and netpoll")));
    Some(ProfileFinding {
        id: "idle-processors",
        title: format!("{:.1} of {:.0} processors have no goroutine to run", means.idle, means.processors),
        evidence: facts,
        // Idle and used time together are the whole.
        confidence: if (means.idle_part + used - 1.0).abs() <= 0.2 { Confidence::High } else { Confidence::Medium },
        advice:
            "more goroutines that can run at the same time would use them; a program that waits has its reason outside \
                 of CPU samples: see its block and mutex profiles"
                .into(),
        effect: means.idle_part,
    })
}

/// Goroutines that wait for a processor.
pub(super) fn run_queue(evidence: &Evidence<'_>) -> Option<ProfileFinding> {
    let means = Means::new(evidence)?;
    let each = means.queue / means.processors;
    if each < QUEUE {
        return None;
    }
    let mut facts = vec![means.fact()];
    facts.extend(evidence.cpu_per_processor().map(|used| cpu_fact(evidence, used)));
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

/// Time spent on switching between goroutines.
pub(super) fn scheduling(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.at_least(SCHEDULING, is_scheduling)?;
    Some(ProfileFinding {
        id: "scheduling",
        title: format!("switching between goroutines takes {} of the CPU time", percent(share.part)),
        evidence: vec![share.fact("in scheduler, futex and netpoll")],
        confidence: Confidence::Medium,
        advice: "goroutines do little before they wait again: hand over work in larger parts, for example in batches \
                 through a channel"
            .into(),
        effect: share.part,
    })
}

/// A CPU quota that was used up.
pub(super) fn throttling(evidence: &Evidence<'_>) -> Option<ProfileFinding> {
    let most = evidence.quotas.iter().max_by(|a, b| a.throttled_seconds.total_cmp(&b.throttled_seconds))?;
    let periods = most.throttled_periods as f64 / most.periods.max(1) as f64;
    let time = most.throttled_seconds / evidence.wall_seconds.max(1e-9);
    if periods < THROTTLED_PERIODS || time < THROTTLED_TIME {
        return None;
    }
    let waits = format!(
        "{} of {} periods ended with a wait, {:.2} s over all CPUs ({})",
        most.throttled_periods, most.periods, most.throttled_seconds, most.group
    );
    let mut facts = vec![Fact::new("cgroup", most.throttled_seconds, "s", waits)];
    if let Some(used) = evidence.used_cpu() {
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
            percent(periods)
        ),
        evidence: facts,
        confidence: Confidence::High,
        advice: format!(
            "{first}raise the quota (`cpu.max`, `docker run --cpus`, or the limit of the Kubernetes container)"
        ),
        effect: time.min(1.0),
    })
}

fn is_scheduling(bits: u32) -> bool {
    bits & (SCHEDULER | FUTEX | NETPOLL) != 0 && !is_lock_wait(bits)
}

fn cpu_fact(evidence: &Evidence<'_>, used: f64) -> Fact {
    let seconds = evidence.used_cpu().unwrap_or(0.0);
    let text = format!("{seconds:.2} s of CPU time, {} of each processor", percent(used));
    Fact::new("times", used * 100.0, "% of each processor", text)
}
