//! Samples a running target until the target ends, a time has passed or a signal asks goflame to end.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::error::Error;
use super::plan::SamplingPlan;
use super::priority::HighPriority;
use super::recording::Recording;
use super::running_target::{RunningProcess, RunningTarget};
use super::session::{SamplingProgress, Session};
use crate::gotrace::RuntimeTrace;
use crate::process::{ExitStatus, ProcessStat, Signals, descendants_of};
use crate::workload::{ContainerGroup, Ending, Monitor, Outcome};

/// Maximum time between two checks of the clock.
const TICK: Duration = Duration::from_millis(100);

/// Result of sampling a running target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Why sampling ended.
    pub end: ObservationEnd,
    /// Time from the start to the end of sampling.
    pub wall: Duration,
    /// CPU time of the target in user mode and in kernel mode. `None` if it is unknown: for the whole machine, and for
    /// processes with children that are not in a container.
    pub cpu: Option<(Duration, Duration)>,
}

impl From<Observation> for Outcome {
    fn from(observation: Observation) -> Self {
        let (user_cpu, system_cpu) = observation.cpu.unwrap_or_default();
        Self {
            // Only the parent of a process learns its exit status.
            status: ExitStatus::Code(0),
            ending: match observation.end {
                ObservationEnd::TargetEnded => Ending::ByItself,
                ObservationEnd::TimeReached | ObservationEnd::Signal(_) => Ending::StillRuns,
            },
            wall: observation.wall,
            user_cpu,
            system_cpu,
            has_cpu_times: observation.cpu.is_some(),
            max_rss_kib: None,
            outliving_processes: 0,
            unstoppable_processes: 0,
            incomplete_logs: Vec::new(),
            phases: Vec::new(),
            window_cpu: user_cpu + system_cpu,
            load: None,
            failure: None,
            listening_address: None,
            runtime: RuntimeTrace::default(),
        }
    }
}

/// Why sampling of a running target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservationEnd {
    /// The requested time has passed. The target continues to run.
    TimeReached,
    /// This signal asked goflame to end. The target continues to run.
    Signal(i32),
    /// All processes of the target ended.
    TargetEnded,
}

/// Samples the target, at most for `duration`.
pub fn observe(
    plan: &SamplingPlan,
    target: &RunningTarget,
    duration: Option<Duration>,
    progress: &dyn SamplingProgress,
) -> Result<(Observation, Recording), Error> {
    let mut signals = Signals::catch().map_err(Error::Signals)?;
    // Busy threads of the target must not delay the opening of their events.
    let _priority = HighPriority::request();
    let mut session = Session::attach(plan, target, progress)?;
    let started = Instant::now();
    let cpu = CpuTimes::new(target);
    let mut living: Vec<&RunningProcess> = target.processes().iter().collect();
    let end = loop {
        let left = duration.map_or(TICK, |duration| duration.saturating_sub(started.elapsed()));
        let mut others: Vec<_> = living.iter().map(|process| process.pidfd.as_fd()).collect();
        others.extend(signals.fds());
        let ready = session.wait(&others, left.min(TICK))?;
        session.work()?;
        let mut ready = ready.into_iter();
        living.retain(|_| !ready.next().unwrap_or(false));
        session.show_progress(started.elapsed(), None);
        if let Some(signal) = signals.take() {
            break ObservationEnd::Signal(signal);
        }
        if living.is_empty() && matches!(target, RunningTarget::Processes { .. }) {
            break ObservationEnd::TargetEnded;
        }
        if duration.is_some_and(|duration| started.elapsed() >= duration) {
            break ObservationEnd::TimeReached;
        }
    };
    let wall = started.elapsed();
    let cpu = cpu.finish();
    Ok((Observation { end, wall, cpu }, session.finish()?))
}

/// CPU time that the target uses while it is sampled.
enum CpuTimes {
    /// Measured processes, which have no children, and their figures when sampling began.
    Processes(Vec<(i32, ProcessStat)>),
    /// The control group of a container, and its CPU times (user, kernel) when sampling began.
    Container(ContainerGroup, (Duration, Duration)),
    Unknown,
}

impl CpuTimes {
    fn new(target: &RunningTarget) -> Self {
        let RunningTarget::Processes { named, container } = target else { return Self::Unknown };
        if let Some(id) = container {
            let group = named.first().and_then(|first| ContainerGroup::find(id, first.pid).ok());
            let times = group.and_then(|group| Some((group.cpu_times()?, group)));
            return times.map_or(Self::Unknown, |(first, group)| Self::Container(group, first));
        }
        let stat = |process: &RunningProcess| ProcessStat::read(process.pid).map(|stat| (process.pid, stat));
        let processes: Vec<_> = named.iter().filter_map(stat).collect();
        if processes.is_empty() || !has_no_children(&processes) { Self::Unknown } else { Self::Processes(processes) }
    }

    fn finish(self) -> Option<(Duration, Duration)> {
        match self {
            Self::Processes(processes) => {
                let (mut user, mut system) = (Duration::ZERO, Duration::ZERO);
                for (pid, first) in &processes {
                    // `/proc` shows a process that has ended until its parent has waited for it.
                    let last = ProcessStat::read(*pid).filter(|last| last.start == first.start)?;
                    if first.childrens_cpu != last.childrens_cpu {
                        return None;
                    }
                    user += last.cpu.0.saturating_sub(first.cpu.0);
                    system += last.cpu.1.saturating_sub(first.cpu.1);
                }
                has_no_children(&processes).then_some((user, system))
            }
            Self::Container(group, first) => {
                let last = group.cpu_times()?;
                Some((last.0.saturating_sub(first.0), last.1.saturating_sub(first.1)))
            }
            Self::Unknown => None,
        }
    }
}

fn has_no_children(processes: &[(i32, ProcessStat)]) -> bool {
    let pids: Vec<i32> = processes.iter().map(|(pid, ..)| *pid).collect();
    descendants_of(&pids, &[]).is_empty()
}
