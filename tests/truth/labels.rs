//! Profiler labels (`pprof.Do`), compared with the labels in the profile that `runtime/pprof` of the same process writes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::{Project, Run, percent, print_figure, run_successfully, text, tool, wait_for_turn};

/// Largest error of a label's share, in percentage points.
const TOLERANCE: f64 = 3.0;

const SETTINGS: &str = "[app]\npackage = '.'\nname = 'labels'\n[build]\nvariant = 'release'\n";

/// Number of samples by label value and function. The function's name is the true label value, or empty.
type Counts = BTreeMap<(String, String), u64>;

fn count_labels(project: &Project, file: &Path, flags: &[&str]) -> Counts {
    let mut report = project.goflame();
    report.arg("report").arg(file).args(["-f", "folded", "--by", "label:tenant"]).args(flags);
    let mut counts = Counts::new();
    for line in text(&mut report).lines() {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        let (label, frames) = stack.split_once(';').unwrap();
        let function = ["alpha", "beta", "gamma"].into_iter().find(|name| frames.contains(&format!(";main.{name};")));
        let key = (label.to_owned(), function.unwrap_or("").to_owned());
        *counts.entry(key).or_default() += count.parse::<u64>().unwrap();
    }
    counts
}

/// Share of the samples of each label value, in percent.
fn shares(counts: &Counts) -> BTreeMap<&str, f64> {
    let all: u64 = counts.values().sum();
    let mut shares = BTreeMap::new();
    for ((label, _), count) in counts {
        *shares.entry(label.as_str()).or_default() += percent(*count, all);
    }
    shares
}

/// Number of samples in functions with a true label value, and number of these samples with a wrong value.
fn count_in_functions(counts: &Counts) -> (u64, u64) {
    let of_functions = counts.iter().filter(|((_, function), _)| !function.is_empty());
    of_functions.fold((0, 0), |(all, wrong), ((label, function), count)| {
        (all + count, wrong + if label == function { 0 } else { *count })
    })
}

#[test]
fn labels_have_the_shares_that_runtime_pprof_gives_them() {
    let _alone = wait_for_turn();
    for (each, mode) in [("-each=false", "one goroutine"), ("-each=true", "a goroutine for each round")] {
        let project = Project::from_workload("labels", SETTINGS);
        let run = project.run(&["--", each, "-period", "50", "-rounds", "4", "-profile", "cpu.pb.gz"]);
        let own = count_labels(&project, &run.file("perf.data"), &[]);
        let go = count_labels(&project, &project.path("cpu.pb.gz"), &[]);
        let (own_shares, go_shares) = (shares(&own), shares(&go));
        let of_go: u64 = go.values().sum();
        let times: BTreeMap<String, u64> = serde_json::from_str(&run.stdout_log()).unwrap();
        assert_eq!(times.len(), 4, "{times:?}");
        let (mut worst, mut worst_of_go) = (0.0_f64, 0.0_f64);
        for (label, time) in &times {
            let share = |shares: &BTreeMap<&str, f64>| shares.get(label.as_str()).copied().unwrap_or_default();
            let (own, go, truth) = (share(&own_shares), share(&go_shares), percent(*time, times.values().sum()));
            // runtime/pprof takes about 200 samples a second, so chance alone moves its shares.
            let chance = (truth * (100.0 - truth) / of_go as f64).sqrt();
            worst = worst.max((own - truth).abs());
            worst_of_go = worst_of_go.max((own - go).abs());
            assert!((own - truth).abs() <= TOLERANCE, "{label} has {own:.1} %, in truth {truth:.1} %");
            assert!((own - go).abs() <= TOLERANCE + 2.0 * chance, "{label} has {own:.1} %, in runtime/pprof {go:.1} %");
        }
        let (all, wrong) = count_in_functions(&own);
        let (in_time, wrong_in_time) =
            count_in_functions(&count_labels(&project, &run.file("perf.data"), &["--tag-ignore", "labels_read=late"]));
        print_figure(&format!(
            "labels, {mode}: {worst:.2} points off at most, {worst_of_go:.2} from runtime/pprof; {wrong} of {all} samples have a wrong label, {wrong_in_time} of the \
             {in_time} that were read in time"
        ));
        assert!(in_time >= 200, "{in_time} of {all} samples were read in time");
        assert!(percent(wrong_in_time, in_time) <= 1.0, "{wrong_in_time} of {in_time} are wrong");
        let tags = text(tool("go").args(["tool", "pprof", "-tags"]).arg(run.file("profile.pb.gz")));
        for tag in [" tenant: ", ": gamma", " worker: ", " session_token: ", ": ***"] {
            assert!(tags.contains(tag), "{tag}:\n{tags}");
        }
        assert!(!tags.contains("hunter2"), "{tags}");
    }
}

#[test]
fn labels_are_read_in_every_memory_layout_of_labels() {
    let _alone = wait_for_turn();
    // The runtime stores labels in a map up to Go 1.23, in a list since Go 1.24. Stripped programs have no DWARF.
    for (toolchain, flags) in [("go1.21.13", ""), ("go1.23.4", "-s -w"), ("go1.25.5", "-s -w"), ("go1.27.3", "")] {
        let project = Project::from_workload("labels", SETTINGS);
        let program = project.path("program");
        let mut go = tool("go");
        go.args(["build", "-ldflags", flags, "-o"]).arg(&program).arg(".").current_dir(project.path("."));
        run_successfully(go.env("GOTOOLCHAIN", toolchain));
        let mut record = project.goflame();
        record.args(["record", "--json", "--"]).arg(&program).args(["-period", "50", "-rounds", "1"]);
        let run = Run::from_output(&run_successfully(&mut record));
        let seen = count_labels(&project, &run.file("perf.data"), &["--tag-ignore", "labels_read=late"]);
        let (all, wrong) = count_in_functions(&seen);
        print_figure(&format!(
            "labels, {toolchain}: {wrong} of {all} samples that were read in time have a wrong label"
        ));
        assert!(all > 50, "{toolchain}: {seen:?}");
        assert!(percent(wrong, all) <= 2.0, "{toolchain}: {seen:?}");
    }
}

#[test]
fn no_labels_are_read_if_the_settings_turn_them_off() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("labels", &format!("{SETTINGS}[record]\nlabels = false\n"));
    let run = project.run(&["--", "-period", "20", "-rounds", "1"]);
    let seen = count_labels(&project, &run.file("perf.data"), &[]);
    assert!(seen.keys().all(|(label, _)| label == "(no_tenant)"), "{seen:?}");
    assert!(count_in_functions(&seen).0 > 20, "{seen:?}");
}
