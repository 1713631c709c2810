//! The facts, and where each is read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::isolation::{Isolation, isolation};
use super::parse;
use super::reading::{Reading, missing, single, text};
use super::steadiness::{Steadiness, steadiness};
use super::symbols::{KernelSymbols, kernel_symbols};

/// A soft resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// So many bytes, or whatever is limited.
    AtMost(u64),
}

/// Capabilities that decide what a sampler may do; the number is the bit (include/uapi/linux/capability.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Locks any amount of memory: no budget for ring buffers.
    IpcLock = 14,
    /// Looks into other users' processes.
    SysPtrace = 19,
    /// Includes what `Perfmon` allows, and is what Debian's and Ubuntu's kernels ask for at paranoid levels above 2.
    SysAdmin = 21,
    /// Sees kernel addresses.
    Syslog = 34,
    /// Samples the kernel and other users' processes. Since Linux 5.8.
    Perfmon = 38,
}

/// What is known about this machine and about the rights of this process on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The architecture goflame runs as, in Rust's names (`x86_64`, `aarch64`).
    pub arch: String,
    /// Host name. `/proc/sys/kernel/hostname`.
    pub hostname: Reading<String>,
    /// Kernel release, such as `6.1.0-26-amd64`. `/proc/sys/kernel/osrelease`.
    pub kernel_release: Reading<String>,
    /// Kernel version, which names the distribution that built the kernel. `/proc/sys/kernel/version`.
    pub kernel_version: Reading<String>,
    /// Distribution id, such as `debian`: of the files around goflame, which in a container is not the kernel's.
    /// `/etc/os-release`, else `/usr/lib/os-release`.
    pub distribution: Reading<String>,
    /// Name of the CPU. `/proc/cpuinfo`.
    pub cpu_model: Reading<String>,
    /// Numbers of the CPUs that are on, ascending. `/sys/devices/system/cpu/online`.
    pub online_cpus: Reading<Vec<u32>>,
    /// Bytes of memory that the kernel manages. `/proc/meminfo`.
    pub memory_bytes: Reading<u64>,
    /// PMUs of the CPU cores, by name; empty: none. `/sys/bus/event_source/devices`.
    pub pmus: Reading<Vec<String>>,
    /// What hints at a virtual machine: the hypervisor's or the machine's name; `None`: no hint.
    pub virtualisation: Option<String>,
    /// `/proc/sys/kernel/perf_event_paranoid`. Absent: a kernel without perf events (`perf_event_open(2)`).
    pub perf_event_paranoid: Reading<i32>,
    /// `/proc/sys/kernel/kptr_restrict`.
    pub kptr_restrict: Reading<i32>,
    /// KiB of ring buffers per CPU and user beside `RLIMIT_MEMLOCK`. `/proc/sys/kernel/perf_event_mlock_kb`.
    pub perf_event_mlock_kb: Reading<u64>,
    /// Largest permitted sampling frequency, Hz. `/proc/sys/kernel/perf_event_max_sample_rate`.
    pub perf_event_max_sample_rate: Reading<u32>,
    /// Most frames in a call chain. `/proc/sys/kernel/perf_event_max_stack`.
    pub perf_event_max_stack: Reading<u32>,
    /// Percentage of CPU time that sampling may take before the kernel slows it down; 0 and 100: no limit.
    /// `/proc/sys/kernel/perf_cpu_time_max_percent`.
    pub perf_cpu_time_max_percent: Reading<u32>,
    /// Whether the kernel holds a hardware counter for itself. `/proc/sys/kernel/nmi_watchdog`.
    pub nmi_watchdog: Reading<u32>,
    /// Soft `RLIMIT_MEMLOCK`. `/proc/self/limits`.
    pub memlock: Reading<Limit>,
    /// Effective capabilities, one bit each. `CapEff` of `/proc/self/status`.
    pub capabilities: Reading<u64>,
    /// Effective user id. `Uid` of `/proc/self/status`.
    pub effective_uid: Reading<u32>,
    /// Soft `RLIMIT_NOFILE`. `/proc/self/limits`.
    pub open_files: Reading<Limit>,
    /// What the kernel tells about its own code.
    pub kernel_symbols: KernelSymbols,
    /// Containers, security modules, and what they forbid.
    pub isolation: Isolation,
    /// What makes measurements scatter.
    pub steadiness: Steadiness,
}

impl Facts {
    /// Whether the kernel would find this capability when it guards perf events, kernel addresses and locked memory,
    /// which it does with `capable()`: in the first user namespace only.
    pub fn holds(&self, capability: Capability) -> bool {
        let effective = self.capabilities.value().is_some_and(|bits| (bits >> (capability as u32)) & 1 == 1);
        effective && self.isolation.initial_user_namespace != Reading::Value(false)
    }

