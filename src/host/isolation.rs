//! Restrictions of this process by a container, by security modules and by read-only kernel settings.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::parse;
use super::reading::{Reading, read_text, read_text_up_to, read_value, reading_from_error};

/// Inode numbers of the initial namespaces, the same in every kernel (`include/linux/proc_ns.h`).
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";
const INITIAL_NAMESPACES: [(&str, &str); 3] =
    [("pid", "pid:[4026531836]"), ("uts", "uts:[4026531838]"), ("ipc", "ipc:[4026531839]")];

/// Restrictions of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Kind of the container (`docker`, `podman`, `kubernetes`, `lxc`, ...), `container` if the kind is unknown, `None`
    /// outside of a container. A marker file is not enough: machine images can be made from a container's files.
    pub container: Option<String>,
    /// Whether the process is in the initial user namespace. In others, the kernel ignores capabilities for perf events.
    /// `/proc/self/ns/user`.
    pub initial_user_namespace: Reading<bool>,
    /// Maximum number of user namespaces that a user can create. `/proc/sys/user/max_user_namespaces`.
    pub max_user_namespaces: Reading<u64>,
    /// 1 if users without privileges are allowed to create user namespaces, else 0. Only on Debian and Arch.
    /// `/proc/sys/kernel/unprivileged_userns_clone`.
    pub unprivileged_userns_clone: Reading<u32>,
    /// Seccomp mode: 0 off, 1 strict, 2 filter. `Seccomp` of `/proc/self/status`.
    pub seccomp: Reading<u32>,
    /// Current lockdown level: `none`, `integrity`, `confidentiality`. `/sys/kernel/security/lockdown`.
    pub lockdown: Reading<String>,
    /// Who is allowed to attach to a process: 0 its user, 1 its parent, 2 with `CAP_SYS_PTRACE`, 3 nobody. Absent without
    /// Yama, which means no restriction. `/proc/sys/kernel/yama/ptrace_scope`.
    pub ptrace_scope: Reading<u32>,
    /// Whether kernel settings are mounted read-only, as in a container. `/proc/self/mounts`.
    pub read_only_sysctls: Reading<bool>,
}

/// Reads the restrictions below the directory `root`. `status` is the text of `/proc/self/status`.
pub(super) fn read_isolation(root: &Path, status: &Reading<String>) -> Isolation {
    let kernel = root.join("proc/sys/kernel");
    Isolation {
        container: detect_container(root),
        initial_user_namespace: is_in_namespace(root, "user", INITIAL_USER_NAMESPACE),
        max_user_namespaces: read_value(&root.join("proc/sys/user/max_user_namespaces"), |text| text.parse().ok()),
        unprivileged_userns_clone: read_value(&kernel.join("unprivileged_userns_clone"), |text| text.parse().ok()),
        seccomp: parse::parse_field(status, "Seccomp", |text| text.parse().ok()),
        lockdown: read_value(&root.join("sys/kernel/security/lockdown"), parse::bracketed_word),
        ptrace_scope: read_value(&kernel.join("yama/ptrace_scope"), |text| text.parse().ok()),
        read_only_sysctls: read_text(&root.join("proc/self/mounts"))
            .and_then(|mounts| Reading::Value(parse::is_read_only(&mounts, "/proc/sys"))),
    }
}

fn is_in_namespace(root: &Path, kind: &str, initial: &str) -> Reading<bool> {
    match std::fs::read_link(root.join("proc/self/ns").join(kind)) {
        Ok(target) => Reading::Value(target.to_str() == Some(initial)),
        Err(error) => reading_from_error(&error),
    }
}

/// Detects a container: a process outside of the initial namespaces is in one. Files and control groups show its kind.
fn detect_container(root: &Path) -> Option<String> {
    let has_own =
        INITIAL_NAMESPACES.iter().any(|(kind, initial)| is_in_namespace(root, kind, initial) == Reading::Value(false));
    if !has_own {
        return None;
    }
    // systemd's container interface: the container manager writes its name into this file.
    let manager = read_value(&root.join("run/host/container-manager"), |name| Some(name.to_owned()));
    let groups = read_text_up_to(&root.join("proc/self/cgroup"), 64 << 10);
    let in_groups = |part: &str| groups.value().is_some_and(|groups| groups.contains(part));
    let exists = |file: &str| root.join(file).exists();
    let kind = match manager {
        Reading::Value(name) => return Some(name),
        _ if exists("var/run/secrets/kubernetes.io") || in_groups("kubepods") => "kubernetes",
        _ if exists("run/.containerenv") || in_groups("libpod") => "podman",
        _ if exists(".dockerenv") || in_groups("docker") => "docker",
        _ if in_groups("lxc") => "lxc",
        _ => "container",
    };
    Some(kind.to_owned())
}
