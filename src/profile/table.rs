//! The hottest functions and the hottest call path of a profile.

use super::{FrameId, FunctionId, Profile};

/// One line of the table of hot functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRow {
    /// The function.
    pub function: FunctionId,
    /// Weight of the samples whose leaf is this function.
    pub self_weight: u64,
    /// Weight of the samples that have this function anywhere on their stack, each counted once.
    pub cumulative_weight: u64,
}

/// One step of the hottest call path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRow {
    /// The frame.
    pub frame: FrameId,
    /// Weight of the samples that pass through this path.
    pub weight: u64,
}

/// What a profile says at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// Every function, by self weight, then cumulative weight, then name.
    pub functions: Vec<FunctionRow>,
    /// From the root, the heaviest callee at each step, until a step keeps less than half.
    pub path: Vec<PathRow>,
    /// Sum of all weights.
    pub total: u64,
}

impl Top {
    /// Counts a profile.
    pub fn of(_profile: &Profile) -> Self {
        Self { functions: Vec::new(), path: Vec::new(), total: 0 }
    }
}