    /// How many CPUs are on, where that is known; never 0.
    pub fn cpu_count(&self) -> Option<u64> {
        self.online_cpus.value().map(|cpus| cpus.len() as u64).filter(|&count| count > 0)
    }
}

/// Reads all facts under `root`: `/` for this machine, a directory with the same files in a test.
pub fn probe(root: &Path) -> Facts {
    let sysctl = root.join("proc/sys/kernel");
    let cpuinfo = text(&root.join("proc/cpuinfo"));
    let status = text(&root.join("proc/self/status"));
    let limits = text(&root.join("proc/self/limits"));
    let meminfo = text(&root.join("proc/meminfo"));
    let kernel_release = single(&sysctl.join("osrelease"), word);
    Facts {
        // Not from a file: /proc/sys/kernel/arch came with Linux 6.1 only.
        arch: std::env::consts::ARCH.to_owned(),
        hostname: single(&sysctl.join("hostname"), word),
        kernel_version: single(&sysctl.join("version"), word),
        distribution: distribution(root),
        cpu_model: found_in(&cpuinfo, parse::cpu_model),
        online_cpus: single(&root.join("sys/devices/system/cpu/online"), parse::cpu_list),
        memory_bytes: parse::in_text(&meminfo, "MemTotal", parse::kib),
        pmus: pmus(&root.join("sys/bus/event_source/devices")),
        virtualisation: virtualisation(root, &cpuinfo),
        perf_event_paranoid: single(&sysctl.join("perf_event_paranoid"), number),
        kptr_restrict: single(&sysctl.join("kptr_restrict"), number),
        perf_event_mlock_kb: single(&sysctl.join("perf_event_mlock_kb"), number),
        perf_event_max_sample_rate: single(&sysctl.join("perf_event_max_sample_rate"), number),
        perf_event_max_stack: single(&sysctl.join("perf_event_max_stack"), number),
        perf_cpu_time_max_percent: single(&sysctl.join("perf_cpu_time_max_percent"), number),
        nmi_watchdog: single(&sysctl.join("nmi_watchdog"), number),
        memlock: limit(&limits, "Max locked memory"),
        open_files: limit(&limits, "Max open files"),
        capabilities: parse::in_text(&status, "CapEff", |text| u64::from_str_radix(text, 16).ok()),
        // Real, effective, saved and file system id, in this order (proc_pid_status(5)).
        effective_uid: parse::in_text(&status, "Uid", |text| text.split_whitespace().nth(1)?.parse().ok()),
        kernel_symbols: kernel_symbols(root, kernel_release.value().map(String::as_str)),
        isolation: isolation(root, &status),
        steadiness: steadiness(root, &status, &meminfo),
        kernel_release,
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn word(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn found_in<T>(text: &Reading<String>, find: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    text.clone().and_then(|text| find(&text).map_or(Reading::Absent, Reading::Value))
}

fn distribution(root: &Path) -> Reading<String> {
    let id = |file: &str| found_in(&text(&root.join(file)), parse::os_id);
    match id("etc/os-release") {
        Reading::Absent => id("usr/lib/os-release"),
        found => found,
    }
}

fn limit(limits: &Reading<String>, name: &str) -> Reading<Limit> {
    limits.clone().and_then(|limits| match parse::limit(&limits, name) {
        Ok(Some(limit)) => Reading::Value(limit),
        Ok(None) => Reading::Absent,
        Err(line) => Reading::garbage(line),
    })
}

fn pmus(devices: &Path) -> Reading<Vec<String>> {
    let entries = match std::fs::read_dir(devices) {
        Ok(entries) => entries,
        Err(error) => return missing(&error),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| parse::is_core_pmu(name))
        .collect();
    names.sort();
    Reading::Value(names)
}

/// The CPU flag is set by x86 hypervisors of every make; the other signs only name it, or stand in for it on arm64.
/// A maker's name alone is no sign: Amazon and Microsoft sell real machines under theirs.
fn virtualisation(root: &Path, cpuinfo: &Reading<String>) -> Option<String> {
    let name = |file: &str| {
        let text = text(&root.join(file));
        text.value().map(|text| text.trim_matches(['\0', '\n', ' ']).to_owned()).filter(|text| !text.is_empty())
    };
    let flagged = cpuinfo
        .value()
        .and_then(|text| parse::field(text, "flags"))
        .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    let vendor = name("sys/class/dmi/id/sys_vendor");
    name("sys/hypervisor/type")
        .or_else(|| name("proc/device-tree/hypervisor/compatible"))
        .or_else(|| vendor.clone().filter(|vendor| flagged || vendor == "QEMU"))
        .or_else(|| flagged.then(|| "a hypervisor that does not name itself".to_owned()))
}
