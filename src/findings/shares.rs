//! Shares of the samples by kind of code, such as allocation. The names of the functions in a stack decide its kinds.

use super::evidence::Evidence;
use crate::goname;
use crate::profile::{FunctionId, Origin, Profile, Unit};
use crate::stats::Estimate;

/// Critical value of the intervals, for a confidence of 99 %. With less, a finding would often be in only one of two equal
/// runs.
const CRITICAL_VALUE: f64 = 2.58;

/// Fewer samples give no finding: with 200, a share of 10 % is uncertain by 5 percentage points.
const MIN_SAMPLES: u64 = 200;

/// A set of kinds of code: a sum of the constants below.
pub(super) type CodeKinds = u32;

/// Marking by a background worker of the collector.
pub(super) const BACKGROUND_MARK: CodeKinds = 1;
/// Marking by a goroutine that allocates.
pub(super) const ASSIST: CodeKinds = 1 << 1;
/// Sweeping, and returning memory to the kernel.
pub(super) const SWEEP: CodeKinds = 1 << 2;
/// Allocating memory.
pub(super) const ALLOCATION: CodeKinds = 1 << 3;
/// Looking for a goroutine to run, and switching to it.
pub(super) const SCHEDULER: CodeKinds = 1 << 4;
/// Putting threads to sleep and waking them.
pub(super) const FUTEX: CodeKinds = 1 << 5;
/// Polling for network events.
pub(super) const NETPOLL: CodeKinds = 1 << 6;
/// The slow path of a lock of the program. It is taken if another goroutine holds the lock.
pub(super) const PROGRAM_LOCK: CodeKinds = 1 << 7;
/// A lock of the runtime.
const RUNTIME_LOCK: CodeKinds = 1 << 8;
/// Spinning until a lock of the runtime is free.
const SPIN: CodeKinds = 1 << 9;
/// A system call of the program, not of the runtime.
pub(super) const SYSTEM_CALL: CodeKinds = 1 << 10;
/// Kernel code.
pub(super) const KERNEL: CodeKinds = 1 << 11;
/// Copying a stack that was too small.
pub(super) const STACK_COPY: CodeKinds = 1 << 12;
/// Compiling a regular expression.
pub(super) const REGEXP_COMPILATION: CodeKinds = 1 << 13;
/// Formatting text.
pub(super) const FORMATTING: CodeKinds = 1 << 14;
/// Reflection.
pub(super) const REFLECTION: CodeKinds = 1 << 15;

/// The samples of a profile, and the kinds of code in their stacks.
pub(super) struct Shares<'p> {
    profile: &'p Profile,
    /// Kinds of code in each stack, by [`StackId::index`](crate::profile::StackId::index).
    kinds: Vec<CodeKinds>,
    count: u64,
    weight: u64,
    /// CPU time of all samples in seconds.
    seconds: f64,
}

/// A part of the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Part of the CPU time, from 0 to 1.
    pub(super) fraction: f64,
    /// Lower bound of `fraction`, with a confidence of 99 %.
    pub(super) lower_bound: f64,
    /// The part in seconds of CPU time.
    pub(super) seconds: f64,
    /// Number of samples.
    pub(super) count: u64,
}

impl<'p> Shares<'p> {
    pub(super) fn new(evidence: &Evidence<'p>) -> Self {
        let profile = evidence.profile;
        let (count, weight) = (profile.total_count(), profile.total_weight());
        let sampled_seconds = match profile.event.unit {
            Unit::Nanoseconds => weight as f64 / 1e9,
            Unit::Bytes | Unit::Events => evidence.cpu_seconds_total().unwrap_or(0.0),
        };
        let kinds_of_function: Vec<CodeKinds> =
            profile.functions().map(|(_, function)| kinds_of(profile.str(function.name), function.origin)).collect();
        let kinds =
            profile.union_stack_bits(|frame| kinds_of_function.get(frame.function.index()).copied().unwrap_or(0));
        Self { profile, kinds, count, weight, seconds: sampled_seconds }
    }

    /// Returns the share of the samples whose kinds of code fulfil a condition. `None` if the profile has too few samples.
    pub(super) fn share_where(&self, condition: impl Fn(CodeKinds) -> bool) -> Option<Share> {
        if self.count < MIN_SAMPLES || self.weight == 0 {
            return None;
        }
        let (mut count, mut weight) = (0_u64, 0_u64);
        for sample in self.profile.samples() {
            if condition(self.kinds.get(sample.stack.index()).copied().unwrap_or(0)) {
                count = count.saturating_add(sample.count);
                weight = weight.saturating_add(sample.weight);
            }
        }
        let part = weight as f64 / self.weight as f64;
        let estimate = Estimate::from_proportion(count as f64, self.count as f64, CRITICAL_VALUE);
        let lower_bound = part - (estimate.value - estimate.low) / self.count as f64;
        Some(Share { fraction: part, lower_bound, seconds: part * self.seconds, count })
    }

