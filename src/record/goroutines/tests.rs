//! Tests with descriptors in the memory of the test process.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;

use super::*;
use crate::record::raw_sample::tests::{body, decode};

const SP: u64 = 0x7000;

/// An address in code.
fn code() -> u64 {
    code as fn() -> u64 as usize as u64
}

/// A goroutine, a thread's own descriptor, and the thread.
struct Fake {
    goroutine: Box<[u64; 64]>,
    own: Box<[u64; 64]>,
    thread: Box<[u64; 64]>,
    watch: Watch,
}

impl Fake {
    fn new() -> Self {
        let program = fs::read_link("/proc/self/exe").unwrap();
        let layout = GoroutineLayout {
            file: ProgramFile::at(&program).unwrap(),
            program,
            stack: (0, 8),
            thread: 48,
            id: 152,
            parent: Some(280),
            creator: 288,
            start: 304,
            thread_id: Some(64),
            own: [0, 72],
            current: 184,
            labels: None,
            list: None,
            modules: None,
            code: None,
        };
        let zero = || Box::new([0; 64]);
        let mut watch = Watch::new(layout, true);
        assert!(watch.open(std::process::id(), 0));
        let mut fake = Self { goroutine: zero(), own: zero(), thread: zero(), watch };
        let words = &mut fake.goroutine;
        (words[0], words[1], words[280 / 8], words[288 / 8], words[304 / 8]) = (0x8000, 0xa000, 1, code() + 1, code());
        fake.own[48 / 8] = address(&fake.thread);
        fake.thread[0] = address(&fake.own);
        fake.thread[184 / 8] = address(&fake.goroutine);
        fake
    }

    /// Notes a sample with `register` in its goroutine register and the frame pointer `bp`, and reads it while the
    /// goroutine's number is `id`.
    fn look(&mut self, register: u64, bp: u64, id: u64, now: u64) -> &[GoroutineReading] {
        self.goroutine[152 / 8] = id;
        self.watch.note(&decode(&body(std::process::id(), register, SP, bp, &[])).unwrap());
        self.watch.look(now, 1);
        &self.watch.seen
    }

    fn seen(&self, id: u64, (first_ns, last_ns): (u64, u64), stack: (u64, u64)) -> GoroutineReading {
        let (pid, address) = (std::process::id(), address(&self.goroutine));
        GoroutineReading {
            pid,
            address,
            first_ns,
            last_ns,
            id,
            parent: 1,
            creator: code() + 1,
            start: code(),
            stack,
            runs: 0,
        }
    }
}

fn address(words: &[u64; 64]) -> u64 {
    words.as_ptr().addr() as u64
}

#[test]
fn readings_that_agree_are_one() {
    let mut fake = Fake::new();
    let descriptor = address(&fake.goroutine);
    fake.look(descriptor, 0, 17, 10);
    fake.look(descriptor, 0, 17, 20);
    fake.look(descriptor, 0, 18, 30);
    (fake.goroutine[0], fake.goroutine[1]) = (0xc000, 0x1_0000);
    let seen = fake.look(descriptor, 0, 18, 40).to_vec();
    let (old, new) = ((0x8000, 0xa000), (0xc000, 0x1_0000));
    assert_eq!(seen, [fake.seen(17, (10, 20), old), fake.seen(18, (30, 30), old), fake.seen(18, (40, 40), new)]);
    // The old stack no longer belongs to a known descriptor.
    assert_eq!(fake.watch.on_stack(std::process::id(), 0x9000), None);
    assert_eq!(fake.watch.on_stack(std::process::id(), 0xffff), Some(descriptor));
    assert_eq!(fake.watch.on_stack(std::process::id(), 0x1_0000), None);
    assert_eq!(fake.watch.on_stack(1, 0xffff), None);
}

#[test]
fn a_thread_tells_what_it_runs() {
    let mut fake = Fake::new();
    let own = address(&fake.own);
    let seen = fake.look(own, 0, 17, 10).to_vec();
    assert_eq!((seen[0].address, seen[0].id, seen[0].runs), (own, 0, address(&fake.goroutine)));
    assert_eq!(seen[1..], [fake.seen(17, (10, 10), (0x8000, 0xa000))]);
    // The thread runs no goroutine any more, but a frame pointer leads to the goroutine.
    fake.thread[184 / 8] = 0;
    let seen = fake.look(own, 0x9000, 17, 20).to_vec();
    assert_eq!(seen[1], fake.seen(17, (10, 20), (0x8000, 0xa000)));
    assert_eq!(seen[2..], [GoroutineReading { first_ns: 20, last_ns: 20, runs: 0, ..seen[0] }]);
}

