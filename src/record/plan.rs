//! All inputs of a recording but its target, as plain values.

use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use super::copies::FramePointerCode;
use super::event::ChosenEvent;
use super::goroutines::GoroutineLayout;
use super::switches::OffCpuPlan;
use crate::perfdata::Features;

/// The plan of a recording.
#[derive(Debug, Clone)]
pub struct SamplingPlan {
    /// The sampler.
    pub sampler: Sampler,
    /// The event to sample.
    pub event: ChosenEvent,
    /// Whether sampling starts with the window ([`crate::workload::Monitor::begin_window`]), not with the program.
    pub starts_in_window: bool,
    /// Code whose samples keep small stack copies only.
    pub frame_pointer_code: FramePointerCode,
    /// The CPUs to sample, as far as they are online.
    pub cpus: Vec<u32>,
    /// Address range of the kernel's own code (`_text` to `_etext`), if known.
    pub kernel_text: Option<Range<u64>>,
    /// The goroutines that are read.
    pub goroutines: GoroutinePlan,
    /// Files that name code and were written before are of processes of an earlier time.
    pub oldest_code_file: SystemTime,
    /// Output file of the samples.
    pub perf_data: PathBuf,
    /// The time that threads are off the CPU, if it is recorded too.
    pub off_cpu: Option<OffCpuPlan>,
    /// Maximum bytes of each file. `perf record` has no limit.
    pub max_bytes: Option<u64>,
    /// Facts about the machine for the header of the file.
    pub features: Features,
}

/// The goroutines that are read.
#[derive(Debug, Clone)]
pub struct GoroutinePlan {
    /// Layouts of the goroutine descriptors, for each program of which it is known.
    pub layouts: Vec<GoroutineLayout>,
    /// Whether those of other Go programs are read, once these have samples.
    pub finds_others: bool,
    /// Whether profiler labels are read too.
    pub with_labels: bool,
}

/// The sampler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sampler {
    /// goflame's own sampler.
    Native,
    /// `perf record`, at this path.
    Perf(PathBuf),
}
