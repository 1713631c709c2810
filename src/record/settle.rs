//! Finds the event that the kernel permits for the requested settings, by trying, before anything is built or launched.

use super::plan::{EventWish, KernelWish, WISHED_RING_BYTES};
use super::{Error, RecordPlan};
use crate::perfevent::{self, Source, Spec, probe};

/// The event to sample, and the requested features that are unavailable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The event.
    pub spec: Spec,
    /// Bytes of ring buffer per CPU.
    pub ring_bytes: usize,
    /// Whether the ring buffers are smaller than requested because of the limit of locked memory.
    pub ring_shrunk: bool,
    /// Whether `cycles` was requested but the machine does not have it.
    pub no_pmu: bool,
    /// Whether kernel mode was requested but is forbidden.
    pub kernel_forbidden: bool,
}

/// Tries the events on goflame itself, from the best to the simplest.
pub fn settle(
    event: EventWish,
    kernel: KernelWish,
    frequency: u32,
    stack: u32,
    cpus: &[u32],
) -> Result<Settled, perfevent::Error> {
    let sources: &[Source] = match event {
        EventWish::Auto => &[Source::Cycles, Source::CpuClock],
        EventWish::Exactly(Source::Cycles) => &[Source::Cycles],
        EventWish::Exactly(Source::CpuClock) => &[Source::CpuClock],
    };
    let kernels: &[bool] = match kernel {
        KernelWish::Auto => &[true, false],
        KernelWish::Yes => &[true],
        KernelWish::No => &[false],
    };
    let mut refused = None;
    for &source in sources {
        for &kernel_mode in kernels {
            // Drop features that older kernels lack first: counts of lost samples (before 6.0), build ids (before
            // 5.12).
            let mut spec = Spec {
                source,
                frequency,
                kernel: kernel_mode,
                stack,
                build_ids: true,
                count_lost: true,
                switches: false,
            };
            let mut granted = probe(&spec, cpus, WISHED_RING_BYTES);
            for build_ids in [true, false] {
                if granted.as_ref().is_err_and(perfevent::Error::is_unknown_attribute) {
                    (spec.build_ids, spec.count_lost) = (build_ids, false);
                    granted = probe(&spec, cpus, WISHED_RING_BYTES);
                }
            }
            match granted {
                Ok(granted) => {
                    return Ok(Settled {
                        no_pmu: event == EventWish::Auto && source == Source::CpuClock,
                        kernel_forbidden: kernel == KernelWish::Auto && !kernel_mode,
                        ring_bytes: granted.ring_bytes,
                        ring_shrunk: granted.ring_bytes < WISHED_RING_BYTES,
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

impl Settled {
    /// Returns why the event is not the preferred one. The profile is simpler but equally reliable.
    pub fn remark(&self) -> Option<String> {
        let instead = self.spec.source.name();
        self.no_pmu.then(|| format!("this machine has no usable cycle counter: sampling {instead} instead"))
    }

    /// Returns the features that the profile will lack, one sentence each.
    pub fn losses(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.kernel_forbidden {
            notes.push(
                "the kernel permits user-space samples only: kernel time is missing from this profile \
                 (kernel.perf_event_paranoid must be 1 or less, or CAP_PERFMON is needed)"
                    .into(),
            );
        }
        if self.ring_shrunk {
            notes.push(format!(
                "ring buffers shrunk to {} KiB per CPU to fit the budget of locked memory \
                 (kernel.perf_event_mlock_kb and `ulimit -l`)",
                self.ring_bytes / 1024
            ));
        }
        notes
    }
}

impl RecordPlan {
    /// The program's name for error messages.
    pub(super) fn program(&self) -> String {
        self.argv.first().map_or_else(String::new, |argv0| argv0.to_string_lossy().into_owned())
    }
}

impl From<perfevent::Error> for Error {
    fn from(source: perfevent::Error) -> Self {
        Self::Event(source)
    }
}
