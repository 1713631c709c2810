//! Waits from records of context switches.

use std::io::Cursor;

use super::*;

/// `PERF_COUNT_SW_CPU_CLOCK` and `PERF_COUNT_SW_CONTEXT_SWITCHES`.
const CPU_CLOCK: u64 = 0;
const SWITCHES: u64 = 3;

/// The thread of [`native_sample`].
const THREAD: i32 = 0x2b;

struct Recorder(Writer<Cursor<Vec<u8>>>);

impl Recorder {
    fn new(config: u64) -> Self {
        Self(Writer::create(Cursor::new(Vec::new()), &[native_event("raw", config, &[5])]).unwrap())
    }

    fn sample(mut self, time: u64, leaf: u64) -> Self {
        self.0.record(record_type::SAMPLE, misc::USER, &native_sample(5, time, 1, &[context::USER, leaf])).unwrap();
        self
    }

    fn switch(mut self, bits: u16, time: u64) -> Self {
        let words = [0x2a | u64::from(THREAD.cast_unsigned()) << 32, time, 1, 5];
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.0.record(record_type::SWITCH, bits, &body).unwrap();
        self
    }

    fn out(self, time: u64) -> Self {
        self.switch(misc::SWITCH_OUT, time)
    }

    fn back(self, time: u64) -> Self {
        self.switch(0, time)
    }

    fn exit(mut self, time: u64) -> Self {
        let words = [0x2a_0000_002a, 0x2b_0000_002b, time, 0x2b_0000_002a, time, 1, 5];
        let body: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
        self.0.record(record_type::EXIT, 0, &body).unwrap();
        self
    }

    fn exec(mut self, time: u64) -> Self {
        let id = SampleId { pid: 0x2a, tid: THREAD, time, id: 5, ..SampleId::default() };
        self.0.comm(0x2a, THREAD, true, b"new", &id).unwrap();
        self
    }

    /// Start, leaf and length of each wait, and the figures.
    fn waits(self, end: Option<u64>) -> (Vec<(u64, u64, u64)>, WaitFigures) {
        self.waits_within(end, u64::MAX)
    }

    fn waits_within(self, end: Option<u64>, limit: u64) -> (Vec<(u64, u64, u64)>, WaitFigures) {
        let switches = self.0.finish(&features()).unwrap().into_inner();
        let data = PerfData::parse(&switches).unwrap();
        let (out, figures) = write_waits(&data, end, limit, Cursor::new(Vec::new())).unwrap();
        let waits = out.into_inner();
        let waits = PerfData::parse(&waits).unwrap();
        assert!(waits.is_complete() && waits.events()[0].has_waits_as_samples());
        assert_eq!(waits.features().hostname, features().hostname);
        let mut found = Vec::new();
        for record in waits.records().map(Result::unwrap) {
            match record.kind {
                RecordKind::Sample(sample) => {
                    assert_eq!((sample.tid, sample.user_stack.map(<[u8]>::len)), (Some(THREAD), Some(8)));
                    let leaf = sample.callchain.clone().next_back().unwrap();
                    found.push((sample.time.unwrap(), leaf, sample.period));
                }
                RecordKind::Exit(_) | RecordKind::Comm { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        (found, figures)
    }
}

#[test]
fn a_wait_lasts_from_a_switch_to_the_return_and_has_the_sample_of_the_switch() {
    let recorder = Recorder::new(SWITCHES).back(5).sample(10, 0x1000).out(11).back(31);
    let (waits, figures) = recorder.sample(40, 0x2000).out(41).back(42).waits(Some(50));
    assert_eq!(waits, [(11, 0x1000, 20), (41, 0x2000, 1)]);
    assert_eq!(figures, WaitFigures::default());
}

#[test]
fn a_wait_without_a_sample_of_its_switch_has_no_stack() {
    let (waits, figures) = Recorder::new(SWITCHES).sample(10, 0x1000).out(11).back(12).out(20).back(50).waits(None);
    assert_eq!((waits, figures.unknown_stack_ns), (vec![(11, 0x1000, 1)], 30));
}

#[test]
fn a_thread_that_could_run_does_not_wait() {
    let preempted = misc::SWITCH_OUT | misc::SWITCH_OUT_PREEMPT;
    let (waits, figures) = Recorder::new(SWITCHES).sample(10, 0x1000).switch(preempted, 11).back(15).waits(None);
    assert_eq!((waits, figures.preempted_ns), (vec![], 4));
}

#[test]
fn a_wait_that_has_not_ended_counts_up_to_the_end() {
    for (end, length) in [(Some(111), 100), (None, 0)] {
        let (waits, figures) = Recorder::new(SWITCHES).sample(10, 0x1000).out(11).waits(end);
        assert_eq!((waits, figures.unfinished_waits), (vec![(11, 0x1000, length)], 1));
    }
}

#[test]
fn a_thread_that_has_ended_does_not_wait() {
    let (waits, figures) = Recorder::new(SWITCHES).exit(9).sample(10, 0x1000).out(11).waits(Some(100));
    assert_eq!((waits, figures), (vec![], WaitFigures::default()));
}

#[test]
fn a_thread_that_takes_the_id_of_the_ended_main_thread_by_exec_waits() {
    let recorder = Recorder::new(SWITCHES).exit(9).exec(9).sample(10, 0x1000).out(11).back(31);
    assert_eq!(recorder.waits(None).0, [(11, 0x1000, 20)]);
}

#[test]
fn a_wait_after_an_exec_has_no_stack_of_the_old_program() {
    let recorder = Recorder::new(CPU_CLOCK).sample(10, 0x1000).exec(15).out(20).back(30);
    let (waits, figures) = recorder.sample(40, 0x2000).out(41).back(42).waits(None);
    assert_eq!((waits, figures.unknown_stack_ns), (vec![(41, 0x2000, 1)], 10));
}

#[test]
fn waits_end_at_the_size_limit() {
    let waits_within = |limit| {
        let recorder = Recorder::new(CPU_CLOCK).sample(10, 0x1000);
        (0..100).fold(recorder, |recorder, at| recorder.out(20 + 2 * at).back(21 + 2 * at)).waits_within(None, limit)
    };
    let (all, figures) = waits_within(u64::MAX);
    assert_eq!((all.len(), figures.first_omitted_ns), (100, None));
    let (first, figures) = waits_within(2000);
    assert!((1..100).contains(&first.len()), "{first:?}");
    assert_eq!(figures.first_omitted_ns, Some(all[first.len()].0));
}

#[test]
fn switches_that_two_events_report_count_once() {
    let recorder = Recorder::new(SWITCHES).sample(10, 0x1000).out(11).out(12).back(31).back(32);
    assert_eq!(recorder.waits(None).0, [(11, 0x1000, 20)]);
}

#[test]
fn a_return_that_was_lost_does_not_make_a_wait_longer() {
    let recorder = Recorder::new(SWITCHES).sample(10, 0x1000).out(11).sample(20, 0x2000).out(21).back(31);
    assert_eq!(recorder.waits(None).0, [(21, 0x2000, 10)]);
}

#[test]
fn without_samples_of_switches_a_wait_has_the_last_sample_of_its_thread() {
    let recorder = Recorder::new(CPU_CLOCK).out(1).back(5).sample(10, 0x1000).out(20).back(30).out(40).back(50);
    let (waits, figures) = recorder.waits(None);
    assert_eq!((waits, figures.unknown_stack_ns), (vec![(20, 0x1000, 10), (40, 0x1000, 10)], 4));
}
