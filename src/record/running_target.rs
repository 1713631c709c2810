//! Finds running programs by process id or name, as the target of a recording.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::target_error::TargetError;
use crate::process::{ProcessStat, all_process_ids};
use crate::sources::DELETED;

/// Maximum bytes of a thread's comm (`TASK_COMM_LEN` without the NUL).
const MAX_COMM_BYTES: usize = 15;

/// Running programs as the target of a recording.
#[derive(Debug)]
pub enum RunningTarget {
    /// Some processes, and all their descendants.
    Processes {
        /// The processes that the user named, by id or name.
        named: Vec<RunningProcess>,
        /// Id of the container in which the processes run. All processes of the container are sampled.
        container: Option<String>,
    },
    /// All threads of the machine.
    WholeMachine,
}

impl RunningTarget {
    /// The processes that the user named. Empty for the whole machine.
    pub fn processes(&self) -> &[RunningProcess] {
        match self {
            Self::Processes { named, .. } => named,
            Self::WholeMachine => &[],
        }
    }
}

/// A running process.
#[derive(Debug)]
pub struct RunningProcess {
    /// Process id.
    pub pid: i32,
    /// Name of the program's file, or of the process if the file is unknown.
    pub name: String,
    /// The kernel's path of the program, with ` (deleted)` at the end if the file was deleted. `None` if
    /// `/proc/PID/exe` cannot be read.
    pub program: Option<PathBuf>,
    /// Program and arguments, from `/proc/PID/cmdline`.
    pub argv: Vec<String>,
    /// Working directory.
    pub dir: PathBuf,
    /// Time from the start of the machine to the start of the process.
    pub start: std::time::Duration,
    uid: u32,
    /// Pidfd. It becomes readable when the process ends.
    pub(super) pidfd: OwnedFd,
}

impl RunningProcess {
    /// Opens the process with this id.
    pub fn from_pid(pid: i32) -> Result<Self, TargetError> {
        let missing =
            || TargetError::NoProcess { pid, same_pid_in_other_namespaces: processes_with_pid_elsewhere(pid) };
        // The handle is opened first: until its process ends, everything that is read afterwards belongs to this
        // process.
        let handle = Pid::from_raw(pid).ok_or_else(missing)?;
        let handle = pidfd_open(handle, PidfdFlags::empty()).map_err(|errno| match process_of_thread(pid) {
            Some(process) => TargetError::Thread { tid: pid, process },
            None if errno == rustix::io::Errno::SRCH || errno == rustix::io::Errno::INVAL => missing(),
            None => TargetError::NoHandle { pid, source: errno.into() },
        })?;
        let stat = ProcessStat::read(pid).ok_or_else(missing)?;
        let comm = read_comm(pid);
        if !stat.is_alive() {
            return Err(TargetError::Ended { pid, name: comm });
        }
        let file = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
        if stat.is_kernel {
            return Err(TargetError::KernelThread {
                pid,
                name: comm,
                same_pid_in_other_namespaces: processes_with_pid_elsewhere(pid),
            });
        }
        let program = fs::read_link(file("exe")).ok();
        let uid = fs::metadata(file("")).map_or(0, |about| about.uid());
        let name = program.as_deref().and_then(file_name).unwrap_or(comm);
        let argv = fs::read(file("cmdline")).unwrap_or_default();
        let argv = String::from_utf8_lossy(&argv);
        let argv: Vec<String> = argv.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        let dir = fs::read_link(file("cwd")).unwrap_or_default();
        Ok(Self { pid, name, program, argv, dir, start: stat.start, uid, pidfd: handle })
    }

    /// Opens the first process of a container. `pid` is the id of this process on the machine of the container engine.
    pub fn from_container(name: &str, id: &str, pid: i32) -> Result<Self, TargetError> {
        let process = Self::from_pid(pid).ok().filter(|process| is_in_container(process.pid, id));
        process.ok_or_else(|| TargetError::ContainerElsewhere { name: name.to_owned(), pid })
    }

