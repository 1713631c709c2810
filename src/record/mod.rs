//! Samples a program and everything that it starts, and writes a `perf.data` file.
//!
//! [`choose_event`] finds the event that the kernel permits. A [`Session`] opens this event on a program that waits for
//! its start, and moves the records of the ring buffers to the file until the program ends. The module `workload`
//! launches the program. [`observe`] does the same with programs that run already.
//!
//! Must not symbolise and must not render.

mod before_exec;
mod code_files;
mod code_mapping;
mod copies;
mod error;
mod event;
mod existing;
mod goroutine_watches;
mod goroutines;
mod mapped_files;
mod observe;
mod perf;
mod plan;
mod priority;
mod raw_sample;
mod recording;
mod running_target;
mod sampler;
mod session;
mod switches;
mod target_error;
mod tasks;
mod thread_events;
mod trial;

pub use copies::{FramePointerCode, SMALL_COPY_BYTES};
pub use error::Error;
pub use event::{ChosenEvent, Limitation, RING_SIZES, choose_event};
pub use goroutines::{GoroutineLayout, is_go_program};
pub use observe::{Observation, ObservationEnd, observe};
pub use plan::{GoroutinePlan, Sampler, SamplingPlan};
pub use recording::{OffCpuFigures, PerThreadReason, Recording, SamplingFigures};
pub use running_target::{RunningProcess, RunningTarget};
pub use session::{SamplingProgress, SamplingState, Session};
pub use switches::OffCpuPlan;
pub use target_error::{TargetError, kubernetes_hint};
pub use tasks::try_to_confine;
pub use trial::{TrialError, sample_self};
