//! Who runs: the goroutines whose descriptors were sampled, read from the program's memory while it lives.
//!
//! A sample holds the register in which Go keeps the address of the running goroutine's descriptor (`runtime.g`,
//! abi-internal.md). The runtime never frees descriptors but gives them to new goroutines, so each is read again with
//! every round of samples that it is in: what two readings agree on held in between.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::perfevent::UserRegisters;

/// Where the fields of a `runtime.g` are, in bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoroutineLayout {
    /// Processes that run another program are left alone.
    pub program: PathBuf,
    /// `goid`.
    pub id: usize,
    /// `parentGoid`, which Go has since 1.21.
    pub parent: Option<usize>,
    /// `gopc`: behind the `go` statement that made it.
    pub creator: usize,
    /// `startpc`: the function that the statement calls.
    pub start: usize,
}

/// A descriptor, and what it said from one reading to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineSeen {
    /// Process.
    pub pid: u32,
    /// The descriptor's address.
    pub address: u64,
    /// The first and the last time that it was read so, in nanoseconds of the samples' clock.
    pub times: (u64, u64),
    /// The goroutine's number.
    pub id: u64,
    /// The number of the goroutine that made it; 0 when that is not known.
    pub parent: u64,
    /// An address behind the `go` statement that made it; 0 for those that the runtime made of nothing.
    pub creator: u64,
    /// The first address of its function.
    pub start: u64,
}

/// A `runtime.g` has at most so many bytes (456 in Go 1.27) of interest.
const DESCRIPTOR: usize = 512;

/// Readings that are kept, and descriptors that are read in one round, at most: so many goroutines are not looked
/// at one by one.
const MOST_READINGS: usize = 1 << 18;
const MOST_AT_ONCE: usize = 2048;

/// Processes whose memory is kept open.
const MOST_PROCESSES: usize = 256;

/// Notes descriptors and reads them.
#[derive(Debug)]
pub(super) struct Watch {
    layout: GoroutineLayout,
    /// Since the last reading.
    noted: HashSet<(u32, u64)>,
    /// The newest reading of each descriptor, by position in `seen`.
    newest: HashMap<(u32, u64), usize>,
    seen: Vec<GoroutineSeen>,
    /// The memory of processes; `None` of those that run another program.
    memories: HashMap<u32, Option<File>>,
}

impl Watch {
    pub(super) fn new(layout: GoroutineLayout) -> Self {
        Self { layout, noted: HashSet::new(), newest: HashMap::new(), seen: Vec::new(), memories: HashMap::new() }
    }

    /// Notes the descriptor in the body of a sample that goflame's own sampler took.
    pub(super) fn note(&mut self, body: &[u8]) {
        if self.noted.len() < MOST_AT_ONCE
            && let Some((pid, address)) = descriptor_of(body)
            // What is no descriptor is seldom aligned as one.
            && address != 0
            && address.is_multiple_of(8)
        {
            self.noted.insert((pid, address));
        }
    }

    /// Reads what was noted. `now` is the time, on the samples' clock.
    pub(super) fn look(&mut self, now: u64) {
        for (pid, address) in std::mem::take(&mut self.noted) {
            if self.seen.len() >= MOST_READINGS {
                return;
            }
            let Some(found) = self.read(pid, address, now) else { continue };
            let newest = self.newest.get(&(pid, address)).and_then(|at| self.seen.get_mut(*at));
            match newest {
                Some(known) if known.id == found.id => known.times.1 = now,
                _ => {
                    self.newest.insert((pid, address), self.seen.len());
                    self.seen.push(found);
                }
            }
        }
    }

    /// What was read.
    pub(super) fn finish(self) -> Vec<GoroutineSeen> {
        self.seen
    }

