//! Order of the stages. Only this module knows which stage follows which.
//!
//! Converts the settings to the options of each stage, passes values from stage to stage, and fills the manifest. Must
//! not know flags, standard output or exit codes: an [`Observer`] receives all messages, as values.

mod analysis;
mod binaries;
mod build;
mod cmdline;
mod copies;
mod coverage;
mod diff;
mod draft_file;
mod endpoint_record;
mod error;
mod export;
mod facts;
mod index;
mod init;
mod kernel;
mod manifest;
mod observer;
mod off_cpu;
mod packages;
mod prepared_run;
mod prune;
mod ready;
mod record;
mod recording;
mod repaired;
mod report;
mod reported;
mod run;
mod runtime_profiles;
mod runtime_record;
mod settle;
mod source_text;
mod subject;
mod sudo;
mod toolchain;
mod tools;
mod variants;
mod verify;
mod waits;

pub use build::{FinishedBuild, build, clean_cache, dockerfile_text, is_unoptimised};
pub use diff::{ComparedProfiles, DiffOptions, diff};
pub use error::{Error, describe_with_causes};
pub use export::{ExportOptions, FinishedExport, export, import};
pub use index::write_index;
pub use init::{InitialSettings, initial_settings};
pub use manifest::{LeftOutFile, Manifest, WorkloadResult};
pub use observer::{AnalysedInput, Observer, Pins, PipelineEvent, RunNote, Warning};
pub use off_cpu::RunProfile;
pub use packages::{ChosenPackages, PackageRequest, choose_packages};
pub use prepared_run::{RunOptions, RunOutcome};
pub use prune::{Pruning, plan_prune};
pub use ready::{Checkup, CheckupOptions, checkup};
pub use record::{RecordTarget, record};
pub use report::{ReportOptions, ReportSource, report};
pub use reported::Reported;
pub use run::run;
pub use settle::{BuildOptions, ContainerFacts, find_go, load_lock, plan_build};
pub use source_text::{ProgramSource, SourceReader, SourceScope};
pub use sudo::{switch_to_calling_user, trusted_users};
pub use toolchain::{install_toolchain, list_toolchains, pin_toolchain, pinned_go_version};
pub use variants::diff_variants;
pub use verify::{BuildPair, VerifiedBuild, verify};

pub use crate::fsio::{advise_when_cut_short, exit_on_cut_short_file};
