//! Exit codes. They are a public interface: docs/src/outputs.md lists them.

use crate::archive;
use crate::build;
use crate::pipeline::Error;

/// Any other error.
pub(super) const UNEXPECTED: u8 = 1;
/// Error in the command line.
pub(super) const USAGE: u8 = 2;
/// Error in `goflame.toml`.
pub(super) const CONFIG: u8 = 3;
/// The machine, the toolchain or the binary is not ready.
pub(super) const READINESS: u8 = 4;
/// The build failed.
pub(super) const BUILD: u8 = 5;
/// The recording failed.
pub(super) const RECORD: u8 = 6;
/// An input cannot be read.
pub(super) const INPUT: u8 = 7;
/// Error of the Docker engine.
pub(super) const DOCKER: u8 = 11;
/// Error of the archive or of an output file.
pub(super) const ARCHIVE: u8 = 10;
/// The workload failed.
pub(super) const WORKLOAD: u8 = 12;

/// Returns the exit code of an error. The match has no wildcard, so that no new error is forgotten.
pub(super) fn code(error: &Error) -> u8 {
    match error {
        Error::Config(error) if error.is_usage() => USAGE,
        Error::Config(_) | Error::Locked { .. } | Error::PerfWindow | Error::PerfOffCpu => CONFIG,
        Error::Workload(error) => error.signal().map_or(RECORD, code_of_signal),
        Error::NotReady(_) => READINESS,
        Error::Caller { .. } => UNEXPECTED,
        Error::Build(error) => code_of_build_error(error),
        Error::Record(_) | Error::NoPerf(_) | Error::NoCommand(_) => RECORD,
        Error::Engine(_) => DOCKER,
        Error::Archive(archive::Error::BadTag { .. })
        | Error::NoSampleTypes { .. }
        | Error::Headers(_)
        | Error::NoRuntimeProfiles { .. }
        | Error::NoRuntimeProfile { .. }
        | Error::NoOffCpu { .. }
        | Error::TraceNotShown { .. }
        | Error::NoEvents { .. }
        | Error::NothingToSelect { .. }
        | Error::NoTimes { .. }
        | Error::NoDuration { .. }
        | Error::DifferentUnits { .. } => USAGE,
        Error::Pprof { source, .. } if source.is_usage() => USAGE,
        Error::Analyse { source, .. } if source.is_usage() => USAGE,
        Error::StackText { source, .. } if source.is_usage() => USAGE,
        Error::Unreadable { .. }
        | Error::NothingToCompare { .. }
        | Error::Pprof { .. }
        | Error::StackText { .. }
        | Error::UnknownKind { .. }
        | Error::Fetch(_)
        | Error::Analyse { .. }
        | Error::Archive(archive::Error::Refused { .. })
        | Error::Input(_) => INPUT,
        Error::NoVariant { .. } | Error::Output(_) | Error::Archive(_) => ARCHIVE,
    }
}

/// Returns the exit status of a process that a signal killed, as a shell reports it.
pub(super) fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(signal.saturating_add(128)).unwrap_or(UNEXPECTED)
}

fn code_of_build_error(error: &build::Error) -> u8 {
    match (error, error.interrupting_signal()) {
        (_, Some(signal)) => code_of_signal(signal),
        (build::Error::Docker(_), None) => DOCKER,
        (build::Error::SeveralPackages { .. }, None) => USAGE,
        // A missing Go, or one that is not the pinned version, is detected before the build starts.
        _ if error.is_toolchain_error() => READINESS,
        _ => BUILD,
    }
}
