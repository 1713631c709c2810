//! Compares a sampled profile with the CPU profile that Go's runtime made of the same program at the same time.
//!
//! Only self weights are compared. Samples in the kernel and the vdso count for the function that called them, as in profiles
//! of Go's runtime. Samples in the first function of a preemption count for the function that was interrupted.

use std::collections::{BTreeSet, HashMap};

use crate::profile::{Frame, Origin, Profile, StackId};
use crate::stats::{Estimate, critical_value};

/// A difference of more than this many percentage points needs an explanation.
const EXPLAINED_POINTS: f64 = 3.0;

/// Number of the hottest functions of each profile that are compared.
const HOTTEST_COUNT: usize = 10;

/// Probability that the interval of at least one function does not contain the true difference of its shares.
const MISS_PROBABILITY: f64 = 0.05;

/// Function names that the runtime records in place of stacks that it does not walk (runtime/proc.go, sigprof).
const UNWALKED_NAMES: [&str; 5] =
    ["runtime._System", "runtime._GC", "runtime._ExternalCode", "runtime._LostExternalCode", "runtime._VDSO"];

/// The function that the signal of a preemption inserts. On a busy machine, the profiling signal can arrive together with
/// this signal. Then the runtime counts the sample for this function, not for the interrupted one.
const PREEMPTION: &str = "runtime.asyncPreempt";

/// Shares of the hottest functions in two profiles of the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossCheck {
    /// Number of samples of the sampled profile that the runtime could see.
    pub sampled_count: u64,
    /// Number of samples of the runtime's profile.
    pub fetched_count: u64,
    /// Percentage of the sampled weight in signal handlers: the cost of the runtime's profile.
    pub signals_percent: f64,
    /// Percentage of the sampled weight in threads for which the runtime has no timer: `runtime.sysmon`, and threads of C.
    pub unseen_percent: f64,
    /// The hottest functions of each profile, and all functions whose difference needs an explanation. Those with the
    /// largest differences come first.
    pub functions: Vec<SharesOfFunction>,
}

/// Shares of a function in two profiles, in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct SharesOfFunction {
    /// Display name of the function.
    pub name: String,
    /// Share of the function in the sampled profile, in percent.
    pub sampled_percent: f64,
    /// Share of the function in the profile of Go's runtime, in percent.
    pub fetched_percent: f64,
    /// Difference in percentage points, with its confidence interval.
    pub points: Estimate,
    /// Why the difference is larger than 3 points. `None` for a smaller one, or if the reason is unknown.
    pub reason: Option<DifferenceReason>,
}

/// Why two profiles of the same time differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceReason {
    /// Chance alone can explain the difference of so few samples.
    Chance,
    /// Much of the function's time is in the kernel.
    KernelTime,
    /// The runtime does not walk the stacks of C code.
    Cgo,
    /// The runtime does not walk some stacks, and counts them under a substitute name.
    UnwalkedStack,
    /// While the runtime blocks signals, profiling signals wait. They then interrupt the code that follows.
    SignalBias,
}

impl SharesOfFunction {
    /// Whether the difference needs an explanation.
    pub fn needs_explanation(&self) -> bool {
        self.points.value.abs() > EXPLAINED_POINTS
    }
}

impl CrossCheck {
    /// Compares the profiles. `None` if one of them is empty.
    pub fn new(sampled: &Profile, fetched: &Profile) -> Option<Self> {
        let theirs = Shares::new(fetched, &classify_stacks(fetched), None);
        let stacks = classify_stacks(sampled);
        let ours = Shares::new(sampled, &stacks, find_process(&theirs, sampled, &stacks));
        if ours.total == 0 || theirs.total == 0 {
            return None;
        }
        let names: BTreeSet<&str> = ours.functions.keys().chain(theirs.functions.keys()).copied().collect();
        let critical = critical_value(MISS_PROBABILITY, names.len());
        let compare = |name: &&str| {
            let points = ours.estimate_share(name, critical).subtract(theirs.estimate_share(name, critical));
            let percents =
                [&ours, &theirs].map(|shares| shares.percent_of_total(shares.function_weight(name).self_weight));
            let mut row = SharesOfFunction {
                name: (*name).to_owned(),
                sampled_percent: percents[0],
                fetched_percent: percents[1],
                points,
                reason: None,
            };
            if row.needs_explanation() {
                row.reason = find_reason(name, &row, &ours);
            }
            row
        };
        let hottest: BTreeSet<&str> = ours.hottest_names().chain(theirs.hottest_names()).collect();
        let mut functions: Vec<_> = names.iter().map(compare).collect();
        functions.retain(|row| row.needs_explanation() || hottest.contains(row.name.as_str()));
        functions
            .sort_by(|a, b| b.points.value.abs().total_cmp(&a.points.value.abs()).then_with(|| a.name.cmp(&b.name)));
        let of_all = |weight: u64| percent_of(weight, ours.all);
        Some(Self {
            sampled_count: ours.count,
            fetched_count: theirs.count,
            signals_percent: of_all(ours.signals),
            unseen_percent: of_all(ours.unseen),
            functions,
        })
    }

