//! Interface of work that is done while a workload runs.

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Longest time that a monitor may delay the stop of a workload.
pub(super) const MAX_STOP_DELAY: Duration = Duration::from_secs(30);

/// Work that is done while a workload runs, such as sampling. It shares the loop that supervises the workload.
pub trait Monitor {
    /// The reason why the work failed. The workload is then stopped.
    type Error;
    /// The result of the work.
    type Output;

    /// Waits until there is work, one of `others` is readable, or the timeout ends. Returns for each of `others`
    /// whether it is readable or closed at the other end.
    fn wait(&mut self, others: &[BorrowedFd<'_>], timeout: Duration) -> Result<Vec<bool>, Self::Error>;
    /// Does the work that has come up. Not called again after an error.
    fn work(&mut self) -> Result<(), Self::Error>;
    /// The window begins: from now on, samples count. The program has started; in a run without phases just now.
    fn begin_window(&mut self) -> Result<(), Self::Error>;
    /// The window is over. In a run without phases, all its processes have ended, or the program is to be stopped and
    /// [`Monitor::delays_stop`].
    fn end_window(&mut self) -> Result<(), Self::Error>;
    /// Whether the monitor needs the program between the window and the stop, such as to fetch its profiles. The window then
    /// does not include the program's reaction to the stop.
    fn delays_stop(&self) -> bool {
        false
    }
    /// Shows the state of the work. `elapsed` is the time since the start of the program, `used_cpu` the CPU time that it
    /// used, which may lack the time of processes that it started.
    fn show_progress(&self, elapsed: Duration, used_cpu: Option<Duration>);
    /// Whether a workload that is to be stopped may be stopped now. Called again and again until it may. The workload is
    /// stopped in any case after [`MAX_STOP_DELAY`].
    fn may_stop(&mut self) -> bool {
        true
    }
    /// Ends the work: the workload is over. Not called after an error of [`Monitor::work`].
    fn finish(self) -> Result<Self::Output, Self::Error>;
}
