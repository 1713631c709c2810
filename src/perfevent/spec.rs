//! The sampled event, the fields of each sample, and the kernel attribute (`perf_event_attr`) for both.

use std::fs::File;

use perf_event::events::{Hardware, Software};
use perf_event::{Builder, Clock, ReadFormat, SampleFlag};

/// The sampled event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// CPU cycles, counted by the PMU.
    Cycles,
    /// The kernel's per-CPU timer; available on every machine.
    CpuClock,
    /// Each time that a thread leaves its CPU. Happens in the kernel, so it needs the right to sample the kernel.
    ContextSwitches,
    /// Counts nothing: its records say when threads leave their CPU and come back.
    Dummy,
}

impl Source {
    /// The event's name in perf.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::CpuClock => "cpu-clock",
            Self::ContextSwitches => "context-switches",
            Self::Dummy => "dummy",
        }
    }
}

/// Bits of `sample_regs_user` on this architecture (`asm/perf_regs.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRegisters {
    /// Instruction pointer.
    pub ip: u8,
    /// Stack pointer.
    pub sp: u8,
    /// Frame pointer.
    pub bp: u8,
    /// The register that holds the running goroutine in Go code (abi-internal.md).
    pub goroutine: u8,
    /// The link register, if the architecture has one.
    pub link: Option<u8>,
}

impl UserRegisters {
    /// The registers of the architecture that goflame was compiled for.
    pub const HERE: Self = if cfg!(target_arch = "aarch64") {
        Self { ip: 32, sp: 31, bp: 29, goroutine: 28, link: Some(30) }
    } else {
        Self { ip: 8, sp: 7, bp: 6, goroutine: 22, link: None }
    };

    /// The value of `sample_regs_user` for all of these registers.
    pub fn mask(self) -> u64 {
        let bit = |number: u8| 1_u64 << number;
        bit(self.ip) | bit(self.sp) | bit(self.bp) | bit(self.goroutine) | self.link.map_or(0, bit)
    }
}

/// The event to open, and the options of its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of the kernel's attribute")]
pub struct Spec {
    /// The event.
    pub source: Source,
    /// Samples per second and CPU.
    pub frequency: u32,
    /// Whether kernel mode is sampled too.
    pub kernel: bool,
    /// Bytes of user stack copied with each sample; 0 for none.
    pub stack: u32,
    /// Whether mmap records hold the file's build id (Linux 5.12 and newer).
    pub build_ids: bool,
    /// Whether the event counts lost records (Linux 6.0 and newer).
    pub count_lost: bool,
    /// Whether each context switch of a sampled thread makes a record.
    pub switches: bool,
}

/// The tasks to sample. [`Rings::enable`] starts sampling if nothing else is said.
///
/// [`Rings::enable`]: super::Rings::enable
#[derive(Debug, Clone, Copy)]
pub enum Target<'g> {
    /// The calling thread, and the threads that it starts.
    CallingThread,
    /// A process that waits before it executes a program, and all threads and processes that it starts. Each of them has
    /// an event of its own, whose first sample comes after a whole period. The kernel starts sampling at the exec.
    BeforeExec(i32),
    /// All processes in a control group, whose directory this is. A CPU has one event for all of them, so that short lives
    /// add up to samples. Needs the right to sample whole CPUs.
    ControlGroup(&'g File),
    /// A thread that runs, and all threads and processes that it starts from now on. Each has an event of its own.
    RunningThread(i32),
    /// All threads of the machine. Needs the right to sample whole CPUs. Idle CPUs have no samples.
    WholeMachine,
}

/// The attribute of an opened event, as plain numbers for the header of a perf.data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttrFields {
    /// `type`.
    pub kind: u32,
    /// `config`.
    pub config: u64,
    /// `sample_freq`.
    pub frequency: u64,
    /// `sample_type`.
    pub sample_type: u64,
    /// `read_format`.
    pub read_format: u64,
    /// The bit field after `read_format`, from `disabled` (bit 0) on.
    pub flags: u64,
    /// `wakeup_watermark`.
    pub wakeup: u32,
    /// `sample_regs_user`.
    pub regs_user: u64,
    /// `sample_stack_user`.
    pub stack_user: u32,
    /// `clockid`.
    pub clock_id: i32,
}

