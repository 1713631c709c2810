//! `engine = "perf"`: `perf record` samples, with the same gate.

use std::ffi::OsString;
use std::path::Path;

use super::{RecordPlan, Settled};

/// Returns the command line of `perf record`, which starts the gate, which executes the program. Has no `-g` in DWARF
/// mode, because with `-g` perf gets stacks of one frame from Go.
pub(super) fn command(perf: &Path, plan: &RecordPlan, settled: &Settled, gate: Vec<OsString>) -> Vec<OsString> {
    let event = settled.spec.source.name();
    let event = if settled.spec.kernel { event.to_owned() } else { format!("{event}:u") };
    let mut command: Vec<OsString> = vec![perf.into(), "record".into(), "--quiet".into(), "-o".into()];
    command.push(plan.perf_data.clone().into());
    command.extend(["-e".into(), event.into(), "-F".into(), plan.frequency.to_string().into()]);
    command.extend(["--call-graph".into(), "fp".into(), "--clockid".into(), "CLOCK_MONOTONIC".into(), "--".into()]);
    command.extend(gate);
    command
}
