//! Samples a target and everything that it starts, and writes a `perf.data` file.
//!
//! [`choose_event`] finds the event that the kernel permits. A [`Session`] opens it on a [`Target`] and moves the ring
//! buffers to the file until the target is over. Another module launches the target.
//!
//! Must not symbolise and must not render.

mod code_files;
mod copies;
mod error;
mod event;
mod goroutines;
mod perf;
mod plan;
mod priority;
mod raw_sample;
mod recording;
mod sampler;
mod session;
mod trial;

pub use crate::perfevent::Target;
pub use copies::{FramePointerCode, SMALL_COPY};
pub use error::Error;
pub use event::{ChosenEvent, Limitation, RING_SIZES, choose_event};
pub use goroutines::GoroutineLayout;
pub use plan::{Sampler, SamplingPlan};
pub use recording::{Recording, SamplingFigures};
pub use session::{SamplingProgress, Session};
pub use trial::{TrialError, sample_self};
