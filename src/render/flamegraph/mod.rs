//! The flame graph: an SVG with a script for zooming and searching in a browser.
//!
//! The crate `inferno` draws it. `flatten` and `tree` select the part of the call tree that is drawn. `draw` converts this part
//! to folded stacks, because inferno accepts only text. `measure` chooses the unit of widths, `palette` the colours.
//! `frames` writes labels and tooltips in place of inferno's. `page` adds what inferno cannot draw: the `legend`, and a style sheet and
//! a script that fit the texts to the background and to the window.

mod differential;
mod draw;
mod flatten;
mod frames;
mod legend;
mod measure;
mod page;
mod palette;
mod svg;
mod tree;

#[cfg(test)]
mod tests;

pub use differential::write as write_diff;
pub use draw::write;
pub(super) use tree::MIN_SHARE;
