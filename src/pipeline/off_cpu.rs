//! Off-CPU profile of a run: the waits of its threads, from a separate recording.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::copies::StackCopies;
use crate::analyse::Analysis;
use crate::config::{Config, StackSize};
use crate::endpoint::ProfileKind;
use crate::profile::OffCpuTime;
use crate::record::{ChosenEvent, OffCpuPlan};

/// Name of the recording of waits in a run directory.
pub(super) const OFF_CPU_FILE: &str = "off-cpu.data";
/// Name of the pprof profile of waits in an export, unless the export contains all files unchanged.
pub(super) const OFF_CPU_PPROF: &str = "off-cpu.pb.gz";

/// Maximum bytes of a stack copy at a switch, unless the user sets the size: a thread can wait 20 000 times a second.
const MAX_COPY_BYTES: u32 = 4096;

pub(super) const NANOSECONDS_PER_SECOND: f64 = 1e9;

/// Functions of Go's runtime in which an idle thread waits for a goroutine or for a signal.
const IDLE_FUNCTIONS: [&str; 8] = [
    "runtime.findRunnable",
    "runtime.findrunnable",
    "runtime.mPark",
    "runtime.stopm",
    "runtime.stoplockedm",
    "runtime.sysmon",
    "runtime.templateThread",
    "os/signal.signal_recv",
];

/// A profile of a run that is not made from the CPU samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunProfile {
    /// The time that threads waited.
    OffCpu,
    /// A profile of Go's runtime.
    Runtime(ProfileKind),
}

impl ValueEnum for RunProfile {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<RunProfile>> = LazyLock::new(|| {
            let of_runtime = ProfileKind::value_variants().iter().copied().map(RunProfile::Runtime);
            std::iter::once(RunProfile::OffCpu).chain(of_runtime).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::OffCpu => Some(
                PossibleValue::new("off-cpu").help("Time that threads waited, of a run with `off_cpu` in [record]"),
            ),
            Self::Runtime(kind) => kind.to_possible_value(),
        }
    }
}

/// Plans the recording of waits into `path`, if the settings request it. `copies` describes the stack copies of samples.
pub(super) fn off_cpu_plan(
    config: &Config,
    path: PathBuf,
    event: &ChosenEvent,
    copies: &StackCopies,
    cpus: &[u32],
) -> Option<OffCpuPlan> {
    let stack = match config.record.stack {
        StackSize::Bytes(bytes) => bytes,
        StackSize::ByProgram => copies.bytes.min(MAX_COPY_BYTES),
    };
    config.record.off_cpu.then(|| OffCpuPlan::new(path, event, stack, cpus))
}

/// Name of goflame's process. A recording of all CPUs contains the waits of goflame's threads.
const GOFLAME_PROCESS: &str = "goflame";

/// Removes idle threads from a profile of waits, and adds notes. `recorded` holds the figures that an analysis cannot
/// compute, such as the time of preempted threads. `None` if these figures are unknown.
pub(super) fn leave_out_idle_threads_with_notes(analysis: &mut Analysis, recorded: Option<OffCpuTime>) {
    let time = leave_out_idle_threads(analysis, recorded.unwrap_or_default());
    analysis.notes.extend(time.notes());
}

/// Removes goflame's threads and idle threads of Go's runtime from a profile of waits. Returns `recorded` with the
/// waiting times of goflame's threads, of the idle threads, and of all other threads.
pub(super) fn leave_out_idle_threads(analysis: &mut Analysis, recorded: OffCpuTime) -> OffCpuTime {
    let Analysis { profile, quality, .. } = analysis;
    let all = profile.total_weight();
    let is_of_others: Vec<bool> = profile.tasks().map(|task| profile.str(task.process) != GOFLAME_PROCESS).collect();
    profile.retain_samples(|_, task| is_of_others[task.index()]);
    let of_others = profile.total_weight();
    let is_idle: Vec<bool> =
        profile.functions().map(|(_, function)| IDLE_FUNCTIONS.contains(&profile.str(function.name))).collect();
    let idle_stacks = profile.stacks_with_frame(|_, frame| is_idle[frame.function.index()]);
    profile.retain_samples(|stack, _| !idle_stacks[stack.index()]);
    let waited = profile.total_weight();
    // The waits are measured, not sampled.
    (quality.samples, quality.kernel_sampled) = (None, None);
    OffCpuTime {
        waited_seconds: waited as f64 / NANOSECONDS_PER_SECOND,
        idle_seconds: of_others.saturating_sub(waited) as f64 / NANOSECONDS_PER_SECOND,
        goflame_seconds: all.saturating_sub(of_others) as f64 / NANOSECONDS_PER_SECOND,
        ..recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_unique_name() {
        let names: std::collections::BTreeSet<String> = RunProfile::value_variants()
            .iter()
            .filter_map(|profile| Some(profile.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(names.len(), ProfileKind::value_variants().len() + 1);
        assert!(names.contains("off-cpu") && names.contains("heap"));
    }
}
