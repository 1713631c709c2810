//! Numbers of the kernel's perf ABI (`include/uapi/linux/perf_event.h`) and of perf's file format
//! (`tools/perf/util/header.h`, `tools/lib/perf/include/perf/event.h`). Constants only.

/// Size of a record's header in bytes: type, misc, size (`struct perf_event_header`).
pub const RECORD_HEADER: usize = 8;

/// `PERF_SAMPLE_*`: which fields a sample has.
pub mod sample_type {
    /// Instruction pointer.
    pub const IP: u64 = 1 << 0;
    /// Process and thread id.
    pub const TID: u64 = 1 << 1;
    /// Time in nanoseconds of the event's clock.
    pub const TIME: u64 = 1 << 2;
    /// Data address.
    pub const ADDR: u64 = 1 << 3;
    /// Counter values.
    pub const READ: u64 = 1 << 4;
    /// Callchain, leaf first.
    pub const CALLCHAIN: u64 = 1 << 5;
    /// Event id.
    pub const ID: u64 = 1 << 6;
    /// CPU number.
    pub const CPU: u64 = 1 << 7;
    /// Number of events that the sample represents.
    pub const PERIOD: u64 = 1 << 8;
    /// Id of the event's instance.
    pub const STREAM_ID: u64 = 1 << 9;
    /// Opaque bytes of a tracepoint.
    pub const RAW: u64 = 1 << 10;
    /// Last branches.
    pub const BRANCH_STACK: u64 = 1 << 11;
    /// User registers.
    pub const REGS_USER: u64 = 1 << 12;
    /// A copy of the top of the user stack.
    pub const STACK_USER: u64 = 1 << 13;
    /// Event id at a fixed position: first in a sample, last in every other record.
    pub const IDENTIFIER: u64 = 1 << 16;
}

/// `PERF_FORMAT_*`: the layout of counter values.
pub mod read_format {
    /// Time that the event was enabled, in nanoseconds.
    pub const TOTAL_TIME_ENABLED: u64 = 1 << 0;
    /// Time that the event was counted, in nanoseconds.
    pub const TOTAL_TIME_RUNNING: u64 = 1 << 1;
    /// Each value is followed by the event's id.
    pub const ID: u64 = 1 << 2;
    /// Values of the whole group.
    pub const GROUP: u64 = 1 << 3;
    /// Each value is followed by the number of lost samples.
    pub const LOST: u64 = 1 << 4;
}

/// `PERF_SAMPLE_BRANCH_*` bits that change the layout of a branch stack.
pub mod branch {
    /// The entries are preceded by a hardware index.
    pub const HW_INDEX: u64 = 1 << 17;
    /// The entries are followed by one word of counters per entry.
    pub const COUNTERS: u64 = 1 << 19;
}

/// Bit fields of `perf_event_attr`, as bits of [`Attr::flags`](super::Attr::flags).
pub mod flag {
    /// New threads and child processes inherit the event.
    pub const INHERIT: u64 = 1 << 1;
    /// Kernel mode is not counted.
    pub const EXCLUDE_KERNEL: u64 = 1 << 5;
    /// MMAP records are written.
    pub const MMAP: u64 = 1 << 8;
    /// COMM records are written.
    pub const COMM: u64 = 1 << 9;
    /// `sample_period_or_freq` is a frequency.
    pub const FREQ: u64 = 1 << 10;
    /// FORK and EXIT records are written.
    pub const TASK: u64 = 1 << 13;
    /// Every record that the kernel writes ends with a sample id, except samples.
    pub const SAMPLE_ID_ALL: u64 = 1 << 18;
    /// MMAP2 records are written instead of MMAP.
    pub const MMAP2: u64 = 1 << 23;
    /// COMM records of an exec are marked.
    pub const COMM_EXEC: u64 = 1 << 24;
    /// The time is from the clock `clockid`.
    pub const USE_CLOCKID: u64 = 1 << 25;
    /// SWITCH records are written.
    pub const CONTEXT_SWITCH: u64 = 1 << 26;
}

/// `PERF_TYPE_*`: kinds of event.
pub mod event_type {
    /// Generic hardware events.
    pub const HARDWARE: u32 = 0;
    /// Kernel software events, for example `cpu-clock`.
    pub const SOFTWARE: u32 = 1;
}

