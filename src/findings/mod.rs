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
    let locks = hot_code::locks(evidence, &shares);
    // Goroutines that wait for a lock leave processors idle and keep the scheduler busy: one cause, one finding.
    let waits = if locks.is_none() {
        vec![scheduler::idle_processors(evidence, &shares), scheduler::scheduling(&shares)]
    } else {
        Vec::new()
    };
    let others = [
        collector::garbage_collection(evidence, &shares),
        collector::assists(evidence, &shares),
        collector::sweeping(&shares),
        hot_code::allocation(evidence, &shares),
        scheduler::throttling(evidence),
        scheduler::run_queue(evidence),
        hot_code::system_calls(evidence, &shares),
        hot_code::stack_growth(&shares),
        hot_code::regexp_compilation(&shares),
        hot_code::formatting(&shares),
        hot_code::reflection(&shares),
    ];
    let mut findings: Vec<ProfileFinding> = others.into_iter().chain(waits).chain([locks]).flatten().collect();
    findings.sort_by(|a, b| b.effect.total_cmp(&a.effect));
    findings
}
