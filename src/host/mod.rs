//! Facts about this machine: kernel settings, CPUs, memory, privileges of this process.
//!
//! All facts are read from files under a root path that a test can replace. This module does not judge the facts (that is
//! `doctor`), writes nothing, runs no program and tries no system call. A missing fact has a reason ([`Reading`]): an absent
//! file, an unreadable file and unexpected contents mean different things.

mod cgroup;
mod cpu_waits;
mod cpus;
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
pub use cpu_waits::{CpuWaitCounters, CpuWaits, Throttling};
pub use facts::{Capability, HostFacts, probe};
pub use isolation::Isolation;
pub use parse::{CpuTimes, Limit};
pub use reading::Reading;
pub use steadiness::{Steadiness, Swap, Turbo};
pub use symbols::KernelTracingFacts;
pub use sysctl::Sysctl;
