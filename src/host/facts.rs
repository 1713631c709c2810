//! Facts about the machine, and the files that they are read from.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cpus::read_cpus;
use super::isolation::{Isolation, read_isolation};
use super::parse::{self, Limit};
use super::reading::{Reading, read_text, read_value, reading_from_error};
use super::steadiness::{Steadiness, read_steadiness};
use super::symbols::{KernelTracingFacts, read_kernel_tracing};

/// Capabilities that a sampler can need. The number is the bit (include/uapi/linux/capability.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Allows to lock any amount of memory, so ring buffers have no budget.
    IpcLock = 14,
    /// Allows to read the memory of other users' processes.
    SysPtrace = 19,
    /// Includes `Perfmon`. Kernels of Debian and Ubuntu demand it at paranoid levels above 2.
    SysAdmin = 21,
    /// Allows to read kernel addresses.
    Syslog = 34,
    /// Allows to sample the kernel and other users' processes. Since Linux 5.8.
    Perfmon = 38,
}

/// Facts about this machine and the privileges of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Architecture of the goflame binary, in Rust's names (`x86_64`, `aarch64`).
    pub arch: String,
    /// Host name. `/proc/sys/kernel/hostname`.
    pub hostname: Reading<String>,
    /// Kernel release, for example `6.1.0-26-amd64`. `/proc/sys/kernel/osrelease`.
    pub kernel_release: Reading<String>,
    /// Kernel version, which names the distribution that built the kernel. `/proc/sys/kernel/version`.
    pub kernel_version: Reading<String>,
    /// Distribution id, for example `debian`. In a container, the id of the container's distribution. `/etc/os-release`,
    /// else `/usr/lib/os-release`.
    pub distribution: Reading<String>,
    /// Name of the CPU. `/proc/cpuinfo`.
    pub cpu_model: Reading<String>,
    /// The highest GOAMD64 level that the CPU supports, 1 to 4. Only on x86-64. `/proc/cpuinfo`.
    pub amd64_level: Reading<u32>,
    /// Numbers of the online CPUs, ascending. `/sys/devices/system/cpu/online`, without it `/proc/stat`.
    pub online_cpus: Reading<Vec<u32>>,
    /// Numbers of all CPUs that any file names, ascending: `online` and `possible` in `/sys/devices/system/cpu`,
    /// `/proc/stat`, and `Cpus_allowed_list` of `/proc/self/status`.
    pub named_cpus: Vec<u32>,
    /// Bytes of memory that the kernel manages. `/proc/meminfo`.
    pub memory_bytes: Reading<u64>,
    /// Names of the PMUs of CPU cores. Empty if there is no PMU. `/sys/bus/event_source/devices`.
    pub pmus: Reading<Vec<String>>,
    /// Name of the hypervisor or of the virtual machine's vendor. `None` if no file shows a virtual machine.
    pub virtualisation: Option<String>,
    /// `/proc/sys/kernel/perf_event_paranoid`. Absent in a kernel without perf events (`perf_event_open(2)`).
    pub perf_event_paranoid: Reading<i32>,
    /// `/proc/sys/kernel/kptr_restrict`.
    pub kptr_restrict: Reading<i32>,
    /// KiB of ring buffers per CPU and user, in addition to `RLIMIT_MEMLOCK`. `/proc/sys/kernel/perf_event_mlock_kb`.
    pub perf_event_mlock_kb: Reading<u64>,
    /// Maximum sampling frequency in Hz. `/proc/sys/kernel/perf_event_max_sample_rate`.
    pub perf_event_max_sample_rate: Reading<u32>,
    /// Maximum number of frames in a callchain. `/proc/sys/kernel/perf_event_max_stack`.
    pub perf_event_max_stack: Reading<u32>,
    /// Percentage of CPU time above which the kernel makes sampling slower. 0 and 100 mean no limit.
    /// `/proc/sys/kernel/perf_cpu_time_max_percent`.
    pub perf_cpu_time_max_percent: Reading<u32>,
    /// Not 0 if the kernel uses a hardware counter for its watchdog. `/proc/sys/kernel/nmi_watchdog`.
    pub nmi_watchdog: Reading<u32>,
    /// Soft `RLIMIT_MEMLOCK`. `/proc/self/limits`.
    pub memlock: Reading<Limit>,
    /// Effective capabilities, one bit each. `CapEff` of `/proc/self/status`.
    pub capabilities: Reading<u64>,
    /// Effective user id. `Uid` of `/proc/self/status`.
    pub effective_uid: Reading<u32>,
    /// Soft `RLIMIT_NOFILE`. `/proc/self/limits`.
    pub open_files: Reading<Limit>,
    /// Symbols, debug symbols, types and tracepoints of the kernel.
    pub kernel_symbols: KernelTracingFacts,
    /// Containers, security modules and their restrictions.
    pub isolation: Isolation,
    /// Causes of unequal running times.
    pub steadiness: Steadiness,
}

impl HostFacts {
    /// Whether this process has a capability in the initial user namespace. In other namespaces, the kernel ignores it for
    /// perf events, kernel addresses and locked memory (`capable()`).
    pub fn has_capability(&self, capability: Capability) -> bool {
        let effective = self.capabilities.value().is_some_and(|bits| (bits >> (capability as u32)) & 1 == 1);
        effective && self.isolation.initial_user_namespace != Reading::Value(false)
    }