    /// Returns the share of the samples whose kinds of code fulfil a condition, if its lower bound reaches `threshold`.
    pub(super) fn share_if_at_least(&self, threshold: f64, condition: impl Fn(CodeKinds) -> bool) -> Option<Share> {
        self.share_where(condition).filter(|share| share.lower_bound >= threshold)
    }

    /// Returns as text the function of the main module with the largest weight of samples that fulfil a condition, and
    /// its share of the weight of these samples: `main.parse (40 % of it)`. A sample counts for the main module's
    /// function nearest to its leaf. `None` if the main module is in no such sample.
    pub(super) fn heaviest_caller(&self, condition: impl Fn(CodeKinds) -> bool) -> Option<String> {
        let mut weights: Vec<u64> = vec![0; self.profile.functions().len()];
        let mut total = 0_u64;
        for sample in self.profile.samples() {
            if !condition(self.kinds.get(sample.stack.index()).copied().unwrap_or(0)) {
                continue;
            }
            total = total.saturating_add(sample.weight);
            let own = |id: FunctionId| self.profile.function(id).origin == Origin::Main;
            let caller = self.profile.frames_leaf_first(sample.stack).map(|frame| frame.function).find(|id| own(*id));
            if let Some(weight) = caller.and_then(|caller| weights.get_mut(caller.index())) {
                *weight = weight.saturating_add(sample.weight);
            }
        }
        let names = self.profile.functions().map(|(_, function)| self.profile.str(function.display));
        let (name, weight) = names.zip(weights).max_by_key(|(_, weight)| *weight).filter(|(_, weight)| *weight > 0)?;
        Some(format!("{name} ({:.0} % of it)", weight as f64 * 100.0 / total as f64))
    }
}

/// Returns whether a stack waits for a lock that another goroutine or thread holds.
pub(super) fn is_lock_wait(kinds: CodeKinds) -> bool {
    kinds & PROGRAM_LOCK != 0 || (kinds & RUNTIME_LOCK != 0 && kinds & (SPIN | FUTEX) != 0)
}

/// Returns the kinds of code of a function, by its symbol name.
fn kinds_of(name: &str, origin: Origin) -> CodeKinds {
    if origin == Origin::Kernel {
        return KERNEL;
    }
    match name {
        "runtime.gcBgMarkWorker" => BACKGROUND_MARK,
        "runtime.gcAssistAlloc" => ASSIST,
        "runtime.bgsweep" | "runtime.bgscavenge" | "runtime.deductSweepCredit" => SWEEP,
        "runtime.newobject" | "runtime.growslice" | "runtime.makeslice" => ALLOCATION,
        // Up to Go 1.18, `findRunnable` is named `findrunnable`.
        "runtime.findRunnable" | "runtime.findrunnable" | "runtime.schedule" => SCHEDULER,
        "runtime.futex" => FUTEX,
        "runtime.netpoll" => NETPOLL,
        "sync.(*Mutex).lockSlow"
        | "sync.(*Mutex).unlockSlow"
        | "internal/sync.(*Mutex).lockSlow"
        | "internal/sync.(*Mutex).unlockSlow"
        | "sync.runtime_SemacquireMutex"
        | "sync.runtime_SemacquireRWMutex"
        | "sync.runtime_SemacquireRWMutexR"
        | "internal/sync.runtime_SemacquireMutex"
        | "sync.(*RWMutex).rUnlockSlow" => PROGRAM_LOCK,
        "runtime.lock2" => RUNTIME_LOCK,
        "runtime.procyield" | "runtime.osyield" => SPIN,
        "syscall.Syscall" | "syscall.Syscall6" | "syscall.RawSyscall" | "syscall.RawSyscall6" => SYSTEM_CALL,
        "runtime.copystack" => STACK_COPY,
        "regexp.compile" | "regexp.Compile" | "regexp.MustCompile" => REGEXP_COMPILATION,
        _ if name.starts_with("runtime.mallocgc") => ALLOCATION,
        _ if origin == Origin::Std => match goname::package(name) {
            "fmt" => FORMATTING,
            "reflect" => REFLECTION,
            _ => 0,
        },
        _ => 0,
    }
}
