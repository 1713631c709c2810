//! Checks of kernel settings, symbols and privileges, in each of their states.

use super::fixture::{AUTO, KERNEL_NO, KERNEL_YES, Machine, PERFMON, ROOT, USER, opened_probe, refused_probe};
use crate::doctor::{ProbeResult, RingSize, Status};

#[test]
fn each_paranoid_level_has_its_status_for_a_user_and_for_root() {
    use Status::{Failure, Ok, Warning};
    let distribution = [("#1 SMP Debian 6.1.187-1 (2026-10-01)", Failure), ("#1 SMP PREEMPT_DYNAMIC", Warning)];
    for (version, beyond) in distribution {
        for (level, expected) in [(-1, Ok), (0, Ok), (1, Ok), (2, Warning), (3, beyond), (4, beyond)] {
            let user = Machine::new(USER);
            user.sysctl("version", version).sysctl("perf_event_paranoid", &level.to_string());
            let finding = user.finding("perf-event-paranoid", |_| {});
            assert_eq!(finding.status, expected, "{version}, level {level}: {finding:?}");
            assert_eq!(finding.fix.is_some(), expected != Ok);
            if let Some(fix) = finding.fix {
                assert_eq!(fix.command_now(), "sudo sysctl -w kernel.perf_event_paranoid=1");
                assert_eq!(fix.persistent_lines().as_deref(), Some("kernel.perf_event_paranoid = 1"));
            }
            let root = Machine::new(ROOT);
            root.sysctl("version", version).sysctl("perf_event_paranoid", &level.to_string());
            assert_eq!(root.status("perf-event-paranoid"), Ok, "root, {version}, level {level}");
        }
    }
}

#[test]
fn perfmon_helps_at_level_2_but_not_at_level_4_of_a_distribution() {
    let machine = Machine::new(PERFMON);
    machine.sysctl("perf_event_paranoid", "2");
    assert_eq!(machine.status("perf-event-paranoid"), Status::Ok);
    machine.sysctl("perf_event_paranoid", "4").sysctl("version", "#45-Ubuntu SMP");
    let finding = machine.finding("perf-event-paranoid", |_| {});
    assert_eq!(finding.status, Status::Failure);
    assert!(!finding.found.contains("override"), "{finding:?}");
}

#[test]
fn capabilities_of_root_in_a_user_namespace_do_not_count() {
    let machine = Machine::new(ROOT);
    machine.sysctl("perf_event_paranoid", "2").namespace("user", "4026532001");
    assert_eq!(machine.status("perf-event-paranoid"), Status::Warning);
}

#[test]
fn the_probe_overrides_the_level() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "3").sysctl("version", "#1 SMP Debian 6.1.187-1");
    let finding =
        machine.finding("perf-event-paranoid", |inputs| inputs.probe = Some(opened_probe("cpu-clock", false)));
    assert_eq!(finding.status, Status::Warning, "{finding:?}");
    machine.sysctl("version", "#1 SMP");
    let finding =
        machine.finding("perf-event-paranoid", |inputs| inputs.probe = Some(refused_probe(13, "Permission denied")));
    assert_eq!(finding.status, Status::Failure, "{finding:?}");
}

#[test]
fn the_status_of_a_level_depends_on_the_configured_kernel_stacks() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "2");
    let status = |record| machine.finding("perf-event-paranoid", |inputs| inputs.record = record).status;
    assert_eq!(status(&AUTO), Status::Warning);
    assert_eq!(status(&KERNEL_YES), Status::Failure);
    assert_eq!(status(&KERNEL_NO), Status::Ok);
    machine.sysctl("perf_event_paranoid", "3").sysctl("version", "#1 SMP Debian");
    let finding = machine.finding("perf-event-paranoid", |inputs| inputs.record = &KERNEL_NO);
    assert_eq!(finding.fix.unwrap().command_now(), "sudo sysctl -w kernel.perf_event_paranoid=2");
}

