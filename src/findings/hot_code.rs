//! Findings about library and system functions that the program's code calls too much.

use super::evidence::Evidence;
use super::finding::{Confidence, Fact, ProfileFinding, format_percent};
use super::shares::{
    ALLOCATION, ASSIST, BACKGROUND_MARK, CodeKinds, FORMATTING, FUTEX, KERNEL, REFLECTION, REGEXP_COMPILATION,
    SCHEDULER, STACK_COPY, SYSTEM_CALL, Shares, is_lock_wait,
};

/// The slow path of a lock is taken only if another goroutine holds the lock. A tenth of the CPU time there means that
/// goroutines wait for each other.
const MIN_LOCK_SHARE: f64 = 0.1;

/// Programs that serve requests spend up to a fifth of their CPU time in allocations.
const MIN_ALLOCATION_SHARE: f64 = 0.2;

/// Servers spend up to a quarter of their CPU time in reading and writing sockets.
const MIN_SYSTEM_CALL_SHARE: f64 = 0.3;

/// Stacks grow mostly when goroutines start. A twentieth of the CPU time means that many goroutines end soon after their
/// start.
const MIN_STACK_GROWTH_SHARE: f64 = 0.05;

/// Most programs compile each pattern once. A twentieth of the CPU time means that patterns are compiled repeatedly.
const MIN_REGEXP_SHARE: f64 = 0.05;

/// Formatting and reflection are part of many programs' work, but rarely take a quarter of the CPU time.
const MIN_FORMATTING_SHARE: f64 = 0.25;

/// Finding `locks`: waiting for locks takes much of the CPU time.
pub(super) fn find_locks(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.share_if_at_least(MIN_LOCK_SHARE, is_lock_wait)?;
    let mut facts = vec![share.to_fact("in the slow paths of locks")];
    let switching = shares.share_where(|kinds| kinds & (SCHEDULER | FUTEX) != 0 && !is_lock_wait(kinds));
    facts.extend(switching.map(|share| share.to_fact("in other code of scheduler and futex")));
    if let Some(used) = evidence.processor_usage() {
        let text = format!("{} of each processor's time is CPU time of the program", format_percent(used));
        facts.push(Fact::new("times", used * 100.0, "% of each processor", text));
    }
    let caller = shares.heaviest_caller(is_lock_wait).map(|caller| format!(", most in {caller}")).unwrap_or_default();
    Some(ProfileFinding {
        id: "locks",
        title: format!("waiting for locks takes {} of the CPU time", format_percent(share.fraction)),
        evidence: facts,
        confidence: Confidence::Medium,
        advice: format!(
            "goroutines compete for a lock{caller}: hold it for a shorter time, split it, or give each goroutine its own data"
        ),
        effect: share.fraction,
    })
}

/// Finding `allocation`: allocating memory takes much of the CPU time.
pub(super) fn find_allocation(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let is_allocation = |kinds: CodeKinds| kinds & ALLOCATION != 0 && kinds & (ASSIST | BACKGROUND_MARK) == 0;
    let share = shares.share_if_at_least(MIN_ALLOCATION_SHARE, is_allocation)?;
    let mut facts = vec![share.to_fact("in allocations")];
    let mut live = 0;
    let mut allocated = 0_u64;
    for cycle in &evidence.trace.gc {
        allocated = allocated.saturating_add(cycle.event.heap_before_mb.saturating_sub(live));
        live = cycle.event.heap_live_mb;
    }
    if allocated > 0 && evidence.wall_seconds > 0.0 {
        let rate = allocated as f64 / evidence.wall_seconds;
        facts.push(Fact::new("gctrace", rate, "MiB/s", format!("the heap grows by about {rate:.0} MiB per second")));
    }
    let caller = shares.heaviest_caller(is_allocation).unwrap_or_else(|| "other modules".into());
    Some(ProfileFinding {
        id: "allocation",
        title: format!("allocating memory takes {} of the CPU time", format_percent(share.fraction)),
        evidence: facts,
        confidence: Confidence::Medium,
        advice: format!("most is called by {caller}: reuse what it allocates, or set its capacity beforehand"),
        effect: share.fraction,
    })
}

