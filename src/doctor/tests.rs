//! Findings from directories that stand for `/`: every check in each of its states.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Finding, Inputs, ProbeResult, RingSize, Status, Verdict, catalogue, check, summary_line, verdict};
use crate::build::Mismatch;
use crate::config::{Engine, EventChoice, Kernel, Record};
use crate::host::{Facts, probe};

/// The capabilities of root, and of a user.
const ROOT: &str = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n";
const USER: &str = "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nSeccomp:\t0\n";
/// `CAP_PERFMON` alone.
const PERFMON: &str = "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000004000000000\nSeccomp:\t0\n";

/// A machine on which everything is in order, as a tree of files.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new(status: &str) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine
            .put("proc/self/status", status)
            .put("proc/self/limits", "Max locked memory         8388608              8388608              bytes\n")
            .put("proc/kallsyms", "ffffffff81000000 T _stext\n")
            .put("sys/devices/system/cpu/online", "0-3\n")
            .put("etc/os-release", "ID=debian\n")
            .sysctl("version", "#1 SMP PREEMPT_DYNAMIC")
            .sysctl("osrelease", "6.18.0")
            .sysctl("perf_event_paranoid", "1")
            .sysctl("kptr_restrict", "0")
            .sysctl("perf_event_mlock_kb", "516")
            .sysctl("perf_event_max_sample_rate", "100000")
            .sysctl("perf_event_max_stack", "127");
        fs::create_dir_all(machine.root.path().join("sys/bus/event_source/devices/cpu")).unwrap();
        fs::create_dir_all(machine.root.path().join("proc/self/ns")).unwrap();
        symlink("user:[4026531837]", machine.root.path().join("proc/self/ns/user")).unwrap();
        machine
    }

    fn put(&self, file: &str, text: &str) -> &Self {
        let path = self.root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn sysctl(&self, name: &str, value: &str) -> &Self {
        self.put(&format!("proc/sys/kernel/{name}"), &format!("{value}\n"))
    }

    fn remove(&self, file: &str) -> &Self {
        let path = self.root.path().join(file);
        if path.is_dir() {
            fs::remove_dir(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        self
    }

    /// A directory where a file should be: it exists and cannot be read, even by root.
    fn unreadable(&self, file: &str) -> &Self {
        fs::create_dir(self.remove(file).root.path().join(file)).unwrap();
        self
    }

    fn findings<'a>(&self, with: impl FnOnce(&mut Inputs<'a>)) -> Vec<Finding> {
        // Leaked, so that what a test hands in may live as short as the test.
        judge(Box::leak(Box::new(probe(self.root.path()))), with)
    }

    /// The finding of one check.
    fn finds<'a>(&self, id: &str, with: impl FnOnce(&mut Inputs<'a>)) -> Finding {
        let findings = self.findings(with);
        findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id} in {findings:#?}")).clone()
    }

    fn status(&self, id: &str) -> Status {
        self.finds(id, |_| {}).status
    }
}

static AUTO: Record =
    Record { engine: Engine::Native, frequency: 997, event: EventChoice::Auto, kernel: Kernel::Auto, stack: 1024 };
static KERNEL_YES: Record =
    Record { engine: Engine::Native, frequency: 997, event: EventChoice::Auto, kernel: Kernel::Yes, stack: 1024 };
static KERNEL_NO: Record =
    Record { engine: Engine::Native, frequency: 997, event: EventChoice::Auto, kernel: Kernel::No, stack: 1024 };
static CYCLES: Record =
    Record { engine: Engine::Native, frequency: 997, event: EventChoice::Cycles, kernel: Kernel::Auto, stack: 1024 };
static CLOCK: Record =
    Record { engine: Engine::Native, frequency: 997, event: EventChoice::CpuClock, kernel: Kernel::Auto, stack: 1024 };

