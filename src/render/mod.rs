//! `Profile` → bytes in a `Write`: flame graph, folded stacks, pprof, JSON summary, terminal report.
//!
//! Each format is a module with a `write` function. What is written depends on the arguments alone:
//! the same input gives the same bytes. Figures and layout are computed first and written second.
//!
//! Must not read the clock and must not open files. Every `write` ends with a flush and returns the
//! writer's error, so that a full disk is not taken for success; since a renderer fails only when its
//! writer does, its error is the plain [`std::io::Error`], to which the caller adds the path.

pub mod flamegraph;
pub mod folded;
pub mod pprof;
pub mod summary;
pub mod text;

mod name;

pub use name::sanitize;

#[cfg(test)]
mod tests;
