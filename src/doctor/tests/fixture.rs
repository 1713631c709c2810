//! Test machines: directory trees in place of `/`, and the findings about them.

use std::fs;
use std::os::unix::fs::symlink;

use crate::build::GoMod;
use crate::build::docker::{DockerFacts, EngineFacts};
use crate::config::{Engine, EventChoice, Kernel, Record, StackSize};
use crate::doctor::{Finding, GoFacts, Inputs, ProbeResult, Purpose, RingSize, Status, Tools, check};
use crate::host::{HostFacts, probe};
use crate::perfevent::TrialCounts;

/// `/proc/self/status` of root.
pub(super) const ROOT: &str = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n";
/// `/proc/self/status` of a user without capabilities.
pub(super) const USER: &str =
    "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n";
/// `/proc/self/status` of a user with `CAP_PERFMON`.
pub(super) const PERFMON: &str =
    "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000004000000000\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n";

/// A directory tree in place of `/`. A new machine has no readiness problems.
pub(super) struct Machine {
    pub(super) root: tempfile::TempDir,
}

impl Machine {
    pub(super) fn new(status: &str) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        let limits = "Max open files            20000                20000                files\n\
                      Max locked memory         8388608              8388608              bytes\n";
        for (file, text) in [
            ("proc/self/status", status),
            ("proc/self/limits", limits),
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mounts", "proc /proc proc rw,nosuid 0 0\n"),
            ("proc/kallsyms", "ffffffff81000000 T _stext\n"),
            ("proc/loadavg", "0.50 0.40 0.30 1/100 4242\n"),
            ("proc/meminfo", "MemTotal: 16384 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"),
            ("proc/stat", "cpu  100 0 100 9800 0 0 0 0 0 0\ncpu0 1 1 1 1\n"),
            ("proc/sys/user/max_user_namespaces", "96365\n"),
            ("boot/vmlinux-6.18.0", "ELF"),
            ("sys/kernel/btf/vmlinux", "BTF"),
            ("sys/kernel/tracing/events/sched/sched_switch/id", "316\n"),
            ("sys/kernel/security/lockdown", "[none] integrity confidentiality\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "0\n"),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n"),
            ("sys/devices/system/cpu/smt/active", "0\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
            ("sys/fs/cgroup/cgroup.procs", ""),
            ("etc/os-release", "ID=debian\n"),
        ] {
            machine.write_file(file, text);
        }
        for (name, value) in [
            ("version", "#1 SMP PREEMPT_DYNAMIC"),
            ("osrelease", "6.18.0"),
            ("perf_event_paranoid", "1"),
            ("kptr_restrict", "0"),
            ("perf_event_mlock_kb", "516"),
            ("perf_event_max_sample_rate", "100000"),
            ("perf_event_max_stack", "127"),
            ("perf_cpu_time_max_percent", "25"),
            ("nmi_watchdog", "0"),
            ("randomize_va_space", "0"),
            ("yama/ptrace_scope", "0"),
        ] {
            machine.sysctl(name, value);
        }
        fs::create_dir_all(machine.root.path().join("sys/bus/event_source/devices/cpu")).unwrap();
        for (kind, number) in [("user", 37), ("pid", 36), ("uts", 38), ("ipc", 39)] {
            machine.namespace(kind, &format!("40265318{number}"));
        }
        machine
    }

    pub(super) fn write_file(&self, file: &str, text: &str) -> &Self {
        let path = self.root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(super) fn sysctl(&self, name: &str, value: &str) -> &Self {
        self.write_file(&format!("proc/sys/kernel/{name}"), &format!("{value}\n"))
    }

    pub(super) fn namespace(&self, kind: &str, number: &str) -> &Self {
        let link = self.root.path().join("proc/self/ns").join(kind);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&link);
        symlink(format!("{kind}:[{number}]"), link).unwrap();
        self
    }

    pub(super) fn remove(&self, file: &str) -> &Self {
        let path = self.root.path().join(file);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        self
    }

    /// Replaces a file with a directory, so that even root cannot read it as a file.
    pub(super) fn make_unreadable(&self, file: &str) -> &Self {
        fs::create_dir(self.remove(file).root.path().join(file)).unwrap();
        self
    }