fn judge<'a>(facts: &'a Facts, with: impl FnOnce(&mut Inputs<'a>)) -> Vec<Finding> {
    let mut inputs = Inputs {
        facts,
        record: &AUTO,
        ring: RingSize { wanted: (512 + 4) << 10, least: 8 << 10 },
        probe: None,
        go: None,
        go_pin: "",
        binary: None,
        ignore: &[],
    };
    with(&mut inputs);
    check(&inputs)
}

fn opened(event: &str, kernel: bool) -> ProbeResult {
    ProbeResult { opened: Some(event.into()), kernel, errno: None, message: String::new() }
}

fn refused(errno: i32, message: &str) -> ProbeResult {
    ProbeResult { opened: None, kernel: false, errno: Some(errno), message: message.into() }
}

#[test]
fn a_machine_in_order_is_all_ok() {
    let findings = Machine::new(ROOT).findings(|inputs| {
        inputs.probe = Some(opened("cycles", true));
        inputs.go = Some(Ok("go1.27.3".into()));
        inputs.go_pin = "1.27.3";
        inputs.binary = Some(&[]);
    });
    assert!(findings.iter().all(|finding| finding.status == Status::Ok && finding.fix.is_none()), "{findings:#?}");
    let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    let documented: Vec<_> = catalogue().iter().map(|doc| doc.id).collect();
    assert_eq!(ids, documented[..11], "the catalogue is complete and in order, before what can differ in a binary");
    assert_eq!(summary_line(&findings), "11 readiness checks: 11 ok");
    assert_eq!(verdict(&findings, true), Verdict::Ready);
}

#[test]
fn what_is_not_part_of_the_plan_is_not_judged() {
    let findings = Machine::new(USER).findings(|_| {});
    assert!(
        !findings.iter().any(|finding| ["live-probe", "go-found", "go-pin", "binary-as-asked"].contains(&finding.id))
    );
}

#[test]
fn each_paranoid_level_for_a_user_and_for_root() {
    use Status::{Failure, Ok, Warning};
    let distribution = [("#1 SMP Debian 6.1.187-1 (2026-10-01)", Failure), ("#1 SMP PREEMPT_DYNAMIC", Warning)];
    for (version, beyond) in distribution {
        for (level, expected) in [(-1, Ok), (0, Ok), (1, Ok), (2, Warning), (3, beyond), (4, beyond)] {
            let user = Machine::new(USER);
            user.sysctl("version", version).sysctl("perf_event_paranoid", &level.to_string());
            let finding = user.finds("perf-event-paranoid", |_| {});
            assert_eq!(finding.status, expected, "{version}, level {level}: {finding:?}");
            assert_eq!(finding.fix.is_some(), expected != Ok);
            if let Some(fix) = finding.fix {
                assert_eq!(fix.now, "sudo sysctl -w kernel.perf_event_paranoid=1");
                assert_eq!(fix.persist.as_deref(), Some("kernel.perf_event_paranoid = 1"));
            }
            let root = Machine::new(ROOT);
            root.sysctl("version", version).sysctl("perf_event_paranoid", &level.to_string());
            assert_eq!(root.status("perf-event-paranoid"), Ok, "root, {version}, level {level}");
        }
    }
}

#[test]
fn perfmon_helps_at_level_2_and_not_against_a_distribution() {
    let machine = Machine::new(PERFMON);
    machine.sysctl("perf_event_paranoid", "2");
    assert_eq!(machine.status("perf-event-paranoid"), Status::Ok);
    machine.sysctl("perf_event_paranoid", "4").sysctl("version", "#45-Ubuntu SMP");
    let finding = machine.finds("perf-event-paranoid", |_| {});
    assert_eq!(finding.status, Status::Failure);
    assert!(!finding.found.contains("override"), "{finding:?}");
}

#[test]
fn roots_rights_in_a_container_do_not_count() {
    let machine = Machine::new(ROOT);
    machine.sysctl("perf_event_paranoid", "2").remove("proc/self/ns/user");
    symlink("user:[4026532001]", machine.root.path().join("proc/self/ns/user")).unwrap();
    assert_eq!(machine.status("perf-event-paranoid"), Status::Warning);
}

