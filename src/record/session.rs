//! A running recording.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::error::Error;
use super::plan::{Sampler, SamplingPlan};
use super::recording::Recording;
use super::running_target::RunningTarget;
use super::sampler::NativeSampler;
use super::target_error::TargetError;
use super::tasks::OpenedEvent;
use crate::perfevent::Rings;
use crate::process::ProcessStat;
use crate::workload::{Monitor, WaitingProgram};

/// Receives the state of a recording, to show it while it runs.
pub trait SamplingProgress {
    /// Called many times during a recording.
    fn show_sampling(&self, state: SamplingState);
}

/// State of a running recording.
#[derive(Debug, Clone, Copy)]
pub struct SamplingState {
    /// Time since the start of the program.
    pub elapsed: Duration,
    /// Number of samples. `None` if another program takes them.
    pub samples: Option<u64>,
    /// CPU time of the program and its descendants, if known.
    pub used_cpu: Option<Duration>,
}

/// A running recording. Its ring buffers are read in [`Monitor::work`].
pub struct Session<'p> {
    /// `None` if another program samples.
    sampler: Option<NativeSampler>,
    /// Id of the process that starts the program, if sampling starts with the window.
    parent: Option<i32>,
    /// Samples per second of CPU time.
    frequency: u32,
    progress: &'p dyn SamplingProgress,
}

impl<'p> Session<'p> {
    /// Opens the planned event on a launched program, and creates the file.
    pub fn start(
        plan: &SamplingPlan,
        program: &mut WaitingProgram<'_>,
        progress: &'p dyn SamplingProgress,
    ) -> Result<Self, Error> {
        let sampler = match plan.sampler {
            Sampler::Native => Some(NativeSampler::start(plan, OpenedEvent::open(plan, program)?)?),
            Sampler::Perf(_) => None,
        };
        let parent = ProcessStat::read(program.pid()).map(|stat| stat.parent).filter(|_| plan.starts_in_window);
        Ok(Self { sampler, parent, frequency: plan.event.spec.frequency, progress })
    }

    /// Opens the planned event on a running target, starts sampling, and creates the file.
    pub(super) fn attach(
        plan: &SamplingPlan,
        target: &RunningTarget,
        progress: &'p dyn SamplingProgress,
    ) -> Result<Self, Error> {
        if plan.sampler != Sampler::Native {
            return Err(TargetError::PerfEngine.into());
        }
        let sampler = NativeSampler::start(plan, OpenedEvent::open_on_running(plan, target)?)?;
        Ok(Self { sampler: Some(sampler), parent: None, frequency: plan.event.spec.frequency, progress })
    }
}

impl Monitor for Session<'_> {
    type Error = Error;
    type Output = Recording;

    fn wait(&mut self, other_fds: &[BorrowedFd<'_>], timeout: Duration) -> Result<Vec<bool>, Error> {
        let mut none = Rings::empty();
        let goroutine_interval = self.sampler.as_ref().and_then(NativeSampler::goroutine_interval);
        let rings = self.sampler.as_mut().map_or(&mut none, |sampler| &mut sampler.rings);
        Ok(rings.wait(
            other_fds,
            goroutine_interval.map_or(timeout, |goroutine_interval| timeout.min(goroutine_interval)),
        )?)
    }

    fn work(&mut self) -> Result<(), Error> {
        self.sampler.as_mut().map_or(Ok(()), NativeSampler::drain_rings)
    }

    fn begin_window(&mut self) -> Result<(), Error> {
        match (&mut self.sampler, self.parent) {
            (Some(sampler), Some(parent)) => sampler.begin_sampling(parent),
            // Sampling has already started, together with the program.
            _ => Ok(()),
        }
    }

    fn end_window(&mut self) -> Result<(), Error> {
        if let Some(sampler) = &mut self.sampler {
            sampler.stop();
        }
        Ok(())
    }

    fn show_progress(&self, elapsed: Duration, used_cpu: Option<Duration>) {
        let samples = self.sampler.as_ref().map(NativeSampler::samples);
        // The number of samples also shows CPU time of descendants.
        let used_at_least = samples.map(|samples| Duration::from_secs(samples) / self.frequency.max(1));
        let used_cpu = used_cpu.and_then(|used| Some(used.max(used_at_least?)));
        self.progress.show_sampling(SamplingState { elapsed, samples, used_cpu });
    }

    fn finish(self) -> Result<Recording, Error> {
        self.sampler.map_or_else(|| Ok(Recording::default()), NativeSampler::finish)
    }
}
