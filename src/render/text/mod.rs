//! The report for a terminal: the hottest functions as a table, the hottest call path as a tree.
//!
//! No line is wider than the terminal: figures keep their room, names are shortened in the middle, and
//! on a narrow terminal the less important columns go first.

mod amount;
mod report;
mod style;

#[cfg(test)]
mod tests;

pub use report::{FUNCTIONS, Options, write, write_groups};