#[test]
fn the_probe_knows_better_than_the_level() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "3").sysctl("version", "#1 SMP Debian 6.1.187-1");
    let finding = machine.finds("perf-event-paranoid", |inputs| inputs.probe = Some(opened("cpu-clock", false)));
    assert_eq!(finding.status, Status::Warning, "{finding:?}");
    machine.sysctl("version", "#1 SMP");
    let finding = machine.finds("perf-event-paranoid", |inputs| inputs.probe = Some(refused(13, "Permission denied")));
    assert_eq!(finding.status, Status::Failure, "{finding:?}");
}

#[test]
fn the_wish_for_kernel_stacks_changes_what_the_level_costs() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "2");
    let status = |record| machine.finds("perf-event-paranoid", |inputs| inputs.record = record).status;
    assert_eq!(status(&AUTO), Status::Warning);
    assert_eq!(status(&KERNEL_YES), Status::Failure);
    assert_eq!(status(&KERNEL_NO), Status::Ok);
    machine.sysctl("perf_event_paranoid", "3").sysctl("version", "#1 SMP Debian");
    let finding = machine.finds("perf-event-paranoid", |inputs| inputs.record = &KERNEL_NO);
    assert_eq!(finding.fix.unwrap().now, "sudo sysctl -w kernel.perf_event_paranoid=2");
}

#[test]
fn a_level_that_cannot_be_read() {
    const FILE: &str = "proc/sys/kernel/perf_event_paranoid";
    let machine = Machine::new(USER);
    let garbage = machine.put(FILE, "/usr/lib/debug").finds("perf-event-paranoid", |_| {});
    assert_eq!((garbage.status, garbage.found.as_str()), (Status::Warning, "not understood: \"/usr/lib/debug\""));
    assert_eq!(garbage.fix, None, "nothing is written over what was not understood");
    let unreadable = machine.unreadable(FILE).finds("perf-event-paranoid", |_| {});
    assert_eq!(unreadable.status, Status::Warning);
    assert!(unreadable.found.starts_with("unreadable: "), "{unreadable:?}");
    let absent = machine.remove(FILE).finds("perf-event-paranoid", |_| {});
    assert_eq!((absent.status, absent.found.as_str()), (Status::Failure, "absent"));
    let opens = machine.finds("perf-event-paranoid", |inputs| inputs.probe = Some(opened("cpu-clock", true)));
    assert_eq!(opens.status, Status::Info);
}

#[test]
fn the_mlock_budget() {
    let machine = Machine::new(USER);
    let budget =
        |wanted: u64| machine.finds("perf-mlock-budget", |inputs| inputs.ring = RingSize { wanted, least: 8 << 10 });
    assert_eq!(budget(516 << 10).status, Status::Ok, "the kernel's own share");
    // 4 × 516 KiB + 8 MiB = 10 256 KiB, 2564 KiB for each CPU.
    assert_eq!(budget(2564 << 10).status, Status::Ok);
    let over = budget((2564 << 10) + 1);
    assert_eq!(over.status, Status::Warning);
    assert_eq!(over.fix.unwrap().now, "sudo sysctl -w kernel.perf_event_mlock_kb=2565");
    machine.sysctl("perf_event_mlock_kb", "0").put("proc/self/limits", "Max locked memory 16384 16384 bytes\n");
    let none = budget(516 << 10);
    assert_eq!(none.status, Status::Failure);
    assert!(none.why.contains("EPERM"), "{none:?}");
    machine.sysctl("perf_event_paranoid", "-1");
    assert_eq!(budget(516 << 10).status, Status::Ok, "no limit at level -1");
    machine.sysctl("perf_event_paranoid", "1").put("proc/self/limits", "Max locked memory unlimited unlimited bytes\n");
    assert_eq!(budget(516 << 10).status, Status::Ok, "no limit at all");
    machine.put("proc/self/limits", "Max locked memory 0 0 bytes\n").put("proc/self/status", ROOT);
    assert_eq!(budget(u64::MAX).status, Status::Ok, "CAP_IPC_LOCK");
    machine.put("proc/self/status", USER).remove("proc/sys/kernel/perf_event_mlock_kb");
    assert_eq!(budget(516 << 10).status, Status::Warning, "unknown");
    machine.remove("sys/devices/system/cpu/online");
    assert_eq!(budget(516 << 10).status, Status::Warning, "unknown");
}

