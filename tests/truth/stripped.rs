//! Checks that a stripped program still has function names. They are in pclntab, which `-s -w` does not remove.

use serde_json::Value;

use crate::harness::{Project, percent, print_figure, text, tool, wait_for_turn};

#[test]
fn a_stripped_program_sampled_by_perf_has_function_names() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/hotspots");
    let binary = project.go_build("stripped", &["-ldflags=-s -w"]);
    let symbols = tool("go").args(["tool", "nm"]).arg(&binary).output().unwrap();
    assert!(!String::from_utf8_lossy(&symbols.stdout).contains("main.main"), "the program is not stripped");

    let file = project.perf_record(&[binary.as_os_str(), "-seconds".as_ref(), "1".as_ref()]);
    let summary: Value = serde_json::from_str(&project.report(&file, "json")).unwrap();
    let names: Vec<&str> =
        summary["functions"].as_array().unwrap().iter().map(|function| function["name"].as_str().unwrap()).collect();
    for name in ["main.multiply", "main.digest", "main.compress", "main.quicksort", "main.countWords", "main.collatz"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let figures = &summary["quality"]["figures"];
    let (frames, unnamed) =
        (figures["user_frames"].as_u64().unwrap(), figures["unnamed_user_frames"].as_u64().unwrap());
    assert!(percent(unnamed, frames) < 1.0, "{unnamed} of {frames} user frames have no name: {figures}");
    let perf = text(tool("perf").args(["script", "--no-inline", "-F", "ip,sym", "-i"]).arg(&file));
    print_figure(&format!(
        "stripped: {unnamed} of {frames} user frames without a name; perf script leaves {} of its frames unknown",
        perf.lines().filter(|line| line.ends_with("[unknown]")).count()
    ));
}
