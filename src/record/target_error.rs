//! Errors of finding and sampling running programs.

use std::io;

use crate::perfevent;

/// The reason why a running program cannot be sampled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No process has this id.
    #[error("there is no process {pid}")]
    NoProcess {
        /// The process id.
        pid: i32,
        /// Processes that have this id in another PID namespace: id in goflame's namespace, and name.
        same_pid_in_other_namespaces: Vec<(i32, String)>,
    },
    /// The id belongs to a thread, not to a process.
    #[error("{tid} is a thread of process {process}")]
    Thread {
        /// Thread id.
        tid: i32,
        /// Id of the thread's process.
        process: i32,
    },
    /// The process could not be opened.
    #[error("cannot observe process {pid}")]
    NoHandle {
        /// Process id.
        pid: i32,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The process has ended.
    #[error("process {pid} ({name}) has ended: nothing was sampled")]
    Ended {
        /// Process id.
        pid: i32,
        /// Name of the process.
        name: String,
    },
    /// The process is a thread of the kernel.
    #[error("process {pid} ({name}) is a thread of the kernel")]
    KernelThread {
        /// Process id.
        pid: i32,
        /// Name of the process.
        name: String,
        /// Processes that have this id in another PID namespace: id in goflame's namespace, and name.
        same_pid_in_other_namespaces: Vec<(i32, String)>,
    },
    /// The container's processes are not visible.
    #[error("the container {name} is process {pid} on the machine of its engine, and this process is not visible here")]
    ContainerElsewhere {
        /// Name or id of the container.
        name: String,
        /// Id of the container's first process on the machine of the container engine.
        pid: i32,
    },
    /// No program has this name.
    #[error("no running program is named {name}")]
    NoName {
        /// The requested name.
        name: String,
    },
    /// Several programs have this name.
    #[error("{} running programs are named {name}", processes.len())]
    SeveralNames {
        /// The requested name.
        name: String,
        /// Process ids, and the properties that distinguish the processes.
        processes: Vec<(i32, String)>,
    },
    /// The kernel does not let this user sample the process.
    #[error("not permitted to sample process {pid} ({name}) of {user}")]
    Refused {
        /// Process id.
        pid: i32,
        /// Name of the process.
        name: String,
        /// The user that the process runs as.
        user: String,
        /// Whether goflame runs as the same user.
        is_same_user: bool,
        /// The kernel's error.
        #[source]
        source: perfevent::Error,
    },
    /// The threads need more open files than the limit permits.
    #[error("{threads} threads on {cpus} CPUs need {} open files, and the limit is {limit}", threads * cpus)]
    TooManyThreads {
        /// Number of threads.
        threads: usize,
        /// Number of CPUs.
        cpus: usize,
        /// The hard limit of open files.
        limit: u64,
    },
    /// The kernel does not let this user sample whole CPUs.
    #[error("not permitted to sample the whole machine")]
    WholeMachineRefused(#[source] perfevent::Error),
    /// `engine = "perf"` was requested for a running program.
    #[error("`engine = \"perf\"` cannot sample programs that run already")]
    PerfEngine,
}

impl TargetError {
    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = self.hints_on_this_machine();
        hints.extend(kubernetes_hint().filter(|_| self.can_succeed_outside_of_container()));
        hints
    }

    /// Whether the target can be visible, or sampling permitted, outside of this container.
    fn can_succeed_outside_of_container(&self) -> bool {
        matches!(
            self,
            Self::NoProcess { .. } | Self::NoName { .. } | Self::Refused { .. } | Self::WholeMachineRefused(_)
        )
    }

    fn hints_on_this_machine(&self) -> Vec<String> {
        match self {
            Self::NoProcess { pid, same_pid_in_other_namespaces } if same_pid_in_other_namespaces.is_empty() => vec![format!(
                "a process of another container has another number here, if goflame sees it at all: {pid} may be the number \
                 inside of the container"
            )],
            Self::NoProcess { pid, same_pid_in_other_namespaces } | Self::KernelThread { pid, same_pid_in_other_namespaces, .. } => same_pid_in_other_namespaces
                .iter()
                .map(|(here, name)| {
                    format!("{name} is process {pid} in its own PID namespace, and {here} here: `goflame record -p {here}`")
                })
                .collect(),
            Self::Thread { process, .. } => {
                vec![format!("all threads of a process are sampled: `goflame record -p {process}`")]
            }
            Self::ContainerElsewhere { .. } => {
                vec!["run goflame outside of containers, or in one with `docker run --pid=host --privileged`".into()]
            }
            Self::NoName { .. } => {
                vec!["`ps -eo pid,comm,args` lists the running programs; `-p PID` selects one by its number".into()]
            }
            Self::SeveralNames { processes, .. } => {
                let pids: Vec<_> = processes.iter().map(|(pid, _)| pid.to_string()).collect();
                let mut hints: Vec<_> =
                    processes.iter().map(|(pid, about)| format!("{pid} is {about}")).collect();
                hints.push(format!("select one, or all of them: `goflame record -p {}`", pids.join(",")));
                hints
            }
            Self::Refused { is_same_user: false, user, .. } => vec![format!(
                "`sudo goflame record` samples the programs of every user; without root, run goflame as {user} or give it \
                 CAP_PERFMON and CAP_SYS_PTRACE"
            )],
            Self::Refused { is_same_user: true, .. } => vec![
                "the kernel protects programs that gained rights by setuid or file capabilities, and those that asked for it \
                 (PR_SET_DUMPABLE): `sudo goflame record` samples them"
                    .into(),
            ],
            Self::TooManyThreads { .. } => vec![
                "`sudo goflame record --all-cpus` needs one file per CPU; `ulimit -Hn` as root raises the limit".into(),
            ],
            Self::WholeMachineRefused(_) => vec![
                "`sudo goflame record --all-cpus`, or `sudo sysctl kernel.perf_event_paranoid=0`, or CAP_PERFMON".into(),
            ],
            Self::PerfEngine => vec!["`--engine native` samples them".into()],
            Self::NoHandle { .. } | Self::Ended { .. } => Vec::new(),
        }
    }
}

/// How to sample a program in a pod from outside of its container. `None` if goflame does not run in Kubernetes.
///
/// An ephemeral container with the profile `sysadmin` is privileged. `--target` puts it into the PID namespace of the
/// program's container, where the program is usually process 1.
pub fn kubernetes_hint() -> Option<String> {
    std::env::var_os("KUBERNETES_SERVICE_HOST")?;
    let pod = std::env::var("HOSTNAME").unwrap_or_else(|_| "POD".into());
    let namespace = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace");
    let namespace = namespace.map_or_else(|_| "NAMESPACE".into(), |name| name.trim().to_owned());
    Some(format!(
        "in Kubernetes, from outside of the pod: `kubectl debug -n {namespace} -it {pod} --image=IMAGE --target=CONTAINER \
         --profile=sysadmin -- goflame record -p 1 -d 30s`; IMAGE has goflame, CONTAINER is the one with the program, and \
         the cluster must permit privileged ephemeral containers"
    ))
}
