//! Runs the real binary with real Go projects, processes and signals. Checks its output, its files and its exit
//! status, and that no process keeps running.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod archive;
mod benchmarks;
mod build;
mod config;
mod diff;
mod disk;
mod endpoint;
mod explore;
mod formats;
mod harness;
mod init;
mod kill;
mod launch;
mod limits;
mod off_cpu;
mod packages;
mod pprof;
mod record;
mod recordings;
mod report;
mod run;
mod runs;
mod runs_shared;
mod runtime;
mod secrets;
mod server;
mod shrink;
mod sudo;
mod terminal;
mod toolchain;
mod trust;
