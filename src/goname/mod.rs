//! Names of Go functions: the form that is shown to users, the package, and the origin of the code (program, module,
//! standard library, runtime).
//!
//! Used for names from binaries and from profiles. Must not know where a name comes from.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod name;
mod origin;

pub use name::{display, package};
pub use origin::Origins;
