//! All inputs of a launch, as plain values.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Account;

/// The plan of a launch.
#[derive(Debug, Clone)]
pub struct LaunchPlan {
    /// The program (an absolute path) and its arguments.
    pub argv: Vec<OsString>,
    /// Environment variables, added to goflame's own.
    pub env: Vec<(String, String)>,
    /// Working directory of the program.
    pub dir: PathBuf,
    /// Standard input of the program.
    pub stdin: Stdin,
    /// Time limit. The program is stopped when it is reached.
    pub timeout: Duration,
    /// The user to run the program as, if goflame was started through sudo.
    pub user: Option<Account>,
    /// Command that starts the exec gate, for example `perf record`. Empty if the supervisor starts it.
    pub launcher: Vec<OsString>,
    /// File for a copy of the program's standard output.
    pub stdout_log: PathBuf,
    /// File for a copy of the program's standard error.
    pub stderr_log: PathBuf,
    /// Maximum bytes of each of these two files.
    pub max_log_bytes: Option<u64>,
}

/// Standard input of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// goflame's own.
    Inherit,
    /// A file.
    File(PathBuf),
}

impl LaunchPlan {
    /// The program's name for error messages.
    pub(super) fn program(&self) -> String {
        self.argv.first().map_or_else(String::new, |argv0| argv0.to_string_lossy().into_owned())
    }
}
