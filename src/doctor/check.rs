//! All checks, one after the other.

use super::catalogue::{IGNORE_LIST, catalogue, nearest};
use super::finding::{Finding, Status};
use super::inputs::Inputs;
use super::{binary, kernel, sampling, toolchain};

/// Judges everything that was handed in, in the order of [`catalogue()`]. Each id occurs once; differences of the
/// binary
/// stand in place of `binary-as-asked`. An ignored check is still there, as skipped, and still tells what it found.
pub fn check(inputs: &Inputs) -> Vec<Finding> {
    let mut findings = vec![
        ignore_list(inputs),
        kernel::paranoid(inputs),
        kernel::mlock_budget(inputs),
        kernel::sample_rate(inputs),
        kernel::max_stack(inputs),
        kernel::kptr_restrict(inputs),
        sampling::pmu(inputs),
    ];
    findings.extend(inputs.probe.as_ref().map(|probe| sampling::live_probe(inputs, probe)));
    if let Some(go) = &inputs.go {
        findings.push(toolchain::go_found(inputs, go.as_deref()));
        findings.push(toolchain::go_pin(inputs, go.as_deref()));
    }
    if let Some(mismatches) = inputs.binary {
        findings.extend(binary::as_asked(mismatches));
    }
    for finding in findings.iter_mut().filter(|finding| inputs.ignore.iter().any(|id| id == finding.id)) {
        finding.status = Status::Skipped;
        finding.found.push_str(" (ignored on request)");
        finding.fix = None;
    }
    findings
}

fn ignore_list(inputs: &Inputs) -> Finding {
    let unknown: Vec<String> = inputs
        .ignore
        .iter()
        .filter(|id| !catalogue().iter().any(|doc| doc.id == id.as_str()))
        .map(|id| match nearest(id) {
            Some(nearest) => format!("`{id}` names no check (nearest: `{nearest}`)"),
            None => format!("`{id}` names no check"),
        })
        .collect();
    let (status, found) = match (unknown.is_empty(), inputs.ignore.len()) {
        (false, _) => (Status::Warning, unknown.join(", ")),
        (true, 0) => (Status::Ok, "no check is ignored".to_owned()),
        (true, _) => (Status::Ok, format!("ignored: {}", inputs.ignore.join(", "))),
    };
    Finding::new(&IGNORE_LIST, status, found, "ids of existing checks")
}
