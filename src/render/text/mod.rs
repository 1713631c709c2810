//! The report for a terminal: the hottest functions as a table, the hottest call path as a tree.
//!
//! No line is wider than the terminal. Numbers are never shortened, names are shortened in the middle. A narrow terminal gets
//! fewer columns.

mod amount;
mod report;
mod style;

#[cfg(test)]
mod tests;

pub use report::{FUNCTIONS, Layout, write, write_groups};
