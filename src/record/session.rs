//! A recording while it runs.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::error::Error;
use super::plan::{Sampler, SamplingPlan};
use super::recording::Recording;
use super::sampler::NativeSampler;
use crate::perfevent::Rings;
use crate::workload::{Monitor, WaitingProgram};

/// Receives the state of a recording, to show it while it runs.
pub trait SamplingProgress {
    /// Time has passed. The number of samples is unknown if another program takes them.
    fn sampling(&self, elapsed: Duration, samples: Option<u64>);
}

/// A running recording of a program. Ring buffers are read while the session works.
pub struct Session<'p> {
    /// `None` if another program samples.
    sampler: Option<NativeSampler>,
    progress: &'p dyn SamplingProgress,
}

impl<'p> Session<'p> {
    /// Opens the planned event on the program, and creates the file.
    pub fn start(
        plan: &SamplingPlan,
        program: &mut WaitingProgram<'_>,
        progress: &'p dyn SamplingProgress,
    ) -> Result<Self, Error> {
        let sampler = match plan.sampler {
            Sampler::Native => Some(NativeSampler::start(plan, program)?),
            Sampler::Perf(_) => None,
        };
        Ok(Self { sampler, progress })
    }
}

impl Monitor for Session<'_> {
    type Error = Error;
    type Output = Recording;

    fn wait(&mut self, others: &[BorrowedFd<'_>], timeout: Duration) -> Result<Vec<bool>, Error> {
        let mut none = Rings::none();
        let longest = self.sampler.as_ref().and_then(NativeSampler::goroutine_interval);
        let rings = self.sampler.as_mut().map_or(&mut none, |sampler| &mut sampler.rings);
        Ok(rings.wait(others, longest.map_or(timeout, |longest| timeout.min(longest)))?)
    }

    fn work(&mut self) -> Result<(), Error> {
        self.sampler.as_mut().map_or(Ok(()), NativeSampler::drain)
    }

    fn show_progress(&self, elapsed: Duration) {
        self.progress.sampling(elapsed, self.sampler.as_ref().map(NativeSampler::samples));
    }

    fn finish(self) -> Result<Recording, Error> {
        self.sampler.map_or_else(|| Ok(Recording::default()), NativeSampler::finish)
    }
}