#[test]
fn an_unknown_level_is_a_warning_unless_an_event_opens() {
    const FILE: &str = "proc/sys/kernel/perf_event_paranoid";
    let machine = Machine::new(USER);
    let garbage = machine.write_file(FILE, "/usr/lib/debug").finding("perf-event-paranoid", |_| {});
    assert_eq!((garbage.status, garbage.found.as_str()), (Status::Warning, "not understood: \"/usr/lib/debug\""));
    assert_eq!(garbage.fix, None, "an unknown value is never overwritten");
    let unreadable = machine.make_unreadable(FILE).finding("perf-event-paranoid", |_| {});
    assert_eq!(unreadable.status, Status::Warning);
    assert!(unreadable.found.starts_with("unreadable: "), "{unreadable:?}");
    let absent = machine.remove(FILE).finding("perf-event-paranoid", |_| {});
    assert_eq!((absent.status, absent.found.as_str()), (Status::Failure, "absent"));
    let opens = machine.finding("perf-event-paranoid", |inputs| inputs.probe = Some(opened_probe("cpu-clock", true)));
    assert_eq!(opens.status, Status::Info);
}

#[test]
fn the_mlock_budget_is_the_sum_of_both_limits() {
    let machine = Machine::new(USER);
    let budget = |wanted: u64| {
        machine.finding("perf-mlock-budget", |inputs| {
            inputs.ring_size = RingSize { preferred_bytes: wanted, min_bytes: 8 << 10 }
        })
    };
    assert_eq!(budget(516 << 10).status, Status::Ok, "perf_event_mlock_kb alone is enough");
    // 4 × 516 KiB + 8 MiB = 10 256 KiB, 2564 KiB for each CPU.
    assert_eq!(budget(2564 << 10).status, Status::Ok);
    let over = budget((2564 << 10) + 1);
    assert_eq!(over.status, Status::Warning);
    assert_eq!(over.fix.unwrap().command_now(), "sudo sysctl -w kernel.perf_event_mlock_kb=2565");
    machine.sysctl("perf_event_mlock_kb", "0").write_file("proc/self/limits", "Max locked memory 16384 16384 bytes\n");
    let none = budget(516 << 10);
    assert_eq!(none.status, Status::Failure);
    assert!(none.why.contains("EPERM"), "{none:?}");
    machine.sysctl("perf_event_paranoid", "-1");
    assert_eq!(budget(516 << 10).status, Status::Ok, "no limit at level -1");
    machine
        .sysctl("perf_event_paranoid", "1")
        .write_file("proc/self/limits", "Max locked memory unlimited unlimited bytes\n");
    assert_eq!(budget(516 << 10).status, Status::Ok, "no limit at all");
    machine.write_file("proc/self/limits", "Max locked memory 0 0 bytes\n").write_file("proc/self/status", ROOT);
    assert_eq!(budget(u64::MAX).status, Status::Ok, "CAP_IPC_LOCK");
    machine.write_file("proc/self/status", USER).remove("proc/sys/kernel/perf_event_mlock_kb");
    assert_eq!(budget(516 << 10).status, Status::Warning, "unknown");
    machine.remove("sys/devices/system/cpu/online");
    assert_eq!(budget(516 << 10).status, Status::Warning, "unknown");
}

#[test]
fn a_frequency_above_the_kernels_limit_is_a_failure() {
    let machine = Machine::new(ROOT);
    assert_eq!(machine.sysctl("perf_event_max_sample_rate", "997").status("sample-rate"), Status::Ok);
    let low = machine.sysctl("perf_event_max_sample_rate", "996").finding("sample-rate", |_| {});
    assert_eq!(low.status, Status::Failure, "root is not exempt");
    assert_eq!(low.fix.unwrap().command_now(), "sysctl -w kernel.perf_event_max_sample_rate=997");
    assert_eq!(machine.sysctl("perf_event_max_sample_rate", "many").status("sample-rate"), Status::Warning);
    assert_eq!(
        machine.make_unreadable("proc/sys/kernel/perf_event_max_sample_rate").status("sample-rate"),
        Status::Warning
    );
}

