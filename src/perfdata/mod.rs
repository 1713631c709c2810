//! Writes and reads `perf.data` files: [`Writer`] writes the recordings of goflame's own sampler. [`PerfData`] reads
//! all recordings, those of goflame and those of `perf record`.
//!
//! Must not know symbols or `/proc`, and must not open files: the writer gets a `Write + Seek`, the reader a `&[u8]`.
//! The bytes can be hostile: no input makes this code panic. The reader needs at most a small multiple of the file's
//! size as memory (the index has 16 bytes per record). In the file, only the records of one CPU are in the order of
//! time.
//!
//! ```text
//! PERFILE2 header ─ ids ─ attrs ─ records (of the kernel and of perf) ─ feature table ─ features
//! ```
//!
//! Sources: `tools/perf/Documentation/perf.data-file-format.txt` and `tools/perf/util/header.c` for the
//! file, `include/uapi/linux/perf_event.h` for attributes and records,
//! `tools/lib/perf/include/perf/event.h` for the records that perf adds itself.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

pub mod abi;
mod attr;
mod compress;
mod cpu_mode;
mod decode;
mod error;
mod feature;
mod gperftools;
mod index;
mod layout;
mod reader;
mod record;
mod repairs;
mod sample;
mod scan;
mod unpack;
mod waits;
mod writer;

pub use attr::{Attr, Event};
pub use cpu_mode::CpuMode;
pub use decode::decode_mapping;
pub use error::{Error, Unsupported};
pub use feature::{BuildId, ClockData, CpuCount, Features};
pub use gperftools::from_gperftools;
pub use layout::decode_time;
pub use reader::{PerfData, Records, mask_cmdline};
pub use record::{Inode, Mmap, Record, RecordKind, SampleId, TaskEvent};
pub use repairs::{KnownGoroutine, Repairs, Rewriting, SampleFacts};
pub use sample::{Callchain, RawAddress, Sample, UserRegs, decode_sample};
pub use unpack::{MAX_COMPRESSED_BYTES, unpack};
pub use waits::{WaitFigures, write_waits};
pub use writer::Writer;

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, and build their bytes by hand"
)]
mod tests;
