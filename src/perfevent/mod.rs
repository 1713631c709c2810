//! The kernel border: perf events are opened, mapped and drained here, on `perf-event2`.
//!
//! One event per CPU follows the target and everything that it starts (`inherit`), because the kernel
//! refuses to map an inherited event that is not bound to a CPU. Since this is the one place for `unsafe`, files are
//! mapped here too ([`MappedFile`]), SIGBUS is handled ([`on_cut_short`]) and the process's own [`vdso`] is read. Must hold
//! no policy (what to sample is in [`Spec`]), must not print, and must not know formats: a record leaves as its type, its
//! misc bits and its bytes.
//!
//! Facts are from `include/uapi/linux/perf_event.h` and `kernel/events/core.c` of Linux.

mod cut_short;
mod error;
mod mapped;
mod probe;
mod rings;
mod spec;
mod vdso;

pub use cut_short::{advise_when_cut_short, on_cut_short};
pub use error::Error;
pub use mapped::MappedFile;
pub use probe::{Arrived, Probe, probe};
pub use rings::{Drained, Rings, SMALLEST_RING, open};
pub use spec::{AttrFields, Source, Spec, UserRegisters};
pub use vdso::vdso;
