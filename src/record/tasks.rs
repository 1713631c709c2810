//! Opens the event on a program and everything that it starts: confined to a control group if that is possible, otherwise
//! inherited. Or on programs and containers that run already, or on the whole machine.

use std::collections::BTreeSet;
use std::io;

use super::before_exec::BeforeExec;
use super::error::Error;
use super::event::{ChosenEvent, WISHED_RING_BYTES, file_event};
use super::plan::SamplingPlan;
use super::recording::Inherited;
use super::running_target::{RunningProcess, RunningTarget, is_in_container};
use super::target_error::TargetError;
use super::thread_events::{EventOwners, ThreadEvents};
use crate::perfdata::Event;
use crate::perfevent::{self, MIN_RING_BYTES, Rings, Target, open};
use crate::process::all_processes;
use crate::workload::{ContainerGroup, ControlGroup, NoControlGroup, WaitingProgram};

/// The reason why each thread has an event of its own, although one event per CPU sees more of short lives.
#[derive(Debug, thiserror::Error)]
pub(super) enum WhyInherited {
    /// The program has no control group.
    #[error(transparent)]
    NoGroup(#[from] NoControlGroup),
    /// The kernel refused to sample whole CPUs.
    #[error("sampling whole CPUs needs root, CAP_PERFMON or kernel.perf_event_paranoid = 0")]
    Forbidden,
    /// The kernel refused for another reason.
    #[error("{}", with_cause(.0))]
    Refused(perfevent::Error),
}

impl WhyInherited {
    fn remedy(&self) -> &'static str {
        match self {
            Self::NoGroup(NoControlGroup::NotCreated { source, .. })
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

    /// The reason why the processes of a container have events of their own.
    fn of_container(&self) -> Inherited {
        let remedy = match self {
            Self::NoGroup(_) => "`sudo goflame record --all-cpus`",
            Self::Forbidden => "`sudo goflame record --container`, or `sudo sysctl kernel.perf_event_paranoid=0`",
            Self::Refused(_) => self.remedy(),
        };
        Inherited { reason: self.to_string(), remedy }
    }
}

impl From<WhyInherited> for Inherited {
    fn from(reason: WhyInherited) -> Self {
        Self { reason: reason.to_string(), remedy: reason.remedy() }
    }
}

fn with_cause(error: &perfevent::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl From<perfevent::Error> for WhyInherited {
    fn from(error: perfevent::Error) -> Self {
        if error.is_denied() { Self::Forbidden } else { Self::Refused(error) }
    }
}

/// The event on a program.
pub(super) struct OpenedEvent {
    pub(super) rings: Rings,
    pub(super) event: Event,
    /// Records of the exec gate. `None` if the kernel starts sampling with the program.
    pub(super) before_exec: Option<BeforeExec>,
    /// See [`Recording::tasks`](super::Recording::tasks).
    pub(super) tasks: &'static str,
    /// `None` for one event per CPU.
    pub(super) inherited: Option<Inherited>,
    /// The threads that ran already, and their events.
    pub(super) owners: EventOwners,
    /// The processes that ran already.
    pub(super) processes: BTreeSet<i32>,
}

impl OpenedEvent {
    pub(super) fn open(plan: &SamplingPlan, program: &mut WaitingProgram<'_>) -> Result<Self, perfevent::Error> {
        confined(plan, program).or_else(|reason| {
            let pid = program.pid();
            let target = if plan.starts_in_window { Target::RunningThread(pid) } else { Target::BeforeExec(pid) };
            let rings = open_all(plan, target)?;
            let event = file_event(&plan.event.spec, target, &rings);
            Ok(Self::of_launched(rings, event, None, Some(reason.into())))
        })
    }

    fn of_launched(rings: Rings, event: Event, before_exec: Option<BeforeExec>, inherited: Option<Inherited>) -> Self {
        let tasks = if inherited.is_some() { "inherited" } else { "control-group" };
        let (owners, processes) = (EventOwners::default(), BTreeSet::new());
        Self { rings, event, before_exec, tasks, inherited, owners, processes }
    }

    /// Opens the event on a target that runs, and starts sampling.
    pub(super) fn on_running(plan: &SamplingPlan, target: &RunningTarget) -> Result<Self, Error> {
        match target {
            RunningTarget::Processes { named, container: Some(id) } => Self::on_container(plan, named, id)
                .or_else(|reason| Self::on_threads(plan, named, Some(id), reason.of_container())),
            RunningTarget::Processes { named, container: None } => {
                let inherited = Inherited {
                    reason: "the program ran before the recording".to_owned(),
                    remedy: "`sudo goflame record --all-cpus`",
                };
                Self::on_threads(plan, named, None, inherited)
            }
            RunningTarget::WholeMachine => {
                let opened = Self::on_cpus(plan, Target::WholeMachine, "machine", |_| true);
                Ok(opened.map_err(|error| {
                    if error.is_denied() { TargetError::WholeMachineRefused(error).into() } else { Error::from(error) }
                })?)
            }
        }
    }

    /// Samples all processes of a container, whoever starts them.
    fn on_container(plan: &SamplingPlan, named: &[RunningProcess], id: &str) -> Result<Self, WhyInherited> {
        let first = named.first().map_or(0, |process| process.pid);
        let group = ContainerGroup::find(id, first)?;
        let target = Target::ControlGroup(group.directory());
        Ok(Self::on_cpus(plan, target, "control-group", |pid| is_in_container(pid, id))?)
    }

    /// Opens one event per CPU. `is_sampled`: whether a process that runs belongs to the target.
    fn on_cpus(
        plan: &SamplingPlan,
        target: Target<'_>,
        tasks: &'static str,
        is_sampled: impl Fn(i32) -> bool,
    ) -> Result<Self, perfevent::Error> {
        let mut rings = open_all(plan, target)?;
        let event = file_event(&plan.event.spec, target, &rings);
        // Sampling starts before the processes are listed and their mappings are read: a mapping is then in `/proc` or has a
        // record, or both.
        rings.enable()?;
        let processes = all_processes().into_iter().filter(|pid| is_sampled(*pid)).collect();
        let owners = EventOwners::default();
        Ok(Self { rings, event, before_exec: None, tasks, inherited: None, owners, processes })
    }

    /// Opens the events of all threads.
    fn on_threads(
        plan: &SamplingPlan,
        named: &[RunningProcess],
        container: Option<&str>,
        inherited: Inherited,
    ) -> Result<Self, Error> {
        let ThreadEvents { mut rings, owners, processes } = ThreadEvents::open(plan, named, container)?;
        // As above.
        rings.enable()?;
        let event = file_event(&plan.event.spec, Target::RunningThread(0), &rings);
        let inherited = Some(inherited);
        Ok(Self { rings, event, before_exec: None, tasks: "inherited", inherited, owners, processes })
    }
}

/// Opens the event for an empty control group and closes it. Says if a recording could do the same.
pub fn try_to_confine(event: &ChosenEvent, cpus: &[u32]) -> Result<(), Inherited> {
    let open_once = || -> Result<(), WhyInherited> {
        let group = ControlGroup::create()?;
        open(&event.spec, Target::ControlGroup(group.directory()), cpus, MIN_RING_BYTES)?;
        Ok(())
    };
    open_once().map_err(Inherited::from)
}

/// Opens the event, and that of context switches if it is planned.
fn open_all(plan: &SamplingPlan, target: Target<'_>) -> Result<Rings, perfevent::Error> {
    let mut rings = open(&plan.event.spec, target, &plan.cpus, WISHED_RING_BYTES)?;
    if let Some(off_cpu) = &plan.off_cpu {
        off_cpu.open(&mut rings, target)?;
    }
    Ok(rings)
}

fn confined(plan: &SamplingPlan, program: &mut WaitingProgram<'_>) -> Result<OpenedEvent, WhyInherited> {
    let group = ControlGroup::create()?;
    let target = Target::ControlGroup(group.directory());
    let mut rings = open_all(plan, target)?;
    let event = file_event(&plan.event.spec, target, &rings);
    program.enter(group)?;
    let before_exec = (!plan.starts_in_window).then(|| BeforeExec::new(program.pid()));
    if !plan.starts_in_window {
        rings.enable()?;
    }
    Ok(OpenedEvent::of_launched(rings, event, before_exec, None))
}
