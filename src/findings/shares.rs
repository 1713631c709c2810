//! Which part of the samples runs what, by the names of the functions in their stacks.

use super::evidence::Evidence;
use crate::goname;
use crate::profile::{FunctionId, Origin, Profile, Unit};
use crate::stats::Estimate;

/// Critical value of the intervals: 99 % confidence, so that findings do not come and go.
const CRITICAL: f64 = 2.58;

/// Fewer samples than this say nothing: with 200, a share of 10 % is uncertain by 5 points.
const MIN_SAMPLES: u64 = 200;

/// A set of the properties below.
pub(super) type Bits = u32;

/// Marking by a background worker of the collector.
pub(super) const BACKGROUND_MARK: Bits = 1;
/// Marking by a goroutine that allocates.
pub(super) const ASSIST: Bits = 1 << 1;
/// Sweeping, and returning memory to the kernel.
pub(super) const SWEEP: Bits = 1 << 2;
/// Allocating memory.
pub(super) const ALLOCATION: Bits = 1 << 3;
/// Looking for a goroutine to run, and switching to it.
pub(super) const SCHEDULER: Bits = 1 << 4;
/// Putting threads to sleep and waking them.
pub(super) const FUTEX: Bits = 1 << 5;
/// Asking for network events.
pub(super) const NETPOLL: Bits = 1 << 6;
/// The slow path of a lock of the program: it was held by another goroutine.
pub(super) const PROGRAM_LOCK: Bits = 1 << 7;
/// A lock of the runtime.
const RUNTIME_LOCK: Bits = 1 << 8;
/// Waiting actively for a lock of the runtime.
const SPIN: Bits = 1 << 9;
/// A system call of the program, not of the runtime.
pub(super) const SYSTEM_CALL: Bits = 1 << 10;
/// Kernel code.
pub(super) const KERNEL: Bits = 1 << 11;
/// Copying a stack that was too small.
pub(super) const STACK_COPY: Bits = 1 << 12;
/// Compiling a regular expression.
pub(super) const REGEXP_COMPILATION: Bits = 1 << 13;
/// Formatting text.
pub(super) const FORMATTING: Bits = 1 << 14;
/// Reflection.
pub(super) const REFLECTION: Bits = 1 << 15;

/// The samples of a profile, by what they run.
pub(super) struct Shares<'p> {
    profile: &'p Profile,
    /// By [`StackId::index`](crate::profile::StackId::index).
    bits: Vec<Bits>,
    count: u64,
    weight: u64,
    /// CPU time of all samples in seconds.
    seconds: f64,
}

/// A part of the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Part of the CPU time, from 0 to 1.
    pub(super) part: f64,
    /// At least this part, in spite of chance.
    pub(super) low: f64,
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
            Unit::Bytes | Unit::Events => evidence.used_cpu().unwrap_or(0.0),
        };
        let of_function: Vec<Bits> =
            profile.functions().map(|(_, function)| bits_of(profile.str(function.name), function.origin)).collect();
        let bits = profile.stack_bits(|frame| of_function.get(frame.function.index()).copied().unwrap_or(0));
        Self { profile, bits, count, weight, seconds: sampled_seconds }
    }

    /// The part of the samples whose properties fulfil a condition. `None` if there are too few samples.
    pub(super) fn of(&self, condition: impl Fn(Bits) -> bool) -> Option<Share> {
        if self.count < MIN_SAMPLES || self.weight == 0 {
            return None;
        }
        let (mut count, mut weight) = (0_u64, 0_u64);
        for sample in self.profile.samples() {
            if condition(self.bits.get(sample.stack.index()).copied().unwrap_or(0)) {
                count = count.saturating_add(sample.count);
                weight = weight.saturating_add(sample.weight);
            }
        }
        let part = weight as f64 / self.weight as f64;
        let estimate = Estimate::from_part(count as f64, self.count as f64, CRITICAL);
        let low = part - (estimate.value - estimate.low) / self.count as f64;
        Some(Share { part, low, seconds: part * self.seconds, count })
    }

    /// The part of the samples with one of these properties, if it is certainly at least `threshold`.
    pub(super) fn at_least(&self, threshold: f64, condition: impl Fn(Bits) -> bool) -> Option<Share> {
        self.of(condition).filter(|share| share.low >= threshold)
    }

    /// The function of the program that most of the samples were called from, and its part of them. A sample counts for the
    /// function nearest to its leaf.
    pub(super) fn heaviest_caller(&self, condition: impl Fn(Bits) -> bool) -> Option<String> {
        let mut weights: Vec<u64> = vec![0; self.profile.functions().len()];
        let mut total = 0_u64;
        for sample in self.profile.samples() {
            if !condition(self.bits.get(sample.stack.index()).copied().unwrap_or(0)) {
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

/// Whether a sample waits for a lock that somebody else holds.
pub(super) fn is_lock_wait(bits: Bits) -> bool {
    bits & PROGRAM_LOCK != 0 || (bits & RUNTIME_LOCK != 0 && bits & (SPIN | FUTEX) != 0)
}

/// Properties of a function, by its name in the binary.
fn bits_of(name: &str, origin: Origin) -> Bits {
    if origin == Origin::Kernel {
        return KERNEL;
    }
    match name {
        "runtime.gcBgMarkWorker" => BACKGROUND_MARK,
        "runtime.gcAssistAlloc" => ASSIST,
        "runtime.bgsweep" | "runtime.bgscavenge" | "runtime.deductSweepCredit" => SWEEP,
        "runtime.newobject" | "runtime.growslice" | "runtime.makeslice" => ALLOCATION,
        // `findrunnable` up to Go 1.18.
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
