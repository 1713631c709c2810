//! Analysis of small recordings that the tests write record by record.

use std::io::Cursor;

use super::{AnalyseOptions, Analysis, KernelSymbols, analyse};
pub(super) use crate::perfdata::abi::context;
use crate::perfdata::abi::{event_type, flag, misc, record_type, sample_type};
use crate::perfdata::{Attr, CpuMode, Event, Features, Mmap, PerfData, SampleId, TaskEvent, Writer};
use crate::profile::{Quality, Unit};
use crate::sources::{ImageAbsence, ImageBytes, Images, MappedId};

const FIELDS: u64 =
    sample_type::IP | sample_type::TID | sample_type::TIME | sample_type::PERIOD | sample_type::CALLCHAIN;
const PERIOD: u64 = 1_000_000;
const KERNEL_TEXT: u64 = 0xffff_ffff_8100_0000;

/// Images of which no file can be read. Frames then show the name of their file.
pub(super) struct NoFiles;

impl Images for NoFiles {
    fn image(&self, _file: &MappedId) -> Result<ImageBytes, ImageAbsence> {
        Err(ImageAbsence::NoFile)
    }
}

pub(super) struct TestRecording {
    writer: Writer<Cursor<Vec<u8>>>,
    time: u64,
}

impl TestRecording {
    pub(super) fn new() -> Self {
        Self::with_attr(Attr { kind: event_type::SOFTWARE, config: 0, flags: flag::SAMPLE_ID_ALL, ..Attr::default() })
    }

    /// A recording with the clock of jitdumps.
    pub(super) fn monotonic() -> Self {
        let flags = flag::SAMPLE_ID_ALL | flag::USE_CLOCKID;
        Self::with_attr(Attr { kind: event_type::SOFTWARE, flags, clockid: 1, ..Attr::default() })
    }

    fn with_attr(mut attr: Attr) -> Self {
        attr.sample_type = FIELDS;
        attr.sample_period_or_freq = PERIOD;
        let event = Event { name: "cpu-clock".into(), attr, ids: vec![1] };
        Self { writer: Writer::create(Cursor::new(Vec::new()), &[event]).unwrap(), time: 0 }
    }

    fn next_sample_id(&mut self) -> SampleId {
        self.time += 1;
        SampleId { time: self.time, ..SampleId::default() }
    }

    pub(super) fn map(&mut self, pid: i32, start: u64, path: &str) {
        let at = self.next_sample_id();
        let map =
            Mmap { pid, tid: pid, start, len: 0x1000, path: path.as_bytes(), is_executable: true, ..Mmap::default() };
        self.writer.mmap(CpuMode::User, &map, &at).unwrap();
    }

    pub(super) fn comm(&mut self, pid: i32, exec: bool, name: &str) {
        let at = self.next_sample_id();
        self.writer.comm(pid, pid, exec, name.as_bytes(), &at).unwrap();
    }

    pub(super) fn fork(&mut self, parent: i32, child: i32) {
        let at = self.next_sample_id();
        let task = TaskEvent { pid: child, ppid: parent, tid: child, ptid: parent, time: at.time };
        self.writer.fork(&task, &at).unwrap();
    }

    pub(super) fn sample(&mut self, pid: i32, chain: &[u64]) {
        let time = self.next_sample_id().time;
        let mut body = Vec::new();
        for word in [chain.get(1).copied().unwrap_or(0), u64::from(pid.cast_unsigned()) * 0x1_0000_0001, time, PERIOD] {
            body.extend(word.to_le_bytes());
        }
        body.extend((chain.len() as u64).to_le_bytes());
        body.extend(chain.iter().flat_map(|word| word.to_le_bytes()));
        self.writer.record(record_type::SAMPLE, CpuMode::User.to_misc(), &body).unwrap();
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.writer.finish(&Features::default()).unwrap().into_inner()
    }

    fn analyse(self) -> Analysis {
        let bytes = self.bytes();
        analysed(PerfData::parse(&bytes).unwrap(), Err("no kernel symbols".into())).unwrap()
    }
}

fn analysed(data: PerfData<'_>, kernel: Result<KernelSymbols, String>) -> Result<Analysis, super::Error> {
    analyse(data, &NoFiles, |_| kernel, &AnalyseOptions::default())
}

