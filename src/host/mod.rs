//! Facts about this machine: kernel settings, CPUs, memory, the rights of this process.
//!
//! Everything is read from files under a root path that a test can replace. Nothing is judged here
//! (that is `doctor`), nothing is written, no program is run and no system call is tried out. A fact that cannot be had
//! says how it is missing, because an absent file, a forbidden one and a nonsensical one mean different things.

mod cgroup;
mod facts;
mod isolation;
mod parse;
mod reading;
mod steadiness;
mod symbols;
mod sysctl;

#[cfg(test)]
mod tests;

pub use cgroup::CpuQuota;
pub use facts::{Capability, Facts, Limit, probe};
pub use isolation::Isolation;
pub use reading::Reading;
pub use steadiness::{CpuTimes, Steadiness, Swap, Turbo};
pub use symbols::KernelSymbols;
pub use sysctl::Sysctl;
