//! The report for a terminal: the hottest lines of the user's code, the hottest functions, the hottest call path as a tree.
//!
//! No line is wider than the terminal, or than 20 columns if the terminal is narrower. Numbers are never shortened;
//! names are shortened in the middle. A narrow terminal gets fewer columns of numbers.

mod benchmarks;
mod findings;
mod report;
mod style;

#[cfg(test)]
mod tests;

pub use benchmarks::write_benchmarks;
pub use findings::write_findings;
pub use report::{Layout, ROWS, Sort, write, write_groups};
pub(super) use style::Styles;
