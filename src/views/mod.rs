//! `Profile` → what people look at, as numbers: one call tree, top functions, the hottest call path, groups, filters.
//!
//! Every renderer stands on a [`View`]: it never walks stacks by itself, so that two formats cannot disagree about self
//! and cumulative weight. A view builds what it is asked for once and keeps it.
//!
//! - [`filter`](mod@filter): leaves out samples and frames, as pprof's `-focus`, `-ignore`, `-hide` and `-show` do.
//! - [`grouping`]: the groups that samples are divided into: process, thread, goroutine, entry function.
//! - [`walk`]: all stacks of a profile from their roots, with the weight that passes each of their segments.
//! - [`tree`]: the call tree: nodes with a label, cumulative and self weight, expanded as far as a format shows.
//! - [`top`]: hot functions and the hottest call path.
//!
//! Must not format text and must not know output formats.

mod filter;
mod grouping;
mod top;
mod tree;
mod view;
mod walk;

pub use filter::{Filters, Tag};
pub use grouping::{By, GroupRow, Grouping};
pub use top::{FunctionRow, PathRow, Top};
pub use tree::{CallTree, LabelId, Labels, Node, Scratch, self_weight};
pub use view::{Value, View};
pub use walk::Walker;
