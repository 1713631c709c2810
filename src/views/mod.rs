//! `Profile` → numbers for all output formats: the call tree, top functions, the hottest call path, groups, filters.
//!
//! Every renderer uses a [`View`] and never walks stacks itself, so that all formats show the same self and cumulative
//! weights. A view builds each table when it is first needed, and keeps it.
//!
//! - [`filter`](mod@filter): removes samples and frames, as pprof's `-focus`, `-ignore`, `-hide` and `-show` do, and selects
//!   a range of time.
//! - [`grouping`]: groups of samples, by process, thread, goroutine, entry, benchmark or label.
//! - [`benchmarks`]: which benchmark a sample belongs to.
//! - [`walk`]: all stacks from the root, with the cumulative weight of each segment.
//! - [`tree`]: the call tree: nodes with a frame text and weights; a format expands only the nodes that it needs.
//! - [`user_code`]: the lines of the user's code that take time, or that call other code that takes time.
//! - [`paths`]: the whole call tree as columns, with the path of each sample.
//! - [`moments`]: the samples one by one, in the order of time.
//! - [`outline`]: the call tree as rows, and the hottest call paths.
//! - [`neighbours`]: the callers and callees of functions.
//! - [`lines`]: the weights of the source lines of functions.
//! - [`top`]: hot functions and the hottest call path.
//! - [`matching`]: the functions of two profiles that are the same.
//! - [`change`]: a figure in two profiles, and how far chance can have moved it.
//! - [`clusters`]: how far the samples of a function are clustered in time.
//! - [`cross_check`]: the sampled profile against the one that Go's runtime made at the same time.
//! - [`diff`]: the differences between two profiles, by function and along one call tree of both.
//! - [`debug_only`]: hot spots that a build without optimisation has and the optimised one does not.
//!
//! Must not format text and must not know output formats.

mod benchmarks;
mod change;
mod clusters;
mod cross_check;
mod debug_only;
mod diff;
mod filter;
mod grouping;
mod lines;
mod matching;
mod moments;
mod neighbours;
mod outline;
mod paths;
mod top;
mod tree;
mod user_code;
mod view;
mod walk;

pub use change::{Amount, ChangeVerdict, FigureChange, Normalize, Scale, ValueKind};
pub use cross_check::{CrossCheck, DifferenceReason, SharesOfFunction};
pub use debug_only::{DebugHotSpot, find_debug_hot_spots};
pub use diff::{Diff, FunctionChange, NodeChange};
pub use filter::{Filters, TagPattern, UnmatchedFilter, UnmatchedLabel};
pub use grouping::{GroupBy, GroupRow, Grouping};
pub use lines::{FunctionLines, LineWeights, function_lines};
pub use matching::{MatchedFunction, Matching};
pub use moments::{Moment, ThreadMoments};
pub use neighbours::{Neighbours, neighbours};
pub use outline::{HotPath, Outline, OutlineNode, OutlineRow, hot_paths};
pub use paths::CallPaths;
pub use top::{CallPathStep, FunctionRow, Top};
pub use tree::{CallTree, ExpandScratch, LabelId, Node, TreeLabels, self_weight};
pub use user_code::UserCodeLine;
pub use view::{SummedValue, View};
pub use walk::Walker;
