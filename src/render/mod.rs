//! `View` → bytes in a `Write`: flame graphs, folded stacks, JSON of several kinds, Markdown, terminal report. Only pprof
//! files are written elsewhere, by [`pprof`](crate::pprof).
//!
//! Each format is a module with a `write` function. [`Format`] lists the formats that users can name. The output depends
//! only on the arguments: the same input gives the same bytes. Numbers and layout are computed first and written second.
//!
//! Must not read the clock and must not open files. Every `write` ends with a flush, so that a full disk is an error. A
//! renderer fails only if its writer fails, so it returns the plain [`std::io::Error`]. The caller adds the path.

pub mod chrome_trace;
pub mod columns;
pub mod diff;
pub mod firefox;
pub mod flamegraph;
pub mod folded;
pub mod html;
pub mod index;
pub mod json;
pub mod markdown;
pub mod source;
pub mod speedscope;
pub mod summary;
pub mod text;

mod amount;
mod document;
mod drawing;
mod format;
mod headline;
mod name;
mod page;

pub use document::{Document, ServerRun};
pub use drawing::{Drawing, FramePalette, MinWidth};
pub use format::Format;
pub use headline::{headline, headline_of_waits};
pub use name::sanitize;

#[cfg(test)]
mod tests;
