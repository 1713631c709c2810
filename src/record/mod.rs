//! Launches a program, samples it and everything that it starts, stops it, and writes a `perf.data` file.
//!
//! Three processes take part, all of them goflame's own binary:
//!
//! ```text
//! goflame ── supervisor ── gate ──exec──▶ the program ── its children …
//!    └──────── socket ───────┘
//! ```
//!
//! The *gate* waits on a socket until the events are open, and then executes the program. Therefore the program is
//! sampled from its start, and goflame is not sampled. The *supervisor* is the parent and reaper of the program and of
//! all its orphans. It reports how they ended and their CPU time. When goflame dies, by whatever signal, the supervisor
//! leaves nothing running. The program is in goflame's process group, the supervisor is not.
//!
//! Must not symbolise and must not render.

mod body;
mod error;
mod gate;
mod goroutines;
mod launch;
mod message;
mod outcome;
mod perf;
mod plan;
mod sampler;
mod session;
mod settle;
mod supervisor;
mod tee;
mod trial;

pub use error::Error;
pub use gate::{GATE, run_gate};
pub use goroutines::{GoroutineLayout, GoroutineSeen};
pub use outcome::{Ending, Recording, Sampling};
pub use plan::{EventWish, KernelWish, RING_SIZES, RecordPlan, Sampler, Stdin};
pub use session::{OutputStream, Progress, record};
pub use settle::{Settled, settle};
pub use supervisor::{SUPERVISE, run_supervisor};
pub use trial::{TrialError, sample_self};
