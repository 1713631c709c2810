//! `engine = "perf"` sees what goflame's own sampler sees.

use crate::harness::{Project, alone, figure};
use crate::shares::{assert_close, in_summary, truth};

#[test]
fn both_engines_show_the_same_shares() {
    let _alone = alone();
    let project = Project::copy_of("examples/hotspots");
    let args = ["--release", "--event", "cpu-clock", "--engine"];
    let run = |engine| project.run(&[&args[..], &[engine, "--", "-seconds", "2"]].concat());
    let (native, perf) = (run("native"), run("perf"));
    assert_eq!(perf.manifest()["sampler"]["engine"], "perf");
    assert_close("engine perf", &truth(&perf), &in_summary(&perf));
    // Only the functions whose share is known: below them it is chance that decides.
    let named = |run| {
        let (all, known) = (in_summary(run), truth(run));
        all.into_iter().filter(|(name, _)| known.contains_key(name)).collect()
    };
    let worst = assert_close("engine perf against native", &named(&native), &named(&perf));
    figure(&format!("engines: {worst:.2} points apart at most"));
    let samples = |run: &crate::harness::Run| run.quality("samples");
    assert!(samples(&perf) > 0 && samples(&native) > 0);
}
