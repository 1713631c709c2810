//! Accuracy of stacks, for a program whose true stacks are known (`tests/workloads/stacks`). Compares goflame's sampler and
//! analysis with `perf record -g`, `perf script` and inferno.

use std::fs;
use std::path::Path;
use std::process::Command;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

use crate::measure::Result;

/// Leaf functions without a stack frame, each with its only caller.
const LEAVES_AND_CALLERS: [(&str, &str); 2] =
    [("main.leaf", "main.leafCaller"), ("main.otherLeaf", "main.otherCaller")];
/// A function with inlined calls.
const OUTER_FUNCTION: &str = "main.outer";
/// The functions that are inlined into [`OUTER_FUNCTION`].
const INLINED_FUNCTIONS: [&str; 3] = ["main.middle", "main.inner", "main.rotate"];

/// Measures and prints the shares of correct samples of both tools.
pub(crate) fn compare(perf: &Path, go: &Path, scratch: &Path) -> Result<()> {
    let project = scratch.join("stacks");
    fs::create_dir_all(&project)?;
    let workloads = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workloads");
    for entry in fs::read_dir(workloads.join("stacks"))? {
        let path = entry?.path();
        fs::copy(&path, project.join(path.file_name().ok_or("a file without a name")?))?;
    }
    fs::copy(workloads.join("go.mod"), project.join("go.mod"))?;
    fs::write(project.join("goflame.toml"), "[app]\npackage = '.'\nname = 'stacks'\n[build]\nvariant = 'release'\n")?;
    let program = project.join("program");
    run_command(Command::new(go).args(["build", "-o"]).arg(&program).arg(".").current_dir(&project))?;

    println!("{:<46}{:>16}{:>16}", "in % of samples", "goflame", "perf + inferno");
    for (mode, title, count) in [
        ("leaf", "correct callers of leaves without a frame", count_callers as fn(&str) -> CorrectSamples),
        ("inlined", "in a function, shown in a call inlined there", count_inlined),
    ] {
        let goflame = Command::new(env!("CARGO_BIN_EXE_goflame"))
            .current_dir(&project)
            .args(["run", "--quiet", "--json", "--format", "folded", "--", "-mode", mode, "-seconds", "2"])
            .output()?;
        let summary: serde_json::Value = serde_json::from_slice(&goflame.stdout)?;
        let folded = Path::new(summary["dir"].as_str().ok_or("no run")?).join("profile.folded");
        let own = count(&fs::read_to_string(folded)?);

        let data = project.join("perf.data");
        let mut record = Command::new(perf);
        record.args(["record", "--quiet", "-g", "-F", "997", "-e", "cpu-clock", "-o"]).arg(&data).arg("--");
        run_command(record.arg(&program).args(["-mode", mode, "-seconds", "2"]))?;
        let script = Command::new(perf).args(["script", "-i"]).arg(&data).output()?;
        let mut folded = Vec::new();
        Folder::from(Options::default()).collapse(script.stdout.as_slice(), &mut folded)?;
        let other = count(&String::from_utf8_lossy(&folded));
        println!("{title:<46}{:>16}{:>16}", own.percent(), other.percent());
    }
    println!();
    Ok(())
}

fn run_command(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// The number of correct samples, and of all samples.
#[derive(Debug, Clone, Copy, Default)]
struct CorrectSamples {
    correct: u64,
    total: u64,
}

impl CorrectSamples {
    fn percent(self) -> String {
        if self.total == 0 {
            "no samples".to_owned()
        } else {
            format!("{:.2}", self.correct as f64 * 100.0 / self.total as f64)
        }
    }
}

/// Parses folded stacks: the names of each stack, and its count.
fn parse_folded(folded: &str) -> impl Iterator<Item = (Vec<&str>, u64)> {
    folded.lines().filter_map(|line| {
        let (stack, count) = line.rsplit_once(' ')?;
        Some((stack.split(';').collect(), count.parse().ok()?))
    })
}

/// Counts the samples in the leaf functions of [`LEAVES_AND_CALLERS`]. A sample is correct if the leaf's caller is
/// right before the leaf.
fn count_callers(folded: &str) -> CorrectSamples {
    let mut samples = CorrectSamples::default();
    for (frames, count) in parse_folded(folded) {
        for (leaf, caller) in LEAVES_AND_CALLERS {
            if let Some(at) = frames.iter().position(|frame| *frame == leaf) {
                samples.total += count;
                samples.correct += if at > 0 && frames[at - 1] == caller { count } else { 0 };
            }
        }
    }
    samples
}

/// Counts the samples in [`OUTER_FUNCTION`]. A sample is correct if its stack contains an inlined call. The other
/// samples can be correct too, in the loop of the function itself. `tests/truth` compares the inlined calls of each
/// address with those of Go's runtime.
fn count_inlined(folded: &str) -> CorrectSamples {
    let mut samples = CorrectSamples::default();
    for (frames, count) in parse_folded(folded) {
        if frames.contains(&OUTER_FUNCTION) {
            samples.total += count;
            samples.correct += if frames.iter().any(|frame| INLINED_FUNCTIONS.contains(frame)) { count } else { 0 };
        }
    }
    samples
}
