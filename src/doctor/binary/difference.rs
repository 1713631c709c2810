//! What the inspection of a built binary found, as findings.

use super::CHECKS;
use crate::build::Mismatch;
use crate::doctor::check::Check;
use crate::doctor::finding::{Finding, Status};
use crate::doctor::inputs::Inputs;

/// What the ids of all differences begin with; the rest is the inspection's own id.
const PREFIX: &str = "binary-";

/// A difference that makes it another program than the one asked for: its profile would mislead.
pub(super) fn other_program(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    difference(check, inputs, Status::Failure)
}

/// A difference with which the profile is right, and something around it is missing.
pub(super) fn less_known(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    difference(check, inputs, Status::Warning)
}

fn difference(check: &'static Check, inputs: &Inputs, status: Status) -> Option<Finding> {
    let id = check.id.strip_prefix(PREFIX)?;
    let mismatches = inputs.binary.as_ref()?.mismatches?;
    Some(told(check, status, mismatches.iter().find(|mismatch| mismatch.id == id)?))
}

fn told(check: &'static Check, status: Status, mismatch: &Mismatch) -> Finding {
    // The inspection gives advice, not a command, so it is no `Fix`.
    let why = format!("{}. {}.", sentence(mismatch.why), sentence(mismatch.fix));
    check.finds(status, &mismatch.found, &mismatch.asked).because(why)
}

/// Whether there are differences; those without an id of their own are told here.
pub(super) fn as_asked(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let mismatches = inputs.binary.as_ref()?.mismatches?;
    let has_id = |mismatch: &&Mismatch| CHECKS.iter().any(|one| one.id.strip_prefix(PREFIX) == Some(mismatch.id));
    if let Some(unknown) = mismatches.iter().find(|mismatch| !has_id(mismatch)) {
        return Some(told(check, Status::Failure, unknown));
    }
    let needed = "a binary as asked";
    Some(match mismatches {
        [] => check.finds(Status::Ok, "as asked", needed),
        [one] => check.finds(Status::Info, format!("differs: see binary-{}", one.id), needed),
        many => check.finds(Status::Info, format!("{} differences, each with its own finding", many.len()), needed),
    })
}

fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
