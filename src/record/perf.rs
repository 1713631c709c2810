//! With `engine = "perf"`, `perf record` starts the program and samples it.

use std::ffi::OsString;

use super::plan::{Sampler, SamplingPlan};

impl SamplingPlan {
    /// Command and arguments to put before the workload's command line. Empty for goflame's own sampler.
    pub fn launcher(&self) -> Vec<OsString> {
        let Sampler::Perf(perf) = &self.sampler else { return Vec::new() };
        let mut command: Vec<OsString> = vec![perf.into(), "record".into(), "--quiet".into(), "-o".into()];
        command.push(self.perf_data.clone().into());
        command.extend(["-e".into(), self.event.name().into()]);
        command.extend(["-F".into(), self.event.spec.frequency.to_string().into()]);
        command.extend(["--call-graph", "fp", "--clockid", "CLOCK_MONOTONIC", "--"].map(OsString::from));
        command
    }
}