#[test]
fn a_low_limit_of_frames_is_a_warning() {
    let machine = Machine::new(USER);
    assert_eq!(machine.sysctl("perf_event_max_stack", "512").status("perf-max-stack"), Status::Ok);
    assert_eq!(machine.sysctl("perf_event_max_stack", "64").status("perf-max-stack"), Status::Warning);
    assert_eq!(machine.remove("proc/sys/kernel/perf_event_max_stack").status("perf-max-stack"), Status::Warning);
}

#[test]
fn hidden_kernel_addresses_are_a_warning_if_the_kernel_is_sampled() {
    const HIDDEN: &str = "0000000000000000 T _stext\n";
    let now = |machine: &Machine| machine.finding("kptr-restrict", |_| {}).fix.map(|fix| fix.command_now());
    let user = Machine::new(USER);
    user.write_file("proc/kallsyms", HIDDEN).sysctl("kptr_restrict", "1");
    assert_eq!(user.status("kptr-restrict"), Status::Warning);
    assert_eq!(now(&user).as_deref(), Some("sudo sysctl -w kernel.kptr_restrict=0"));
    user.sysctl("perf_event_paranoid", "2");
    assert_eq!(user.status("kptr-restrict"), Status::Info, "without kernel samples, no names are needed");
    // With only CAP_PERFMON, a process samples the kernel at level 2, but reads zeros as addresses.
    let perfmon = Machine::new(PERFMON);
    perfmon.write_file("proc/kallsyms", HIDDEN).sysctl("perf_event_paranoid", "2");
    assert_eq!(perfmon.status("kptr-restrict"), Status::Warning);
    assert_eq!(now(&perfmon).as_deref(), Some("sudo sysctl -w kernel.perf_event_paranoid=1"));
    let root = Machine::new(ROOT);
    root.write_file("proc/kallsyms", HIDDEN).sysctl("kptr_restrict", "2");
    assert_eq!(now(&root).as_deref(), Some("sysctl -w kernel.kptr_restrict=0"), "2 hides from root too");
    assert_eq!(root.finding("kptr-restrict", |inputs| inputs.record = &KERNEL_NO).status, Status::Info);
    root.write_file("proc/kallsyms", "ffffffff81000000 T _stext\n");
    assert_eq!(root.status("kptr-restrict"), Status::Ok, "shown addresses are enough");
}

#[test]
fn the_granted_ring_buffer_overrides_the_budget() {
    let machine = Machine::new(USER);
    let finding_for = |ring_bytes, wanted| {
        machine.finding("perf-mlock-budget", |inputs| {
            inputs.ring_size = RingSize { preferred_bytes: wanted, min_bytes: 8 << 10 };
            inputs.probe = Some(ProbeResult { ring_bytes, ..opened_probe("cpu-clock", true) });
        })
    };
    assert_eq!(finding_for(512 << 10, 516 << 10).status, Status::Ok);
    let held = finding_for(256 << 10, 516 << 10);
    assert_eq!(held.status, Status::Warning);
    assert!(held.why.contains("another sampler"), "{held:?}");
    let small = finding_for(2 << 20, (4 << 20) + 4096);
    assert!(small.why.contains("made smaller to fit"), "{small:?}");
    assert_eq!(finding_for(4 << 20, (4 << 20) + 4096).status, Status::Ok, "granted although it exceeds the budget");
}