#[test]
fn the_sample_rate() {
    let machine = Machine::new(ROOT);
    assert_eq!(machine.sysctl("perf_event_max_sample_rate", "997").status("sample-rate"), Status::Ok);
    let low = machine.sysctl("perf_event_max_sample_rate", "996").finds("sample-rate", |_| {});
    assert_eq!(low.status, Status::Failure, "root is not exempt");
    assert_eq!(low.fix.unwrap().now, "sysctl -w kernel.perf_event_max_sample_rate=997");
    assert_eq!(machine.sysctl("perf_event_max_sample_rate", "many").status("sample-rate"), Status::Warning);
    assert_eq!(machine.unreadable("proc/sys/kernel/perf_event_max_sample_rate").status("sample-rate"), Status::Warning);
}

#[test]
fn the_depth_of_call_chains() {
    let machine = Machine::new(USER);
    assert_eq!(machine.sysctl("perf_event_max_stack", "512").status("perf-max-stack"), Status::Ok);
    assert_eq!(machine.sysctl("perf_event_max_stack", "64").status("perf-max-stack"), Status::Warning);
    assert_eq!(machine.remove("proc/sys/kernel/perf_event_max_stack").status("perf-max-stack"), Status::Warning);
}

#[test]
fn kernel_symbols() {
    const HIDDEN: &str = "0000000000000000 T _stext\n";
    let now = |machine: &Machine| machine.finds("kptr-restrict", |_| {}).fix.map(|fix| fix.now);
    let user = Machine::new(USER);
    user.put("proc/kallsyms", HIDDEN).sysctl("kptr_restrict", "1");
    assert_eq!(user.status("kptr-restrict"), Status::Warning);
    assert_eq!(now(&user).as_deref(), Some("sudo sysctl -w kernel.kptr_restrict=0"));
    user.sysctl("perf_event_paranoid", "2");
    assert_eq!(user.status("kptr-restrict"), Status::Info, "no kernel samples, no need for names");
    // CAP_PERFMON samples the kernel at level 2, and still reads zeros without CAP_SYSLOG.
    let perfmon = Machine::new(PERFMON);
    perfmon.put("proc/kallsyms", HIDDEN).sysctl("perf_event_paranoid", "2");
    assert_eq!(perfmon.status("kptr-restrict"), Status::Warning);
    assert_eq!(now(&perfmon).as_deref(), Some("sudo sysctl -w kernel.perf_event_paranoid=1"));
    let root = Machine::new(ROOT);
    root.put("proc/kallsyms", HIDDEN).sysctl("kptr_restrict", "2");
    assert_eq!(now(&root).as_deref(), Some("sysctl -w kernel.kptr_restrict=0"), "2 hides from root too");
    assert_eq!(root.finds("kptr-restrict", |inputs| inputs.record = &KERNEL_NO).status, Status::Info);
    root.put("proc/kallsyms", "ffffffff81000000 T _stext\n");
    assert_eq!(root.status("kptr-restrict"), Status::Ok, "what is shown settles it");
}

#[test]
fn hardware_counters() {
    let machine = Machine::new(USER);
    let status = |record| machine.finds("pmu", |inputs| inputs.record = record).status;
    assert_eq!([&AUTO, &CYCLES, &CLOCK].map(status), [Status::Ok, Status::Ok, Status::Ok]);
    machine.remove("sys/bus/event_source/devices/cpu");
    assert_eq!([&AUTO, &CYCLES, &CLOCK].map(status), [Status::Info, Status::Failure, Status::Ok]);
    machine.put("proc/cpuinfo", "flags\t: fpu hypervisor\n");
    assert!(machine.finds("pmu", |_| {}).found.contains("virtual machine"));
}

