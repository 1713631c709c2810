//! Settings: defaults ← `goflame.toml` ← flags, validated into one [`Config`].
//!
//! Must not run programs and must not probe the host.

mod model;

pub use model::{
    App, Archive, Build, Config, Doctor, Engine, EventChoice, Format, Kernel, Kind, Record, Report, Toolchain, Variant,
    Workload,
};
