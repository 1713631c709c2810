//! Reads facts from temporary directories in place of `/`, and from this machine.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Capability, CpuQuota, CpuWaitCounters, HostFacts, Limit, Reading, Sysctl, parse, probe};

fn write_file(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn probe_files(files: &[(&str, &str)]) -> HostFacts {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in files {
        write_file(root.path(), file, text);
    }
    probe(root.path())
}

const PARANOID_FILE: &str = "proc/sys/kernel/perf_event_paranoid";

#[test]
fn every_paranoid_level_is_read() {
    for level in -1..=4 {
        assert_eq!(probe_files(&[(PARANOID_FILE, &format!("{level}\n"))]).perf_event_paranoid, Reading::Value(level));
    }
}

#[test]
fn absent_unreadable_and_garbage_are_different_readings() {
    assert_eq!(probe_files(&[]).perf_event_paranoid, Reading::Absent);
    assert_eq!(
        probe_files(&[(PARANOID_FILE, "/usr/lib/debug\n")]).perf_event_paranoid,
        Reading::Garbage("/usr/lib/debug".into())
    );
    assert_eq!(probe_files(&[(PARANOID_FILE, "")]).perf_event_paranoid, Reading::Garbage(String::new()));
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join(PARANOID_FILE)).unwrap();
    assert!(matches!(probe(root.path()).perf_event_paranoid, Reading::Unreadable(why) if why.contains("directory")));
}

#[test]
fn an_empty_root_has_no_facts() {
    let facts = probe_files(&[]);
    assert_eq!(facts.online_cpus, Reading::Absent);
    assert_eq!(facts.pmus, Reading::Absent);
    assert_eq!(facts.memlock, Reading::Absent);
    assert_eq!(facts.capabilities, Reading::Absent);
    assert_eq!(facts.steadiness.cpu_quota, Reading::Absent);
    assert_eq!(facts.distribution, Reading::Absent);
    assert_eq!(facts.kernel_symbols.kallsyms_shown, Reading::Absent);
    assert_eq!(facts.virtualisation, None);
    assert!(!facts.has_capability(Capability::SysAdmin));
}

