//! Kept recordings have no registers and no stack copies, but give the same reports as the original recordings.

use std::fs;

use goflame::perfdata::{PerfData, RecordKind, unpack};

use crate::harness::{Project, Run, print_figure, run_successfully, text, tool, wait_for_turn};

/// The formats of `goflame report`, and the files of a run in these formats. The run makes the files from its recording
/// before the recording is rewritten.
const FILES: [(&str, &str); 4] =
    [("svg", "flamegraph.svg"), ("folded", "profile.folded"), ("pprof", "profile.pb.gz"), ("json", "summary.json")];

/// Runs a workload, and compares its reports with new reports from the archive and from the recording alone.
fn check_kept_recording(workload: &str, args: &[&str]) {
    let settings =
        format!("[app]\npackage = '.'\nname = '{workload}'\n[report]\nformats = ['svg', 'pprof', 'folded']\n");
    let project = Project::from_workload(workload, &settings);
    let run = project.run(args);
    for (format, file) in FILES {
        let again = run_successfully(project.goflame().args(["report", "latest", "-f", format])).stdout;
        assert!(again == fs::read(run.file(file)).unwrap(), "{workload}: {file} differs");
    }
    let bytes = fs::read(run.file("perf.data")).unwrap();
    let plain = unpack(&bytes, &[]).unwrap().expect("a compressed recording");
    let data = PerfData::parse(&plain).unwrap();
    for record in data.records() {
        let RecordKind::Sample(sample) = record.unwrap().kind else { continue };
        assert_eq!((sample.user_regs, sample.user_stack), (None, None));
    }
    let samples = run.quality("samples");
    let (size, goroutines) = (bytes.len() as u64 / samples, data.features().repairs.as_ref().unwrap().goroutines.len());
    print_figure(&format!(
        "kept, {workload} {args:?}: {samples} samples, {size} bytes per sample, {goroutines} goroutines"
    ));

    // The recording without its run gives the same goroutines and the same warnings.
    fs::write(project.path("lone.data"), &bytes).unwrap();
    let by = |by: &str, source: &str| text(project.goflame().args(["report", "-f", "folded", "--by", by, source]));
    for property in ["goroutine", "entry"] {
        assert_eq!(by(property, "lone.data"), by(property, "latest"), "{workload}");
    }
    let report = run_successfully(project.goflame().args(["report", "lone.data"]));
    let stderr = String::from_utf8(report.stderr).unwrap();
    let misses_copies = |text: &str| text.contains("no user registers with stack copies");
    assert_eq!(misses_copies(&stderr), misses_copies(&run.stderr), "{stderr}");
}

/// The compiler's stacks are deep: without compression, a sample takes 184 bytes, and 187 in a file of `perf record -g`.
#[test]
fn a_kept_recording_of_a_tree_of_processes_takes_at_most_150_bytes_per_sample() {
    let _alone = wait_for_turn();
    let project = Project::from_settings("");
    let mut record = project.goflame();
    record.args(["record", "--json", "--", "go", "build", "-a", "-o", "/dev/null", "errors"]);
    let run = Run::from_output(&run_successfully(&mut record));
    let (file, samples) = (run.file("perf.data"), run.quality("samples"));
    let size = fs::metadata(&file).unwrap().len() / samples;
    print_figure(&format!("kept, go build: {samples} samples, {size} bytes per sample"));
    assert!(size <= 150, "{size} bytes per sample");

    let in_perf = text(tool("perf").args(["script", "-F", "comm", "-i"]).arg(&file));
    assert_eq!(in_perf.lines().count() as u64, samples);
    assert!(in_perf.lines().any(|comm| comm.trim() == "compile"), "{in_perf}");
}

#[test]
fn a_kept_recording_of_goroutines_gives_the_same_reports() {
    let _alone = wait_for_turn();
    check_kept_recording("goroutines", &["--release", "--", "-mode", "spin", "-n", "500000000"]);
    check_kept_recording("goroutines", &["--", "-mode", "crowd", "-n", "500000000"]);
}

#[test]
fn a_kept_recording_of_c_code_gives_the_same_reports() {
    let _alone = wait_for_turn();
    check_kept_recording("cstacks", &["--release", "--", "-mode", "recursion", "-seconds", "1"]);
    check_kept_recording("cstacks", &["--", "-mode", "callback", "-seconds", "1"]);
}

#[test]
fn a_kept_recording_of_a_tree_of_processes_gives_the_same_reports() {
    let _alone = wait_for_turn();
    check_kept_recording("spawner", &["--", "-linger", "200ms"]);
}

#[test]
fn a_recording_without_stack_copies_gives_the_same_reports() {
    let _alone = wait_for_turn();
    check_kept_recording("goroutines", &["--stack", "0", "--", "-mode", "pair", "-n", "300000000"]);
}
