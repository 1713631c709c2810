//! The check of goflame's own settings.

use super::check::{Check, Judge, unknown_checks};
use super::finding::{Finding, Group, Status};
use super::inputs::Inputs;

pub(super) static CHECKS: [Check; 1] = [Check {
    id: "ignore-list",
    group: Group::Settings,
    title: "ids of ignored checks",
    feature: "readiness",
    why: "An id that names no check ignores nothing, so the check that was meant still counts.",
    in_run: true,
    judge: Judge::Always(ignore_list),
}];

fn ignore_list(check: &'static Check, inputs: &Inputs) -> Finding {
    let unknown: Vec<String> = unknown_checks(inputs.ignore).iter().map(ToString::to_string).collect();
    let (status, found) = match (unknown.is_empty(), inputs.ignore.len()) {
        (false, _) => (Status::Warning, unknown.join(", ")),
        (true, 0) => (Status::Ok, "no check is ignored".to_owned()),
        (true, _) => (Status::Ok, format!("ignored: {}", inputs.ignore.join(", "))),
    };
    check.finds(status, found, "ids of existing checks")
}
