//! Progress of a build, for display.

use std::time::Duration;

/// Receiver of the progress of a build.
pub trait BuildProgress: Sync {
    /// The build wrote these bytes to standard output or standard error.
    fn show_output(&self, bytes: &[u8]);
    /// Whether [`BuildProgress::show_compiled_packages`] is shown. If not, Go is not asked for the names of packages.
    fn shows_packages(&self) -> bool;
    /// Go compiles packages.
    fn show_compiled_packages(&self, packages: &CompiledPackages<'_>);
    /// Progress of an image pull: layers done and total, then bytes done and total. Bytes count only layers with a
    /// known size.
    fn show_pull_progress(&self, layers: (usize, usize), bytes: (u64, u64));
    /// A step that uses the network or that waits begins. `verb` and `text` (the object) name the step.
    fn show_stage(&self, verb: &str, text: &str);
}

/// Packages of a build.
#[derive(Debug, Clone, Copy)]
pub struct CompiledPackages<'a> {
    /// Number of packages that are compiled or taken from Go's cache. While `total` is unknown, number of packages
    /// whose compilation has begun.
    pub done: usize,
    /// Number of all packages, including those from Go's cache. `None` if it is unknown.
    pub total: Option<usize>,
    /// The package whose compilation began last. Empty if unknown.
    pub latest: &'a str,
    /// Time since the start of the build.
    pub elapsed: Duration,
}
