//! All inputs of a recording except its target, as plain values.

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
    /// Which program takes the samples.
    pub sampler: Sampler,
    /// The event to sample.
    pub event: ChosenEvent,
    /// Whether sampling starts with the window ([`crate::workload::Monitor::begin_window`]), not with the program.
    pub starts_in_window: bool,
    /// Code whose samples need only small stack copies.
    pub frame_pointer_code: FramePointerCode,
    /// The CPUs to sample. CPUs that are offline are skipped.
    pub cpus: Vec<u32>,
    /// Address range of the kernel's code (`_text` to `_etext`), if known.
    pub kernel_text: Option<Range<u64>>,
    /// Which goroutines are read.
    pub goroutines: GoroutinePlan,
    /// Code files that were last written before this time belong to earlier processes and are ignored.
    pub oldest_code_file: SystemTime,
    /// Output file of the samples.
    pub perf_data: PathBuf,
    /// How waits are recorded. `None` if they are not.
    pub off_cpu: Option<OffCpuPlan>,
    /// Maximum bytes of each file. `perf record` has no limit.
    pub max_bytes: Option<u64>,
    /// Facts about the machine for the header of the file.
    pub features: Features,
}

/// Which goroutines are read, and how.
#[derive(Debug, Clone)]
pub struct GoroutinePlan {
    /// Layouts of goroutine descriptors, one for each program with a known layout.
    pub layouts: Vec<GoroutineLayout>,
    /// Whether the layouts of other Go programs are read, once these programs have samples.
    pub reads_other_programs: bool,
    /// Whether profiler labels are read too.
    pub reads_labels: bool,
}

/// Which program takes the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sampler {
    /// goflame's own sampler.
    Native,
    /// `perf record`, at this path.
    Perf(PathBuf),
}