impl Spec {
    /// The builder of one CPU's event on a target.
    pub(super) fn builder<'g>(&self, target: Target<'g>, cpu: u32, ring_bytes: usize) -> Builder<'g> {
        let mut builder = match self.source {
            Source::Cycles => Builder::new(Hardware::CPU_CYCLES),
            Source::CpuClock => Builder::new(Software::CPU_CLOCK),
            Source::ContextSwitches => Builder::new(Software::CONTEXT_SWITCHES),
            Source::Dummy => Builder::new(Software::DUMMY),
        };
        let has_frequency = self.has_frequency();
        let mut fields = SampleFlag::IDENTIFIER
            | SampleFlag::IP
            | SampleFlag::TID
            | SampleFlag::TIME
            | SampleFlag::CPU
            | SampleFlag::PERIOD
            | SampleFlag::CALLCHAIN
            | SampleFlag::REGS_USER;
        if self.stack > 0 {
            fields |= SampleFlag::STACK_USER;
            builder.sample_stack_user(self.stack);
        }
        match target {
            Target::CallingThread => builder.observe_self().inherit(true),
            Target::BeforeExec(pid) => builder.observe_pid(pid).inherit(true).enable_on_exec(true),
            Target::ControlGroup(directory) => builder.observe_cgroup(directory),
            Target::RunningThread(tid) => builder.observe_pid(tid).inherit(true),
            Target::WholeMachine => builder.any_pid().exclude_idle(true),
        };
        builder
            .one_cpu(usize::try_from(cpu).unwrap_or(usize::MAX))
            .sample(fields)
            .sample_regs_user(UserRegisters::HERE.mask())
            .exclude_kernel(!self.kernel && self.source != Source::ContextSwitches)
            .exclude_callchain_kernel(!self.kernel)
            .mmap(has_frequency)
            .mmap2(has_frequency)
            .build_id(has_frequency && self.build_ids)
            .comm(has_frequency)
            .comm_exec(has_frequency)
            .context_switch(self.switches)
            .task(has_frequency)
            .sample_id_all(true)
            .clockid(Clock::MONOTONIC)
            .read_format(if self.count_lost { ReadFormat::ID | ReadFormat::LOST } else { ReadFormat::ID })
            // Wake the reader when a quarter of the buffer is full: early enough to lose no records, and rarely enough to
            // cost little.
            .wakeup_watermark(ring_bytes / 4);
        if has_frequency {
            builder.sample_frequency(u64::from(self.frequency));
        } else {
            builder.sample_period(1);
        }
        builder
    }

    /// The event beside this one that reports when threads leave their CPU and come back, with this number of bytes of
    /// user stack. Mappings and names are reported by this event.
    #[must_use]
    pub fn of_switches(&self, source: Source, stack: u32) -> Self {
        Self { source, stack, switches: true, ..self.clone() }
    }

    /// Whether samples are taken at a frequency.
    fn has_frequency(&self) -> bool {
        matches!(self.source, Source::Cycles | Source::CpuClock)
    }

    /// The builder of an event that counts nothing: other events of this CPU write into its ring buffer. It is on the
    /// calling thread, so that it outlives the sampled ones.
    pub(super) fn shared_buffer(cpu: u32, ring_bytes: usize) -> Builder<'static> {
        let mut builder = Builder::new(Software::DUMMY);
        builder
            .observe_self()
            .one_cpu(usize::try_from(cpu).unwrap_or(usize::MAX))
            .clockid(Clock::MONOTONIC)
            .wakeup_watermark(ring_bytes / 4);
        builder
    }

    /// The attribute of [`Spec::builder`], for the header of a perf.data file.
    pub fn attr(&self, target: Target<'_>, ring_bytes: usize) -> AttrFields {
        let builder = self.builder(target, 0, ring_bytes);
        let attr = builder.attrs();
        AttrFields {
            kind: attr.type_,
            config: attr.config,
            frequency: if self.has_frequency() { u64::from(self.frequency) } else { 1 },
            sample_type: attr.sample_type,
            read_format: attr.read_format,
            flags: attr._bitfield_1.get(0, 64),
            wakeup: u32::try_from(ring_bytes / 4).unwrap_or(u32::MAX),
            regs_user: attr.sample_regs_user,
            stack_user: attr.sample_stack_user,
            clock_id: attr.clockid,
        }
    }
}
