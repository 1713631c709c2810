//! What a record says, as plain values that borrow from the file. The writer takes the same types.

use super::abi::{misc, sample_type};
use super::attr::Attr;
use super::sample::Sample;
use crate::bytes::Cursor;

/// A record of the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it starts, in bytes from the start of the file.
    pub offset: u64,
    /// Nanoseconds of the event's clock. 0 in records that the recording program made up; `None` when the
    /// event does not record time.
    pub time: Option<u64>,
    /// The CPU it was written on.
    pub cpu: Option<u32>,
    /// The header's bits as they stand in the file: see [`misc`].
    pub misc: u16,
    /// What happened.
    pub kind: RecordKind<'a>,
}

/// What happened. Process and thread ids are those of the recorder's PID namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind<'a> {
    /// A sample.
    Sample(Sample<'a>),
    /// A file or region was mapped (MMAP or MMAP2).
    Mmap(Mmap<'a>),
    /// A thread has this name from now on.
    Comm {
        /// Process.
        pid: i32,
        /// Thread.
        tid: i32,
        /// By an exec: earlier mappings of the process are gone.
        exec: bool,
        /// At most 15 bytes, without the NUL.
        name: &'a [u8],
    },
    /// A thread or process began.
    Fork(Task),
    /// A thread or process ended.
    Exit(Task),
    /// The ring was full.
    Lost {
        /// Event id.
        id: u64,
        /// Records lost since the last such record.
        lost: u64,
    },
    /// Samples that the hardware or the kernel dropped.
    LostSamples {
        /// How many.
        lost: u64,
    },
    /// The kernel stopped sampling because it took too long: a gap follows.
    Throttle {
        /// Event id.
        id: u64,
    },
    /// The gap ends.
    Unthrottle {
        /// Event id.
        id: u64,
    },
    /// A context switch of the thread in the sample id.
    Switch {
        /// It left the CPU; `false`: it came.
        out: bool,
        /// It left although it could have gone on.
        preempted: bool,
        /// Process and thread that came next (out) or were there before (in), when CPU-wide.
        other: Option<(i32, i32)>,
    },
    /// The kernel got code at run time: a BPF program or a trampoline. (That it lost it again is
    /// [`RecordKind::Other`].)
    KernelCode {
        /// First address.
        start: u64,
        /// Length in bytes.
        len: u32,
        /// A BPF program; else a trampoline of ftrace or kprobes.
        bpf: bool,
        /// Its name, without the NUL.
        name: &'a [u8],
    },
    /// A record that goflame has no use for.
    Other {
        /// Its type.
        kind: u32,
    },
}

/// A mapping of a process, or of the kernel when `pid` is -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mmap<'a> {
    /// Process; -1 for the kernel and its modules.
    pub pid: i32,
    /// Thread that mapped it.
    pub tid: i32,
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// Offset in the file, in bytes. Of the kernel's own map: the address of the symbol that its name ends in.
    pub pgoff: u64,
    /// Path as the process saw it, `[vdso]`, `//anon` or such, without the NUL.
    pub path: &'a [u8],
    /// Code may run there.
    pub executable: bool,
    /// GNU build id, 1 to 20 bytes.
    pub build_id: Option<&'a [u8]>,
    /// The file, when the record names it and not its build id.
    pub inode: Option<Inode>,
}

/// A file's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inode {
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// Inode number.
    pub inode: u64,
    /// Tells reused inode numbers apart.
    pub generation: u64,
}

/// The parties of a fork or exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Task {
    /// Process.
    pub pid: i32,
    /// Parent process.
    pub ppid: i32,
    /// Thread.
    pub tid: i32,
    /// Parent thread.
    pub ptid: i32,
    /// Nanoseconds of the event's clock.
    pub time: u64,
}

/// Which side of the machine ran, from the header's `misc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CpuMode {
    /// Not told, or a number that this program does not know.
    #[default]
    Unknown,
    /// Kernel.
    Kernel,
    /// User.
    User,
    /// Hypervisor.
    Hypervisor,
    /// Kernel of a guest.
    GuestKernel,
    /// User space of a guest.
    GuestUser,
}

impl CpuMode {
    /// Reads it from a header's `misc`.
    pub fn from_misc(bits: u16) -> Self {
        match bits & misc::CPUMODE_MASK {
            1 => Self::Kernel,
            2 => Self::User,
            3 => Self::Hypervisor,
            4 => Self::GuestKernel,
            5 => Self::GuestUser,
            _ => Self::Unknown,
        }
    }

    /// The bits of a header's `misc`.
    pub fn to_misc(self) -> u16 {
        match self {
            Self::Unknown => 0,
            Self::Kernel => 1,
            Self::User => 2,
            Self::Hypervisor => 3,
            Self::GuestKernel => 4,
            Self::GuestUser => 5,
        }
    }
}

/// Who, when and where, at the end of every record that is no sample (`struct sample_id`). All 0, its
/// default, is what perf writes into records that it makes up: perf and this crate's reader put them first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SampleId {
    /// Process.
    pub pid: i32,
    /// Thread.
    pub tid: i32,
    /// Nanoseconds of the event's clock.
    pub time: u64,
    /// Event id.
    pub id: u64,
    /// Id of the event's instance.
    pub stream_id: u64,
    /// CPU.
    pub cpu: u32,
}

impl SampleId {
    /// Appends the fields that `attr` asks for; nothing without `sample_id_all`.
    pub(super) fn encode(&self, attr: &Attr, out: &mut Vec<u8>) {
        if !attr.sample_id_all() {
            return;
        }
        if attr.samples(sample_type::TID) {
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
            if attr.samples(bit) {
                out.extend(word.to_le_bytes());
            }
        }
    }

    /// Time and CPU of a sample id's bytes.
    pub(super) fn time_and_cpu(attr: &Attr, bytes: &[u8]) -> Option<(Option<u64>, Option<u32>)> {
        let mut cursor = Cursor::new(bytes);
        let (mut time, mut cpu) = (None, None);
        if attr.samples(sample_type::TID) {
            cursor.u64()?;
        }
        if attr.samples(sample_type::TIME) {
            time = Some(cursor.u64()?);
        }
        for bit in [sample_type::ID, sample_type::STREAM_ID] {
            if attr.samples(bit) {
                cursor.u64()?;
            }
        }
        if attr.samples(sample_type::CPU) {
            cpu = Some(cursor.u32()?);
        }
        Some((time, cpu))
    }
}
