//! Findings: conclusions from a profile and the reports of runtime and kernel, each with the figures of its sources.
//!
//! [`find`] calls one function for each finding. The functions and their thresholds are in the files of their subjects.
//!
//! Must not read files, and must not format output.

mod collector;
mod evidence;
mod finding;
mod hot_code;
mod scheduler;
mod shares;
#[cfg(test)]
mod tests;

pub use evidence::{Evidence, QuotaUse};
pub use finding::{Confidence, Fact, ProfileFinding};

use shares::Shares;

/// Returns the findings, the one with the largest effect first.
pub fn find(evidence: &Evidence<'_>) -> Vec<ProfileFinding> {
    let shares = Shares::new(evidence);
    let locks = hot_code::find_locks(evidence, &shares);
    // Goroutines that wait for a lock leave processors idle and keep the scheduler busy: one cause, one finding.
    let waits = if locks.is_none() {
        vec![scheduler::find_idle_processors(evidence, &shares), scheduler::find_scheduling(&shares)]
    } else {
        Vec::new()
    };
    let others = [
        collector::find_garbage_collection(evidence, &shares),
        collector::find_assists(evidence, &shares),
        collector::find_sweeping(&shares),
        hot_code::find_allocation(evidence, &shares),
        scheduler::find_throttling(evidence),
        scheduler::find_run_queue(evidence),
        hot_code::find_system_calls(evidence, &shares),
        hot_code::find_stack_growth(&shares),
        hot_code::find_regexp_compilation(&shares),
        hot_code::find_formatting(&shares),
        hot_code::find_reflection(&shares),
    ];
    let mut findings: Vec<ProfileFinding> = others.into_iter().chain(waits).chain([locks]).flatten().collect();
    findings.sort_by(|a, b| b.effect.total_cmp(&a.effect));
    findings
}
