//! Findings as JSON for programs. `templates/doctor.schema.json` describes the format, and a test checks that both
//! agree.

use serde_json::json;

use crate::doctor::{Finding, Status, Strictness, count, is_ready};

/// Version of the format. It increases if something is renamed, removed or changes its meaning. New keys, ids and
/// groups do not increase it.
const SCHEMA_VERSION: u32 = 2;

pub(super) fn findings_json(findings: &[Finding], strictness: Strictness) -> String {
    let value = json!({
        "schema": SCHEMA_VERSION,
        "goflame": env!("CARGO_PKG_VERSION"),
        "ready": is_ready(findings, strictness),
        "strict": strictness.fails_on_warnings,
        "summary": {
            "ok": count(findings, Status::Ok),
            "info": count(findings, Status::Info),
            "warning": count(findings, Status::Warning),
            "failure": count(findings, Status::Failure),
            "skipped": count(findings, Status::Skipped),
        },
        "findings": findings,
    });
    format!("{value:#}\n")
}