#[test]
fn the_live_probe() {
    let machine = Machine::new(USER);
    let finds = |probe: ProbeResult, record| {
        machine.finds("live-probe", |inputs| {
            inputs.probe = Some(probe);
            inputs.record = record;
        })
    };
    assert_eq!(finds(opened("cpu-clock", true), &AUTO).status, Status::Ok);
    assert_eq!(finds(opened("cpu-clock", true), &CYCLES).status, Status::Failure, "another event than asked");
    let contradiction = finds(opened("cycles", false), &AUTO);
    assert_eq!(contradiction.status, Status::Warning);
    assert!(contradiction.why.contains("The settings permit"), "{contradiction:?}");
    assert_eq!(finds(opened("cycles", false), &KERNEL_YES).status, Status::Failure);
    assert_eq!(finds(opened("cycles", false), &KERNEL_NO).status, Status::Ok);
    let denied = finds(refused(13, "Permission denied"), &AUTO);
    assert_eq!(denied.status, Status::Failure);
    assert_eq!(denied.found, "no event opens: Permission denied");
    assert!(denied.why.contains("The settings permit"), "a security module: {denied:?}");
    assert!(finds(refused(24, "Too many open files"), &AUTO).fix.unwrap().now.contains("ulimit"));
    assert!(finds(refused(22, "Invalid argument"), &AUTO).why.contains("sample-rate"));
    machine.sysctl("perf_event_paranoid", "3");
    assert!(finds(refused(13, "Permission denied"), &AUTO).why.contains("perf-event-paranoid"));
    machine.put("proc/self/status", &USER.replace("Seccomp:\t0", "Seccomp:\t2"));
    assert!(finds(refused(1, "Operation not permitted"), &AUTO).why.contains("seccomp"));
    // At level 2 the missing kernel is the setting's doing, and reported there once.
    machine.sysctl("perf_event_paranoid", "2");
    assert_eq!(finds(opened("cpu-clock", false), &AUTO).status, Status::Ok);
}

#[test]
fn the_go_toolchain() {
    let machine = Machine::new(USER);
    let finds = |id: &str, go: Result<&str, &str>, pin: &'static str| {
        machine.finds(id, |inputs| {
            inputs.go = Some(go.map(String::from).map_err(String::from));
            inputs.go_pin = pin;
        })
    };
    let missing = finds("go-found", Err("no `go` on PATH"), "");
    assert_eq!((missing.status, missing.found.as_str()), (Status::Failure, "no `go` on PATH"));
    assert_eq!(missing.fix.unwrap().now, "sudo apt-get install golang-go");
    assert_eq!(finds("go-pin", Err("no `go` on PATH"), "1.27.3").status, Status::Skipped);
    assert_eq!(finds("go-pin", Ok("go1.27.3"), "").status, Status::Ok);
    assert_eq!(finds("go-pin", Ok("go1.27.3 X:nodwarf5"), "go1.27.3").status, Status::Ok);
    let other = finds("go-pin", Ok("go1.26.6"), "1.27.3");
    assert_eq!((other.status, other.found.as_str()), (Status::Failure, "go1.26.6"));
    assert_eq!(other.needed, "go1.27.3 exactly");
    machine.put("etc/os-release", "ID=plan9\n");
    assert_eq!(finds("go-found", Err("no `go` on PATH"), "").fix, None);
}

fn mismatch(id: &'static str) -> Mismatch {
    let (asked, found) = ("this".to_owned(), "that".to_owned());
    Mismatch { id, asked, found, why: "it matters", fix: "do something" }
}

