//! Names of Go functions: the form that users see, the package, the origin of the code (program, module, standard library,
//! runtime), and the part of a name that is the same in the next build of the program.
//!
//! Used for names from binaries and from profiles. Must not know where a name comes from.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod name;
mod origin;
mod version;

pub use name::{display, package};
pub use origin::OriginClassifier;
pub use version::{current_name, is_moved_package, replace_changing_numbers, split_closure, strip_package};
