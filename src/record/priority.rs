//! The scheduling priority of the thread that reads the ring buffers.

use rustix::process::{getpriority_process, setpriority_process};

/// Highest priority of a thread without real-time scheduling (nice value).
const HIGHEST_PRIORITY: i32 = -20;

/// Gives the calling thread the highest priority until this value is dropped. Needs `CAP_SYS_NICE`, otherwise does
/// nothing.
///
/// Among 100 busy threads per CPU a thread gets 1 % of a CPU. If the recorder needs more, the ring buffers overflow.
#[derive(Debug)]
pub(super) struct HighPriority {
    previous: Option<i32>,
}

impl HighPriority {
    pub(super) fn request() -> Self {
        // On Linux, no process id means the calling thread.
        let previous = getpriority_process(None).ok();
        let raised = setpriority_process(None, HIGHEST_PRIORITY).is_ok();
        Self { previous: previous.filter(|_| raised) }
    }
}

/// Gives the calling thread the default priority. Otherwise a new thread has the priority of the thread that started
/// it.
pub(super) fn set_default_priority() {
    let _ = setpriority_process(None, 0);
}

impl Drop for HighPriority {
    fn drop(&mut self) {
        // Lowering a priority is always permitted.
        let _ = self.previous.map(|previous| setpriority_process(None, previous));
    }
}
