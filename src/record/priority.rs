//! The scheduling priority of the thread that empties the ring buffers.

use rustix::process::{getpriority_process, setpriority_process};

/// The highest priority of a normal thread.
const HIGHEST: i32 = -20;

/// Gives the calling thread the highest priority until this is dropped, if it has the right to (`CAP_SYS_NICE`).
///
/// Among 100 busy threads per CPU a thread gets 1 % of a CPU. If the recorder needs more, the ring buffers overflow.
#[derive(Debug)]
pub(super) struct HighPriority {
    previous: Option<i32>,
}

impl HighPriority {
    pub(super) fn request() -> Self {
        // For Linux, the process "none" is the calling thread.
        let previous = getpriority_process(None).ok();
        let raised = setpriority_process(None, HIGHEST).is_ok();
        Self { previous: previous.filter(|_| raised) }
    }
}

/// Gives the calling thread the priority of ordinary programs. Otherwise it has that of the thread that started it.
pub(super) fn request_ordinary() {
    let _ = setpriority_process(None, 0);
}

impl Drop for HighPriority {
    fn drop(&mut self) {
        // A priority can always be lowered.
        let _ = self.previous.map(|previous| setpriority_process(None, previous));
    }
}
