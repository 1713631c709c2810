//! Findings about what the program's own code calls.

use super::evidence::Evidence;
use super::finding::{Confidence, Fact, ProfileFinding, percent};
use super::shares::{
    ALLOCATION, ASSIST, BACKGROUND_MARK, Bits, FORMATTING, FUTEX, KERNEL, REFLECTION, REGEXP_COMPILATION, SCHEDULER,
    STACK_COPY, SYSTEM_CALL, Shares, is_lock_wait,
};

/// The slow path of a lock is taken only if another goroutine holds it. A tenth of the CPU time there means that
/// goroutines stand in line.
const LOCKS: f64 = 0.1;

/// Programs that serve requests spend up to a fifth of their CPU time in allocations.
const ALLOCATING: f64 = 0.2;

/// Servers spend up to a quarter of their CPU time in reading and writing sockets.
const SYSTEM_CALLS: f64 = 0.3;

/// Stacks grow when goroutines start. A twentieth of the CPU time means that most are short.
const STACK_GROWTH: f64 = 0.05;

/// Patterns are compiled once at the start of a program. A twentieth of the CPU time means again and again.
const REGEXPS: f64 = 0.05;

/// Text is part of many programs' work, but rarely a quarter of it.
const TEXT: f64 = 0.25;

/// Waiting for locks.
pub(super) fn locks(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let share = shares.at_least(LOCKS, is_lock_wait)?;
    let mut facts = vec![share.fact("in the slow paths of locks")];
    let switching = shares.of(|bits| bits & (SCHEDULER | FUTEX) != 0 && !is_lock_wait(bits));
    facts.extend(switching.map(|share| share.fact("in scheduler and futex besides")));
    if let Some(used) = evidence.cpu_per_processor() {
        let text = format!("{} of each processor's time is CPU time of the program", percent(used));
        facts.push(Fact::new("times", used * 100.0, "% of each processor", text));
    }
    let caller = shares.heaviest_caller(is_lock_wait).map(|caller| format!(", most in {caller}")).unwrap_or_default();
    Some(ProfileFinding {
        id: "locks",
        title: format!("waiting for locks takes {} of the CPU time", percent(share.part)),
        evidence: facts,
        confidence: Confidence::Medium,
        advice: format!(
            "goroutines compete for a lock{caller}: hold it for less, split it, or work on parts of one's own"
        ),
        effect: share.part,
    })
}

/// Allocating memory.
pub(super) fn allocation(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let is_allocation = |bits: Bits| bits & ALLOCATION != 0 && bits & (ASSIST | BACKGROUND_MARK) == 0;
    let share = shares.at_least(ALLOCATING, is_allocation)?;
    let mut facts = vec![share.fact("in allocations")];
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
        title: format!("allocating memory takes {} of the CPU time", percent(share.part)),
        evidence: facts,
        confidence: Confidence::Medium,
        advice: format!("most is called by {caller}: reuse what it allocates, or set its capacity beforehand"),
        effect: share.part,
    })
}

/// System calls of the program.
pub(super) fn system_calls(evidence: &Evidence<'_>, shares: &Shares<'_>) -> Option<ProfileFinding> {
    let is_call = |bits: Bits| bits & SYSTEM_CALL != 0;
    let share = shares.at_least(SYSTEM_CALLS, is_call)?;
    let mut facts = vec![share.fact("in system calls")];
    facts.extend(
        shares.of(|bits| bits & KERNEL != 0).filter(|share| share.count > 0).map(|share| share.fact("in the kernel")),
    );
    let mut confidence = Confidence::Medium;
    if let (Some((_, system)), Some(used)) = (evidence.cpu_seconds, evidence.used_cpu().filter(|used| *used > 0.0)) {
        let part = system / used;
        if part >= SYSTEM_CALLS / 2.0 {
            confidence = Confidence::High;
        }
        let text = format!("{system:.2} s of system CPU time ({})", percent(part));
        facts.push(Fact::new("times", part * 100.0, "% of CPU time", text));
    }
    let caller = shares.heaviest_caller(is_call).unwrap_or_else(|| "other modules".into());
    Some(ProfileFinding {
        id: "system-calls",
        title: format!("system calls take {} of the CPU time", percent(share.part)),
        evidence: facts,
        confidence,
        advice: format!("most are made by {caller}: read and write larger parts, for example with bufio"),
        effect: share.part,
    })
}

/// Stacks that are copied because they were too small.
pub(super) fn stack_growth(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let advice = "goroutines are started and soon need a larger stack: keep them and give them more work";
    of_code(shares, STACK_GROWTH, "stack-growth", "growing stacks", STACK_COPY, 0, advice)
}

/// Regular expressions that are compiled again and again.
pub(super) fn regexp_compilation(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let advice = "compile patterns once, into a variable of the package";
    of_code(shares, REGEXPS, "regexp-compilation", "compiling regular expressions", REGEXP_COMPILATION, 0, advice)
}

/// Package fmt in hot code.
pub(super) fn formatting(shares: &Shares<'_>) -> Option<ProfileFinding> {
    of_code(
        shares,
        TEXT,
        "fmt",
        "package fmt",
        FORMATTING,
        0,
        "strconv and append write the same text without reflection",
    )
}

/// Reflection in hot code, except by fmt.
pub(super) fn reflection(shares: &Shares<'_>) -> Option<ProfileFinding> {
    let advice = "generated or generic code does the same without reflection, for example for JSON";
    of_code(shares, TEXT, "reflection", "reflection", REFLECTION, FORMATTING, advice)
}

/// A finding about samples with one property and without another.
fn of_code(
    shares: &Shares<'_>,
    threshold: f64,
    id: &'static str,
    what: &str,
    with: Bits,
    without: Bits,
    advice: &str,
) -> Option<ProfileFinding> {
    let condition = |bits: Bits| bits & with != 0 && bits & without == 0;
    let share = shares.at_least(threshold, condition)?;
    let caller = shares.heaviest_caller(condition).unwrap_or_else(|| "other modules".into());
    Some(ProfileFinding {
        id,
        title: format!("{what} takes {} of the CPU time", percent(share.part)),
        evidence: vec![share.fact(&format!("in {what}"))],
        confidence: Confidence::Medium,
        advice: format!("most is called by {caller}: {advice}"),
        effect: share.part,
    })
}
