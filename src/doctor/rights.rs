//! Checks of the privileges and restrictions of this process.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::inputs::Inputs;
use super::kernel::describe_missing_fact;
use super::permission::is_perfmon_capable;
use crate::host::{Capability, Reading};

pub(super) static CHECKS: [Check; 6] = [
    Check {
        id: "capabilities",
        group: Group::Kernel,
        title: "capabilities of this process",
        feature: "sampling beyond perf_event_paranoid",
        why_it_matters: "CAP_PERFMON samples the kernel and others' processes, CAP_SYSLOG sees kernel addresses, CAP_IPC_LOCK maps \
              buffers of any size, CAP_SYS_PTRACE reads other processes' memory; CAP_SYS_ADMIN includes CAP_PERFMON.",
        is_in_run: false,
        judge: Judge::Always(judge_capabilities),
    },
    Check {
        id: "seccomp",
        group: Group::Kernel,
        title: "filter of system calls",
        feature: "perf_event_open",
        why_it_matters: "A seccomp filter may refuse perf_event_open whatever the kernel settings say; the usual filter of a \
              container does so without CAP_PERFMON.",
        is_in_run: false,
        judge: Judge::Always(judge_seccomp),
    },
    Check {
        id: "lockdown",
        group: Group::Kernel,
        title: "kernel lockdown",
        feature: "nothing in goflame",
        why_it_matters: "In confidentiality mode the kernel hides its registers and tracepoints; goflame samples user registers, \
              which are still permitted.",
        is_in_run: false,
        judge: Judge::Always(judge_lockdown),
    },
    Check {
        id: "ptrace-scope",
        group: Group::Kernel,
        title: "reading memory of running processes",
        feature: "attaching Delve",
        why_it_matters: "Yama decides who may read the memory of a running process. Sampling does not depend on it, and a program \
              that goflame starts is its own child.",
        is_in_run: false,
        judge: Judge::Always(judge_ptrace_scope),
    },
    Check {
        id: "user-namespaces",
        group: Group::Kernel,
        title: "user namespaces",
        feature: "rootless containers",
        why_it_matters: "Rootless Docker and Podman need user namespaces. Inside of one, not even root's capabilities count for perf \
              events.",
        is_in_run: false,
        judge: Judge::Always(judge_user_namespaces),
    },
    Check {
        id: "container",
        group: Group::Kernel,
        title: "container",
        feature: "changing kernel settings",
        why_it_matters: "A container shares the host's kernel settings and usually cannot write them; change them on the host.",
        is_in_run: false,
        judge: Judge::Always(judge_container_type),
    },
];

/// The capabilities that matter for sampling, with their names.
const CAPABILITIES: [(Capability, &str); 5] = [
    (Capability::Perfmon, "CAP_PERFMON"),
    (Capability::SysAdmin, "CAP_SYS_ADMIN"),
    (Capability::SysPtrace, "CAP_SYS_PTRACE"),
    (Capability::Syslog, "CAP_SYSLOG"),
    (Capability::IpcLock, "CAP_IPC_LOCK"),
];

fn judge_capabilities(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let needed = "none at perf_event_paranoid 1 and lower, else CAP_PERFMON and CAP_SYSLOG";
    let Reading::Value(bits) = facts.capabilities else {
        return check.finding(Status::Warning, describe_missing_fact(&facts.capabilities), needed);
    };
    let held: Vec<_> =
        CAPABILITIES.iter().filter(|(one, _)| (bits >> (*one as u32)) & 1 == 1).map(|(_, name)| *name).collect();
    let (status, found) = match held.as_slice() {
        [] => (Status::Info, "none that matters for sampling".to_owned()),
        held if facts.isolation.initial_user_namespace == Reading::Value(false) => {
            (Status::Info, format!("{}, which do not count in a user namespace", held.join(", ")))
        }
        held if is_perfmon_capable(facts) => (Status::Ok, held.join(", ")),
        held => (Status::Info, held.join(", ")),
    };
    check.finding(status, found, needed)
}

