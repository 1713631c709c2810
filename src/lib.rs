//! goflame builds a Go program reproducibly, proves that the machine can profile it, runs it, samples
//! it, and keeps everything that is needed to trust, compare and repeat the result.
//!
//! # Data flow
//!
//! ```text
//! goflame.toml ─ config ─▶ Config
//! Config ─ build ─▶ BuildPlan ─▶ Artifact (binary, build id, Go version, flags)
//! Config + Artifact ─ doctor ─▶ Vec<Finding>
//! LaunchPlan (argv, env, timeout) ─ workload ─▶ a target, and its Outcome (exit status, times)
//! target + SamplingPlan (event, CPUs, output path) ─ record ─▶ Recording (perf.data, lost)
//! perf.data bytes ─ perfdata ─▶ records in time order
//! records + the binaries' bytes (sources) ─ analyse (using gobin, jit) ─▶ Profile
//! URL of a program ─ endpoint ─▶ pprof bytes
//! pprof bytes ─ pprof ─▶ Profile
//! folded stacks, output of `perf script` ─ stacktext ─▶ Profile
//! Profile ─ views ─▶ call tree, top functions, hottest path, groups          two profiles ─ views ─▶ differences
//! views ─ render ─▶ bytes: SVG, HTML, pprof (by pprof), folded, JSON of several kinds, Markdown, text
//! bytes + Manifest ─ archive ─▶ RunId
//! ```
//!
//! Each stage passes a plain owned value to the next stage. No stage keeps a reference to an earlier stage. A stage can
//! also start from a file: `goflame report perf.data` starts at the analysis, and `goflame report cpu.pb.gz` after it.
//!
//! # Layers
//!
//! The modules below are in dependency order: a module imports only modules above it, and the files of a module do not
//! import each other in a circle, with few listed exceptions. `tests/layering.rs` checks both rules.

pub mod fsio;

pub mod bytes;

pub mod redact;

pub mod process;

pub mod endpoint;

pub mod profile;

pub mod gobench;

pub mod gotrace;
pub mod loadtool;

pub mod goname;

pub mod stats;

pub mod views;

pub mod findings;

pub mod pprof;

pub mod stacktext;

pub mod render;

pub mod config;

pub mod host;

pub mod perfevent;

pub mod perfdata;

pub mod gobin;

pub mod jit;

pub mod sources;

pub mod build;

pub mod doctor;

pub mod workload;

pub mod record;

pub mod analyse;

pub mod archive;

pub mod pipeline;

pub mod cli;
