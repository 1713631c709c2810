//! A control group for the program and its descendants, or the group of a container. A monitor can limit its work to
//! the processes of the group.
//!
//! The program's group is a child of goflame's group, so that the limits of goflame's group also apply to the program.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::message::GroupTimes;
use crate::process::run_with_own_rights;

/// Number of attempts to remove a group. The kernel can still count a process that has just ended.
const REMOVE_ATTEMPTS: usize = 20;
/// Time between two attempts to remove a group.
const REMOVE_INTERVAL: Duration = Duration::from_millis(5);

/// The controller whose groups `perf_event_open` accepts. In cgroup version 2, every group is accepted.
const CONTROLLER: &str = "perf_event";

/// Why the program has no separate control group.
#[derive(Debug, thiserror::Error)]
pub enum NoControlGroup {
    /// No mounted hierarchy of control groups contains goflame's group.
    #[error("no cgroup file system is mounted")]
    NotMounted,
    /// The group could not be created.
    #[error("cannot create a control group in {dir}: {source}", dir = parent.display())]
    NotCreated {
        /// Directory of goflame's group.
        parent: PathBuf,
        /// The reason. Part of the message, because the message is shown as a note, without causes.
        source: io::Error,
    },
    /// The program could not be moved into its group.
    #[error("cannot move the program into the control group {dir}: {source}", dir = group.display())]
    NotEntered {
        /// Directory of the group.
        group: PathBuf,
        /// The reason. Part of the message, because the message is shown as a note, without causes.
        source: io::Error,
    },
    /// The processes of a container share a group with other processes.
    #[error("the container has no separate control group for events (its first process is in {dir})", dir = group.display())]
    SharedByContainer {
        /// Directory of the group.
        group: PathBuf,
    },
    /// The group of a container could not be opened.
    #[error("cannot open the control group {dir}: {source}", dir = group.display())]
    NotOpened {
        /// Directory of the group.
        group: PathBuf,
        /// The reason. Part of the message, because the message is shown as a note, without causes.
        source: io::Error,
    },
}

/// A control group. Dropping the value removes the group, if it contains no processes.
#[derive(Debug)]
pub struct ControlGroup {
    path: PathBuf,
    directory: File,
}

impl ControlGroup {
    /// Creates a group below goflame's group.
    pub fn create() -> Result<Self, NoControlGroup> {
        // Groups belong to the machine, not to the user who called sudo.
        run_with_own_rights(|| {
            let parent = find_group("self").ok_or(NoControlGroup::NotMounted)?;
            let path = parent.join(format!("goflame-{}", std::process::id()));
            // An earlier goflame with this process id can have been killed together with its supervisor.
            remove_tree(&path);
            let made = fs::create_dir(&path).and_then(|()| File::open(&path));
            match made {
                Ok(directory) => Ok(Self { path, directory }),
                Err(source) => Err(NoControlGroup::NotCreated { parent, source }),
            }
        })
    }

    /// Moves a process into the group. Processes that it starts are in the group from their beginning.
    pub(super) fn add(&self, pid: i32) -> Result<(), NoControlGroup> {
        let added = run_with_own_rights(|| fs::write(self.path.join("cgroup.procs"), pid.to_string()));
        added.map_err(|source| NoControlGroup::NotEntered { group: self.path.clone(), source })
    }

    /// The open directory of the group.
    pub fn directory(&self) -> &File {
        &self.directory
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        run_with_own_rights(|| remove(&self.path));
    }
}

/// The control group of a container.
#[derive(Debug)]
pub struct ContainerGroup {
    path: PathBuf,
    directory: File,
}

impl ContainerGroup {
    /// Finds the group of a container by its id and its first process. Container engines put the id into the name of
    /// the group.
    pub fn find(id: &str, first_process: i32) -> Result<Self, NoControlGroup> {
        let group = find_group(&first_process.to_string()).ok_or(NoControlGroup::NotMounted)?;
        let path =
            group_with_id(&group, id).ok_or_else(|| NoControlGroup::SharedByContainer { group: group.clone() })?;
        match run_with_own_rights(|| File::open(path)) {
            Ok(directory) => Ok(Self { path: path.to_owned(), directory }),
            Err(source) => Err(NoControlGroup::NotOpened { group: path.to_owned(), source }),
        }
    }

    /// The open directory of the group.
    pub fn directory(&self) -> &File {
        &self.directory
    }

    /// CPU time of all processes of the group until now, in user mode and in kernel mode. `None` in cgroup version 1.
    pub fn cpu_times(&self) -> Option<(Duration, Duration)> {
        let GroupTimes { user_us, system_us } = cpu_times(&self.path)?;
        Some((Duration::from_micros(user_us), Duration::from_micros(system_us)))
    }
}

