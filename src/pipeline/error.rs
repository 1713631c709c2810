//! One variant a stage; the cause stays in `source`.

use crate::doctor::Finding;
use crate::fsio::FileError;
use crate::{analyse, archive, build, config, perfdata, pprof, process, record};

/// A pipeline that did not reach its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The lock file may not change, and this would change it.
    #[error("{name} {}, and --locked forbids that", if *missing { "does not exist" } else { "would change" })]
    Locked {
        /// The lock file's name.
        name: String,
        /// Whether it would be written for the first time.
        missing: bool,
        /// How.
        #[source]
        difference: super::settle::Difference,
    },
    /// The machine, the toolchain or the binary is not ready. The findings say why.
    #[error("not ready")]
    NotReady(Vec<Finding>),
    /// A repair of the machine.
    #[error(transparent)]
    Repair(#[from] super::repair::Error),
    /// The build.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// Root could not take on the rights of sudo's caller.
    #[error("cannot act for {name}, who called sudo")]
    Caller {
        /// The caller.
        name: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The recording. When a draft of the run exists, it is named.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// `engine = "perf"` without perf.
    #[error("`engine = \"perf\"` needs perf")]
    NoPerf(#[source] process::Error),
    /// The file is no recording.
    #[error("cannot read {path} as perf.data")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: perfdata::Error,
    },
    /// The file is neither a recording nor a profile.
    #[error("{path} is {}", if *empty { "empty" } else { "no profile that goflame reads" })]
    UnknownKind {
        /// The file.
        path: String,
        /// Whether there is nothing in it.
        empty: bool,
    },
    /// The file is no pprof profile, or one that is damaged.
    #[error("cannot read {path} as a pprof profile")]
    Pprof {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: pprof::Error,
    },
    /// A sample type was asked for where there is none to choose.
    #[error("{name} is a recording of one event: it has no sample types to choose from")]
    NoSampleTypes {
        /// The file, or the run.
        name: String,
    },
    /// The recording cannot be analysed.
    #[error("cannot analyse {path}")]
    Analyse {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: analyse::Error,
    },
    /// A file of the user's cannot be read.
    #[error(transparent)]
    Input(FileError),
    /// An output cannot be written.
    #[error(transparent)]
    Output(FileError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::Error),
}

impl Error {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Config(error) => error.hints(),
            Self::Repair(error) => error.hints(),
            Self::Locked { .. } => {
                vec!["`goflame build --update-lock` writes it; commit it with what made it change".into()]
            }
            Self::Build(error) => error.hints(),
            Self::Record(error) => error.hints(),
            Self::NoPerf(_) => vec!["install perf (Debian: linux-perf), or use `engine = \"native\"`".into()],
            Self::Archive(error) => error.hints(),
            Self::Unreadable { source, .. } => source.hints(),
            Self::Pprof { source, .. } => source.hints(),
            Self::UnknownKind { empty: true, .. } => {
                vec!["a CPU profile stays empty when the program ends without `pprof.StopCPUProfile`: os.Exit skips what was deferred".into()]
            }
            Self::UnknownKind { .. } => vec![
                "goflame reads perf.data files and pprof profiles (profile.proto), gzipped or not; `goflame runs list` lists its own runs"
                    .into(),
            ],
            Self::NoSampleTypes { .. } => vec!["`--by` divides a recording by thread or goroutine".into()],
            Self::NotReady(_) | Self::Caller { .. } | Self::Analyse { .. } | Self::Input(_) | Self::Output(_) => {
                Vec::new()
            }
        }
    }
}

/// An error and its causes in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {}", error.to_string().lines().collect::<Vec<_>>().join("; "));
        cause = error.source();
    }
    text
}
