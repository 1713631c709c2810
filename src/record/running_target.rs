//! Programs that run already, found by number or by name, as the target of a recording.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::target_error::TargetError;
use crate::process::{ProcessStat, all_processes};
use crate::sources::DELETED;

/// Maximum bytes of a name that the kernel keeps for a thread (`TASK_COMM_LEN` without the NUL).
const MAX_COMM: usize = 15;

/// The target of a recording that was not started for it.
#[derive(Debug)]
pub enum RunningTarget {
    /// Some processes, and everything that they start or have started.
    Processes {
        /// The processes that were named.
        named: Vec<RunningProcess>,
        /// Id of the container that they run in. All of its processes are sampled.
        container: Option<String>,
    },
    /// All threads of the machine.
    WholeMachine,
}

impl RunningTarget {
    /// The processes that were named.
    pub fn processes(&self) -> &[RunningProcess] {
        match self {
            Self::Processes { named, .. } => named,
            Self::WholeMachine => &[],
        }
    }
}

/// A process that runs.
#[derive(Debug)]
pub struct RunningProcess {
    /// Process id.
    pub pid: i32,
    /// Name of the program's file, or of the process if the file is unknown.
    pub name: String,
    /// The program's path as the kernel names it, with ` (deleted)` at its end if no path leads to it. `None` if the link
    /// cannot be read.
    pub program: Option<PathBuf>,
    /// Program and arguments, as the process shows them.
    pub argv: Vec<String>,
    /// Working directory.
    pub dir: PathBuf,
    /// Time from the start of the machine to the start of the process.
    pub start: std::time::Duration,
    uid: u32,
    /// Readable when the process has ended.
    pub(super) handle: OwnedFd,
}

impl RunningProcess {
    /// Finds a process.
    pub fn from_pid(pid: i32) -> Result<Self, TargetError> {
        let missing = || TargetError::NoProcess { pid, elsewhere: processes_with_number_elsewhere(pid) };
        // The handle comes first: everything that is read afterwards is of the process that the handle refers to, if that
        // has not ended.
        let handle = Pid::from_raw(pid).ok_or_else(missing)?;
        let handle = pidfd_open(handle, PidfdFlags::empty()).map_err(|errno| match process_of_thread(pid) {
            Some(process) => TargetError::Thread { tid: pid, process },
            None if errno == rustix::io::Errno::SRCH || errno == rustix::io::Errno::INVAL => missing(),
            None => TargetError::NoHandle { pid, source: errno.into() },
        })?;
        let stat = ProcessStat::read(pid).ok_or_else(missing)?;
        let comm = comm(pid);
        if !stat.is_alive() {
            return Err(TargetError::Ended { pid, name: comm });
        }
        let file = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
        if stat.is_kernel {
            return Err(TargetError::KernelThread { pid, name: comm, elsewhere: processes_with_number_elsewhere(pid) });
        }
        let program = fs::read_link(file("exe")).ok();
        let uid = fs::metadata(file("")).map_or(0, |about| about.uid());
        let name = program.as_deref().and_then(file_name).unwrap_or(comm);
        let argv = fs::read(file("cmdline")).unwrap_or_default();
        let argv = String::from_utf8_lossy(&argv);
        let argv: Vec<String> = argv.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        let dir = fs::read_link(file("cwd")).unwrap_or_default();
        Ok(Self { pid, name, program, argv, dir, start: stat.start, uid, handle })
    }

    /// Finds the first process of a container. `pid` is its number on the machine of the container engine.
    pub fn from_container(name: &str, id: &str, pid: i32) -> Result<Self, TargetError> {
        let process = Self::from_pid(pid).ok().filter(|process| is_in_container(process.pid, id));
        process.ok_or_else(|| TargetError::ContainerElsewhere { name: name.to_owned(), pid })
    }

    /// Finds the process that runs a program of this name. If it started others of the same name, these are its children.
    pub fn from_name(name: &str) -> Result<Self, TargetError> {
        let own = std::process::id().cast_signed();
        let named: Vec<i32> = all_processes().into_iter().filter(|pid| *pid != own && has_name(*pid, name)).collect();
        let found: Vec<Self> = topmost(&named).into_iter().filter_map(|pid| Self::from_pid(pid).ok()).collect();
        match <[Self; 1]>::try_from(found) {
            Ok([process]) => Ok(process),
            Err(found) if found.is_empty() => Err(TargetError::NoName { name: name.to_owned() }),
            Err(found) => {
                let processes = found.iter().map(|process| (process.pid, process.describe())).collect();
                Err(TargetError::SeveralNames { name: name.to_owned(), processes })
            }
        }
    }

    /// The file of the program, by a path that works even if the file was deleted or is in another mount namespace.
    pub fn program_file(&self) -> PathBuf {
        format!("/proc/{}/exe", self.pid).into()
    }

    /// The name of the user that the process runs as.
    pub fn user(&self) -> String {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        user.map_or_else(|| format!("user {}", self.uid), |user| user.name)
    }

    pub(super) fn is_of_this_user(&self) -> bool {
        self.uid == rustix::process::geteuid().as_raw()
    }

    /// The properties that distinguish the process from others of the same name. Arguments are left out, because they may hold
    /// secrets.
    fn describe(&self) -> String {
        let program = self.program.as_deref().unwrap_or(Path::new(&self.name));
        format!("{} of {}, in {}", program.display(), self.user(), self.dir.display())
    }
}

fn file_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.trim_end_matches(DELETED).to_owned())
}

pub(super) fn comm(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned()
}

/// Whether a process runs a program of this name: by its file, by its own name, or by its first argument.
fn has_name(pid: i32, name: &str) -> bool {
    let Ok(argv) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    if argv.is_empty() || !ProcessStat::read(pid).is_some_and(|stat| stat.is_alive()) {
        return false;
    }
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok().as_deref().and_then(file_name);
    let first = argv.split(|byte| *byte == 0).next().map(String::from_utf8_lossy);
    let first = first.and_then(|first| file_name(Path::new(&*first)));
    let short = name.get(..MAX_COMM).unwrap_or(name);
    program.as_deref() == Some(name) || first.as_deref() == Some(name) || comm(pid) == short
}

/// The processes that have no other one of the list among their ancestors.
fn topmost(pids: &[i32]) -> Vec<i32> {
    let parent = |pid: i32| ProcessStat::read(pid).map(|stat| stat.parent).filter(|parent| *parent > 0);
    let ancestors = |pid| std::iter::successors(parent(pid), |pid| parent(*pid));
    pids.iter().copied().filter(|pid| !ancestors(*pid).any(|ancestor| pids.contains(&ancestor))).collect()
}

/// Whether a process runs in the container with this id. Engines name the control groups of containers so.
pub(super) fn is_in_container(pid: i32, id: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(id))
}

/// The value of a field of `/proc/PID/status`.
fn status_field(pid: i32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The process of a thread that is not its first.
fn process_of_thread(tid: i32) -> Option<i32> {
    status_field(tid, "Tgid")?.parse().ok().filter(|process| *process != tid)
}

/// Processes in other PID namespaces that have this number there, with their numbers here and their names.
fn processes_with_number_elsewhere(number: i32) -> Vec<(i32, String)> {
    let number = number.to_string();
    let is_it = |pid: &i32| {
        let numbers = status_field(*pid, "NSpid").unwrap_or_default();
        let mut inner = numbers.split_ascii_whitespace().skip(1);
        inner.any(|inner| inner == number)
    };
    all_processes().into_iter().filter(is_it).map(|pid| (pid, comm(pid))).collect()
}