fn judge_seccomp(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "no filter, or one that allows perf_event_open";
    let opened = inputs.probe.as_ref().is_some_and(|probe| probe.opened_event.is_some());
    let (status, found) = match &inputs.facts.isolation.seccomp {
        Reading::Value(0) => (Status::Ok, "no filter".to_owned()),
        Reading::Value(2) if opened => (Status::Ok, "a filter that allows perf_event_open".to_owned()),
        Reading::Value(2) => (Status::Info, "a filter is active".to_owned()),
        Reading::Value(mode) => (Status::Info, format!("mode {mode}")),
        Reading::Absent => (Status::Ok, "this kernel has none".to_owned()),
        missing => (Status::Info, missing.to_string()),
    };
    check.finding(status, found, needed)
}

fn judge_lockdown(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "any level; confidentiality hides tracepoints";
    let (status, found) = match &inputs.facts.isolation.lockdown {
        Reading::Value(level) if level == "confidentiality" => (Status::Info, level.clone()),
        Reading::Value(level) => (Status::Ok, level.clone()),
        Reading::Absent => (Status::Ok, "this kernel has none".to_owned()),
        missing => (Status::Info, missing.to_string()),
    };
    check.finding(status, found, needed)
}

/// `ptrace-scope`: the levels are described in Documentation/admin-guide/LSM/Yama.rst.
fn judge_ptrace_scope(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let needed = "0, or CAP_SYS_PTRACE, to attach a debugger to a running process";
    let (status, found) = match &facts.isolation.ptrace_scope {
        Reading::Absent => (Status::Ok, "no Yama: the usual rules apply".to_owned()),
        Reading::Value(0) => (Status::Ok, "0: own processes".to_owned()),
        Reading::Value(3) => (Status::Info, "3: nobody, until the next boot".to_owned()),
        Reading::Value(level) if facts.has_capability(Capability::SysPtrace) => {
            (Status::Ok, format!("{level}, which CAP_SYS_PTRACE overrides"))
        }
        Reading::Value(1) => (Status::Info, "1: own children only".to_owned()),
        Reading::Value(2) => (Status::Info, "2: with CAP_SYS_PTRACE only".to_owned()),
        Reading::Value(level) => (Status::Info, format!("{level}, an unknown level")),
        missing => (Status::Info, missing.to_string()),
    };
    check.finding(status, found, needed)
}

fn judge_user_namespaces(check: &'static Check, inputs: &Inputs) -> Finding {
    let isolation = &inputs.facts.isolation;
    let needed = "nothing; available user namespaces for rootless containers";
    let (status, found) = match (&isolation.initial_user_namespace, &isolation.max_user_namespaces) {
        (Reading::Value(false), _) => (Status::Info, "this process is inside one".to_owned()),
        (_, Reading::Value(0)) => (Status::Info, "forbidden (user.max_user_namespaces is 0)".to_owned()),
        _ if isolation.unprivileged_userns_clone == Reading::Value(0) => {
            (Status::Info, "for root only (kernel.unprivileged_userns_clone is 0)".to_owned())
        }
        (_, Reading::Value(max)) => (Status::Ok, format!("available, {max} at most")),
        (_, Reading::Absent) => (Status::Info, "this kernel has none".to_owned()),
        (_, missing) => (Status::Info, missing.to_string()),
    };
    check.finding(status, found, needed)
}

fn judge_container_type(check: &'static Check, inputs: &Inputs) -> Finding {
    let isolation = &inputs.facts.isolation;
    let needed = "nothing; access to the host if a kernel setting must change";
    let (status, found) = match (&isolation.container, &isolation.read_only_sysctls) {
        (None, _) => (Status::Ok, "none".to_owned()),
        (Some(kind), Reading::Value(false)) => (Status::Info, format!("{kind}, with writable kernel settings")),
        (Some(kind), _) => (Status::Info, format!("{kind}; kernel settings belong to the host")),
    };
    check.finding(status, found, needed)
}
