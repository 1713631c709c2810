//! Launch a program, sample it and everything that it starts, stop, and leave a `perf.data` file.
//!
//! Three processes take part, all of them goflame's own binary:
//!
//! ```text
//! goflame ── supervisor ── gate ──exec──▶ the program ── its children …
//!    └──────── socket ───────┘
//! ```
//!
//! The *gate* waits on a socket until the events are open and then becomes the program, so that nothing
//! of it is missed and nothing of goflame is sampled. The *supervisor* is the parent and reaper of the
//! program and of all its orphans: it reports how they ended and what CPU time they used, and when
//! goflame dies, by whatever signal, it leaves nothing running. It is outside of goflame's process group; the program is in it.
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
