//! Explains why the samples of a run cover less CPU time than the program used.

use crate::profile::Quality;
use crate::record::{ChosenEvent, Recording};
use crate::workload::Outcome;

/// Share of the CPU time that samples must cover. A lower share is explained to the user.
const MIN_COVERED_SHARE: f64 = 0.9;

/// Maximum seconds between two ticks of the kernel, which count user and system time (`CONFIG_HZ=100`).
const MAX_TICK_SECONDS: f64 = 0.01;

/// Returns why samples cover too little CPU time, with advice. `None` if they cover enough, or if another figure of
/// quality explains it: lost samples, the size limit of the file, or a kernel that was not sampled.
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
    // Three standard deviations of the user share, which is counted in ticks. Zero if the kernel is sampled too.
    let uncertainty =
        3.0 * (user_share * (1.0 - user_share) * MAX_TICK_SECONDS / cpu.used_seconds.max(MAX_TICK_SECONDS)).sqrt();
    let expected = cpu.used_seconds * (user_share - uncertainty);
    if quality.size_bound.is_some() || sampled >= expected * MIN_COVERED_SHARE {
        return None;
    }
    Some(match &recording.per_thread_reason {
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