    /// Number of online CPUs, at least 1. `None` if it is unknown.
    pub fn cpu_count(&self) -> Option<u64> {
        self.online_cpus.value().map(|cpus| cpus.len() as u64).filter(|&count| count > 0)
    }
}

/// Reads all facts under `root`: `/` for this machine, a directory with the same files in a test.
pub fn probe(root: &Path) -> HostFacts {
    let sysctl = root.join("proc/sys/kernel");
    let cpuinfo = read_text(&root.join("proc/cpuinfo"));
    let status = read_text(&root.join("proc/self/status"));
    let limits = read_text(&root.join("proc/self/limits"));
    let meminfo = read_text(&root.join("proc/meminfo"));
    let kernel_release = read_value(&sysctl.join("osrelease"), non_empty_text);
    let (online_cpus, named_cpus) = read_cpus(root, &status);
    HostFacts {
        // Not from /proc/sys/kernel/arch, which exists since Linux 6.1 only.
        arch: std::env::consts::ARCH.to_owned(),
        hostname: read_value(&sysctl.join("hostname"), non_empty_text),
        kernel_version: read_value(&sysctl.join("version"), non_empty_text),
        distribution: read_distribution_id(root),
        cpu_model: find_in_text(&cpuinfo, parse::cpu_model),
        amd64_level: find_in_text(&cpuinfo, parse::amd64_level),
        online_cpus,
        named_cpus,
        memory_bytes: parse::parse_field(&meminfo, "MemTotal", parse::kib_to_bytes),
        pmus: list_core_pmus(&root.join("sys/bus/event_source/devices")),
        virtualisation: detect_virtualisation(root, &cpuinfo),
        perf_event_paranoid: read_value(&sysctl.join("perf_event_paranoid"), parse_number),
        kptr_restrict: read_value(&sysctl.join("kptr_restrict"), parse_number),
        perf_event_mlock_kb: read_value(&sysctl.join("perf_event_mlock_kb"), parse_number),
        perf_event_max_sample_rate: read_value(&sysctl.join("perf_event_max_sample_rate"), parse_number),
        perf_event_max_stack: read_value(&sysctl.join("perf_event_max_stack"), parse_number),
        perf_cpu_time_max_percent: read_value(&sysctl.join("perf_cpu_time_max_percent"), parse_number),
        nmi_watchdog: read_value(&sysctl.join("nmi_watchdog"), parse_number),
        memlock: parse_limit(&limits, "Max locked memory"),
        open_files: parse_limit(&limits, "Max open files"),
        capabilities: parse::parse_field(&status, "CapEff", |text| u64::from_str_radix(text, 16).ok()),
        // Real, effective, saved and file system user id, in this order (proc_pid_status(5)).
        effective_uid: parse::parse_field(&status, "Uid", |text| text.split_whitespace().nth(1)?.parse().ok()),
        kernel_symbols: read_kernel_tracing(root, kernel_release.value().map(String::as_str)),
        isolation: read_isolation(root, &status),
        steadiness: read_steadiness(root, &status, &meminfo),
        kernel_release,
    }
}

fn parse_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn non_empty_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn find_in_text<T>(text: &Reading<String>, find: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    text.clone().and_then(|text| find(&text).map_or(Reading::Absent, Reading::Value))
}

fn read_distribution_id(root: &Path) -> Reading<String> {
    let id = |file: &str| find_in_text(&read_text(&root.join(file)), parse::parse_os_id);
    match id("etc/os-release") {
        Reading::Absent => id("usr/lib/os-release"),
        found => found,
    }
}

fn parse_limit(limits: &Reading<String>, name: &str) -> Reading<Limit> {
    limits.clone().and_then(|limits| match parse::parse_limit(&limits, name) {
        Ok(Some(limit)) => Reading::Value(limit),
        Ok(None) => Reading::Absent,
        Err(line) => Reading::garbage(line),
    })
}

fn list_core_pmus(devices: &Path) -> Reading<Vec<String>> {
    let entries = match std::fs::read_dir(devices) {
        Ok(entries) => entries,
        Err(error) => return reading_from_error(&error),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| parse::is_core_pmu(name))
        .collect();
    names.sort();
    Reading::Value(names)
}

/// Detects a virtual machine. All x86 hypervisors set the CPU flag `hypervisor`. On arm64, only the files below show a
/// hypervisor. A vendor name is not enough, because Amazon and Microsoft also offer real machines. QEMU is an exception.
fn detect_virtualisation(root: &Path, cpuinfo: &Reading<String>) -> Option<String> {
    let name = |file: &str| {
        let text = read_text(&root.join(file));
        text.value().map(|text| text.trim_matches(['\0', '\n', ' ']).to_owned()).filter(|text| !text.is_empty())
    };
    let flagged = cpuinfo
        .value()
        .and_then(|text| parse::find_field(text, "flags"))
        .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    let vendor = name("sys/class/dmi/id/sys_vendor");
    name("sys/hypervisor/type")
        .or_else(|| name("proc/device-tree/hypervisor/compatible"))
        .or_else(|| vendor.clone().filter(|vendor| flagged || vendor == "QEMU"))
        .or_else(|| flagged.then(|| "unknown hypervisor".to_owned()))
}
