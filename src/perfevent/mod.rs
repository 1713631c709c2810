//! The interface to the kernel, built on the crate `perf-event2`: opens, maps and drains perf events.
//!
//! Each CPU has one event, because the kernel refuses to map an inherited event that is not bound to a CPU. The event
//! follows the target and its children (`inherit`), or all processes of a control group. A control group whose samples
//! are filtered has two events on each CPU: see [`open_filtered`]. Threads that run already need an event for each
//! thread and CPU. The events of a CPU share a ring buffer.
//!
//! This module also reads the [`vdso`] of the process and sets up glibc's allocator ([`return_large_blocks`]), because both
//! need `unsafe`.
//! The module must hold no policy (the caller passes a [`Spec`]), must not print, and must know neither files nor
//! formats: it returns a record as its type, its misc bits and its bytes.
//!
//! Sources, in the Linux kernel: `include/uapi/linux/perf_event.h` and `kernel/events/core.c`.

mod clock;
mod error;
mod heap;
mod probe;
mod rings;
mod spec;
mod vdso;

pub use clock::monotonic_ns;
pub use error::Error;
pub use heap::return_large_blocks;
pub use probe::{Probe, TrialCounts, probe};
pub use rings::{DrainResult, MIN_RING_BYTES, Rings, open, open_shared};
pub use spec::{AttrFields, Source, Spec, Target, UserRegisters};
pub use vdso::vdso;