#[test]
fn a_low_limit_of_cpu_time_is_a_warning() {
    const FILE: &str = "proc/sys/kernel/perf_cpu_time_max_percent";
    use Status::{Info, Ok, Warning};
    let machine = Machine::new(USER);
    let texts = ["25", "50", "100", "0", "24", "much", "-1"];
    assert_eq!(machine.statuses("perf-cpu-time", FILE, texts), [Ok, Ok, Info, Info, Warning, Info, Info]);
    machine.write_file(FILE, "10");
    let fix = machine.finding("perf-cpu-time", |_| {}).fix.unwrap();
    assert_eq!(fix.command_now(), "sudo sysctl -w kernel.perf_cpu_time_max_percent=25");
    assert_eq!(machine.make_unreadable(FILE).status("perf-cpu-time"), Info);
    assert_eq!(machine.remove(FILE).status("perf-cpu-time"), Info);
}

#[test]
fn the_watchdog_matters_only_with_a_pmu() {
    const FILE: &str = "proc/sys/kernel/nmi_watchdog";
    let machine = Machine::new(USER);
    assert_eq!(machine.statuses("nmi-watchdog", FILE, ["0", "1", "x"]), [Status::Ok, Status::Info, Status::Info]);
    machine.write_file(FILE, "1").remove("sys/bus/event_source/devices/cpu");
    assert_eq!(machine.status("nmi-watchdog"), Status::Ok, "there is no counter to occupy");
    assert_eq!(machine.remove(FILE).status("nmi-watchdog"), Status::Ok);
}

#[test]
fn the_limit_of_open_files_must_allow_an_event_per_cpu() {
    let machine = Machine::new(USER);
    let status = |limit: &str| {
        machine.write_file("proc/self/limits", &format!("Max open files            {limit}    4096     files\n"));
        machine.status("open-files")
    };
    assert_eq!(status("unlimited"), Status::Ok);
    assert_eq!(status("31"), Status::Ok, "4 CPUs and 27 others");
    assert_eq!(status("30"), Status::Failure);
    assert_eq!(machine.finding("open-files", |_| {}).fix.unwrap().command_now(), "ulimit -n \"$(ulimit -Hn)\"");
    assert_eq!(status("some"), Status::Info);
    assert_eq!(machine.remove("proc/self/limits").status("open-files"), Status::Info);
}

#[test]
fn a_container_with_read_only_settings_is_repaired_on_the_host() {
    let machine = Machine::new(ROOT);
    machine.sysctl("perf_event_max_stack", "64").namespace("pid", "4026532001").write_file(".dockerenv", "");
    machine.write_file("proc/self/mounts", "proc /proc/sys proc ro,nosuid 0 0\n");
    let fix = machine.finding("perf-max-stack", |_| {}).fix.unwrap();
    assert!(fix.on_host);
    assert_eq!(fix.command_now(), "sudo sysctl -w kernel.perf_event_max_stack=127");
    machine.write_file("proc/self/mounts", "proc /proc proc rw 0 0\n");
    assert!(!machine.finding("perf-max-stack", |_| {}).fix.unwrap().on_host, "a privileged container may write");
}

#[test]
fn containers_are_recognised_by_their_namespaces() {
    let machine = Machine::new(USER);
    machine.write_file(".dockerenv", "");
    assert_eq!(machine.finding("container", |_| {}).found, "none", "a marker file alone is no sign");
    machine.namespace("pid", "4026532001");
    machine.write_file("proc/self/mounts", "proc /proc proc rw 0 0\nproc /proc/sys proc ro,nosuid 0 0\n");
    let found = |machine: &Machine| {
        let finding = machine.finding("container", |_| {});
        assert_eq!(finding.status, Status::Info);
        finding.found
    };
    assert_eq!(found(&machine), "docker; kernel settings belong to the host");
    machine.write_file("run/.containerenv", "");
    assert_eq!(found(&machine), "podman; kernel settings belong to the host");
    machine.write_file("proc/self/cgroup", "0::/kubepods.slice/x\n");
    assert_eq!(found(&machine), "kubernetes; kernel settings belong to the host");
    machine.write_file("run/host/container-manager", "systemd-nspawn\n").write_file("proc/self/mounts", "");
    assert_eq!(found(&machine), "systemd-nspawn, with writable kernel settings");
    machine.remove("run").remove(".dockerenv").write_file("proc/self/cgroup", "0::/\n");
    assert_eq!(found(&machine), "container, with writable kernel settings");
}