#[test]
fn cpu_lists_are_parsed() {
    assert_eq!(parse::parse_cpu_list("0"), Some(vec![0]));
    assert_eq!(parse::parse_cpu_list("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
    for wrong in ["", "a", "3-1", "0-4294967295", "1,1", "0-", "-1", "0,,2", "0-1-2"] {
        assert_eq!(parse::parse_cpu_list(wrong), None, "{wrong:?}");
    }
}

#[test]
fn a_cpu_that_any_source_names_is_known() {
    let stat = ("proc/stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu5 1 2 3\ncpuidle 1\nctxt 9\n");
    let facts = probe_files(&[stat]);
    assert_eq!((facts.online_cpus, facts.named_cpus), (Reading::Value(vec![0, 5]), vec![0, 5]));
    let online = ("sys/devices/system/cpu/online", "0\n");
    let possible = ("sys/devices/system/cpu/possible", "0-2\n");
    let allowed = ("proc/self/status", "Cpus_allowed_list:\t1,4\n");
    let facts = probe_files(&[stat, online, possible, allowed]);
    assert_eq!((facts.online_cpus, facts.named_cpus), (Reading::Value(vec![0]), vec![0, 1, 2, 4, 5]));
    assert_eq!(probe_files(&[]).named_cpus, Vec::<u32>::new());
}

#[test]
fn capabilities_count_in_the_initial_user_namespace_only() {
    let root = tempfile::tempdir().unwrap();
    let status = "Name:\tx\nUid:\t1000\t0\t0\t0\nCapEff:\t0000004000004000\nSeccomp:\t2\n";
    write_file(root.path(), "proc/self/status", status);
    let facts = probe(root.path());
    assert_eq!(facts.effective_uid, Reading::Value(0));
    assert_eq!(facts.isolation.seccomp, Reading::Value(2));
    assert!(facts.has_capability(Capability::Perfmon) && facts.has_capability(Capability::IpcLock));
    assert!(!facts.has_capability(Capability::SysAdmin) && !facts.has_capability(Capability::Syslog));
    fs::create_dir_all(root.path().join("proc/self/ns")).unwrap();
    symlink("user:[4026531837]", root.path().join("proc/self/ns/user")).unwrap();
    assert!(probe(root.path()).has_capability(Capability::Perfmon));
    fs::remove_file(root.path().join("proc/self/ns/user")).unwrap();
    symlink("user:[4026532001]", root.path().join("proc/self/ns/user")).unwrap();
    assert!(!probe(root.path()).has_capability(Capability::Perfmon));
}

#[test]
fn memlock_limits_are_read() {
    let limits = |soft: &str| {
        let line = format!("Limit  Soft Limit\nMax locked memory         {soft}   unlimited  bytes     \n");
        probe_files(&[("proc/self/limits", &line)]).memlock
    };
    assert_eq!(limits("8388608"), Reading::Value(Limit::AtMost(8_388_608)));
    assert_eq!(limits("unlimited"), Reading::Value(Limit::Unlimited));
    assert!(matches!(limits("many"), Reading::Garbage(_)));
    assert_eq!(probe_files(&[("proc/self/limits", "Max open files 1 1 files\n")]).memlock, Reading::Absent);
}

#[test]
fn hidden_kernel_addresses_are_recognised() {
    let shown = |text: &str| probe_files(&[("proc/kallsyms", text)]).kernel_symbols.kallsyms_shown;
    assert_eq!(shown("0000000000000000 T _stext\n0000000000000000 T _text\n"), Reading::Value(false));
    assert_eq!(shown("0000000000000000 A fixed_percpu_data\n0000000000001000 A x\n"), Reading::Value(true));
    assert_eq!(shown("ffffffff81000000 T _stext\n"), Reading::Value(true));
    assert!(matches!(shown("nothing here"), Reading::Garbage(_)));
}

#[test]
fn pmus_of_cpu_cores_are_found_by_name() {
    let root = tempfile::tempdir().unwrap();
    let devices = root.path().join("sys/bus/event_source/devices");
    for name in ["software", "tracepoint", "cpu_core", "cpu_atom", "uncore_imc_0", "armv8_pmuv3_0"] {
        fs::create_dir_all(devices.join(name)).unwrap();
    }
    let names = ["armv8_pmuv3_0", "cpu_atom", "cpu_core"].map(String::from).to_vec();
    assert_eq!(probe(root.path()).pmus, Reading::Value(names));
    assert!(parse::is_core_pmu("cpu") && !parse::is_core_pmu("cpum"));
}

#[test]
fn virtual_machines_are_recognised() {
    let flags = |flags: &str| format!("processor\t: 0\nflags\t\t: fpu {flags} lm\n");
    let vendor = ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
    assert_eq!(probe_files(&[("proc/cpuinfo", &flags("")), vendor]).virtualisation, None);
    let seen = probe_files(&[("proc/cpuinfo", &flags("hypervisor")), vendor]).virtualisation;
    assert_eq!(seen.as_deref(), Some("Amazon EC2"));
    assert!(probe_files(&[("proc/cpuinfo", &flags("hypervisor"))]).virtualisation.is_some());
    let arm = probe_files(&[("proc/device-tree/hypervisor/compatible", "linux,kvm\0")]).virtualisation;
    assert_eq!(arm.as_deref(), Some("linux,kvm"));
}

#[test]
fn cpu_distribution_and_memory_are_read() {
    let facts = probe_files(&[
        ("proc/cpuinfo", "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"),
        ("usr/lib/os-release", "NAME=\"Ubuntu\"\nID=\"ubuntu\"\nVERSION_ID=24.04\n"),
        ("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n"),
    ]);
    assert_eq!(facts.cpu_model, Reading::Value("implementer 0x41 part 0xd0c".into()));
    assert_eq!(facts.distribution, Reading::Value("ubuntu".into()));
    assert_eq!(facts.memory_bytes, Reading::Value(16_777_216));
}

#[test]
fn the_lowest_cpu_quota_counts() {
    let quota = |files: &[(&str, &str)]| probe_files(files).steadiness.cpu_quota;
    let own = ("proc/self/cgroup", "0::/a/b\n");
    let (inner, outer) = ("sys/fs/cgroup/a/b/cpu.max", "sys/fs/cgroup/a/cpu.max");
    let half = Some(CpuQuota { quota_us: 50_000, period_us: 100_000 });
    assert_eq!(quota(&[own, (inner, "max 100000\n")]), Reading::Value(None));
    assert_eq!(quota(&[own, (inner, "200000 100000\n"), (outer, "50000 100000\n")]), Reading::Value(half));
    assert!(matches!(quota(&[own, (inner, "some\n")]), Reading::Garbage(_)));
    assert!(matches!(quota(&[own, (inner, "1 0\n")]), Reading::Garbage(_)), "a period of 0");
    let old = ("proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/docker/1\n0::/\n");
    let period = ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    let root = "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us";
    assert_eq!(quota(&[old, period, (root, "50000\n")]), Reading::Value(half));
    assert_eq!(quota(&[old, period, (root, "-1\n")]), Reading::Value(None));
    let above = ("proc/self/cgroup", "0::/../../other\n");
    assert_eq!(quota(&[above, ("sys/fs/cgroup/cpu.max", "50000 100000")]), Reading::Value(half));
}

#[test]
fn facts_of_this_machine_survive_json() {
    let facts = probe(Path::new("/"));
    assert!(facts.kernel_release.value().is_some(), "{facts:?}");
    assert!(facts.online_cpus.value().is_some_and(|cpus| !cpus.is_empty()), "{facts:?}");
    assert!(facts.memory_bytes.value().is_some_and(|&bytes| bytes > 1 << 20), "{facts:?}");
    assert_eq!(facts.effective_uid, Reading::Value(rustix::process::geteuid().as_raw()));
    assert!(facts.capabilities.value().is_some(), "{facts:?}");
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<HostFacts>(&json).unwrap(), facts);
}

#[test]
fn numbers_and_selected_words_are_parsed() {
    assert_eq!(parse::parse_hundredths("12.34"), Some(1234));
    for wrong in ["12", "12.3", "1.234", ".50x", "-1.00"] {
        assert_eq!(parse::parse_hundredths(wrong), None, "{wrong}");
    }
    assert_eq!(parse::bracketed_word("a [b] c").as_deref(), Some("b"));
    assert_eq!((parse::bracketed_word("a b"), parse::bracketed_word("[] b")), (None, None));
    assert_eq!(["0", "1", "2", ""].map(parse::parse_zero_or_one), [Some(false), Some(true), None, None]);
    let times = parse::parse_cpu_times("intr 1\ncpu  1 2 3 4 5 6 7 8 9 10\n").unwrap();
    assert_eq!((times.total, times.steal), (36, 8), "the first numbers include guest time");
}

#[test]
fn the_last_mount_on_a_directory_counts() {
    let mounts = "proc /proc proc rw 0 0\nproc /proc/sys proc ro,nosuid 0 0\nproc /proc/system proc rw 0 0\n";
    assert!(parse::is_read_only(mounts, "/proc/sys"));
    assert!(!parse::is_read_only(&format!("{mounts}proc /proc/sys proc rw,ro2 0 0\n"), "/proc/sys"));
    assert!(!parse::is_read_only("", "/proc/sys"));
}

#[test]
fn values_that_the_kernel_does_not_accept_are_garbage() {
    let paranoid = |text: &str| probe_files(&[(PARANOID_FILE, text)]).sysctl(Sysctl::PerfEventParanoid);
    assert_eq!(paranoid("-1"), Reading::Value(-1));
    assert!(matches!(paranoid("1000"), Reading::Garbage(_)));
    assert!(matches!(paranoid("-2"), Reading::Garbage(_)));
    let files = Sysctl::ALL.map(|setting| setting.file(Path::new("")).to_str().unwrap().to_owned());
    assert!(files.iter().all(|file| file.starts_with("proc/sys/kernel/") && !file.contains('.')), "{files:?}");
    let named: Vec<_> = files.iter().map(|file| (file.as_str(), "7")).collect();
    let facts = probe_files(&named);
    assert!(
        Sysctl::ALL
            .iter()
            .all(|setting| *setting == Sysctl::KptrRestrict || facts.sysctl(*setting) == Reading::Value(7))
    );
}

#[test]
fn users_without_privileges_see_kernel_addresses_only_if_the_settings_allow_it() {
    let shown = |restrict: &str, paranoid: &str| {
        let root = [
            (PARANOID_FILE, paranoid),
            ("proc/sys/kernel/kptr_restrict", restrict),
            ("proc/kallsyms", "ffffffff81000000 T _stext\n"),
            ("proc/self/status", "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n"),
        ];
        let facts = probe_files(&root);
        assert!(facts.is_privileged());
        let user = facts.without_privileges();
        assert!(!user.is_privileged() && !user.has_capability(Capability::SysAdmin));
        user.kernel_symbols.kallsyms_shown
    };
    assert_eq!(shown("0", "1"), Reading::Value(true));
    assert_eq!(shown("0", "2"), Reading::Value(false));
    assert_eq!(shown("1", "1"), Reading::Value(false));
}

#[test]
fn a_changed_setting_has_the_new_value() {
    for setting in Sysctl::ALL {
        assert_eq!(probe_files(&[]).with_sysctl(setting, 2).sysctl(setting), Reading::Value(2));
    }
    assert_eq!(
        probe_files(&[]).with_sysctl(Sysctl::PerfEventMlockKb, -1).sysctl(Sysctl::PerfEventMlockKb),
        Reading::Absent
    );
}

#[test]
fn waits_for_a_quota_and_for_a_cpu_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let reading = |throttled: &str, stalled: &str| {
        let stat = format!("usage_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec {throttled}\n");
        let pressure = format!("some avg10=1.00 avg60=0.00 avg300=0.00 total={stalled}\nfull avg10=0.00 total=1\n");
        write_file(root.path(), "proc/self/cgroup", "0::/app\n");
        write_file(root.path(), "sys/fs/cgroup/app/cpu.max", "50000 100000\n");
        write_file(root.path(), "sys/fs/cgroup/app/cpu.stat", &stat);
        write_file(root.path(), "sys/fs/cgroup/app/cpu.pressure", &pressure);
        write_file(root.path(), "proc/pressure/cpu", &pressure);
        CpuWaitCounters::read(root.path(), "self")
    };
    let before = reading("1000", "20");
    let waits = reading("9000", "70").waits_since(&before);
    assert_eq!(waits.quotas.values().map(|group| group.throttled_us).collect::<Vec<_>>(), [8000]);
    assert_eq!(waits.pressure_us.values().collect::<Vec<_>>(), [&50, &50], "of the machine and of the group");
    assert_eq!(waits.machine_pressure_us(), Some(50));

    let root = tempfile::tempdir().unwrap();
    let old = "sys/fs/cgroup/cpu/app";
    write_file(root.path(), "proc/7/cgroup", "3:cpu,cpuacct:/app\n0::/\n");
    write_file(root.path(), &format!("{old}/cpu.cfs_quota_us"), "30000\n");
    write_file(root.path(), &format!("{old}/cpu.cfs_period_us"), "100000\n");
    write_file(root.path(), &format!("{old}/cpu.stat"), "nr_periods 1\nnr_throttled 0\nthrottled_time 0\n");
    let before = CpuWaitCounters::read(root.path(), "7");
    write_file(root.path(), &format!("{old}/cpu.stat"), "nr_periods 5\nnr_throttled 3\nthrottled_time 2500000\n");
    write_file(root.path(), "proc/pressure/cpu", "some avg10=0.00 total=5\n");
    let waits = CpuWaitCounters::read(root.path(), "7").waits_since(&before);
    let group = waits.quotas.get(&root.path().join(old)).unwrap();
    assert_eq!((group.periods, group.throttled_periods, group.throttled_us), (4, 3, 2500));
    assert_eq!(group.quota, CpuQuota { quota_us: 30_000, period_us: 100_000 });
    assert_eq!(waits.machine_pressure_us(), None, "the file was absent at the first reading");
}
