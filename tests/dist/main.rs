//! Checks what is installed: packages, man pages, completions and templates for CI.
//!
//! `packaging/dist pack` packs any binary. These tests pack a small script that runs the binary under test. Only `make dist`
//! builds the static binary.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod generated;
mod packages;
mod templates;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GOFLAME: &str = env!("CARGO_BIN_EXE_goflame");

/// Absolute path of a file of the repository.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a command and returns its standard output. Panics if the command fails.
#[track_caller]
pub(crate) fn stdout(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

pub(crate) fn goflame(args: &[&str]) -> String {
    stdout(Command::new(GOFLAME).args(args).env("COLUMNS", "100"))
}
