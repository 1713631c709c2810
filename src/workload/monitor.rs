//! Interface of work during a run of a workload.

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Maximum time by which a monitor can delay the stop of a workload.
pub(super) const MAX_STOP_DELAY: Duration = Duration::from_secs(30);

/// Work during a run of a workload, such as sampling. It shares the loop that supervises the workload.
pub trait Monitor {
    /// Why the work failed. The workload is then stopped.
    type Error;
    /// The result of the work.
    type Output;

    /// Waits until there is work, a descriptor of `other_fds` is readable, or the timeout is reached. Returns for each
    /// descriptor whether it is readable or closed at the other end.
    fn wait(&mut self, other_fds: &[BorrowedFd<'_>], timeout: Duration) -> Result<Vec<bool>, Self::Error>;
    /// Does the pending work. Not called again after an error.
    fn work(&mut self) -> Result<(), Self::Error>;
    /// Begins the window, in which samples count. The program is running. In a run without phases, it has just started.
    fn begin_window(&mut self) -> Result<(), Self::Error>;
    /// Ends the window. In a run without phases, all processes have ended, or the program will be stopped and
    /// [`Monitor::delays_stop`] is true.
    fn end_window(&mut self) -> Result<(), Self::Error>;
    /// Whether the monitor needs the running program after the window, for example to fetch its profiles. The window
    /// then does not include the program's reaction to the stop.
    fn delays_stop(&self) -> bool {
        false
    }
    /// Shows the state of the work. `elapsed` is the time since the start of the program. `used_cpu` is the CPU time of
    /// the program, possibly without its descendants.
    fn show_progress(&self, elapsed: Duration, used_cpu: Option<Duration>);
    /// Whether the monitor lets the workload be stopped now. Called until it returns true, at most for
    /// [`MAX_STOP_DELAY`].
    fn may_stop(&mut self) -> bool {
        true
    }
    /// Completes the work after the end of the workload. Not called after an error of [`Monitor::work`].
    fn finish(self) -> Result<Self::Output, Self::Error>;
}
