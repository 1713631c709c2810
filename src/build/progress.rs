//! Progress of a build, to show it.

use std::time::Duration;

/// Receiver of the progress of a build.
pub trait BuildProgress: Sync {
    /// The build wrote these bytes to standard output or standard error.
    fn output(&self, bytes: &[u8]);
    /// Whether [`BuildProgress::compiling`] is shown. If not, Go need not be asked for it.
    fn shows_packages(&self) -> bool;
    /// Go compiles packages.
    fn compiling(&self, packages: &CompiledPackages<'_>);
    /// Progress of an image pull: layers done and total, then bytes done and total. Bytes count only layers with a
    /// known size.
    fn pulling(&self, layers: (usize, usize), bytes: (u64, u64));
    /// The network is in use, or a wait begins. Arguments: a verb and its object.
    fn stage(&self, verb: &str, text: &str);
}

/// Packages of a build.
#[derive(Debug, Clone, Copy)]
pub struct CompiledPackages<'a> {
    /// Number of packages that are compiled. While `total` is unknown, number of packages whose compilation has begun.
    pub done: usize,
    /// Number of all packages, including those from Go's cache. `None` if it is unknown.
    pub total: Option<usize>,
    /// The package that was begun last. Empty if Go does not tell.
    pub latest: &'a str,
    /// Time since the start of the build.
    pub elapsed: Duration,
}