    /// Finds the process that runs a program of this name. Descendants with the same name are ignored.
    pub fn from_name(name: &str) -> Result<Self, TargetError> {
        let own = std::process::id().cast_signed();
        let named: Vec<i32> = all_process_ids().into_iter().filter(|pid| *pid != own && has_name(*pid, name)).collect();
        let found: Vec<Self> = find_topmost(&named).into_iter().filter_map(|pid| Self::from_pid(pid).ok()).collect();
        match <[Self; 1]>::try_from(found) {
            Ok([process]) => Ok(process),
            Err(found) if found.is_empty() => Err(TargetError::NoName { name: name.to_owned() }),
            Err(found) => {
                let processes = found.iter().map(|process| (process.pid, process.describe())).collect();
                Err(TargetError::SeveralNames { name: name.to_owned(), processes })
            }
        }
    }

    /// Path to the program's file. It works even if the file was deleted or is in another mount namespace.
    pub fn program_file(&self) -> PathBuf {
        format!("/proc/{}/exe", self.pid).into()
    }

    /// Name of the user that the process runs as.
    pub fn user_name(&self) -> String {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        user.map_or_else(|| format!("user {}", self.uid), |user| user.name)
    }

    pub(super) fn runs_as_this_user(&self) -> bool {
        self.uid == rustix::process::geteuid().as_raw()
    }

    /// Properties that distinguish the process from others of the same name. Without arguments, which can contain
    /// secrets.
    fn describe(&self) -> String {
        let program = self.program.as_deref().unwrap_or(Path::new(&self.name));
        format!("{} of {}, in {}", program.display(), self.user_name(), self.dir.display())
    }
}

fn file_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.trim_end_matches(DELETED).to_owned())
}

pub(super) fn read_comm(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned()
}

/// Whether a process runs a program of this name. Compares the name with the program's file name, the file name in
/// `argv[0]`, and the comm.
fn has_name(pid: i32, name: &str) -> bool {
    let Ok(argv) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    if argv.is_empty() || !ProcessStat::read(pid).is_some_and(|stat| stat.is_alive()) {
        return false;
    }
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok().as_deref().and_then(file_name);
    let first = argv.split(|byte| *byte == 0).next().map(String::from_utf8_lossy);
    let first = first.and_then(|first| file_name(Path::new(&*first)));
    let short = name.get(..MAX_COMM_BYTES).unwrap_or(name);
    program.as_deref() == Some(name) || first.as_deref() == Some(name) || read_comm(pid) == short
}

/// The processes of the list without an ancestor in the list.
fn find_topmost(pids: &[i32]) -> Vec<i32> {
    let parent = |pid: i32| ProcessStat::read(pid).map(|stat| stat.parent).filter(|parent| *parent > 0);
    let ancestors = |pid| std::iter::successors(parent(pid), |pid| parent(*pid));
    pids.iter().copied().filter(|pid| !ancestors(*pid).any(|ancestor| pids.contains(&ancestor))).collect()
}

/// Whether a process runs in the container with this id. Container engines put the id into the name of the control
/// group.
pub(super) fn is_in_container(pid: i32, id: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(id))
}

fn status_field(pid: i32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The process of a thread. `None` for the first thread of a process.
fn process_of_thread(tid: i32) -> Option<i32> {
    status_field(tid, "Tgid")?.parse().ok().filter(|process| *process != tid)
}

/// Processes that have this id in another PID namespace, with their ids in goflame's namespace and their names.
fn processes_with_pid_elsewhere(number: i32) -> Vec<(i32, String)> {
    let number = number.to_string();
    let is_it = |pid: &i32| {
        let numbers = status_field(*pid, "NSpid").unwrap_or_default();
        let mut inner = numbers.split_ascii_whitespace().skip(1);
        inner.any(|inner| inner == number)
    };
    all_process_ids().into_iter().filter(is_it).map(|pid| (pid, read_comm(pid))).collect()
}
