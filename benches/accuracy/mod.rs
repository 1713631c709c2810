//! How right stacks are, on a program whose true stacks are known (`tests/workloads/stacks`): goflame's own recording,
//! and one of `perf record -g`, which both `perf script` with inferno and goflame read.

use std::fs;
use std::path::Path;
use std::process::Command;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

use crate::measure::Result;

/// Leaves without a frame, and their only callers.
const CALLERS: [(&str, &str); 2] = [("main.leaf", "main.leafCaller"), ("main.otherLeaf", "main.otherCaller")];
/// The function that others are inlined into, and those.
const OUTER: &str = "main.outer";
const INLINED: [&str; 3] = ["main.middle", "main.inner", "main.rotate"];

/// Prints the shares.
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
    run(Command::new(go).args(["build", "-o"]).arg(&program).arg(".").current_dir(&project))?;

    println!("{:<46}{:>16}{:>16}", "in % of samples", "goflame", "perf + inferno");
    for (mode, what, right) in [
        ("leaf", "right callers of leaves without a frame", callers as fn(&str) -> (u64, u64)),
        ("inlined", "in a function, shown in a call inlined there", inlined),
    ] {
        let goflame = Command::new(env!("CARGO_BIN_EXE_goflame"))
            .current_dir(&project)
            .args(["run", "--quiet", "--json", "--format", "folded", "--", "-mode", mode, "-seconds", "2"])
            .output()?;
        let summary: serde_json::Value = serde_json::from_slice(&goflame.stdout)?;
        let folded = Path::new(summary["dir"].as_str().ok_or("no run")?).join("profile.folded");
        let own = right(&fs::read_to_string(folded)?);

        let data = project.join("perf.data");
        let mut record = Command::new(perf);
        record.args(["record", "--quiet", "-g", "-F", "997", "-e", "cpu-clock", "-o"]).arg(&data).arg("--");
        run(record.arg(&program).args(["-mode", mode, "-seconds", "2"]))?;
        let script = Command::new(perf).args(["script", "-i"]).arg(&data).output()?;
        let mut folded = Vec::new();
        Folder::from(Options::default()).collapse(script.stdout.as_slice(), &mut folded)?;
        let other = right(&String::from_utf8_lossy(&folded));
        println!("{what:<46}{:>16}{:>16}", percent(own), percent(other));
    }
    println!();
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

fn percent((right, all): (u64, u64)) -> String {
    if all == 0 { "no samples".to_owned() } else { format!("{:.2}", right as f64 * 100.0 / all as f64) }
}

/// Stacks of a folded file, with their counts.
fn stacks(folded: &str) -> impl Iterator<Item = (Vec<&str>, u64)> {
    folded.lines().filter_map(|line| {
        let (stack, count) = line.rsplit_once(' ')?;
        Some((stack.split(';').collect(), count.parse().ok()?))
    })
}

/// (right, all) samples in the leaves.
fn callers(folded: &str) -> (u64, u64) {
    let (mut right, mut all) = (0, 0);
    for (frames, count) in stacks(folded) {
        for (leaf, caller) in CALLERS {
            if let Some(at) = frames.iter().position(|frame| *frame == leaf) {
                all += count;
                right += if at > 0 && frames[at - 1] == caller { count } else { 0 };
            }
        }
    }
    (right, all)
}

/// (shown in a call that was inlined, all) samples in a function that calls were inlined into. The rest is in its own loop;
/// tests/truth holds each address's chain against the runtime's.
fn inlined(folded: &str) -> (u64, u64) {
    let (mut right, mut all) = (0, 0);
    for (frames, count) in stacks(folded) {
        if frames.contains(&OUTER) {
            all += count;
            right += if frames.iter().any(|frame| INLINED.contains(frame)) { count } else { 0 };
        }
    }
    (right, all)
}
