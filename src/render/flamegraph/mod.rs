//! The flame graph: an SVG with a script for zooming and searching in a browser.
//!
//! The crate `inferno` draws it. `flatten` and `tree` select the part of the call tree that is drawn. `draw` converts this part
//! to folded stacks, because inferno accepts only text. `measure` chooses the unit of widths, `palette` the colours. `legend`
//! adds a legend to the SVG, which inferno cannot draw.

mod draw;
mod flatten;
mod legend;
mod measure;
mod palette;
mod tree;

#[cfg(test)]
mod tests;

pub use draw::write;