#[test]
fn each_difference_of_the_binary_has_its_finding() {
    let machine = Machine::new(USER);
    let differences = ["debug-flags", "vcs", "never-seen"].map(mismatch);
    let findings = machine.findings(|inputs| inputs.binary = Some(&differences));
    let seen: Vec<_> = findings[7..].iter().map(|finding| (finding.id, finding.status)).collect();
    let expected = [
        ("binary-debug-flags", Status::Failure),
        ("binary-vcs", Status::Warning),
        ("binary-as-asked", Status::Failure),
    ];
    assert_eq!(seen, expected);
    assert_eq!((findings[7].needed.as_str(), findings[7].found.as_str()), ("this", "that"));
    assert_eq!(findings[7].why, "It matters. Do something.");

    let ignore = ["binary-debug-flags".to_owned()];
    let findings = machine.findings(|inputs| {
        inputs.binary = Some(&differences[..1]);
        inputs.ignore = &ignore;
    });
    assert_eq!(verdict(&findings, true), Verdict::Ready, "{findings:#?}");
}

#[test]
fn ignored_checks_are_skipped_and_still_tell() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_max_sample_rate", "10");
    let ignore = ["sample-rate".to_owned()];
    let finding = machine.finds("sample-rate", |inputs| inputs.ignore = &ignore);
    assert_eq!((finding.status, finding.found.as_str()), (Status::Skipped, "10 Hz (ignored on request)"));
    assert_eq!(finding.fix, None);
}

#[test]
fn an_unknown_id_names_the_nearest() {
    let machine = Machine::new(USER);
    let ignore = ["perf-paranoid".to_owned(), "binary-dwarv".to_owned(), "zzz".to_owned()];
    let finding = machine.finds("ignore-list", |inputs| inputs.ignore = &ignore);
    assert_eq!(finding.status, Status::Warning);
    let expected = "`perf-paranoid` names no check (nearest: `perf-event-paranoid`), \
                    `binary-dwarv` names no check (nearest: `binary-dwarf`), `zzz` names no check";
    assert_eq!(finding.found, expected);
}

#[test]
fn verdicts_and_the_summary() {
    let machine = Machine::new(USER);
    assert_eq!(verdict(&machine.findings(|_| {}), true), Verdict::Ready);
    machine.sysctl("perf_event_paranoid", "2").remove("sys/bus/event_source/devices/cpu");
    let warned = machine.findings(|_| {});
    assert_eq!(summary_line(&warned), "7 readiness checks: 5 ok, 1 note, 1 warning");
    assert_eq!((verdict(&warned, false), verdict(&warned, true)), (Verdict::Ready, Verdict::NotReady));
    machine.sysctl("perf_event_max_sample_rate", "10");
    let failed = machine.findings(|_| {});
    assert_eq!(summary_line(&failed), "7 readiness checks: 4 ok, 1 note, 1 warning, 1 failure");
    assert_eq!(verdict(&failed, false), Verdict::NotReady);
}

#[test]
fn nothing_readable_at_all_still_gives_every_finding() {
    let root = tempfile::tempdir().unwrap();
    let findings = judge(&probe(root.path()), |_| {});
    assert_eq!(findings.len(), 7);
    assert_eq!(verdict(&findings, false), Verdict::NotReady);
}

#[test]
fn ids_are_unique_kebab_case_and_serialised_as_such() {
    let ids: BTreeSet<_> = catalogue().iter().map(|doc| doc.id).collect();
    assert_eq!(ids.len(), catalogue().len());
    assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "2");
    let json = serde_json::to_value(machine.finds("perf-event-paranoid", |_| {})).unwrap();
    assert_eq!(json["id"], "perf-event-paranoid");
    assert_eq!((json["status"].as_str(), json["group"].as_str()), (Some("warning"), Some("kernel")));
    assert_eq!(json["fix"]["persist"], "kernel.perf_event_paranoid = 1");
}

#[test]
fn this_machine_is_judged_without_panic() {
    let findings = judge(&probe(Path::new("/")), |_| {});
    assert_eq!(findings.len(), 7, "{findings:#?}");
}