/// The topmost directory whose name contains an id. An init system in a container creates further groups below it.
fn group_with_id<'p>(group: &'p Path, id: &str) -> Option<&'p Path> {
    let has_id = |dir: &&Path| dir.file_name().is_some_and(|name| name.to_string_lossy().contains(id));
    group.ancestors().filter(has_id).last()
}

/// Removes a group and all groups below it. Waits a short time for their processes to end. A group with processes is
/// not removed.
pub(super) fn remove(group: &Path) {
    for _ in 0..REMOVE_ATTEMPTS {
        remove_tree(group);
        if !group.exists() {
            return;
        }
        thread::sleep(REMOVE_INTERVAL);
    }
}

/// Reads the CPU time of a group in cgroup version 2 (`cpu.stat`).
pub(super) fn cpu_times(group: &Path) -> Option<GroupTimes> {
    parse_cpu_stat(&fs::read_to_string(group.join("cpu.stat")).ok()?)
}

fn parse_cpu_stat(text: &str) -> Option<GroupTimes> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    Some(GroupTimes { user_us: value("user_usec")?, system_us: value("system_usec")? })
}

fn remove_tree(group: &Path) {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    for child in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&child.path());
    }
    let _ = fs::remove_dir(group);
}

/// Directory of the group of a process. `process` is an id or `self`.
fn find_group(process: &str) -> Option<PathBuf> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    group_directory(&read(&format!("/proc/{process}/cgroup")), &read("/proc/self/mountinfo"))
}

/// Directory of a process's group. `groups` is the text of its `/proc/PID/cgroup`, `mounts` of `/proc/self/mountinfo`.
///
/// If a hierarchy of cgroup version 1 is mounted with [`CONTROLLER`], the group is in this hierarchy. Otherwise it is
/// in version 2.
fn group_directory(groups: &str, mounts: &str) -> Option<PathBuf> {
    let lines = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let lines: Vec<(&str, &str)> = lines.collect();
    let has_controller = |list: &str| list.split(',').any(|controller| controller == CONTROLLER);
    let first = lines.iter().find(|(controllers, _)| has_controller(controllers));
    let (version_1, group) = match first {
        Some((_, group)) => (true, group),
        None => (false, lines.iter().find(|(controllers, _)| controllers.is_empty()).map(|(_, group)| group)?),
    };
    mounts.lines().rev().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let fits = if version_1 { kind == "cgroup" && has_controller(options) } else { kind == "cgroup2" };
        // In a container, the mount can begin at the container's group. `..` means a group outside of the mount.
        let below = Path::new(group).strip_prefix(root).ok().filter(|below| !below.starts_with(".."))?;
        fits.then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_read_if_the_group_counts_them() {
        let text = "usage_usec 70\nuser_usec 60\nsystem_usec 10\nnice_usec 0\n";
        assert_eq!(parse_cpu_stat(text), Some(GroupTimes { user_us: 60, system_us: 10 }));
        assert_eq!(parse_cpu_stat("nr_periods 0\n"), None);
    }

    #[test]
    fn the_group_of_a_container_is_the_topmost_with_its_id() {
        let found = |group| group_with_id(Path::new(group), "4f2a").and_then(Path::to_str);
        assert_eq!(found("/sys/fs/cgroup/docker/4f2a"), Some("/sys/fs/cgroup/docker/4f2a"));
        let scope = "/sys/fs/cgroup/system.slice/docker-4f2a.scope";
        assert_eq!(found("/sys/fs/cgroup/system.slice/docker-4f2a.scope/init.scope/x"), Some(scope));
        assert_eq!(found("/sys/fs/cgroup/docker"), None, "the group of all containers");
        assert_eq!(found("/"), None);
    }

    #[test]
    fn the_group_directory_is_found_in_each_version_of_cgroups() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = |groups, mounts| group_directory(groups, mounts).map(|path| path.to_str().unwrap().to_owned());
        assert_eq!(found("0::/user.slice/a\n", unified).as_deref(), Some("/sys/fs/cgroup/user.slice/a"));
        assert_eq!(found("0::/\n", unified).as_deref(), Some("/sys/fs/cgroup/"));
        assert_eq!(found("0::/../other\n", unified), None, "outside of this cgroup namespace");
        assert_eq!(found("0::/a\n", ""), None);

        let hybrid = "31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      32 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(found("1:cpu:/x\n0::/y\n", hybrid).as_deref(), Some("/sys/fs/cgroup/unified/y"));

        let version_1 = "33 23 0:29 /docker/1 /sys/fs/cgroup/perf_event ro - cgroup cgroup rw,perf_event\n";
        let groups = "3:net_cls,perf_event:/docker/1/z\n0::/\n";
        let all = format!("{hybrid}{version_1}");
        assert_eq!(found(groups, &all).as_deref(), Some("/sys/fs/cgroup/perf_event/z"));
        assert_eq!(found(groups, hybrid), None, "the other hierarchies do not have the controller");
    }
}