/// Record types. Types below 64 are written by the kernel, types from 64 on by perf.
pub mod record_type {
    /// A file or region was mapped.
    pub const MMAP: u32 = 1;
    /// The kernel dropped records, because the ring buffer was full.
    pub const LOST: u32 = 2;
    /// A thread got a name.
    pub const COMM: u32 = 3;
    /// A thread ended.
    pub const EXIT: u32 = 4;
    /// The kernel stopped sampling because it took too long.
    pub const THROTTLE: u32 = 5;
    /// The kernel resumed sampling.
    pub const UNTHROTTLE: u32 = 6;
    /// A thread began.
    pub const FORK: u32 = 7;
    /// A sample.
    pub const SAMPLE: u32 = 9;
    /// A mapping with its inode or build id.
    pub const MMAP2: u32 = 10;
    /// Samples that the hardware or the kernel dropped.
    pub const LOST_SAMPLES: u32 = 13;
    /// A context switch.
    pub const SWITCH: u32 = 14;
    /// A context switch with the ids of the other thread.
    pub const SWITCH_CPU_WIDE: u32 = 15;
    /// The kernel registered or unregistered code at run time.
    pub const KSYMBOL: u32 = 17;

    /// The first type that perf writes itself.
    pub const USER_TYPE_START: u32 = 64;
    /// Pipe mode: an attribute and its ids.
    pub const HEADER_ATTR: u32 = 64;
    /// Formats of tracepoints. Their bytes follow the record.
    pub const HEADER_TRACING_DATA: u32 = 66;
    /// Pipe mode: a build id.
    pub const HEADER_BUILD_ID: u32 = 67;
    /// Mark: every ring buffer was read once since the last mark. No record after the next mark is older than the
    /// records before this mark.
    pub const FINISHED_ROUND: u32 = 68;
    /// Hardware trace. Its bytes follow the record.
    pub const AUXTRACE: u32 = 71;
    /// Name, unit or scale of an event.
    pub const EVENT_UPDATE: u32 = 78;
    /// Pipe mode: a feature section.
    pub const HEADER_FEATURE: u32 = 80;
    /// Zstandard-compressed records.
    pub const COMPRESSED: u32 = 81;
    /// Zstandard-compressed records, padded (perf 6.16 and later).
    pub const COMPRESSED2: u32 = 83;
}

/// `PERF_RECORD_MISC_*`: bits of `misc` in a record's header. The meaning of some bits depends on the record type.
pub mod misc {
    /// The CPU mode: see [`CpuMode`](super::super::CpuMode).
    pub const CPUMODE_MASK: u16 = 7;
    /// Value of the bits [`CPUMODE_MASK`]: kernel.
    pub const KERNEL: u16 = 1;
    /// Value of the bits [`CPUMODE_MASK`]: user space.
    pub const USER: u16 = 2;
    /// MMAP: not executable.
    pub const MMAP_DATA: u16 = 1 << 13;
    /// COMM: the name changed because of an exec.
    pub const COMM_EXEC: u16 = 1 << 13;
    /// SWITCH: the thread left the CPU.
    pub const SWITCH_OUT: u16 = 1 << 13;
    /// SWITCH: the thread left the CPU although it could run.
    pub const SWITCH_OUT_PREEMPT: u16 = 1 << 14;
    /// MMAP2: the record has a build id instead of the inode.
    pub const MMAP_BUILD_ID: u16 = 1 << 14;
    /// Build id event: the event contains the length of the build id.
    pub const BUILD_ID_SIZE: u16 = 1 << 15;
}

/// `PERF_CONTEXT_*`: markers inside a callchain. A marker says whether the addresses after it are in the kernel or in
/// user space. Guests and hypervisors have markers too, but [`MAX`](context::MAX) is enough to recognise these.
pub mod context {
    /// The addresses after this marker are in the kernel.
    pub const KERNEL: u64 = 0_u64.wrapping_sub(128);
    /// The addresses after this marker are in user space.
    pub const USER: u64 = 0_u64.wrapping_sub(512);
    /// The lowest marker (`PERF_CONTEXT_MAX`). Every address is below it.
    pub const MAX: u64 = 0_u64.wrapping_sub(4095);
}

/// `HEADER_*`: feature sections.
pub mod feature {
    /// Build ids of the files that were mapped.
    pub const BUILD_ID: u32 = 2;
    /// `uname -n`.
    pub const HOSTNAME: u32 = 3;
    /// `uname -r`.
    pub const OS_RELEASE: u32 = 4;
    /// Version of the recording program.
    pub const VERSION: u32 = 5;
    /// `uname -m`.
    pub const ARCH: u32 = 6;
    /// Number of CPUs.
    pub const NR_CPUS: u32 = 7;
    /// Model name of the CPU.
    pub const CPU_DESC: u32 = 8;
    /// Command line of the recording program.
    pub const CMDLINE: u32 = 11;
    /// The records are compressed.
    pub const COMPRESSED: u32 = 27;
    /// Names of the events.
    pub const EVENT_DESC: u32 = 12;
    /// Time of the first and last sample.
    pub const SAMPLE_TIME: u32 = 21;
    /// The same moment on the event's clock and on the wall clock.
    pub const CLOCK_DATA: u32 = 29;
    /// Feature of goflame: see [`Repairs`](super::super::Repairs). perf has 256 feature bits and skips unknown ones.
    pub const GOFLAME_REPAIRS: u32 = 255;
}
