//! The interface to the kernel, built on the crate `perf-event2`: opens, maps and drains perf events.
//!
//! There is one event for each CPU. It follows the target and its children (`inherit`), or all processes of a control
//! group. For threads that run already, there is one for each thread and CPU; those of a CPU share a ring buffer. The kernel
//! refuses to map an inherited event that is not bound to a CPU.
//!
//! The process's own [`vdso`] is read and glibc's allocator is set up ([`return_large_blocks`]) here too, because both
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
pub use rings::{Drained, MIN_RING_BYTES, Rings, open, open_shared};
pub use spec::{AttrFields, Source, Spec, Target, UserRegisters};
pub use vdso::vdso;
