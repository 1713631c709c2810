//! Tests with fake descriptors in the memory of the test process.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;

use super::*;
use crate::record::raw_sample::tests::{body, decode};

const SP: u64 = 0x7000;

/// An address in code.
fn code() -> u64 {
    code as fn() -> u64 as usize as u64
}

/// Structures of the Go runtime in the test's memory: a goroutine, a thread's own descriptor, and the thread
/// (`runtime.m`).
struct Fake {
    goroutine: Box<[u64; 64]>,
    thread_descriptor: Box<[u64; 64]>,
    thread: Box<[u64; 64]>,
    watch: GoroutineWatch,
}

impl Fake {
    fn new() -> Self {
        let program = fs::read_link("/proc/self/exe").unwrap();
        let layout = GoroutineLayout {
            file: ProgramFile::from_path(&program).unwrap(),
            program,
            stack_offsets: (0, 8),
            thread_offset: 48,
            id_offset: 152,
            parent_offset: Some(280),
            creator_offset: 288,
            entry_offset: 304,
            thread_id_offset: Some(64),
            thread_descriptor_offsets: [0, 72],
            current_goroutine_offset: 184,
            labels: None,
            list_address: None,
            module_list: None,
            code: None,
        };
        let zero = || Box::new([0; 64]);
        let mut watch = GoroutineWatch::new(layout, true);
        assert!(watch.open(std::process::id(), 0));
        let mut fake = Self { goroutine: zero(), thread_descriptor: zero(), thread: zero(), watch };
        let words = &mut fake.goroutine;
        (words[0], words[1], words[280 / 8], words[288 / 8], words[304 / 8]) = (0x8000, 0xa000, 1, code() + 1, code());
        fake.thread_descriptor[48 / 8] = address(&fake.thread);
        fake.thread[0] = address(&fake.thread_descriptor);
        fake.thread[184 / 8] = address(&fake.goroutine);
        fake
    }

    /// Notes a sample with `register` in its goroutine register and the frame pointer `bp`. Then reads descriptors
    /// while the goroutine's number is `id`.
    fn note_and_read(&mut self, register: u64, bp: u64, id: u64, now: u64) -> &[GoroutineReading] {
        self.goroutine[152 / 8] = id;
        self.watch.note_sample(&decode(&body(std::process::id(), register, SP, bp, &[])).unwrap());
        self.watch.read_noted(now, 1);
        &self.watch.readings
    }

