//! `Profile` → bytes in a `Write`: flame graph, folded stacks, pprof, JSON summary, terminal report.
//!
//! Each format is a module with a `write` function. The output depends only on the arguments: the same input gives the
//! same bytes. Numbers and layout are computed first and written second.
//!
//! Must not read the clock and must not open files. Every `write` ends with a flush, so that a full disk is an error. A
//! renderer fails only if its writer fails, so it returns the plain [`std::io::Error`]. The caller adds the path.

pub mod flamegraph;
pub mod folded;
pub mod pprof;
pub mod summary;
pub mod text;

mod name;

pub use name::sanitize;

#[cfg(test)]
mod tests;
