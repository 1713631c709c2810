//! Opens the event on a launched program and its descendants: confined to a control group if possible, otherwise
//! inherited. Also opens it on running programs, on containers, and on the whole machine.

use std::collections::BTreeSet;
use std::io;

use super::before_exec::ExecFilter;
use super::error::Error;
use super::event::{ChosenEvent, REQUESTED_RING_BYTES, file_event};
use super::plan::SamplingPlan;
use super::recording::PerThreadReason;
use super::running_target::{RunningProcess, RunningTarget, is_in_container};
use super::target_error::TargetError;
use super::thread_events::{EventOwners, ThreadEvents};
use crate::perfdata::Event;
use crate::perfevent::{self, MIN_RING_BYTES, Rings, Target, open};
use crate::process::all_process_ids;
use crate::workload::{ContainerGroup, ControlGroup, NoControlGroup, WaitingProgram};

/// Why each thread has a separate event instead of one event per CPU. One event per CPU catches more samples of
/// short-lived processes.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfinementError {
    /// The program has no control group.
    #[error(transparent)]
    NoGroup(#[from] NoControlGroup),
    /// The kernel refused to sample whole CPUs.
    #[error("sampling whole CPUs needs root, CAP_PERFMON or kernel.perf_event_paranoid = 0")]
    Forbidden,
    /// The kernel refused for another reason.
    #[error("{}", cause_text(.0))]
    Refused(perfevent::Error),
}

impl ConfinementError {
    fn remedy(&self) -> &'static str {
        match self {
            Self::NoGroup(NoControlGroup::NotCreated { source, .. } | NoControlGroup::NotEntered { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "`sudo env PATH=\"$PATH\" goflame run`, or with kernel.perf_event_paranoid = 0 also \
                 `systemd-run --user --scope -p Delegate=yes goflame run`"
            }
            Self::NoGroup(_) => {
                "a writable cgroup file system at /sys/fs/cgroup (in a container: `docker run --privileged`)"
            }
            Self::Forbidden => "`sudo env PATH=\"$PATH\" goflame run`, or `sudo sysctl kernel.perf_event_paranoid=0`",
            Self::Refused(_) => "another event (--event cpu-clock)",
        }
    }

    /// The reason and remedy for a container.
    fn container_reason(&self) -> PerThreadReason {
        let remedy = match self {
            Self::NoGroup(_) => "`sudo goflame record --all-cpus`",
            Self::Forbidden => "`sudo goflame record --container`, or `sudo sysctl kernel.perf_event_paranoid=0`",
            Self::Refused(_) => self.remedy(),
        };
        PerThreadReason { reason: self.to_string(), remedy }
    }
}

impl From<ConfinementError> for PerThreadReason {
    fn from(reason: ConfinementError) -> Self {
        Self { reason: reason.to_string(), remedy: reason.remedy() }
    }
}

