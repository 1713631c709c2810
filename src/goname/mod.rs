//! Names of Go functions: the form that is shown to users, the package, and the origin of the code (program, module,
//! standard library, runtime), and the
//! part of a name that the next version of the program has too.
//!
//! Used for names from binaries and from profiles. Must not know where a name comes from.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod name;
mod origin;
mod version;

pub use name::{display, package};
pub use origin::Origins;
pub use version::{closure, is_moved_package, renamed, without_numbers, without_package};
