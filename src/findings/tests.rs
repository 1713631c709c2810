//! Findings of small profiles, with and without the reports of runtime and kernel.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::{Confidence, Evidence, ProfileFinding, QuotaUse, find};
use crate::gotrace::{GcCpu, GcCycle, RuntimeTrace, SchedulerSnapshot, Timed};
use crate::profile::fixture::Fixture;

fn timed<E>(event: E) -> Timed<E> {
    Timed { time_ns: 0, arrived_ns: 0, process: 0, event }
}

/// A collection with this CPU time of assists and of background workers.
fn collection(assist_ns: u64, background_ns: u64) -> Timed<GcCycle> {
    timed(GcCycle {
        number: 1,
        at_ns: 0,
        percent: 1,
        clock_ns: [1; 3],
        cpu: GcCpu { pauses_ns: 0, assist_ns, background_ns, idle_ns: 0 },
        heap_before_mb: 8,
        heap_after_mb: 9,
        heap_live_mb: 4,
        heap_goal_mb: 8,
        stacks_mb: 0,
        globals_mb: 0,
        processors: 2,
        forced: false,
    })
}

/// A trace of ten equal snapshots of the scheduler.
fn scheduler_trace(gomaxprocs: u64, idle_processors: u64, run_queue: u64) -> RuntimeTrace {
    let snapshot = SchedulerSnapshot {
        at_ms: 0,
        gomaxprocs,
        idle_processors,
        threads: 5,
        spinning_threads: 0,
        idle_threads: 0,
        run_queue,
        processor_queues: vec![0; 4],
    };
    RuntimeTrace { scheduler: vec![timed(snapshot); 10], ..RuntimeTrace::default() }
}

/// A profile of 1000 samples: the given stacks, and `main.compute` for all other samples.
fn profile(stacks: &[(&str, u64)]) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.period = 1_000_000;
    for (stack, count) in stacks {
        fixture.add("app", stack, *count);
    }
    let rest = 1000 - stacks.iter().map(|(_, count)| count).sum::<u64>();
    fixture.add("app", "runtime.goexit|main.compute", rest);
    fixture
}