/// Finding `system-calls`: system calls take much of the CPU time.
pub(super) fn find_system_calls(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let is_call = |kinds: CodeKinds| kinds & SYSTEM_CALL != 0;
    let share = shares.share_if_at_least(MIN_SYSTEM_CALL_SHARE, is_call)?;
    let mut facts = vec![share.to_fact("in system calls")];
    facts.extend(
        shares
            .share_where(|kinds| kinds & KERNEL != 0)
            .filter(|share| share.count > 0)
            .map(|share| share.to_fact("in the kernel")),
    );
    let mut confidence = Confidence::Medium;
    if let (Some((_, system)), Some(used)) =
        (evidence.cpu_seconds, evidence.cpu_seconds_total().filter(|used| *used > 0.0))
    {
        let part = system / used;
        if part >= MIN_SYSTEM_CALL_SHARE / 2.0 {
            confidence = Confidence::High;
        }
        let text = format!("{system:.2} s of system CPU time ({})", format_percent(part));
        facts.push(Fact::new("times", part * 100.0, "% of CPU time", text));
    }
    let caller = shares.heaviest_caller(is_call).unwrap_or_else(|| "other modules".into());
    Some(ProfileFinding {
        id: "system-calls",
        title: format!("system calls take {} of the CPU time", format_percent(share.fraction)),
        evidence: facts,
        confidence,
        advice: format!("most are made by {caller}: read and write larger parts, for example with bufio"),
        effect: share.fraction,
    })
}

/// Finding `stack-growth`: copying stacks that were too small takes much of the CPU time.
pub(super) fn find_stack_growth(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let advice = "many goroutines need a larger stack soon after their start: keep goroutines and give them more work";
    find_hot_code(shares, MIN_STACK_GROWTH_SHARE, "stack-growth", "growing stacks", STACK_COPY, 0, advice)
}

/// Finding `regexp-compilation`: regular expressions are compiled repeatedly.
pub(super) fn find_regexp_compilation(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let advice = "compile patterns once, into a variable of the package";
    find_hot_code(
        shares,
        MIN_REGEXP_SHARE,
        "regexp-compilation",
        "compiling regular expressions",
        REGEXP_COMPILATION,
        0,
        advice,
    )
}

/// Finding `fmt`: package fmt takes much of the CPU time.
pub(super) fn find_formatting(shares: &Shares<'_>) -> Option<ProfileFinding> {
    find_hot_code(
        shares,
        MIN_FORMATTING_SHARE,
        "fmt",
        "package fmt",
        FORMATTING,
        0,
        "strconv and append write the same text without reflection",
    )
}

/// Finding `reflection`: reflection takes much of the CPU time, without the calls by fmt.
pub(super) fn find_reflection(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let advice = "generated or generic code does the same without reflection, for example for JSON";
    find_hot_code(shares, MIN_FORMATTING_SHARE, "reflection", "reflection", REFLECTION, FORMATTING, advice)
}

/// Returns a finding about the samples that have one of the `wanted` kinds and none of the `excluded` kinds, if their
/// share reaches `threshold`.
fn find_hot_code(
    shares: &Shares<'_>,
    threshold: f64,
    id: &'static str,
    what: &str,
    wanted: CodeKinds,
    excluded: CodeKinds,
    advice: &str,
) -> Option<ProfileFinding> {
    let condition = |kinds: CodeKinds| kinds & wanted != 0 && kinds & excluded == 0;
    let share = shares.share_if_at_least(threshold, condition)?;
    let caller = shares.heaviest_caller(condition).unwrap_or_else(|| "other modules".into());
    Some(ProfileFinding {
        id,
        title: format!("{what} takes {} of the CPU time", format_percent(share.fraction)),
        evidence: vec![share.to_fact(&format!("in {what}"))],
        confidence: Confidence::Medium,
        advice: format!("most is called by {caller}: {advice}"),
        effect: share.fraction,
    })
}