fn cause_text(error: &perfevent::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl From<perfevent::Error> for ConfinementError {
    fn from(error: perfevent::Error) -> Self {
        if error.is_denied() { Self::Forbidden } else { Self::Refused(error) }
    }
}

/// The event, opened on its target.
pub(super) struct OpenedEvent {
    pub(super) rings: Rings,
    pub(super) event: Event,
    /// Drops records of the exec gate. `None` if the exec gate is not sampled: sampling starts at the exec, with the
    /// window, or on a running target.
    pub(super) exec_filter: Option<ExecFilter>,
    /// Which tasks the event follows: see [`Recording::tasks`](super::Recording::tasks).
    pub(super) tasks: &'static str,
    /// Why each thread has a separate event. `None` for one event per CPU.
    pub(super) per_thread_reason: Option<PerThreadReason>,
    /// The threads that were running already, and their events.
    pub(super) owners: EventOwners,
    /// The processes that were running already.
    pub(super) processes: BTreeSet<i32>,
}

impl OpenedEvent {
    pub(super) fn open(plan: &SamplingPlan, program: &mut WaitingProgram<'_>) -> Result<Self, perfevent::Error> {
        open_confined(plan, program).or_else(|reason| {
            let pid = program.pid();
            let target = if plan.starts_in_window { Target::RunningThread(pid) } else { Target::BeforeExec(pid) };
            let rings = open_planned_events(plan, target)?;
            let event = file_event(&plan.event.spec, target, &rings);
            Ok(Self::from_launched_program(rings, event, None, Some(reason.into())))
        })
    }

    fn from_launched_program(
        rings: Rings,
        event: Event,
        exec_filter: Option<ExecFilter>,
        per_thread_reason: Option<PerThreadReason>,
    ) -> Self {
        let tasks = if per_thread_reason.is_some() { "inherited" } else { "control-group" };
        let (owners, processes) = (EventOwners::default(), BTreeSet::new());
        Self { rings, event, exec_filter, tasks, per_thread_reason, owners, processes }
    }

    /// Opens the event on a running target, and starts sampling.
    pub(super) fn open_on_running(plan: &SamplingPlan, target: &RunningTarget) -> Result<Self, Error> {
        match target {
            RunningTarget::Processes { named, container: Some(id) } => Self::open_on_container(plan, named, id)
                .or_else(|reason| Self::open_on_threads(plan, named, Some(id), reason.container_reason())),
            RunningTarget::Processes { named, container: None } => {
                let per_thread_reason = PerThreadReason {
                    reason: "the program ran before the recording".to_owned(),
                    remedy: "`sudo goflame record --all-cpus`",
                };
                Self::open_on_threads(plan, named, None, per_thread_reason)
            }
            RunningTarget::WholeMachine => {
                let opened = Self::open_on_cpus(plan, Target::WholeMachine, "machine", |_| true);
                Ok(opened.map_err(|error| {
                    if error.is_denied() { TargetError::WholeMachineRefused(error).into() } else { Error::from(error) }
                })?)
            }
        }
    }

    /// Opens one event per CPU on all processes of a container.
    fn open_on_container(plan: &SamplingPlan, named: &[RunningProcess], id: &str) -> Result<Self, ConfinementError> {
        let first = named.first().map_or(0, |process| process.pid);
        let group = ContainerGroup::find(id, first)?;
        let target = Target::ControlGroup(group.directory());
        Ok(Self::open_on_cpus(plan, target, "control-group", |pid| is_in_container(pid, id))?)
    }

    /// Opens one event per CPU. `is_sampled` says whether a running process belongs to the target.
    fn open_on_cpus(
        plan: &SamplingPlan,
        target: Target<'_>,
        tasks: &'static str,
        is_sampled: impl Fn(i32) -> bool,
    ) -> Result<Self, perfevent::Error> {
        let mut rings = open_planned_events(plan, target)?;
        let event = file_event(&plan.event.spec, target, &rings);
        // Sampling starts before processes are listed and mappings are read. So each mapping is in `/proc`, or has a
        // record, or both.
        rings.enable()?;
        let processes = all_process_ids().into_iter().filter(|pid| is_sampled(*pid)).collect();
        let owners = EventOwners::default();
        Ok(Self { rings, event, exec_filter: None, tasks, per_thread_reason: None, owners, processes })
    }

    /// Opens the event on all threads of the processes.
    fn open_on_threads(
        plan: &SamplingPlan,
        named: &[RunningProcess],
        container: Option<&str>,
        per_thread_reason: PerThreadReason,
    ) -> Result<Self, Error> {
        let ThreadEvents { mut rings, owners, processes } = ThreadEvents::open(plan, named, container)?;
        // Sampling starts before mappings are read, as in `open_on_cpus`.
        rings.enable()?;
        let event = file_event(&plan.event.spec, Target::RunningThread(0), &rings);
        let per_thread_reason = Some(per_thread_reason);
        Ok(Self { rings, event, exec_filter: None, tasks: "inherited", per_thread_reason, owners, processes })
    }
}

/// Opens the event on an empty control group and closes it, to check whether a recording can do this.
pub fn try_to_confine(event: &ChosenEvent, cpus: &[u32]) -> Result<(), PerThreadReason> {
    let open_once = || -> Result<(), ConfinementError> {
        let group = ControlGroup::create()?;
        open(&event.spec, Target::ControlGroup(group.directory()), cpus, MIN_RING_BYTES)?;
        Ok(())
    };
    open_once().map_err(PerThreadReason::from)
}

/// Opens the planned event, and the event of context switches if it is planned.
fn open_planned_events(plan: &SamplingPlan, target: Target<'_>) -> Result<Rings, perfevent::Error> {
    let mut rings = open(&plan.event.spec, target, &plan.cpus, REQUESTED_RING_BYTES)?;
    if let Some(off_cpu) = &plan.off_cpu {
        off_cpu.open(&mut rings, target)?;
    }
    Ok(rings)
}

fn open_confined(plan: &SamplingPlan, program: &mut WaitingProgram<'_>) -> Result<OpenedEvent, ConfinementError> {
    let group = ControlGroup::create()?;
    let target = Target::ControlGroup(group.directory());
    let mut rings = open_planned_events(plan, target)?;
    let event = file_event(&plan.event.spec, target, &rings);
    program.enter_group(group)?;
    let exec_filter = (!plan.starts_in_window).then(|| ExecFilter::new(program.pid()));
    if !plan.starts_in_window {
        rings.enable()?;
    }
    Ok(OpenedEvent::from_launched_program(rings, event, exec_filter, None))
}
