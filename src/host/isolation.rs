//! What stands between this process and the kernel: a container, security modules, read-only settings.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::parse;
use super::reading::{Reading, missing, single, text, text_up_to};

/// Numbers that the first namespaces have on every kernel (`include/linux/proc_ns.h`).
const FIRST_USER: &str = "user:[4026531837]";
const FIRST: [(&str, &str); 3] =
    [("pid", "pid:[4026531836]"), ("uts", "uts:[4026531838]"), ("ipc", "ipc:[4026531839]")];

/// How this process is set apart from the rest of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The container's kind (`docker`, `podman`, `kubernetes`, `lxc`, ...), or `container` of a kind that does not tell;
    /// `None`: none. A marker file alone is no container: machine images are made from containers' files.
    pub container: Option<String>,
    /// Whether this is the first user namespace; capabilities of any other do not count for perf. `/proc/self/ns/user`.
    pub initial_user_namespace: Reading<bool>,
    /// How many user namespaces a user may make. `/proc/sys/user/max_user_namespaces`.
    pub max_user_namespaces: Reading<u64>,
    /// Debian's and Arch's switch for namespaces of users without rights. `/proc/sys/kernel/unprivileged_userns_clone`.
    pub unprivileged_userns_clone: Reading<u32>,
    /// Seccomp mode: 0 off, 1 strict, 2 filter. `Seccomp` of `/proc/self/status`.
    pub seccomp: Reading<u32>,
    /// Lockdown level in force: `none`, `integrity`, `confidentiality`. `/sys/kernel/security/lockdown`.
    pub lockdown: Reading<String>,
    /// 0 own children, 1 children only, 2 with `CAP_SYS_PTRACE`, 3 nobody. `/proc/sys/kernel/yama/ptrace_scope`; absent
    /// without Yama, which then forbids nothing.
    pub ptrace_scope: Reading<u32>,
    /// Whether kernel settings are mounted read-only, as in a container. `/proc/self/mounts`.
    pub read_only_sysctls: Reading<bool>,
}

/// Reads them under `root`; `status` is the text of `/proc/self/status`.
pub(super) fn isolation(root: &Path, status: &Reading<String>) -> Isolation {
    let kernel = root.join("proc/sys/kernel");
    Isolation {
        container: container(root),
        initial_user_namespace: is_first(root, "user", FIRST_USER),
        max_user_namespaces: single(&root.join("proc/sys/user/max_user_namespaces"), |text| text.parse().ok()),
        unprivileged_userns_clone: single(&kernel.join("unprivileged_userns_clone"), |text| text.parse().ok()),
        seccomp: parse::in_text(status, "Seccomp", |text| text.parse().ok()),
        lockdown: single(&root.join("sys/kernel/security/lockdown"), parse::bracketed),
        ptrace_scope: single(&kernel.join("yama/ptrace_scope"), |text| text.parse().ok()),
        read_only_sysctls: text(&root.join("proc/self/mounts"))
            .and_then(|mounts| Reading::Value(parse::is_read_only(&mounts, "/proc/sys"))),
    }
}

fn is_first(root: &Path, kind: &str, first: &str) -> Reading<bool> {
    match std::fs::read_link(root.join("proc/self/ns").join(kind)) {
        Ok(target) => Reading::Value(target.to_str() == Some(first)),
        Err(error) => missing(&error),
    }
}

/// Namespaces of its own make a container; files and control groups tell whose it is.
fn container(root: &Path) -> Option<String> {
    let apart = FIRST.iter().any(|(kind, first)| is_first(root, kind, first) == Reading::Value(false));
    if !apart {
        return None;
    }
    // systemd's interface for containers: the manager names itself here.
    let manager = single(&root.join("run/host/container-manager"), |name| Some(name.to_owned()));
    let groups = text_up_to(&root.join("proc/self/cgroup"), 64 << 10);
    let in_groups = |part: &str| groups.value().is_some_and(|groups| groups.contains(part));
    let is_there = |file: &str| root.join(file).exists();
    let kind = match manager {
        Reading::Value(name) => return Some(name),
        _ if is_there("var/run/secrets/kubernetes.io") || in_groups("kubepods") => "kubernetes",
        _ if is_there("run/.containerenv") || in_groups("libpod") => "podman",
        _ if is_there(".dockerenv") || in_groups("docker") => "docker",
        _ if in_groups("lxc") => "lxc",
        _ => "container",
    };
    Some(kind.to_owned())
}
