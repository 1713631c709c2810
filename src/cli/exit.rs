//! Exit codes, which are an interface: docs/src/outputs.md lists them.

use crate::pipeline::{Error, RepairError};
use crate::{build, record};

/// Something that goflame has no word for.
pub(super) const UNEXPECTED: u8 = 1;
/// The command line.
pub(super) const USAGE: u8 = 2;
/// `goflame.toml`.
pub(super) const CONFIG: u8 = 3;
/// Machine, toolchain or binary are not ready.
pub(super) const READINESS: u8 = 4;
/// The build failed.
pub(super) const BUILD: u8 = 5;
/// The recording failed.
pub(super) const RECORD: u8 = 6;
/// An input cannot be read.
pub(super) const INPUT: u8 = 7;
/// The Docker engine.
pub(super) const DOCKER: u8 = 11;
/// The archive, or an output file.
pub(super) const ARCHIVE: u8 = 10;

/// The code of an error; without a wildcard, so that a new error cannot be forgotten.
pub(super) fn code(error: &Error) -> u8 {
    match error {
        Error::Config(error) if error.is_usage() => USAGE,
        Error::Config(_) | Error::Locked { .. } => CONFIG,
        Error::Record(record::Error::Abandoned { signal } | record::Error::Interrupted { signal }) => ended_by(*signal),
        Error::NotReady(_) => READINESS,
        Error::Caller { .. } | Error::Repair(RepairError::File(_)) => UNEXPECTED,
        Error::Build(error) => build_code(error),
        Error::Record(_) | Error::NoPerf(_) => RECORD,
        Error::NoSampleTypes { .. } => USAGE,
        Error::Pprof { source, .. } if source.is_usage() => USAGE,
        Error::Unreadable { .. }
        | Error::Pprof { .. }
        | Error::UnknownKind { .. }
        | Error::Analyse { .. }
        | Error::Input(_)
        | Error::Repair(RepairError::Damaged { .. }) => INPUT,
        Error::Output(_) | Error::Archive(_) => ARCHIVE,
    }
}

/// The status of a process that a signal killed, as a shell reports it.
pub(super) fn ended_by(signal: i32) -> u8 {
    u8::try_from(signal.saturating_add(128)).unwrap_or(UNEXPECTED)
}

fn build_code(error: &build::Error) -> u8 {
    match (error, error.interrupted_by()) {
        (_, Some(signal)) => ended_by(signal),
        (build::Error::Docker(_), None) => DOCKER,
        // A Go that is absent or is another than the pinned one is found before anything is built.
        _ if error.is_toolchain() => READINESS,
        _ => BUILD,
    }
}
