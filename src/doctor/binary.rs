//! What the inspection of the built binary found.

use super::catalogue::BINARY;
use super::finding::{Finding, Fix, Group, Status};
use super::inputs::BinaryMismatch;

/// One finding for a binary that is as asked, else one for each difference. A difference is a failure: the profile
/// would be of another binary than the one that was asked for.
pub(super) fn as_asked(mismatches: &[BinaryMismatch]) -> Vec<Finding> {
    if mismatches.is_empty() {
        return vec![Finding::new(&BINARY, Status::Ok, "as asked", "a binary as asked")];
    }
    let differs = |mismatch: &BinaryMismatch| Finding {
        id: mismatch.id,
        group: Group::Binary,
        status: Status::Failure,
        found: mismatch.found.clone(),
        needed: mismatch.asked.clone(),
        feature: BINARY.feature,
        why: mismatch.why.clone(),
        fix: mismatch.fix.clone().map(|now| Fix { now, persist: None }),
    };
    mismatches.iter().map(differs).collect()
}
