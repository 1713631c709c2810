//! Findings about differences between a built binary and the settings of its build.

use crate::build::Mismatch;
use crate::doctor::check::Check;
use crate::doctor::finding::{Finding, Status};
use crate::doctor::inputs::Inputs;

/// Prefix of the ids of these checks. The id of the [`Mismatch`] follows.
const PREFIX: &str = "binary-";

/// Reports a difference that makes the profile misleading, because the binary is not the requested program.
pub(super) fn judge_misleading_difference(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    difference_finding(check, inputs, Status::Failure)
}

/// Reports a difference that does not affect the profile: only additional information is missing.
pub(super) fn judge_harmless_difference(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    difference_finding(check, inputs, Status::Warning)
}

fn difference_finding(check: &'static Check, inputs: &Inputs, status: Status) -> Option<Finding> {
    let id = check.id.strip_prefix(PREFIX)?;
    let mismatches = inputs.binary.as_ref()?.mismatches?;
    Some(mismatch_finding(check, status, mismatches.iter().find(|mismatch| mismatch.id == id)?))
}

fn mismatch_finding(check: &'static Check, status: Status, mismatch: &Mismatch) -> Finding {
    // `mismatch.fix` is advice in words, not a command. So it becomes a part of the reason.
    let why = format!("{}. {}.", to_sentence(mismatch.why_it_matters), to_sentence(mismatch.advice));
    check.finding(status, &mismatch.found, &mismatch.requested).with_reason(why)
}

/// `binary-as-asked`: whether there are differences. Also reports a difference for which `checks` has no check.
pub(super) fn judge_as_asked(check: &'static Check, inputs: &Inputs, checks: &[Check]) -> Option<Finding> {
    let mismatches = inputs.binary.as_ref()?.mismatches?;
    let has_check = |mismatch: &&Mismatch| checks.iter().any(|one| one.id.strip_prefix(PREFIX) == Some(mismatch.id));
    if let Some(unknown) = mismatches.iter().find(|mismatch| !has_check(mismatch)) {
        return Some(mismatch_finding(check, Status::Failure, unknown));
    }
    let needed = "a binary as asked";
    Some(match mismatches {
        [] => check.finding(Status::Ok, "as asked", needed),
        [one] => check.finding(Status::Info, format!("differs: see binary-{}", one.id), needed),
        many => check.finding(Status::Info, format!("{} differences, each with its own finding", many.len()), needed),
    })
}

fn to_sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
