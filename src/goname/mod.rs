//! What a Go function's name tells: how Go programmers write it, its package, and whose code it is.
//!
//! For all who have names: binaries and profiles alike. Must not know where a name was found.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod name;
mod origin;

pub use name::{display, package};
pub use origin::Origins;
