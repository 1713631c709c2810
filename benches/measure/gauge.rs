//! A gauge: a second process of the benchmark, which runs one command and measures its time and memory.
//!
//! The kernel sums the resource usage of all children that a process waited for (getrusage(2)). So a new process for each
//! command sees only the usage of this command and the processes that it started.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

use super::Result;

/// The hidden first argument of a gauge: `BENCH __gauge REPORT COMMAND…`.
const GAUGE_ARGUMENT: &str = "__gauge";

/// The resource usage of a command.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ResourceUsage {
    /// Wall time in seconds.
    pub(crate) wall_seconds: f64,
    /// User and system CPU time in seconds, of the command and all processes that it waited for.
    pub(crate) cpu_seconds: f64,
    /// Peak resident memory in KiB, of the largest of these processes.
    pub(crate) peak_kib: f64,
}

/// Returns the command line of a gauge that runs `command` and writes its resource usage to `report`.
pub(crate) fn gauge_command(report: &Path, command: Vec<OsString>) -> Result<Vec<OsString>> {
    let mut line: Vec<OsString> = vec![std::env::current_exe()?.into(), GAUGE_ARGUMENT.into(), report.into()];
    line.extend(command);
    Ok(line)
}

/// Runs `command` under a gauge. The error of a failed command contains its stderr.
pub(crate) fn run_gauged(scratch: &Path, command: Vec<OsString>, stdout: Stdio) -> Result<ResourceUsage> {
    let report = scratch.join("gauge.json");
    let line = gauge_command(&report, command)?;
    let (program, arguments) = line.split_first().ok_or("no command")?;
    let stderr_path = scratch.join("stderr.txt");
    let stderr = std::fs::File::create(&stderr_path)?;
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr).status()?;
    if !status.success() {
        return Err(format!("{status}: {line:?}\n{}", std::fs::read_to_string(&stderr_path)?).into());
    }
    ResourceUsage::read(&report)
}

impl ResourceUsage {
    /// Reads the report of a gauge.
    pub(crate) fn read(report: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(report)?)?)
    }
}

/// Runs this process as a gauge if its arguments say so. `None` for the benchmark itself.
pub(crate) fn run_as_gauge() -> Option<Result<ExitCode>> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != GAUGE_ARGUMENT {
        return None;
    }
    let report = arguments.next()?;
    Some(measure(Path::new(&report), &arguments.collect::<Vec<_>>()))
}

fn measure(report: &Path, command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let started = Instant::now();
    let status = Command::new(program).args(arguments).status()?;
    let wall_seconds = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu_seconds = to_seconds(usage.user_time()) + to_seconds(usage.system_time());
    let used = ResourceUsage { wall_seconds, cpu_seconds, peak_kib: usage.max_rss() as f64 };
    std::fs::write(report, serde_json::to_vec(&used)?)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn to_seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
