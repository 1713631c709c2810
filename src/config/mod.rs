//! Settings: defaults ← `goflame.toml` ← flags, validated into one [`Config`].
//!
//! The defaults are the embedded `goflame.toml.example`, read by the same code as a user's file. Therefore the
//! documented and the actual defaults cannot differ. All problems of a file are collected and shown at once, each with
//! its line. Must not run programs and must not probe the host.

mod edit;
mod error;
pub mod goflags;
mod init;
mod load;
mod lock;
mod model;
mod name;
mod nearest;
mod problem;
mod rules;
mod schema;
mod server;
mod trust;
mod value;

pub use edit::{check_version, redact_settings, with_pinned_go};
pub use error::Error;
pub use init::init_text;
pub use load::{FILE_NAME, Overrides, SourceFile, load};
pub use lock::{LockFile, LockedImage, LockedVariant, lock_path};
pub use model::{
    App, Archive, BenchmarkChoice, Build, Config, Doctor, Engine, EventChoice, Kernel, Kind, Record, Report, Runtime,
    StackSize, Toolchain, Variant, Workload,
};
pub use name::name_of;
pub use nearest::nearest;
pub use problem::{Problem, Problems};
pub use rules::{builds_program, derived_name, is_go_release, parse_duration};
pub use server::{HttpAddress, Ready, ReadySign, Server, Stop};

#[cfg(test)]
mod tests;