#[test]
fn a_goroutine_that_was_never_in_the_register_is_in_the_list() {
    let mut fake = Fake::new();
    let array = [address(&fake.own), address(&fake.goroutine)];
    let list = Box::new([array.as_ptr().addr() as u64, 2, 2]);
    fake.watch.layout.list = Some(list.as_ptr().addr() as u64);
    // The sample is in no known stack.
    let sp = 0x9000;
    fake.goroutine[152 / 8] = 17;
    let first = fake.seen(17, (0, 0), (0x8000, 0xa000));
    let seen = |(first_ns, last_ns)| GoroutineReading { first_ns, last_ns, ..first };
    let mut look = |register, sp, now| {
        fake.watch.note(&decode(&body(std::process::id(), register, sp, 0, &[])).unwrap());
        fake.watch.look(now, 1);
        fake.watch.seen.clone()
    };
    assert_eq!(look(0x777, sp, 1)[..], [seen((1, 1))]);
    assert_eq!(look(0x777, 0xb000, 2)[..], [seen((1, 1))], "not in its stack, and the list was read just before");
    // From now on its descriptor is read in every round in which it is sampled.
    assert_eq!(look(0x777, sp, 3)[..], [seen((1, 3))]);
    assert_eq!(look(0x777, 0xb000, 1_000_000)[..], [seen((1, 3))], "it neither runs nor has the stack");
}

#[test]
fn what_is_no_descriptor_is_left_alone() {
    let mut fake = Fake::new();
    let descriptor = address(&fake.goroutine);
    assert_eq!(fake.look(descriptor, 0, 0, 10), [], "no number, and no thread that has it for its own");
    assert_eq!(fake.look(descriptor, 0, MAX_ID, 10), []);
    assert_eq!(fake.watch.read(std::process::id(), 8, 1, |_| true), None, "no memory");
    // One field is wrong: the stack's bounds, the creator, the entry, the thread.
    let own = address(&fake.own);
    for (field, value) in [(0, 0xa000), (8, 0x8000), (288, 424_242), (304, 424_242), (48, own)] {
        let mut fake = Fake::new();
        fake.goroutine[field / 8] = value;
        assert_eq!(fake.look(address(&fake.goroutine), 0, 17, 10), [], "{field}");
    }
    let mut fake = Fake::new();
    fake.goroutine[48 / 8] = address(&fake.thread);
    assert_eq!(fake.look(address(&fake.goroutine), 0, 17, 10).len(), 1, "the thread runs it");
}

#[test]
fn the_memory_of_another_program_is_not_read() {
    let mut fake = Fake::new();
    let pid = std::process::id();
    fake.watch.close(pid);
    assert_eq!(fake.look(address(&fake.goroutine), 0, 17, 10), [], "closed");
    fake.watch.layout.file = ProgramFile::at("/bin/true".as_ref()).unwrap();
    assert!(!fake.watch.open(pid, 0));
}

#[test]
fn readings_come_seldom_without_a_process_and_without_generated_code() {
    let mut fake = Fake::new();
    let pid = std::process::id();
    let [shortest, longest] = INTERVALS;
    assert_eq!(fake.watch.interval(), shortest);
    fake.watch.close(pid);
    assert_eq!(fake.watch.interval(), longest);
    assert!(fake.watch.open(pid, 0));
    assert_eq!(fake.watch.interval(), shortest);

    let goroutine = fake.seen(17, (10, 10), (0x8000, 0xa000));
    let mut left = LeftStackWatch::default();
    left.note(pid, 1);
    left.take_noted();
    left.keep(1, &goroutine, Vec::new());
    assert!(left.interval().is_some());
    for _ in 0..100 {
        left.take_noted();
    }
    assert_eq!(left.interval(), None);
    left.note(pid, 1);
    left.take_noted();
    assert!(left.interval().is_some());
}

#[test]
fn the_stack_that_a_thread_has_left_is_read() {
    let mut fake = Fake::new();
    let (pid, tid) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned());
    let stack = Box::new([1, code() + 1, 2, code() + 2]);
    let low = stack.as_ptr().addr() as u64;
    (fake.goroutine[0], fake.goroutine[1], fake.goroutine[48 / 8]) = (low, low + 32, address(&fake.thread));
    fake.thread[64 / 8] = tid.into();
    fake.look(address(&fake.goroutine), 0, 17, 10);
    for time in [20, 30] {
        fake.watch.left_stacks.note(pid, tid);
        fake.watch.look(time, 1);
    }
    // Another thread has the number.
    fake.thread[64 / 8] += 1;
    fake.watch.left_stacks.note(pid, tid);
    fake.watch.look(40, 1);
    let found = fake.watch.finish().left_stacks;
    assert_eq!(found.contents, [[(low + 8, code() + 1), (low + 24, code() + 2)]]);
    let [left] = <[_; 1]>::try_from(found.readings).unwrap();
    assert_eq!((left.descriptor, left.stack), (address(&fake.goroutine), (low, low + 32)));
    assert_eq!((left.first_ns, left.last_ns), (20, 30));
}
