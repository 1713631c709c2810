//! The sampled event, the fields of each sample, and the kernel attribute (`perf_event_attr`) that requests both.

use std::fs::File;

use perf_event::events::{Hardware, Software};
use perf_event::{Builder, Clock, ReadFormat, SampleFlag};

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// CPU cycles, counted by the PMU.
    Cycles,
    /// The kernel's per-CPU timer; available on every machine.
    CpuClock,
    /// Occurs each time that a thread leaves its CPU. Needs permission to sample the kernel, because it occurs there.
    ContextSwitches,
    /// Takes no samples. Its records tell when threads leave their CPU and come back.
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
    /// The register that holds the address of the running goroutine's descriptor in Go code (abi-internal.md).
    pub goroutine: u8,
    /// The link register, if the architecture has one.
    pub link: Option<u8>,
}

impl UserRegisters {
    /// The registers of the architecture that goflame was compiled for.
    pub const NATIVE: Self = if cfg!(target_arch = "aarch64") {
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
    /// Whether records of mappings contain the file's build id (Linux 5.12 and newer).
    pub build_ids: bool,
    /// Whether the event counts lost records (Linux 6.0 and newer).
    pub count_lost: bool,
    /// Whether each context switch of a sampled thread makes a record.
    pub switches: bool,
}

/// The tasks to sample. Sampling starts with [`Rings::enable`], except for [`Target::BeforeExec`].
///
/// [`Rings::enable`]: super::Rings::enable
#[derive(Debug, Clone, Copy)]
pub enum Target<'g> {
    /// The calling thread, and the threads that it starts.
    CallingThread,
    /// A process that has not yet executed its program, and all threads and processes that it starts. Each thread has its
    /// own event, which takes its first sample after a whole period. Sampling starts at the exec.
    BeforeExec(i32),
    /// All processes in the control group with this directory. Each CPU has one event for all of them, so threads that
    /// run for less than a period are sampled too. The timer of `cpu-clock` stands still while other tasks run, so it does
    /// not keep step with a program that sleeps in regular intervals. Needs permission to sample whole CPUs.
    ControlGroup(&'g File),
    /// A running thread, and all threads and processes that it starts from now on. Each thread has its own event.
    RunningThread(i32),
    /// All threads of the machine. Needs permission to sample whole CPUs. Idle CPUs have no samples, except of `cycles`.
    WholeMachine,
}

/// The attribute of an opened event, as plain numbers for the header of a perf.data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttrFields {
    /// The field `type` of `perf_event_attr`.
    pub kind: u32,
    /// The field `config` of `perf_event_attr`.
    pub config: u64,
    /// The field `sample_freq` of `perf_event_attr`. For an event without a frequency: the field `sample_period`.
    pub frequency: u64,
    /// The field `sample_type` of `perf_event_attr`.
    pub sample_type: u64,
    /// The field `read_format` of `perf_event_attr`.
    pub read_format: u64,
    /// The bit field after `read_format`, from `disabled` (bit 0) on.
    pub flags: u64,
    /// The field `wakeup_watermark` of `perf_event_attr`.
    pub wakeup: u32,
    /// The field `sample_regs_user` of `perf_event_attr`.
    pub regs_user: u64,
    /// The field `sample_stack_user` of `perf_event_attr`.
    pub stack_user: u32,
    /// The field `clockid` of `perf_event_attr`.
    pub clock_id: i32,
}

impl Spec {
    /// Builder of the event of a target on one CPU.
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
            // The PMU of arm64 refuses `exclude_idle`, and that of x86-64 ignores it.
            Target::WholeMachine => builder.any_pid().exclude_idle(self.source != Source::Cycles),
        };
        builder
            .one_cpu(usize::try_from(cpu).unwrap_or(usize::MAX))
            .sample(fields)
            .sample_regs_user(UserRegisters::NATIVE.mask())
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

    /// The additional event that reports when threads leave their CPU and come back. `stack` is the number of bytes of user
    /// stack to copy. The event of `self` still reports mappings and names.
    #[must_use]
    pub fn switch_spec(&self, source: Source, stack: u32) -> Self {
        Self { source, stack, switches: true, ..self.clone() }
    }

    /// Whether the event is sampled at a frequency, not each time that it occurs.
    fn has_frequency(&self) -> bool {
        matches!(self.source, Source::Cycles | Source::CpuClock)
    }

    /// Builder of an event that counts nothing. Other events of this CPU write into its ring buffer. It belongs to the
    /// calling thread, so it outlives the events of sampled threads.
    pub(super) fn shared_buffer_builder(cpu: u32, ring_bytes: usize) -> Builder<'static> {
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
