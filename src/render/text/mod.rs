//! The report for a terminal: the hottest lines of the user's code, the hottest functions, the hottest call path as a tree.
//!
//! No line is wider than the terminal, or than 20 columns if the terminal is narrower. Numbers are never shortened;
//! names are shortened in the middle. A narrow terminal gets fewer columns of numbers.

mod benchmarks;
mod findings;
mod neighbours;
mod report;
mod source;
mod style;
mod tree;

#[cfg(test)]
mod tests;

pub use benchmarks::write_benchmarks;
pub use findings::write_findings;
pub use neighbours::write_neighbours;
pub use report::{DEFAULT_ROWS, FindSourceUrl, Layout, Links, Sort, write, write_groups};
pub use source::write_source;
pub(super) use style::Styles;
pub use tree::{write_paths, write_tree};
