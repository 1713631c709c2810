//! The flame graph: an SVG with a script for zooming and searching in a browser.
//!
//! The crate `inferno` draws the graph. `flatten` and `tree` select the part of the call tree that is drawn. `draw`
//! converts this part to folded stacks, because inferno accepts only text. `measure` chooses the unit of widths, `palette`
//! the colours. `frames` replaces inferno's labels and tooltips. `page` adds the `legend`, a style sheet for bright and
//! dark backgrounds, and a script that fits the texts to the window.

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
pub(super) use tree::MIN_SHARE_DIVISOR;
