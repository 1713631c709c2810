//! Records as plain values that borrow from the file. The writer takes the same types.

use serde::{Deserialize, Serialize};

use super::abi::sample_type;
use super::attr::Attr;
use super::sample::Sample;
use crate::bytes::Cursor;

/// A record that the kernel wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset of the record in the file, in bytes.
    pub offset: u64,
    /// Time in nanoseconds of the event's clock. 0 in records that the recording program made itself. `None` if the
    /// event does not record time.
    pub time: Option<u64>,
    /// The CPU on which the record was written. `None` if the event does not record the CPU.
    pub cpu: Option<u32>,
    /// The bits of the header, unchanged: see [`misc`](super::abi::misc).
    pub misc: u16,
    /// Type and content.
    pub kind: RecordKind<'a>,
}

/// Type and content of a record. Process and thread ids belong to the recorder's PID namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind<'a> {
    /// A sample.
    Sample(Sample<'a>),
    /// A file or region was mapped (MMAP or MMAP2).
    Mmap(Mmap<'a>),
    /// A thread has this name from now on.
    Comm {
        /// Process id.
        pid: i32,
        /// Thread id.
        tid: i32,
        /// Whether the name changed because of an exec, which removed the earlier mappings of the process.
        exec: bool,
        /// At most 15 bytes, without the NUL.
        name: &'a [u8],
    },
    /// A thread or process began.
    Fork(TaskEvent),
    /// A thread or process ended.
    Exit(TaskEvent),
    /// The kernel dropped records, because the ring buffer was full.
    Lost {
        /// Event id.
        id: u64,
        /// Number of records lost since the last LOST record.
        lost: u64,
    },
    /// Samples that the hardware or the kernel dropped.
    LostSamples {
        /// Number of samples.
        lost: u64,
    },
    /// The kernel stopped sampling because it took too long. No samples follow until [`RecordKind::Unthrottle`].
    Throttle {
        /// Event id.
        id: u64,
    },
    /// The kernel resumed sampling.
    Unthrottle {
        /// Event id.
        id: u64,
    },
    /// A context switch.
    Switch {
        /// Id of the thread, if the event records it.
        tid: Option<i32>,
        /// `true` if the thread left the CPU, `false` if it came to the CPU.
        out: bool,
        /// Whether the thread left the CPU although it could run.
        preempted: bool,
        /// Process id and thread id of the other thread: the next thread on the CPU if `out`, else the previous one.
        /// Only for CPU-wide events.
        other: Option<(i32, i32)>,
    },
    /// The kernel registered code at run time: a BPF program or a trampoline. The record of its removal is
    /// [`RecordKind::Other`].
    KernelCode {
        /// First address.
        start: u64,
        /// Length in bytes.
        len: u32,
        /// `true`: a BPF program; `false`: a trampoline of ftrace or kprobes.
        bpf: bool,
        /// Name, without the NUL.
        name: &'a [u8],
    },
    /// A record that goflame does not use.
    Other {
        /// Record type.
        kind: u32,
    },
}

/// A mapping of a process, or of the kernel when `pid` is -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mmap<'a> {
    /// Process; -1 for the kernel and its modules.
    pub pid: i32,
    /// Thread that made the mapping.
    pub tid: i32,
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// Offset in the file, in bytes. In the mapping of the kernel: the address of the symbol at the end of `path`
    /// (`[kernel.kallsyms]_text`).
    pub pgoff: u64,
    /// Path as the process saw it, or a name like `[vdso]` or `//anon`, without the NUL.
    pub path: &'a [u8],
    /// Whether code in the mapping can be executed.
    pub is_executable: bool,
    /// GNU build id, 1 to 20 bytes.
    pub build_id: Option<&'a [u8]>,
    /// Identity of the file; only in an MMAP2 record without a build id.
    pub inode: Option<Inode>,
}

/// Identity of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Inode {
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// Inode number.
    pub inode: u64,
    /// Generation of the inode. Distinguishes files that used the same inode number at different times.
    pub generation: u64,
}

/// The content of a FORK or EXIT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskEvent {
    /// Process id.
    pub pid: i32,
    /// Id of the parent process.
    pub ppid: i32,
    /// Thread id.
    pub tid: i32,
    /// Id of the parent thread.
    pub ptid: i32,
    /// Time in nanoseconds of the event's clock.
    pub time: u64,
}

/// Task, time and CPU at the end of every record other than a sample (`struct sample_id`). The default has only zeros,
/// as in records that perf makes itself. [`PerfData::records`](super::PerfData::records) returns records with the time
/// 0 first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SampleId {
    /// Process id.
    pub pid: i32,
    /// Thread id.
    pub tid: i32,
    /// Time in nanoseconds of the event's clock.
    pub time: u64,
    /// Event id.
    pub id: u64,
    /// Id of the event's instance.
    pub stream_id: u64,
    /// CPU.
    pub cpu: u32,
}

impl SampleId {
    /// Appends the fields that are set in `attr`. Appends nothing without `sample_id_all`.
    pub(super) fn encode(&self, attr: &Attr, out: &mut Vec<u8>) {
        if !attr.sample_id_all() {
            return;
        }
        if attr.has(sample_type::TID) {
            out.extend(self.pid.to_le_bytes());
            out.extend(self.tid.to_le_bytes());
        }
        for (bit, word) in [
            (sample_type::TIME, self.time),
            (sample_type::ID, self.id),
            (sample_type::STREAM_ID, self.stream_id),
            (sample_type::CPU, u64::from(self.cpu)),
            (sample_type::IDENTIFIER, self.id),
        ] {
            if attr.has(bit) {
                out.extend(word.to_le_bytes());
            }
        }
    }

    /// Reads the thread, the time and the CPU from the bytes of a sample id.
    pub(super) fn thread_time_and_cpu(attr: &Attr, bytes: &[u8]) -> Option<(Option<i32>, Option<u64>, Option<u32>)> {
        let mut cursor = Cursor::new(bytes);
        let (mut tid, mut time, mut cpu) = (None, None, None);
        if attr.has(sample_type::TID) {
            cursor.i32()?;
            tid = Some(cursor.i32()?);
        }
        if attr.has(sample_type::TIME) {
            time = Some(cursor.u64()?);
        }
        for bit in [sample_type::ID, sample_type::STREAM_ID] {
            if attr.has(bit) {
                cursor.u64()?;
            }
        }
        if attr.has(sample_type::CPU) {
            cpu = Some(cursor.u32()?);
        }
        Some((tid, time, cpu))
    }
}
