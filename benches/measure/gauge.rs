//! A gauge: a second instance of the benchmark that runs one command and measures its time and memory.
//!
//! The kernel adds up the resource usage of a process's children after they are waited for (getrusage(2)). A new
//! process for each command therefore sees only that command and the processes that it started.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

use super::Result;

/// The hidden first argument: `BENCH __gauge REPORT COMMAND…`.
const GAUGE: &str = "__gauge";

/// Resource usage of a command.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Used {
    /// Wall time in seconds.
    pub(crate) wall: f64,
    /// User and system CPU time in seconds, of the command and all processes that it waited for.
    pub(crate) cpu: f64,
    /// Peak resident memory in KiB, of the largest of these processes.
    pub(crate) peak_kib: f64,
}

/// The command line of a gauge that runs `command` and writes its resource usage to `report`.
pub(crate) fn gauged(report: &Path, command: Vec<OsString>) -> Result<Vec<OsString>> {
    let mut line: Vec<OsString> = vec![std::env::current_exe()?.into(), GAUGE.into(), report.into()];
    line.extend(command);
    Ok(line)
}

/// Runs `command` under a gauge, with its output to `stdout`. The error of a failed command contains its stderr.
pub(crate) fn gauge(scratch: &Path, command: Vec<OsString>, stdout: Stdio) -> Result<Used> {
    let report = scratch.join("gauge.json");
    let line = gauged(&report, command)?;
    let (program, arguments) = line.split_first().ok_or("no command")?;
    let stderr_path = scratch.join("stderr.txt");
    let stderr = std::fs::File::create(&stderr_path)?;
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr).status()?;
    if !status.success() {
        return Err(format!("{status}: {line:?}\n{}", std::fs::read_to_string(&stderr_path)?).into());
    }
    Used::read(&report)
}

impl Used {
    /// Reads the report of a gauge.
    pub(crate) fn read(report: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(report)?)?)
    }
}

/// Runs as a gauge if this process was started as one.
pub(crate) fn as_gauge() -> Option<Result<ExitCode>> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != GAUGE {
        return None;
    }
    let report = arguments.next()?;
    Some(measure(Path::new(&report), &arguments.collect::<Vec<_>>()))
}

fn measure(report: &Path, command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let started = Instant::now();
    let status = Command::new(program).args(arguments).status()?;
    let wall = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    let used = Used { wall, cpu, peak_kib: usage.max_rss() as f64 };
    std::fs::write(report, serde_json::to_vec(&used)?)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
