//! `engine = "perf"` shows the true shares, like goflame's own sampler.

use crate::harness::{Project, print_figure, wait_for_turn};
use crate::shares::{assert_close, measured_shares, shares_in_summary};

#[test]
fn both_engines_show_the_true_shares() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/hotspots");
    let args = ["--release", "--event", "cpu-clock", "--engine"];
    let run = |engine| project.run(&[&args[..], &[engine, "--", "-seconds", "2"]].concat());
    let (native, perf) = (run("native"), run("perf"));
    assert_eq!(perf.manifest()["sampler"]["engine"], "perf");
    // Each run is compared with its own measurements, because the times of the functions differ from run to run.
    for (engine, run) in [("native", &native), ("perf", &perf)] {
        let worst = assert_close(&format!("engine {engine}"), &measured_shares(run), &shares_in_summary(run));
        print_figure(&format!("engine {engine}: {worst:.2} points off at most"));
    }
    let samples = |run: &crate::harness::Run| run.quality("samples");
    assert!(samples(&perf) > 0 && samples(&native) > 0);
}