    /// The functions whose difference needs an explanation.
    pub fn differing_functions(&self) -> impl Iterator<Item = &SharesOfFunction> {
        self.functions.iter().filter(|row| row.needs_explanation())
    }
}

fn find_reason(name: &str, row: &SharesOfFunction, sampled: &Shares<'_>) -> Option<DifferenceReason> {
    let function = sampled.function_weight(name);
    let explains = |weight| 2.0 * sampled.percent_of_total(weight) >= row.points.value.abs();
    if row.points.low <= 0.0 && row.points.high >= 0.0 {
        Some(DifferenceReason::Chance)
    } else if UNWALKED_NAMES.contains(&name) {
        Some(DifferenceReason::UnwalkedStack)
    } else if function.origin == Some(Origin::Native) || name == "runtime.cgocall" || name == "runtime.asmcgocall" {
        Some(DifferenceReason::Cgo)
    } else if explains(function.kernel) {
        Some(DifferenceReason::KernelTime)
    } else if function.origin == Some(Origin::Runtime) || name.starts_with("runtime.") {
        Some(DifferenceReason::SignalBias)
    } else {
        None
    }
}

/// Returns the id of the process with the most weight in the functions of `others`. The profile of `others` has only
/// one process.
fn find_process(others: &Shares<'_>, profile: &Profile, stacks: &[StackClass<'_>]) -> Option<u32> {
    let mut weights: HashMap<u32, u64> = HashMap::new();
    for sample in profile.samples() {
        if let StackClass::Function { name, .. } = stacks[sample.stack.index()]
            && others.functions.contains_key(name)
        {
            add_saturating(weights.entry(profile.task(sample.task).pid).or_default(), sample.weight);
        }
    }
    weights.into_iter().max_by_key(|(pid, weight)| (*weight, *pid)).map(|(pid, _)| pid)
}

/// Weights of the samples of a profile, or of one process in it.
struct Shares<'p> {
    /// Self weights, by the display name of the function.
    functions: HashMap<&'p str, FunctionWeight>,
    /// Weight and count of the samples in `functions`.
    total: u64,
    count: u64,
    signals: u64,
    unseen: u64,
    /// Weight of all samples of the process.
    all: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct FunctionWeight {
    self_weight: u64,
    /// The part of the self weight in the kernel.
    kernel: u64,
    origin: Option<Origin>,
}

/// Class of a stack. Its samples count for a function, for the cost of signal handlers, or for threads that the runtime
/// does not see.
#[derive(Clone, Copy)]
enum StackClass<'p> {
    Function { name: &'p str, origin: Origin, in_kernel: bool },
    Signal,
    Unseen,
}

impl<'p> Shares<'p> {
    fn new(profile: &'p Profile, stacks: &[StackClass<'p>], pid: Option<u32>) -> Self {
        let (total, count, signals, unseen, all) = Default::default();
        let mut shares = Self { functions: HashMap::new(), total, count, signals, unseen, all };
        for sample in profile.samples() {
            if pid.is_some_and(|pid| profile.task(sample.task).pid != pid) {
                continue;
            }
            add_saturating(&mut shares.all, sample.weight);
            match stacks[sample.stack.index()] {
                StackClass::Signal => add_saturating(&mut shares.signals, sample.weight),
                StackClass::Unseen => add_saturating(&mut shares.unseen, sample.weight),
                StackClass::Function { name, origin, in_kernel } => {
                    let function = shares.functions.entry(name).or_default();
                    function.origin = Some(origin);
                    add_saturating(&mut function.self_weight, sample.weight);
                    if in_kernel {
                        add_saturating(&mut function.kernel, sample.weight);
                    }
                    add_saturating(&mut shares.total, sample.weight);
                    add_saturating(&mut shares.count, sample.count);
                }
            }
        }
        shares
    }

    fn function_weight(&self, name: &str) -> FunctionWeight {
        self.functions.get(name).copied().unwrap_or_default()
    }

    fn percent_of_total(&self, weight: u64) -> f64 {
        percent_of(weight, self.total)
    }

    /// Returns the share of a function in percent, with its confidence interval.
    fn estimate_share(&self, name: &str, critical: f64) -> Estimate {
        let share = self.percent_of_total(self.function_weight(name).self_weight) / 100.0;
        let count = self.count as f64;
        Estimate::from_proportion(share * count, count, critical).scaled(100.0 / count)
    }

    fn hottest_names(&self) -> impl Iterator<Item = &'p str> {
        let mut functions: Vec<(&'p str, u64)> =
            self.functions.iter().map(|(name, weight)| (*name, weight.self_weight)).collect();
        functions.sort_by(|(a, a_weight), (b, b_weight)| b_weight.cmp(a_weight).then_with(|| a.cmp(b)));
        functions.into_iter().take(HOTTEST_COUNT).map(|(name, _)| name)
    }
}

