//! The waits of a run's threads: a recording of their own, and a profile beside that of the samples.

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
/// Name of its pprof profile in an export without programs.
pub(super) const OFF_CPU_PPROF: &str = "off-cpu.pb.gz";

/// Maximum bytes of a stack copy at a switch, unless the user sets the size: a thread may wait 20 000 times a second.
const MAX_COPY: u32 = 4096;

pub(super) const NANOSECONDS: f64 = 1e9;

/// Functions of Go's runtime in which a thread waits because it has no goroutine to run, and that in which it waits for
/// signals.
const IDLE: [&str; 8] = [
    "runtime.findRunnable",
    "runtime.findrunnable",
    "runtime.mPark",
    "runtime.stopm",
    "runtime.stoplockedm",
    "runtime.sysmon",
    "runtime.templateThread",
    "os/signal.signal_recv",
];

/// A profile of a run besides that of its samples.
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

/// Plans the recording of waits in this file, if the settings ask for it. `copies` are those of the samples.
pub(super) fn off_cpu_plan(
    config: &Config,
    path: PathBuf,
    event: &ChosenEvent,
    copies: &StackCopies,
    cpus: &[u32],
) -> Option<OffCpuPlan> {
    let stack = match config.record.stack {
        StackSize::Bytes(bytes) => bytes,
        StackSize::ByProgram => copies.bytes.min(MAX_COPY),
    };
    config.record.off_cpu.then(|| OffCpuPlan::new(path, event, stack, cpus))
}

/// Name of goflame's own process, whose threads wait for samples: a recording of all CPUs contains them.
const OWN_PROCESS: &str = "goflame";

/// Leaves idle threads out of a profile of waits, and says what it shows. `recorded` are the figures of its recording.
pub(super) fn show_waits(analysis: &mut Analysis, recorded: Option<OffCpuTime>) {
    let time = leave_out_idle_threads(analysis, recorded.unwrap_or_default());
    analysis.notes.extend(time.notes());
}

/// Leaves goflame's own threads and the idle ones of Go's runtime out of a profile of waits, and adds their time and that of the
/// others to `recorded`.
pub(super) fn leave_out_idle_threads(analysis: &mut Analysis, recorded: OffCpuTime) -> OffCpuTime {
    let Analysis { profile, quality, .. } = analysis;
    let all = profile.total_weight();
    let is_of_others: Vec<bool> = profile.tasks().map(|task| profile.str(task.process) != OWN_PROCESS).collect();
    profile.retain_samples(|_, task| is_of_others[task.index()]);
    let of_others = profile.total_weight();
    let is_idle: Vec<bool> =
        profile.functions().map(|(_, function)| IDLE.contains(&profile.str(function.name))).collect();
    let idle_stacks = profile.stacks_with(|_, frame| is_idle[frame.function.index()]);
    profile.retain_samples(|stack, _| !idle_stacks[stack.index()]);
    let waited = profile.total_weight();
    // The waits are measured, not sampled.
    (quality.samples, quality.kernel_sampled) = (None, None);
    OffCpuTime {
        waited_seconds: waited as f64 / NANOSECONDS,
        idle_seconds: of_others.saturating_sub(waited) as f64 / NANOSECONDS,
        goflame_seconds: all.saturating_sub(of_others) as f64 / NANOSECONDS,
        ..recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> = RunProfile::value_variants()
            .iter()
            .filter_map(|profile| Some(profile.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(names.len(), ProfileKind::value_variants().len() + 1);
        assert!(names.contains("off-cpu") && names.contains("heap"));
    }
}
