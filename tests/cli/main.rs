//! The real binary from the outside: what it prints, what it leaves on the disk, how it ends, and that nothing
//! of it keeps running. Real Go projects, real processes, real signals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod archive;
mod build;
mod config;
mod disk;
mod harness;
mod init;
mod kill;
mod launch;
mod limits;
mod pprof;
mod recordings;
mod run;
mod secrets;
mod shrink;
mod sudo;
mod terminal;
mod trust;
