//! The flame graph, an SVG that a browser can zoom and search.
//!
//! `inferno` draws it. These modules decide what is drawn (`tree`) and how wide (`measure`), in which
//! colours (`palette`), and add the legend (`legend`), which inferno does not have.

mod draw;
mod legend;
mod measure;
mod merge;
mod palette;
mod tree;

#[cfg(test)]
mod tests;

pub use draw::{Options, write};
