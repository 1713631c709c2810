//! Checks of kernel symbols, types and tracepoints.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::{Fix, Setting};
use super::inputs::Inputs;
use super::kernel::describe_missing_fact;
use super::permission::expects_kernel_samples;
use crate::host::{Capability, HostFacts, Reading, Sysctl};

pub(super) static CHECKS: [Check; 4] = [
    Check {
        id: "kptr-restrict",
        group: Group::Kernel,
        title: "kernel symbols",
        feature: "names of kernel functions",
        why_it_matters: "Kernel frames get their names from /proc/kallsyms, which shows zeros to a process without privileges.",
        is_in_run: true,
        judge: Judge::Always(judge_kptr_restrict),
    },
    Check {
        id: "kernel-debug-symbols",
        group: Group::Kernel,
        title: "kernel with debug symbols",
        feature: "lines of kernel code, in perf",
        why_it_matters: "Names of kernel functions do not need them. They add source lines, which perf shows and goflame does not.",
        is_in_run: false,
        judge: Judge::Always(judge_debug_symbols),
    },
    Check {
        id: "btf",
        group: Group::Kernel,
        title: "types of the kernel",
        feature: "eBPF tools other than goflame",
        why_it_matters: "goflame uses no eBPF. Tools that do (perf lock, bpftrace, an eBPF profiler) need /sys/kernel/btf/vmlinux.",
        is_in_run: false,
        judge: Judge::Always(judge_btf),
    },
    Check {
        id: "tracefs",
        group: Group::Kernel,
        title: "tracepoints",
        feature: "perf sched and perf trace",
        why_it_matters: "goflame needs no tracepoints. perf sched and perf trace read /sys/kernel/tracing, by default as root only.",
        is_in_run: false,
        judge: Judge::Always(judge_tracefs),
    },
];

/// `kptr-restrict`: judges the contents of `/proc/kallsyms`. The kernel's settings explain the contents
/// (`kallsyms_show_value()`, `kernel/ksyms_common.c`): at `kptr_restrict` 0, the kernel shows addresses at paranoid
/// level 1 or lower and to processes with `CAP_SYSLOG`. At 1, only processes with `CAP_SYSLOG` see them. At 2, no
/// process sees them.
fn judge_kptr_restrict(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let shown = &facts.kernel_symbols.kallsyms_shown;
    let found = format!(
        "kptr_restrict {}, addresses in /proc/kallsyms {}",
        facts.kptr_restrict,
        match shown {
            Reading::Value(true) => "shown".to_owned(),
            Reading::Value(false) => "hidden".to_owned(),
            missing => missing.to_string(),
        }
    );
    let needed = "readable addresses in /proc/kallsyms";
    if *shown == Reading::Value(true) {
        return check.finding(Status::Ok, found, needed);
    }
    if !expects_kernel_samples(inputs) {
        let why = "The kernel is not sampled, so its symbols are not needed.";
        return check.finding(Status::Info, found, needed).with_reason(why);
    }
    let restrict = facts.kptr_restrict.value().copied();
    let may_see = facts.has_capability(Capability::Syslog);
    let mut settings = Vec::new();
    if restrict.is_some_and(|level| level > 1 || (level == 1 && !may_see)) {
        settings.push(Setting::at_most(Sysctl::KptrRestrict, 0));
    }
    if !may_see && facts.perf_event_paranoid.value().is_some_and(|&level| level > 1) {
        settings.push(Setting::at_most(Sysctl::PerfEventParanoid, 1));
    }
    let fix = (!settings.is_empty()).then(|| Fix::sysctl_change(facts, settings));
    let why = "Kernel time will be sampled, but its functions have no names: every kernel frame reads [kernel].";
    check.finding(Status::Warning, found, needed).with_reason(why).with_fix(fix)
}

/// `kernel-debug-symbols`: goflame does not need these symbols. So if they are missing, the finding is only a note,
/// with the name of the package if known.
fn judge_debug_symbols(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let needed = "nothing; a vmlinux of this kernel for source lines in perf";
    if let Reading::Value(path) = &facts.kernel_symbols.vmlinux {
        return check.finding(Status::Ok, path.display().to_string(), needed);
    }
    let found =
        debug_package_name(facts).map_or_else(|| "none".to_owned(), |package| format!("none (package {package})"));
    check.finding(Status::Info, found, needed)
}

/// Name of the package with debug symbols of this kernel, by the distribution that built it.
fn debug_package_name(facts: &HostFacts) -> Option<String> {
    let release = facts.kernel_release.value()?;
    let built_by = |name: &str| facts.kernel_version.value().is_some_and(|version| version.contains(name));
    if built_by("Debian") {
        Some(format!("linux-image-{release}-dbg"))
    } else if built_by("Ubuntu") {
        Some(format!("linux-image-{release}-dbgsym"))
    } else if release.contains(".fc") && release.ends_with("64") || release.contains(".el") {
        Some(format!("kernel-debuginfo-{release}"))
    } else if release.ends_with("-default") {
        Some("kernel-default-debuginfo".to_owned())
    } else {
        None
    }
}

fn judge_btf(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "nothing; /sys/kernel/btf/vmlinux for eBPF tools";
    let (status, found) = match &inputs.facts.kernel_symbols.btf {
        Reading::Value(true) => (Status::Ok, "present".to_owned()),
        Reading::Value(false) => (Status::Info, "not a file".to_owned()),
        missing => (Status::Info, describe_missing_fact(missing)),
    };
    check.finding(status, found, needed)
}

fn judge_tracefs(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "nothing; a readable tracefs for perf's tracepoints";
    let (status, found) = match &inputs.facts.kernel_symbols.tracepoint {
        Reading::Value(_) => (Status::Ok, "readable".to_owned()),
        Reading::Absent => (Status::Info, "not mounted".to_owned()),
        missing => (Status::Info, missing.to_string()),
    };
    check.finding(status, found, needed)
}