    fn expected(&self, id: u64, (first_ns, last_ns): (u64, u64), stack: (u64, u64)) -> GoroutineReading {
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
fn equal_readings_of_a_descriptor_are_merged() {
    let mut fake = Fake::new();
    let descriptor = address(&fake.goroutine);
    fake.note_and_read(descriptor, 0, 17, 10);
    fake.note_and_read(descriptor, 0, 17, 20);
    fake.note_and_read(descriptor, 0, 18, 30);
    (fake.goroutine[0], fake.goroutine[1]) = (0xc000, 0x1_0000);
    let seen = fake.note_and_read(descriptor, 0, 18, 40).to_vec();
    let (old, new) = ((0x8000, 0xa000), (0xc000, 0x1_0000));
    assert_eq!(
        seen,
        [fake.expected(17, (10, 20), old), fake.expected(18, (30, 30), old), fake.expected(18, (40, 40), new)]
    );
    // The old stack no longer belongs to a known descriptor.
    assert_eq!(fake.watch.find_by_stack(std::process::id(), 0x9000), None);
    assert_eq!(fake.watch.find_by_stack(std::process::id(), 0xffff), Some(descriptor));
    assert_eq!(fake.watch.find_by_stack(std::process::id(), 0x1_0000), None);
    assert_eq!(fake.watch.find_by_stack(1, 0xffff), None);
}

#[test]
fn a_threads_descriptor_leads_to_the_goroutine_that_it_runs() {
    let mut fake = Fake::new();
    let own = address(&fake.thread_descriptor);
    let seen = fake.note_and_read(own, 0, 17, 10).to_vec();
    assert_eq!((seen[0].address, seen[0].id, seen[0].runs), (own, 0, address(&fake.goroutine)));
    assert_eq!(seen[1..], [fake.expected(17, (10, 10), (0x8000, 0xa000))]);
    // The thread no longer runs a goroutine, but a frame pointer leads to the goroutine's stack.
    fake.thread[184 / 8] = 0;
    let seen = fake.note_and_read(own, 0x9000, 17, 20).to_vec();
    assert_eq!(seen[1], fake.expected(17, (10, 20), (0x8000, 0xa000)));
    assert_eq!(seen[2..], [GoroutineReading { first_ns: 20, last_ns: 20, runs: 0, ..seen[0] }]);
}

#[test]
fn a_goroutine_that_was_never_in_the_register_is_found_in_the_list() {
    let mut fake = Fake::new();
    let array = [address(&fake.thread_descriptor), address(&fake.goroutine)];
    let list = Box::new([array.as_ptr().addr() as u64, 2, 2]);
    fake.watch.layout.list_address = Some(list.as_ptr().addr() as u64);
    // The stack pointer of the sample is in no known stack.
    let sp = 0x9000;
    fake.goroutine[152 / 8] = 17;
    let first = fake.expected(17, (0, 0), (0x8000, 0xa000));
    let seen = |(first_ns, last_ns)| GoroutineReading { first_ns, last_ns, ..first };
    let mut look = |register, sp, now| {
        fake.watch.note_sample(&decode(&body(std::process::id(), register, sp, 0, &[])).unwrap());
        fake.watch.read_noted(now, 1);
        fake.watch.readings.clone()
    };
    assert_eq!(look(0x777, sp, 1)[..], [seen((1, 1))]);
    assert_eq!(look(0x777, 0xb000, 2)[..], [seen((1, 1))], "not in its stack, and the list was read just before");
    // From now on, the descriptor is read in every round in which the goroutine is sampled.
    assert_eq!(look(0x777, sp, 3)[..], [seen((1, 3))]);
    assert_eq!(
        look(0x777, 0xb000, 1_000_000)[..],
        [seen((1, 3))],
        "the goroutine does not run, and the address is not in its stack"
    );
}

#[test]
fn memory_with_implausible_fields_is_not_a_descriptor() {
    let mut fake = Fake::new();
    let descriptor = address(&fake.goroutine);
    assert_eq!(fake.note_and_read(descriptor, 0, 0, 10), [], "no goroutine number, and not a thread's own descriptor");
    assert_eq!(fake.note_and_read(descriptor, 0, MAX_GOROUTINE_ID, 10), []);
    assert_eq!(fake.watch.read(std::process::id(), 8, 1, |_| true), None, "unmapped address");
    // Each descriptor below has one wrong field: lower or upper bound of the stack, creator, entry, thread.
    let own = address(&fake.thread_descriptor);
    for (field, value) in [(0, 0xa000), (8, 0x8000), (288, 424_242), (304, 424_242), (48, own)] {
        let mut fake = Fake::new();
        fake.goroutine[field / 8] = value;
        assert_eq!(fake.note_and_read(address(&fake.goroutine), 0, 17, 10), [], "{field}");
    }
    let mut fake = Fake::new();
    fake.goroutine[48 / 8] = address(&fake.thread);
    assert_eq!(fake.note_and_read(address(&fake.goroutine), 0, 17, 10).len(), 1, "the thread runs it");
}

#[test]
fn the_memory_of_another_program_is_not_read() {
    let mut fake = Fake::new();
    let pid = std::process::id();
    fake.watch.close(pid);
    assert_eq!(fake.note_and_read(address(&fake.goroutine), 0, 17, 10), [], "closed");
    fake.watch.layout.file = ProgramFile::from_path("/bin/true".as_ref()).unwrap();
    assert!(!fake.watch.open(pid, 0));
}

#[test]
fn readings_are_rare_without_a_process_or_without_generated_code() {
    let mut fake = Fake::new();
    let pid = std::process::id();
    let [shortest, longest] = READ_INTERVALS;
    assert_eq!(fake.watch.interval(), shortest);
    fake.watch.close(pid);
    assert_eq!(fake.watch.interval(), longest);
    assert!(fake.watch.open(pid, 0));
    assert_eq!(fake.watch.interval(), shortest);

    let goroutine = fake.expected(17, (10, 10), (0x8000, 0xa000));
    let mut left = LeftStackWatch::default();
    left.note_thread(pid, 1);
    left.take_noted();
    left.add_reading(1, &goroutine, Vec::new());
    assert!(left.interval().is_some());
    for _ in 0..100 {
        left.take_noted();
    }
    assert_eq!(left.interval(), None);
    left.note_thread(pid, 1);
    left.take_noted();
    assert!(left.interval().is_some());
}

#[test]
fn the_left_stack_of_a_thread_is_read() {
    let mut fake = Fake::new();
    let (pid, tid) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned());
    let stack = Box::new([1, code() + 1, 2, code() + 2]);
    let low = stack.as_ptr().addr() as u64;
    (fake.goroutine[0], fake.goroutine[1], fake.goroutine[48 / 8]) = (low, low + 32, address(&fake.thread));
    fake.thread[64 / 8] = tid.into();
    fake.note_and_read(address(&fake.goroutine), 0, 17, 10);
    for time in [20, 30] {
        fake.watch.left_stacks.note_thread(pid, tid);
        fake.watch.read_noted(time, 1);
    }
    // The `runtime.m` now belongs to another thread.
    fake.thread[64 / 8] += 1;
    fake.watch.left_stacks.note_thread(pid, tid);
    fake.watch.read_noted(40, 1);
    let found = fake.watch.finish().left_stacks;
    assert_eq!(found.contents, [[(low + 8, code() + 1), (low + 24, code() + 2)]]);
    let [left] = <[_; 1]>::try_from(found.readings).unwrap();
    assert_eq!((left.descriptor, left.stack), (address(&fake.goroutine), (low, low + 32)));
    assert_eq!((left.first_ns, left.last_ns), (20, 30));
}