    pub(super) fn findings<'a>(&self, with: impl FnOnce(&mut Inputs<'a>)) -> Vec<Finding> {
        // The facts are leaked, so that other inputs can have a shorter lifetime.
        judge(Box::leak(Box::new(probe(self.root.path()))), with)
    }

    /// The finding of one check.
    pub(super) fn finding<'a>(&self, id: &str, with: impl FnOnce(&mut Inputs<'a>)) -> Finding {
        let findings = self.findings(with);
        findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id} in {findings:#?}")).clone()
    }

    pub(super) fn status(&self, id: &str) -> Status {
        self.finding(id, |_| {}).status
    }

    /// The status of one check for each of these contents of a file.
    pub(super) fn statuses<const N: usize>(&self, id: &str, file: &str, texts: [&str; N]) -> [Status; N] {
        texts.map(|text| self.write_file(file, text).status(id))
    }
}

pub(super) const fn record(event: EventChoice, kernel: Kernel) -> Record {
    Record {
        engine: Engine::Native,
        frequency: 997,
        event,
        kernel,
        stack: StackSize::ByProgram,
        labels: true,
        off_cpu: false,
    }
}

pub(super) static AUTO: Record = record(EventChoice::Auto, Kernel::Auto);
pub(super) static KERNEL_YES: Record = record(EventChoice::Auto, Kernel::Yes);
pub(super) static KERNEL_NO: Record = record(EventChoice::Auto, Kernel::No);
pub(super) static CYCLES: Record = record(EventChoice::Cycles, Kernel::Auto);
pub(super) static CLOCK: Record = record(EventChoice::CpuClock, Kernel::Auto);

pub(super) fn judge<'a>(facts: &'a HostFacts, with: impl FnOnce(&mut Inputs<'a>)) -> Vec<Finding> {
    let mut inputs = Inputs {
        purpose: Purpose::Doctor,
        facts,
        record: &AUTO,
        ring_size: RingSize { preferred_bytes: (512 + 4) << 10, min_bytes: 8 << 10 },
        probe: None,
        trial: None,
        confined: None,
        tools: None,
        docker: None,
        binary: None,
        gomaxprocs: None,
        target: None,
        ignored_ids: &[],
        build_directory: None,
        selected_ids: &[],
    };
    with(&mut inputs);
    check(&inputs)
}

/// The findings about a machine without problems.
pub(in crate::doctor) fn judged<'a>(with: impl FnOnce(&mut Inputs<'a>)) -> Vec<Finding> {
    Machine::new(USER).findings(with)
}

pub(super) fn opened_probe(event: &str, kernel: bool) -> ProbeResult {
    ProbeResult {
        opened_event: Some(event.into()),
        has_kernel_samples: kernel,
        ring_bytes: 4 << 20,
        errno: None,
        is_ring_refused: false,
        message: String::new(),
    }
}

pub(super) fn refused_probe(errno: i32, message: &str) -> ProbeResult {
    ProbeResult {
        opened_event: None,
        has_kernel_samples: false,
        ring_bytes: 0,
        errno: Some(errno),
        is_ring_refused: false,
        message: message.into(),
    }
}

pub(super) fn complete_trial() -> TrialCounts {
    TrialCounts { samples: 9, user_stacks: 9, kernel_stacks: 4, registers: 9, stack_copies: 9, switches: Some(3) }
}

/// Facts of a Docker without problems.
pub(in crate::doctor) fn docker() -> DockerFacts {
    DockerFacts {
        endpoint: "unix:///run/docker.sock".into(),
        engine: Ok(EngineFacts { version: "27.3.1".into(), api: "1.47".into(), is_rootless: false }),
        image: "golang:1.27.3".into(),
        image_digest: Some("sha256:aa".into()),
        locked_digest: Some("sha256:aa".into()),
        has_locked_image: true,
    }
}

/// A toolchain without problems, in the pinned version.
pub(super) fn tools() -> Tools {
    Tools {
        go: Ok(GoFacts {
            version: "go1.27.3".into(),
            goflags: String::new(),
            gotoolchain: "local".into(),
            cgo_enabled: true,
            cc: "gcc".into(),
            module_cache: ("/home/user/go/pkg/mod".into(), true),
            go_mod: Some(GoMod { go: "1.25".into(), ..GoMod::default() }),
            flags_refusal: None,
            missing_version: None,
            variant_sets_path: false,
            flag_warnings: Vec::new(),
        }),
        in_project: true,
        in_module: true,
        pinned_version: "1.27.3".into(),
        go_elsewhere: None,
        go_lacks_cache: false,
        c_compiler: Some("/usr/bin/gcc".into()),
        delve: Some("/usr/bin/dlv".into()),
        perf: Some(Ok("perf version 6.1".into())),
    }
}
