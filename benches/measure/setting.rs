//! The environment of a benchmark: its tools, its directory, and a description of the machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Any error ends a benchmark, so only its text is needed.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Finds a tool on PATH. The error names the missing tool.
pub(crate) fn find_tool(tool: &str) -> Result<PathBuf> {
    which::which(tool).map_err(|_| format!("`{tool}` was not found on PATH; `make bench` installs it").into())
}

/// Makes a new directory for the benchmark, on the disk of cargo's target directory: `/tmp` can be in memory.
pub(crate) fn work_directory() -> Result<TempDir> {
    Ok(TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// Returns kernel, CPUs, load and versions of the tools, in one line.
pub(crate) fn describe_machine(perf: &Path, go: &Path) -> Result<String> {
    let first_line = |program: &Path, argument: &str| -> Result<String> {
        let output = Command::new(program).arg(argument).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
    };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    let cpus = std::thread::available_parallelism()?;
    let (perf, go) = (first_line(perf, "--version")?, first_line(go, "version")?);
    Ok(format!(
        "Linux {}, {cpus} CPUs, load {load} at the start, {perf}, {go}, goflame {}",
        kernel.trim(),
        env!("CARGO_PKG_VERSION")
    ))
}