#[test]
fn capabilities_are_listed() {
    const FILE: &str = "proc/self/status";
    let finding = |status: &str| Machine::new(USER).write_file(FILE, status).finding("capabilities", |_| {});
    assert_eq!(finding(PERFMON).found, "CAP_PERFMON");
    assert_eq!(finding(PERFMON).status, Status::Ok);
    assert_eq!(finding(USER).status, Status::Info);
    let syslog = finding("CapEff:\t0000000400000000\n");
    assert_eq!((syslog.status, syslog.found.as_str()), (Status::Info, "CAP_SYSLOG"));
    assert_eq!(finding("Name:\tx\n").status, Status::Warning, "absent");
    assert_eq!(finding("CapEff:\tnone\n").status, Status::Warning, "garbage");
    let rootless = Machine::new(ROOT);
    let inside = rootless.namespace("user", "4026532001").finding("capabilities", |_| {});
    assert_eq!(inside.status, Status::Info);
    assert!(inside.found.ends_with("which do not count in a user namespace"), "{inside:?}");
}

#[test]
fn a_seccomp_filter_is_a_note_unless_an_event_opens() {
    let finding_for = |mode: &str, probe| {
        let machine = Machine::new(&USER.replace("Seccomp:\t0", &format!("Seccomp:\t{mode}")));
        machine.finding("seccomp", |inputs| inputs.probe = probe)
    };
    assert_eq!(finding_for("0", None).status, Status::Ok);
    assert_eq!(finding_for("1", None).status, Status::Info);
    assert_eq!(finding_for("2", None).status, Status::Info);
    assert_eq!(finding_for("2", Some(opened_probe("cpu-clock", true))).status, Status::Ok);
    assert_eq!(finding_for("2", Some(refused_probe(1, "Operation not permitted"))).status, Status::Info);
    assert_eq!(finding_for("on", None).status, Status::Info);
    let machine = Machine::new("Uid:\t0\t0\t0\t0\n");
    assert_eq!(machine.status("seccomp"), Status::Ok, "a kernel without it");
}

#[test]
fn lockdown_with_confidentiality_is_a_note() {
    const FILE: &str = "sys/kernel/security/lockdown";
    let machine = Machine::new(USER);
    let texts = ["[none] integrity", "none [integrity] confidentiality", "none integrity [confidentiality]", "none"];
    let expected = [Status::Ok, Status::Ok, Status::Info, Status::Info];
    assert_eq!(machine.statuses("lockdown", FILE, texts), expected);
    assert_eq!(machine.make_unreadable(FILE).status("lockdown"), Status::Info);
    assert_eq!(machine.remove(FILE).status("lockdown"), Status::Ok);
}

#[test]
fn ptrace_scopes_are_notes() {
    const FILE: &str = "proc/sys/kernel/yama/ptrace_scope";
    use Status::{Info, Ok};
    let user = Machine::new(USER);
    let texts = ["0", "1", "2", "3", "4", "x"];
    assert_eq!(user.statuses("ptrace-scope", FILE, texts), [Ok, Info, Info, Info, Info, Info]);
    assert_eq!(user.remove(FILE).status("ptrace-scope"), Ok, "no Yama");
    assert_eq!(Machine::new(ROOT).statuses("ptrace-scope", FILE, texts), [Ok, Ok, Ok, Info, Ok, Info]);
}