    fn read(&mut self, pid: u32, address: u64, now: u64) -> Option<GoroutineSeen> {
        if self.memories.len() >= MOST_PROCESSES {
            self.memories.clear();
        }
        let program = &self.layout.program;
        let memory = self.memories.entry(pid).or_insert_with(|| {
            let runs_it = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == *program);
            runs_it.then(|| File::open(format!("/proc/{pid}/mem")).ok()).flatten()
        });
        let mut bytes = [0; DESCRIPTOR];
        let length = memory.as_ref()?.read_at(&mut bytes, address).ok()?;
        let word = |at: usize| bytes.get(..length)?.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word));
        let id = word(self.layout.id)?;
        // The threads' own descriptors (g0) have the number 0.
        (id != 0 && id < 1 << 48).then_some(())?;
        Some(GoroutineSeen {
            pid,
            address,
            times: (now, now),
            id,
            parent: self.layout.parent.and_then(word).unwrap_or(0),
            creator: word(self.layout.creator)?,
            start: word(self.layout.start)?,
        })
    }
}

/// Process and goroutine register of a sample, whose fields are those of [`Spec`](crate::perfevent::Spec): identifier,
/// ip, pid and tid, time, CPU, period, callchain, registers.
fn descriptor_of(body: &[u8]) -> Option<(u32, u64)> {
    let word = |at: usize| body.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word));
    let pid = body.get(16..)?.first_chunk().map(|pid| u32::from_le_bytes(*pid))?;
    let frames = usize::try_from(word(48)?).ok()?;
    let registers = frames.checked_mul(8)?.checked_add(56)?;
    // No registers follow where there were none (a kernel thread).
    (word(registers)? != 0).then_some(())?;
    let here = UserRegisters::HERE;
    let before = (here.mask() & ((1 << here.goroutine) - 1)).count_ones() as usize;
    Some((pid, word(registers + 8 + before * 8)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// A descriptor in this very process.
    struct Fake {
        words: Box<[u64; 64]>,
        watch: Watch,
    }

    impl Fake {
        fn new() -> Self {
            let program = fs::read_link("/proc/self/exe").unwrap();
            let layout = GoroutineLayout { program, id: 152, parent: Some(280), creator: 288, start: 304 };
            Self { words: Box::new([0; 64]), watch: Watch::new(layout) }
        }

        fn look(&mut self, id: u64, now: u64) -> &[GoroutineSeen] {
            self.words[152 / 8] = id;
            let here = UserRegisters::HERE;
            let mut body = vec![0; 48];
            body[16..20].copy_from_slice(&std::process::id().to_le_bytes());
            body.extend([1_u64, 0x1000, 2].iter().flat_map(|word| word.to_le_bytes()));
            for bit in (0..64).filter(|bit| here.mask() >> bit & 1 == 1) {
                let address = self.words.as_ptr().addr() as u64;
                body.extend((if bit == here.goroutine { address } else { 7 }).to_le_bytes());
            }
            self.watch.note(&body);
            for cut in 0..body.len() {
                assert_eq!(descriptor_of(&body[..cut]), None);
            }
            self.watch.look(now);
            &self.watch.seen
        }
    }

    #[test]
    fn readings_that_agree_are_one() {
        let mut fake = Fake::new();
        assert_eq!(fake.look(0, 5), [], "a thread's own descriptor");
        (fake.words[280 / 8], fake.words[288 / 8], fake.words[304 / 8]) = (1, 0x4001, 0x4000);
        fake.look(17, 10);
        fake.look(17, 20);
        let seen = fake.look(18, 30).to_vec();
        let address = fake.words.as_ptr().addr() as u64;
        let pid = std::process::id();
        let expected = |id, times| GoroutineSeen { pid, address, times, id, parent: 1, creator: 0x4001, start: 0x4000 };
        assert_eq!(seen, [expected(17, (10, 20)), expected(18, (30, 30))]);
    }

    #[test]
    fn other_programs_and_other_memory_are_left_alone() {
        let mut fake = Fake::new();
        fake.watch.layout.program = "/bin/another".into();
        assert_eq!(fake.look(17, 10), []);
        let mut fake = Fake::new();
        assert_eq!(fake.watch.read(std::process::id(), 8, 1), None);
    }
}
