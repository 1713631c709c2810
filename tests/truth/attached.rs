//! Compares `goflame record` of a running program with `goflame run` of the same program, and with `perf record -p`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::harness::{Project, Run, RunningProgram, print_figure, run_successfully, text, tool, wait_for_turn};
use crate::shares::{Shares, measured_shares, shares_in_summary};

/// Maximum difference of a share between a launched and an attached program, in percentage points.
const TOLERANCE: f64 = 2.0;

const THREADS: usize = 2000;

/// Sampling rate for the program with many threads, in samples per second on each CPU.
const FREQUENCY: &str = "4999";

fn record(project: &Project, args: &[&str]) -> Run {
    let mut command = project.goflame();
    command.args(["record", "--json"]).args(args);
    Run::from_output(&run_successfully(&mut command))
}

/// Nanoseconds of the clock of samples.
fn now_ns() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

/// Time from `since` to the first sample of a recording, in milliseconds.
fn ms_to_first_sample(perf_data: &Path, since: i128) -> f64 {
    let times = text(tool("perf").args(["script", "--ns", "-F", "time", "-i"]).arg(perf_data));
    let time = |line: &str| line.trim().trim_end_matches(':').replace('.', "").parse::<i128>().ok();
    let first = times.lines().filter_map(time).min().expect("a sample");
    (first - since) as f64 / 1e6
}

/// The ids of the threads with samples in a recording.
fn threads_in(perf_data: &Path) -> BTreeSet<u32> {
    let tids = text(tool("perf").args(["script", "-F", "tid", "-i"]).arg(perf_data));
    tids.lines().filter_map(|tid| tid.trim().parse().ok()).collect()
}

/// CPU time of each thread of a process, in nanoseconds (`/proc/PID/task/TID/schedstat`).
fn cpu_times(pid: &str) -> BTreeMap<u32, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let time = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, text.split(' ').next()?.parse().ok()?))
    };
    tasks.filter_map(time).collect()
}

/// Waits until the recorder has written samples.
fn await_samples(project: &Project) {
    let begun = || {
        let partial = fs::read_dir(project.path(".goflame/partial")).into_iter().flatten().flatten();
        let mut sizes = partial.filter_map(|run| fs::metadata(run.path().join("perf.data")).ok());
        sizes.any(|about| about.len() > 1 << 20)
    };
    while !begun() {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_launched_and_an_attached_program_have_the_same_shares() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/hotspots");
    let launched = project.run(&["--release", "-F", "1999", "--", "-seconds", "4"]);
    let binary = project.path(".goflame/build/release/hotspots");
    let mut command = Command::new(&binary);
    let target = RunningProgram::start(command.args(["-seconds", "600"]).stdout(Stdio::null()).stderr(Stdio::null()));
    let attached = record(&project, &["-F", "1999", "-p", &target.pid(), "-d", "10s"]);
    drop(target);
    let truth: Shares = measured_shares(&launched);
    let (launched, by_attach) = (shares_in_summary(&launched), shares_in_summary(&attached));
    assert!(truth.len() >= 5);
    let mut worst = 0.0_f64;
    for name in truth.keys() {
        let [one, other] = [&launched, &by_attach].map(|shares| shares.get(name).copied().unwrap_or(0.0));
        worst = worst.max((one - other).abs());
        assert!((one - other).abs() <= TOLERANCE, "{name}: {one:.2} % launched, {other:.2} % attached");
    }
    print_figure(&format!("attached and launched: shares differ by at most {worst:.2} points"));
    assert_eq!(attached.quality("lost"), 0);
    assert_eq!(attached.quality("unknown_goroutines"), 0);
}

#[test]
fn all_of_two_thousand_threads_are_sampled_and_no_record_is_lost() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("threads", "[app]\npackage = '.'\nname = 'threads'\n");
    let binary = project.go_build("threads", &[]);
    let mut command = Command::new(&binary);
    command.args(["-n", &THREADS.to_string(), "-rest", "10s", "-seconds", "600"]);
    let mut target = RunningProgram::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    BufReader::new(target.0.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    let pid = target.pid();

    let since = now_ns();
    let mut command = project.goflame();
    command.args(["record", "--json", "-F", FREQUENCY, "-p", &pid, "-d", "12s"]);
    let recording = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    await_samples(&project);
    let before = cpu_times(&pid);
    thread::sleep(Duration::from_secs(8));
    let after = cpu_times(&pid);
    let run = Run::from_output(&recording.wait_with_output().unwrap());
    let (sampled, first) = (threads_in(&run.file("perf.data")), ms_to_first_sample(&run.file("perf.data"), since));

    // Each thread has an event for each CPU. The first sample of an event comes after a period.
    let cpus = u64::try_from(thread::available_parallelism().unwrap().get()).unwrap();
    let enough = (cpus + 1) * 1_000_000_000 / FREQUENCY.parse::<u64>().unwrap();
    let used = |tid: &u32| after[tid].saturating_sub(before.get(tid).copied().unwrap_or(0));
    let busy: Vec<u32> = after.keys().copied().filter(|tid| used(tid) > enough).collect();
    let missing: Vec<u64> = busy.iter().filter(|tid| !sampled.contains(tid)).map(used).collect();
    assert!(after.len() >= THREADS && busy.len() > THREADS / 10, "{} of {} threads were busy", busy.len(), after.len());
    assert!(missing.is_empty(), "of {} busy threads, those without samples used {missing:?} ns", busy.len());
    assert_eq!(run.quality("lost"), 0);
    let figures = &run.summary()["quality"]["figures"];
    let complete = percent(figures, "rooted_stacks", "user_stacks");
    assert!(complete > 99.0, "{complete:.1} % of stacks complete");
    let threads = sampled.len();

    let perf_data = project.path("perf.data");
    let since = now_ns();
    let mut perf = tool("perf");
    perf.args(["record", "-q", "-g", "-k", "CLOCK_MONOTONIC", "-e", "cpu-clock", "-F", FREQUENCY, "-p", &pid, "-o"]);
    run_successfully(perf.arg(&perf_data).args(["--", "sleep", "5"]));
    let (by_perf, perf_first) = (threads_in(&perf_data).len(), ms_to_first_sample(&perf_data, since));
    let report = project.report(&perf_data, "json");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let figures = &report["quality"]["figures"];
    print_figure(&format!(
        "{THREADS} threads: goflame's first sample after {first:.0} ms, {threads} threads, 0 lost, {complete:.1} % complete; \
         perf's after {perf_first:.0} ms, {by_perf} threads, {} lost, {:.1} % complete",
        figures["lost"],
        percent(figures, "rooted_stacks", "user_stacks")
    ));
}

fn percent(figures: &serde_json::Value, part: &str, whole: &str) -> f64 {
    let count = |name: &str| figures[name].as_u64().unwrap();
    crate::harness::percent(count(part), count(whole))
}
