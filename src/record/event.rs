//! Finds the event that the kernel permits for the requested settings. Events are tried before anything is built or
//! launched.

use crate::config::{EventChoice, Kernel};
use crate::perfdata::{Attr, Event};
use crate::perfevent::{self, AttrFields, MIN_RING_BYTES, Rings, Source, Spec, Target, probe};

/// Requested bytes of ring buffer per CPU, if the limit of locked memory allows it.
pub(super) const REQUESTED_RING_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of ring buffer per CPU: the minimum that works, and the requested size.
pub const RING_SIZES: (usize, usize) = (MIN_RING_BYTES, REQUESTED_RING_BYTES);

/// The event to sample, and the requested features that are unavailable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenEvent {
    /// The event to sample.
    pub spec: Spec,
    /// Bytes of ring buffer per CPU.
    pub ring_bytes: usize,
    /// Whether the ring buffers are smaller than requested because of the limit of locked memory.
    pub ring_shrunk: bool,
    /// Whether the event was to be chosen automatically, and `cycles` could not be used.
    pub lacks_cycles: bool,
    /// Whether kernel mode was to be sampled if permitted (`auto`), and is forbidden.
    pub kernel_forbidden: bool,
}

/// Tries the events on goflame itself, from the best to the simplest.
pub fn choose_event(
    event: EventChoice,
    kernel: Kernel,
    frequency: u32,
    stack: u32,
    cpus: &[u32],
) -> Result<ChosenEvent, perfevent::Error> {
    let sources: &[Source] = match event {
        EventChoice::Auto => &[Source::Cycles, Source::CpuClock],
        EventChoice::Cycles => &[Source::Cycles],
        EventChoice::CpuClock => &[Source::CpuClock],
    };
    let kernels: &[bool] = match kernel {
        Kernel::Auto => &[true, false],
        Kernel::Yes => &[true],
        Kernel::No => &[false],
    };
    let mut refused = None;
    for &source in sources {
        for &kernel_mode in kernels {
            // If the kernel rejects the attribute, drop the features that old kernels lack, the newest first: counts of
            // lost samples (before 6.0), then build ids (before 5.12).
            let mut spec = Spec {
                source,
                frequency,
                kernel: kernel_mode,
                stack,
                build_ids: true,
                count_lost: true,
                switches: false,
            };
            let mut granted = probe(&spec, cpus, REQUESTED_RING_BYTES);
            for build_ids in [true, false] {
                if granted.as_ref().is_err_and(perfevent::Error::is_unknown_attribute) {
                    (spec.build_ids, spec.count_lost) = (build_ids, false);
                    granted = probe(&spec, cpus, REQUESTED_RING_BYTES);
                }
            }
            match granted {
                Ok(granted) => {
                    return Ok(ChosenEvent {
                        lacks_cycles: event == EventChoice::Auto && source == Source::CpuClock,
                        kernel_forbidden: kernel == Kernel::Auto && !kernel_mode,
                        ring_bytes: granted.ring_bytes,
                        ring_shrunk: granted.ring_bytes < REQUESTED_RING_BYTES,
                        spec,
                    });
                }
                Err(error) if error.is_denied() || error.is_absent_event() => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
    }
    Err(refused.unwrap_or(perfevent::Error::NoCpu))
}

/// A difference between the requested and the chosen event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limitation {
    /// Kernel mode is not sampled.
    #[error(
        "the kernel permits user-space samples only: kernel time is missing from this profile \
         (kernel.perf_event_paranoid must be 1 or less, or CAP_PERFMON is needed)"
    )]
    UserSpaceOnly,
    /// The ring buffers are smaller than requested. Contains their bytes per CPU.
    #[error(
        "ring buffers shrunk to {} KiB per CPU to fit the budget of locked memory \
         (kernel.perf_event_mlock_kb and `ulimit -l`)",
        .0 / 1024
    )]
    SmallRings(usize),
    /// This event replaces `cycles`. The profile is simpler but equally reliable.
    #[error("this machine has no usable cycle counter: sampling {} instead", .0.name())]
    NoCycleCounter(Source),
}

impl ChosenEvent {
    /// Returns the differences from the requested event.
    pub fn limitations(&self) -> Vec<Limitation> {
        let user_space = self.kernel_forbidden.then_some(Limitation::UserSpaceOnly);
        let rings = self.ring_shrunk.then_some(Limitation::SmallRings(self.ring_bytes));
        let clock = self.lacks_cycles.then_some(Limitation::NoCycleCounter(self.spec.source));
        [user_space, rings, clock].into_iter().flatten().collect()
    }

    /// Returns the event's name in perf's notation.
    pub(super) fn name(&self) -> String {
        event_name(&self.spec)
    }
}

/// Describes the opened event for the header of the file.
pub(super) fn file_event(spec: &Spec, target: Target<'_>, rings: &Rings) -> Event {
    Event { name: event_name(spec), attr: file_attr(&spec.attr(target, rings.ring_bytes())), ids: rings.ids() }
}

/// Returns the event name in perf's notation: with `:u` if only user mode is sampled.
pub(super) fn event_name(spec: &Spec) -> String {
    let name = spec.source.name();
    if spec.kernel { name.to_owned() } else { format!("{name}:u") }
}

/// Converts an attribute of the kernel to the form in the file.
pub(super) fn file_attr(fields: &AttrFields) -> Attr {
    Attr {
        kind: fields.kind,
        config: fields.config,
        sample_period_or_freq: fields.frequency,
        sample_type: fields.sample_type,
        read_format: fields.read_format,
        flags: fields.flags,
        wakeup: fields.wakeup,
        sample_regs_user: fields.regs_user,
        sample_stack_user: fields.stack_user,
        clockid: fields.clock_id,
        ..Attr::default()
    }
}