/// Returns the class of each stack, by [`StackId::index`].
fn classify_stacks(profile: &Profile) -> Vec<StackClass<'_>> {
    let mut stacks = vec![StackClass::Unseen; profile.stack_count()];
    for stack in profile.stacks().ids() {
        stacks[stack.index()] = classify_stack(profile, stack);
    }
    stacks
}

fn classify_stack(profile: &Profile, stack: StackId) -> StackClass<'_> {
    let name = |frame: &Frame| profile.str(profile.function(frame.function).display);
    let origin = |frame: &Frame| profile.function(frame.function).origin;
    let (mut leaf, mut in_kernel, mut has_go) = (None, false, false);
    for frame in profile.frames_leaf_first(stack) {
        match name(&frame) {
            "runtime.sigtramp" | "runtime.sigtrampgo" | "runtime.sigprof" | "runtime.sighandler" => {
                return StackClass::Signal;
            }
            "runtime.sysmon" => return StackClass::Unseen,
            _ => {}
        }
        match origin(&frame) {
            Origin::Kernel if leaf.is_none() => in_kernel = true,
            Origin::Kernel | Origin::Vdso => {}
            _ if leaf.is_none() && name(&frame) == PREEMPTION => {}
            _ if leaf.is_none() => leaf = Some(frame),
            _ => {}
        }
        has_go |= origin(&frame).is_go();
    }
    match leaf {
        Some(leaf) if has_go => StackClass::Function { name: name(&leaf), origin: origin(&leaf), in_kernel },
        _ => StackClass::Unseen,
    }
}

fn add_saturating(sum: &mut u64, weight: u64) {
    *sum = sum.saturating_add(weight);
}

fn percent_of(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::DifferenceReason::{Cgo, KernelTime, SignalBias, UnwalkedStack};
    use super::*;
    use crate::profile::fixture::Fixture;

    fn fixture(stacks: &[(&str, u64)]) -> Profile {
        let mut fixture = Fixture::new();
        for (stack, count) in stacks {
            fixture.add("app", stack, *count);
        }
        fixture.profile
    }

    fn compared_functions(check: &CrossCheck) -> Vec<(&str, f64, Option<DifferenceReason>)> {
        check.functions.iter().map(|row| (row.name.as_str(), row.points.value.round(), row.reason)).collect()
    }

    #[test]
    fn time_in_the_kernel_counts_for_its_caller_and_the_cost_of_the_profile_is_left_out() {
        let sampled = fixture(&[
            ("main.main|main.work", 6_000),
            ("main.main|syscall.Write|k:vfs_write", 2_000),
            ("main.main|main.work|runtime.sigtramp|runtime.sigprof", 1_000),
            ("runtime.mstart|runtime.sysmon", 900),
            ("c:start_thread|c:poll", 100),
        ]);
        let fetched = fixture(&[
            ("main.main|main.work", 500),
            ("main.main|main.work|runtime.asyncPreempt", 100),
            ("main.main|syscall.Write", 200),
        ]);
        let check = CrossCheck::new(&sampled, &fetched).unwrap();
        assert_eq!(compared_functions(&check), [("main.work", 0.0, None), ("syscall.Write", 0.0, None)]);
        assert_eq!((check.sampled_count, check.fetched_count), (8_000, 800));
        assert_eq!((check.signals_percent, check.unseen_percent), (10.0, 10.0));
        assert_eq!(check.differing_functions().count(), 0);
    }

    #[test]
    fn each_difference_of_more_than_three_points_has_its_reason() {
        let sampled = fixture(&[
            ("main.main|main.work", 50_000),
            ("main.main|main.page|k:handle_mm_fault", 20_000),
            ("main.main|runtime.cgocall|c:deflate", 20_000),
            ("main.main|runtime.usleep", 10_000),
        ]);
        let fetched = fixture(&[
            ("main.main|main.work", 62_000),
            ("main.main|main.page", 8_000),
            ("main.main|runtime.cgocall", 20_000),
            ("runtime._System", 10_000),
        ]);
        let check = CrossCheck::new(&sampled, &fetched).unwrap();
        assert_eq!(
            compared_functions(&check),
            [
                ("deflate", 20.0, Some(Cgo)),
                ("runtime.cgocall", -20.0, Some(Cgo)),
                ("main.page", 12.0, Some(KernelTime)),
                ("main.work", -12.0, None),
                ("runtime._System", -10.0, Some(UnwalkedStack)),
                ("runtime.usleep", 10.0, Some(SignalBias)),
            ]
        );
    }

    #[test]
    fn a_difference_of_few_samples_is_chance() {
        let sampled = fixture(&[("main.main|main.a", 500), ("main.main|main.b", 500)]);
        let fetched = fixture(&[("main.main|main.a", 12), ("main.main|main.b", 8)]);
        let check = CrossCheck::new(&sampled, &fetched).unwrap();
        assert!(check.differing_functions().all(|row| row.reason == Some(DifferenceReason::Chance)), "{check:?}");
        assert_eq!(check.differing_functions().count(), 2);
        assert_eq!(CrossCheck::new(&sampled, &fixture(&[])), None);
    }
}
