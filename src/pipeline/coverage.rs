//! Why the samples of a run stand for less CPU time than its program used.

use crate::profile::Quality;
use crate::record::{ChosenEvent, Recording};
use crate::workload::Outcome;

/// Share of the CPU time above which nothing needs an explanation.
const ENOUGH: f64 = 0.9;

/// Seconds between the ticks at which the kernel looks whether user code or the kernel runs, at most (`CONFIG_HZ=100`).
const TICK: f64 = 0.01;

/// Returns the cause, and what helps. `None` if most of the time was seen, or if another figure of quality explains the
/// rest: lost samples, a bounded file, or a kernel that may not be sampled.
pub(super) fn unseen_cpu_cause(
    quality: &Quality,
    event: &ChosenEvent,
    outcome: &Outcome,
    recording: &Recording,
) -> Option<String> {
    quality.unseen_cpu()?;
    let cpu = quality.cpu?;
    let period = 1.0 / f64::from(event.spec.frequency.max(1));
    let sampled = cpu.sampled_seconds + quality.lost.unwrap_or(0) as f64 * period;
    let [user, system] = [outcome.user_cpu, outcome.system_cpu].map(|time| time.as_secs_f64());
    let user_share = if event.spec.kernel { 1.0 } else { user / (user + system).max(f64::MIN_POSITIVE) };
    // Three standard deviations of a share that was counted at ticks. None where all of the time is expected.
    let uncertainty = 3.0 * (user_share * (1.0 - user_share) * TICK / cpu.used_seconds.max(TICK)).sqrt();
    let expected = cpu.used_seconds * (user_share - uncertainty);
    if quality.size_bound.is_some() || sampled >= expected * ENOUGH {
        return None;
    }
    Some(match &recording.inherited {
        Some(inherited) => format!(
            "a thread or process that uses less than {:.0} ms of CPU time has no sample, because each has an event of its \
             own ({}); one event per CPU sees all of them: {}; a higher frequency (--freq) sees more of them",
            (period * 1e3).ceil(),
            inherited.reason,
            inherited.remedy
        ),
        None => "context switches, processes that left the control group of the run, and CPUs that refuse the event are not \
                 seen"
            .to_owned(),
    })
}