/// Returns the findings of a program with one second of CPU time. `change` can set other evidence.
fn findings_of(fixture: &Fixture, trace: &RuntimeTrace, change: impl FnOnce(&mut Evidence<'_>)) -> Vec<ProfileFinding> {
    let mut evidence = Evidence {
        profile: &fixture.profile,
        trace,
        wall_seconds: 0.5,
        cpu_seconds: Some((0.9, 0.1)),
        quotas: Vec::new(),
        pressure_seconds: Some(0.2),
    };
    change(&mut evidence);
    find(&evidence)
}

fn ids(findings: &[ProfileFinding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.id).collect()
}

fn evidence_texts(finding: &ProfileFinding) -> Vec<String> {
    finding.evidence.iter().map(|fact| format!("{}: {}", fact.source, fact.text)).collect()
}

#[test]
fn a_program_that_computes_has_no_findings() {
    let fixture = profile(&[("runtime.gcBgMarkWorker", 50), ("main.load|runtime.mallocgc", 100)]);
    let mut trace = scheduler_trace(2, 0, 3);
    trace.gc = vec![collection(0, 50_000_000)];
    assert_eq!(findings_of(&fixture, &trace, |_| ()), []);
    assert_eq!(findings_of(&Fixture::new(), &RuntimeTrace::default(), |_| ()), []);
}

#[test]
fn each_kind_of_hot_code_is_found_with_its_caller() {
    for (stack, id, title) in [
        ("main.a|runtime.mallocgc", "allocation", "allocating memory takes 40.0 % of the CPU time"),
        ("main.a|runtime.mallocgcSmallScanHeader", "allocation", "allocating memory takes 40.0 % of the CPU time"),
        ("main.a|sync.(*Mutex).lockSlow", "locks", "waiting for locks takes 40.0 % of the CPU time"),
        ("main.a|runtime.lock2|runtime.procyield", "locks", "waiting for locks takes 40.0 % of the CPU time"),
        ("main.a|os.Read|syscall.Syscall|k:vfs_read", "system-calls", "system calls take 40.0 % of the CPU time"),
        ("main.a|runtime.newstack|runtime.copystack", "stack-growth", "growing stacks takes 40.0 % of the CPU time"),
        (
            "main.a|regexp.MustCompile|regexp.compile",
            "regexp-compilation",
            "compiling regular expressions takes 40.0 % of the CPU time",
        ),
        ("main.a|fmt.Sprint|reflect.Value.Int", "fmt", "package fmt takes 40.0 % of the CPU time"),
        ("main.a|reflect.Value.Int", "reflection", "reflection takes 40.0 % of the CPU time"),
    ] {
        let findings = findings_of(&profile(&[(stack, 400)]), &RuntimeTrace::default(), |_| ());
        assert_eq!(ids(&findings), [id], "{stack}");
        let first = findings.first().unwrap();
        assert_eq!(first.title, title);
        assert!(first.advice.contains("main.a (100 % of it)"), "{}", first.advice);
        assert!(first.evidence.iter().any(|fact| (fact.value - 40.0).abs() < 1e-9), "{:?}", first.evidence);
    }
}

#[test]
fn small_shares_and_few_samples_give_no_finding() {
    for stack in ["main.a|runtime.mallocgc", "main.a|fmt.Sprint", "runtime.mcall|runtime.schedule"] {
        assert_eq!(findings_of(&profile(&[(stack, 200)]), &RuntimeTrace::default(), |_| ()), [], "{stack}: chance");
    }
    let mut few = Fixture::new();
    few.add("app", "main.a|runtime.mallocgc", 199);
    assert_eq!(findings_of(&few, &RuntimeTrace::default(), |_| ()), []);
    few.add("app", "main.a|runtime.mallocgc", 1);
    assert_eq!(ids(&findings_of(&few, &RuntimeTrace::default(), |_| ())), ["allocation"]);
}

#[test]
fn the_collectors_share_is_compared_with_gctrace() {
    let fixture = profile(&[
        ("runtime.gcBgMarkWorker|runtime.gcDrain", 250),
        ("main.grow|runtime.mallocgc|runtime.gcAssistAlloc", 150),
        ("main.grow|runtime.mallocgc", 100),
    ]);
    let mut trace = RuntimeTrace { gc: vec![collection(75_000_000, 120_000_000); 2], ..RuntimeTrace::default() };
    let findings = findings_of(&fixture, &trace, |_| ());
    assert_eq!(ids(&findings), ["gc", "gc-assist"]);
    let [share, assist] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(share.title, "the garbage collector takes 40.0 % of the CPU time");
    assert_eq!(
        evidence_texts(share),
        [
            "samples: 0.40 s in marking (40.0 %, 400 samples)",
            "gctrace: 0.39 s in marking in 2 collections (39.0 % of the CPU time)",
        ]
    );
    assert_eq!(share.confidence, Confidence::High);
    assert!(share.advice.contains("main.grow (100 % of it)"), "{}", share.advice);
    assert_eq!(assist.evidence.len(), 2);

    // With a higher figure in gctrace, threads of the program waited for a CPU.
    trace.gc = vec![collection(300_000_000, 500_000_000)];
    let waited = findings_of(&fixture, &trace, |_| ());
    let share = waited.first().unwrap();
    assert_eq!(share.confidence, Confidence::Medium);
    assert_eq!(
        evidence_texts(share)[1..],
        [
            "gctrace: 0.80 s in marking in 1 collections (80.0 % of the CPU time, which counts waits for a CPU too)",
            "pressure: 0.20 s in which a task of the machine waited for a CPU",
        ]
    );
}

#[test]
fn idle_processors_are_found_if_cpu_time_is_unused() {
    let fixture = profile(&[]);
    // 1 s of CPU time in 0.5 s on 8 processors.
    let findings = findings_of(&fixture, &scheduler_trace(8, 6, 0), |_| ());
    assert_eq!(ids(&findings), ["idle-processors"]);
    let first = findings.first().unwrap();
    assert_eq!(first.title, "6.0 of 8 processors have no goroutine to run");
    assert_eq!(
        evidence_texts(first),
        [
            "schedtrace: 6.0 of 8.0 processors idle, 0.0 goroutines in run queues (mean of 10)",
            "times: 1.00 s of CPU time, 25.0 % of each processor",
            "samples: 0.00 s in scheduler, futex and netpoll (0.0 %, 0 samples)",
        ]
    );
    assert_eq!(first.confidence, Confidence::High);
    assert_eq!(findings_of(&fixture, &scheduler_trace(2, 1, 0), |_| ()), [], "all CPU time of both processors is used");
    assert_eq!(findings_of(&fixture, &scheduler_trace(8, 6, 9), |_| ()), [], "goroutines wait");
    assert_eq!(findings_of(&fixture, &scheduler_trace(8, 3, 0), |_| ()), [], "too few are idle");
    let mut short = scheduler_trace(8, 6, 0);
    short.scheduler.truncate(4);
    assert_eq!(findings_of(&fixture, &short, |_| ()), [], "too few states");
}

#[test]
fn a_finding_about_locks_replaces_that_about_idle_processors() {
    let fixture = profile(&[("main.a|internal/sync.(*Mutex).lockSlow", 300), ("runtime.mcall|runtime.schedule", 400)]);
    assert_eq!(ids(&findings_of(&fixture, &scheduler_trace(8, 6, 0), |_| ())), ["locks"]);
}

#[test]
fn long_run_queues_and_much_scheduling_are_found() {
    assert_eq!(ids(&findings_of(&profile(&[]), &scheduler_trace(2, 0, 20), |_| ())), ["run-queue"]);
    let fixture = profile(&[("runtime.mcall|runtime.schedule|runtime.findRunnable|runtime.futex|k:futex_wait", 400)]);
    assert_eq!(ids(&findings_of(&fixture, &RuntimeTrace::default(), |_| ())), ["scheduling"]);
}

#[test]
fn a_quota_that_is_used_up_is_found() {
    let quota = |throttled_periods, throttled_seconds| QuotaUse {
        group: "/sys/fs/cgroup/app".into(),
        cpus: 0.5,
        periods: 20,
        throttled_periods,
        throttled_seconds,
    };
    let fixture = profile(&[]);
    let trace = RuntimeTrace { gc: vec![collection(0, 0)], ..RuntimeTrace::default() };
    let findings = findings_of(&fixture, &trace, |evidence| evidence.quotas = vec![quota(0, 0.0), quota(15, 0.4)]);
    assert_eq!(ids(&findings), ["cpu-throttling"]);
    let first = findings.first().unwrap();
    assert_eq!(first.title, "the CPU quota of 0.50 CPUs stopped the program in 75.0 % of its periods");
    assert_eq!(
        evidence_texts(first),
        [
            "cgroup: 15 of 20 periods ended with a wait, 0.40 s over all CPUs (/sys/fs/cgroup/app)",
            "times: 1.00 s of CPU time, 2.00 CPUs on average",
            "schedtrace: GOMAXPROCS is 2",
        ]
    );
    assert!(first.advice.starts_with("GOMAXPROCS is above the quota"), "{}", first.advice);
    assert_eq!(findings_of(&fixture, &trace, |evidence| evidence.quotas = vec![quota(0, 0.0)]), []);
}