/// One line per sample: `process: root;…;leaf COUNT`. Sorted.
pub(super) fn stacks(analysis: &Analysis) -> Vec<String> {
    let profile = &analysis.profile;
    let mut lines: Vec<String> = profile
        .samples()
        .iter()
        .map(|sample| {
            let frames = profile.frames_leaf_first(sample.stack);
            let mut names: Vec<_> = frames.map(|frame| profile.str(profile.function(frame.function).display)).collect();
            names.reverse();
            format!("{}: {} {}", profile.str(profile.task(sample.task).process), names.join(";"), sample.count)
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn equal_stacks_are_counted_together_and_weighted_by_period() {
    let mut recording = TestRecording::new();
    recording.comm(7, true, "app");
    recording.map(7, 0x1000, "/bin/app");
    for _ in 0..3 {
        recording.sample(7, &[context::USER, 0x1010, 0x1020]);
    }
    recording.sample(7, &[context::USER, 0x1010, 0x1030]);
    let analysis = recording.analyse();
    assert_eq!(stacks(&analysis), ["app: [app];[app] 1", "app: [app];[app] 3"]);
    assert_eq!(analysis.profile.event.unit, Unit::Nanoseconds);
    assert_eq!(analysis.profile.total_weight(), 4 * PERIOD);
    assert_eq!((analysis.quality.samples, analysis.quality.user_frames), (Some(4), 8));
    assert_eq!(analysis.quality.unnamed_reasons, [("the code is in no file".to_owned(), 8)]);
}

#[test]
fn a_return_address_belongs_to_the_call_before_it() {
    let mut recording = TestRecording::new();
    recording.map(7, 0x1000, "/bin/one");
    recording.map(7, 0x2000, "/bin/two");
    // A call at the end of /bin/one returns to the first address of /bin/two. The leaf has the same address, but is exact.
    recording.sample(7, &[context::USER, 0x2000, 0x2000]);
    assert_eq!(stacks(&recording.analyse()), ["pid 7: [one];[two] 1"]);
}

#[test]
fn kernel_and_user_addresses_of_a_callchain_are_distinguished() {
    let mut recording = TestRecording::new();
    recording.map(7, 0x1000, "/bin/app");
    let at = SampleId::default();
    recording.writer.kernel_mmap(KERNEL_TEXT, 0x1000, KERNEL_TEXT, &at).unwrap();
    recording.sample(7, &[context::KERNEL, KERNEL_TEXT + 0x10, KERNEL_TEXT + 0x100, context::USER, 0x1000]);
    let bytes = recording.bytes();
    let data = || PerfData::parse(&bytes).unwrap();
    let symbols = |text: &str| KernelSymbols::read(text.as_bytes()).map_err(|error| error.to_string());

    let own = symbols(
        "ffffffff81000000 T _text\nffffffff81000000 T entry\nffffffff81000100 T next\nffffffff81002000 T _etext\n",
    );
    let analysis = analysed(data(), own).unwrap();
    assert_eq!(stacks(&analysis), ["pid 7: [app];entry;entry 1"]);
    assert_eq!((analysis.quality.kernel_frames, analysis.quality.unnamed_kernel_frames), (2, 0));
    assert!(analysis.kernel.is_some_and(|kernel| kernel.to_kallsyms().contains(" entry\n")));

    let other_boot = symbols("ffffffff91000000 T _text\nffffffff91000100 T next\n");
    let analysis = analysed(data(), other_boot).unwrap();
    assert_eq!(stacks(&analysis), ["pid 7: [app];[kernel] 1"]);
    assert!(
        analysis.quality.unnamed_reasons.iter().any(|(reason, count)| reason.contains("another boot") && *count == 1)
    );
}

#[test]
fn hidden_kernel_frames_are_shown_as_one_at_any_depth() {
    for (user, kernel) in (1..10).flat_map(|user| (0..17).map(move |kernel| (user, kernel))) {
        let mut recording = TestRecording::new();
        recording.map(7, 0x1000, "/bin/app");
        let mut chain = vec![context::KERNEL];
        chain.extend((0..kernel).map(|at| KERNEL_TEXT + 0x100 * at));
        chain.push(context::USER);
        chain.extend((0..user).map(|at| 0x1010 + at));
        recording.sample(7, &chain);
        let analysis = recording.analyse();
        let shown = [vec!["[app]"; usize::try_from(user).unwrap()], vec!["[kernel]"; usize::from(kernel > 0)]].concat();
        assert_eq!(
            stacks(&analysis),
            [format!("pid 7: {} 1", shown.join(";"))],
            "{user} user frames, {kernel} kernel frames"
        );
        let Quality { user_stacks, user_frames, kernel_frames, .. } = analysis.quality;
        assert_eq!((user_stacks, user_frames, kernel_frames), (1, user, u64::from(kernel > 0)));
    }
}

#[test]
fn a_child_inherits_the_mappings_and_an_exec_removes_them() {
    let mut recording = TestRecording::new();
    recording.comm(7, true, "app");
    recording.map(7, 0x1000, "/bin/app");
    recording.fork(7, 8);
    recording.sample(8, &[context::USER, 0x1000]);
    recording.comm(8, true, "tool");
    recording.sample(8, &[context::USER, 0x1000]);
    recording.sample(7, &[context::USER, 0x1000]);
    assert_eq!(stacks(&recording.analyse()), ["app: [app] 1", "app: [app] 1", "tool: [unknown] 1"]);
}

#[test]
fn lost_records_throttling_and_truncated_stacks_are_counted() {
    let mut recording = TestRecording::new();
    recording.map(7, 0x1000, "/bin/app");
    let deep: Vec<u64> = [context::USER].into_iter().chain((0..127).map(|at| 0x1100 + at)).collect();
    recording.sample(7, &deep);
    recording.sample(7, &deep[..127]);
    let mut lost = Vec::new();
    for word in [1, 5, 0, 0, 0] {
        lost.extend(u64::to_le_bytes(word));
    }
    recording.writer.record(record_type::LOST, 0, &lost[..40]).unwrap();
    recording.writer.record(record_type::THROTTLE, misc::CPUMODE_MASK & 1, &[0; 48]).unwrap();
    let quality = recording.analyse().quality;
    assert_eq!((quality.truncated_stacks, quality.lost, quality.throttled), (Some(1), Some(5), Some(1)));
}

#[test]
fn a_cut_off_file_is_read_up_to_the_cut_and_reported_as_incomplete() {
    let mut recording = TestRecording::new();
    recording.map(7, 0x1000, "/bin/app");
    for _ in 0..10 {
        recording.sample(7, &[context::USER, 0x1010]);
    }
    recording.writer.flush().unwrap();
    let whole = recording.bytes();
    let mut seen = Vec::new();
    for end in 0..whole.len() {
        let Ok(data) = PerfData::parse(&whole[..end]) else { continue };
        let Ok(analysis) = analysed(data, Err(String::new())) else { continue };
        let samples = analysis.quality.samples.unwrap();
        assert!(samples <= 10);
        if samples < 10 {
            assert!(!analysis.quality.complete_file, "{end} bytes");
        }
        seen.push(samples);
    }
    assert!(seen.contains(&1) && seen.contains(&10), "{seen:?}");
}

#[test]
fn a_hardware_event_has_the_unit_events() {
    let recording = TestRecording::with_attr(Attr { kind: event_type::HARDWARE, config: 0, ..Attr::default() });
    let analysis = recording.analyse();
    assert_eq!(analysis.profile.event.unit, Unit::Events);
    assert_eq!((analysis.quality.samples, analysis.quality.cpu), (Some(0), None));
}

/// A recording of samples with registers and stack copies, mappings, a fork and kernel code.
fn full_recording() -> Vec<u8> {
    let attr = Attr {
        kind: event_type::SOFTWARE,
        flags: flag::SAMPLE_ID_ALL,
        sample_type: FIELDS | sample_type::REGS_USER | sample_type::STACK_USER,
        sample_period_or_freq: PERIOD,
        // BP, SP, IP and R14 of x86-64.
        sample_regs_user: 1 << 6 | 1 << 7 | 1 << 8 | 1 << 22,
        sample_stack_user: 32,
        ..Attr::default()
    };
    let event = Event { name: "cpu-clock".into(), attr, ids: vec![1] };
    let mut recording = TestRecording { writer: Writer::create(Cursor::new(Vec::new()), &[event]).unwrap(), time: 0 };
    recording.comm(7, true, "app");
    recording.map(7, 0x1000, "/bin/app");
    recording.writer.kernel_mmap(KERNEL_TEXT, 0x1000, KERNEL_TEXT, &SampleId::default()).unwrap();
    recording.fork(7, 8);
    for pid in [7, 8, 7] {
        let time = recording.next_sample_id().time;
        let chain = [context::KERNEL, KERNEL_TEXT + 8, context::USER, 0x1010, 0x1020];
        let words = [0x1010, pid * 0x1_0000_0001, time, PERIOD, chain.len() as u64];
        let registers = [2, 0x7018, 0x7000, 0x1010, 0xc000];
        let stack = [32, 0x1030, 0x1040, 0, 0x1050, 32];
        let body: Vec<u8> =
            words.into_iter().chain(chain).chain(registers).chain(stack).flat_map(u64::to_le_bytes).collect();
        recording.writer.record(record_type::SAMPLE, CpuMode::User.to_misc(), &body).unwrap();
    }
    recording.bytes()
}

#[test]
fn damage_at_any_byte_neither_panics_nor_miscounts_samples() {
    let whole = full_recording();
    let analysis = analysed(PerfData::parse(&whole).unwrap(), Err(String::new())).unwrap();
    assert_eq!((analysis.quality.samples, analysis.quality.stack_copies), (Some(3), 3));
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            let Ok(data) = PerfData::parse(&damaged) else { continue };
            let Ok(analysis) = analysed(data, Err(String::new())) else { continue };
            assert_eq!(Some(analysis.profile.total_count()), analysis.quality.samples, "byte {at} is {value}");
        }
    }
}