#[test]
fn forbidden_user_namespaces_are_a_note() {
    const FILE: &str = "proc/sys/user/max_user_namespaces";
    let machine = Machine::new(USER);
    let texts = ["100", "0", "x"];
    assert_eq!(machine.statuses("user-namespaces", FILE, texts), [Status::Ok, Status::Info, Status::Info]);
    machine.write_file(FILE, "100").sysctl("unprivileged_userns_clone", "0");
    assert_eq!(machine.status("user-namespaces"), Status::Info);
    machine.remove("proc/sys/kernel/unprivileged_userns_clone").remove(FILE);
    assert_eq!(machine.status("user-namespaces"), Status::Info);
    machine.write_file(FILE, "100").namespace("user", "4026532001");
    assert_eq!(machine.finding("user-namespaces", |_| {}).found, "this process is inside one");
}

#[test]
fn missing_debug_symbols_types_and_tracepoints_are_notes() {
    const ID: &str = "sys/kernel/tracing/events/sched/sched_switch/id";
    let machine = Machine::new(USER);
    machine.remove("boot/vmlinux-6.18.0").write_file("usr/lib/debug/boot/vmlinux-6.18.0", "ELF");
    let debug = |machine: &Machine| machine.finding("kernel-debug-symbols", |_| {}).found;
    assert_eq!(debug(&machine), "/usr/lib/debug/boot/vmlinux-6.18.0");
    machine.remove("usr/lib/debug");
    assert_eq!(debug(&machine), "none", "no known package for a kernel of no distribution");
    machine.sysctl("version", "#1 SMP Debian 6.18.0-1").sysctl("osrelease", "6.18.0-amd64");
    assert_eq!(debug(&machine), "none (package linux-image-6.18.0-amd64-dbg)");
    machine.sysctl("version", "#45-Ubuntu SMP").sysctl("osrelease", "6.18.0-1-generic");
    assert_eq!(debug(&machine), "none (package linux-image-6.18.0-1-generic-dbgsym)");
    machine.sysctl("version", "#1 SMP").sysctl("osrelease", "6.18.0-200.fc44.x86_64");
    assert_eq!(debug(&machine), "none (package kernel-debuginfo-6.18.0-200.fc44.x86_64)");
    machine.sysctl("osrelease", "6.18.0-1-default");
    assert_eq!(debug(&machine), "none (package kernel-default-debuginfo)");

    assert_eq!(machine.status("btf"), Status::Ok);
    assert_eq!(machine.make_unreadable("sys/kernel/btf/vmlinux").status("btf"), Status::Info);
    assert_eq!(machine.remove("sys/kernel/btf").status("btf"), Status::Info);

    assert_eq!(machine.status("tracefs"), Status::Ok);
    assert_eq!(machine.make_unreadable(ID).status("tracefs"), Status::Info);
    assert_eq!(machine.remove("sys/kernel/tracing").finding("tracefs", |_| {}).found, "not mounted");
    machine.write_file("sys/kernel/debug/tracing/events/sched/sched_switch/id", "316");
    assert_eq!(machine.status("tracefs"), Status::Ok, "before Linux 4.1 it is in debugfs only");
}

#[test]
fn each_level_has_an_explanation() {
    let found = |level: &str, version: &str, status: &str| {
        let machine = Machine::new(status);
        machine.sysctl("version", version).sysctl("perf_event_paranoid", level);
        machine.finding("perf-event-paranoid", |_| {}).found
    };
    let mainline = "#1 SMP PREEMPT_DYNAMIC";
    let words = ["-1", "0", "1", "2", "3"].map(|level| found(level, mainline, USER));
    let expected = [
        "-1 (everything, with no memory limit)",
        "0 (own processes, the kernel and whole CPUs)",
        "1 (own processes and the kernel)",
        "2 (own processes, user space only)",
        "3 (the same as 2 in this kernel)",
    ];
    assert_eq!(words, expected);
    assert_eq!(found("3", "#1 SMP Debian 6.1", USER), "3 (nothing)");
    assert_eq!(found("4", "#45-Ubuntu SMP", ROOT), "4 (nothing), which this process's capabilities override");
}
