//! Round trips from writer to reader, also with a full disk and a killed recorder.

mod gperftools;
mod hostile;
mod perf;
mod reader;
mod unpack;
mod waits;

use std::cell::RefCell;
use std::io::{self, Seek, SeekFrom, Write};
use std::rc::Rc;

use super::abi::{context, flag, misc, record_type, sample_type as st};
use super::*;

/// The sample type of goflame's own sampler.
pub(super) const NATIVE: u64 = st::IDENTIFIER
    | st::IP
    | st::TID
    | st::TIME
    | st::CPU
    | st::PERIOD
    | st::CALLCHAIN
    | st::REGS_USER
    | st::STACK_USER;
/// BP, SP and IP of x86-64 (`asm/perf_regs.h`).
pub(super) const REGS: u64 = 1 << 6 | 1 << 7 | 1 << 8;
pub(super) const BUILD_ID: [u8; 20] = [0xab; 20];

pub(super) fn native_event(name: &str, config: u64, ids: &[u64]) -> Event {
    Event {
        name: name.to_owned(),
        attr: Attr {
            kind: abi::event_type::SOFTWARE,
            config,
            sample_period_or_freq: 1_001_001,
            sample_type: NATIVE,
            read_format: abi::read_format::ID | abi::read_format::LOST,
            flags: flag::INHERIT
                | flag::MMAP
                | flag::COMM
                | flag::TASK
                | flag::SAMPLE_ID_ALL
                | flag::MMAP2
                | flag::COMM_EXEC
                | flag::USE_CLOCKID,
            sample_regs_user: REGS,
            sample_stack_user: 16,
            clockid: 1,
            ..Attr::default()
        },
        ids: ids.to_vec(),
    }
}

/// The body of a sample as goflame's own sampler records it.
pub(super) fn native_sample(id: u64, time: u64, cpu: u32, chain: &[u64]) -> Vec<u8> {
    let mut body = Vec::new();
    for word in [id, 0x40_1000, 0x2b_0000_002a, time, u64::from(cpu), 1_001_001, chain.len() as u64] {
        body.extend(word.to_le_bytes());
    }
    body.extend(chain.iter().flat_map(|ip| ip.to_le_bytes()));
    for word in [2, 0x7ffc_0010, 0x7ffc_0000, 0x40_1000, 16, 0x1111, 0x2222, 8] {
        body.extend(u64::to_le_bytes(word));
    }
    body
}

pub(super) fn features() -> Features {
    Features {
        hostname: Some("box".to_owned()),
        os_release: Some("6.18.44".to_owned()),
        version: Some("goflame 0.1.0".to_owned()),
        arch: Some("x86_64".to_owned()),
        nr_cpus: Some(CpuCount { available: 4, online: 2 }),
        cpu_desc: Some("A CPU @ 3 GHz".to_owned()),
        cmdline: vec!["goflame".to_owned(), "record".to_owned(), "--".to_owned(), "./app".to_owned()],
        build_ids: vec![BuildId {
            path: b"/bin/app".to_vec(),
            id: BUILD_ID.to_vec(),
            pid: -1,
            cpu_mode: CpuMode::User,
        }],
        sample_time: Some((1_000, 9_000)),
        clock: Some(ClockData { clockid: 1, wall_ns: 1_760_000_000_000_000_000, clock_ns: 500 }),
        repairs: Some(Repairs {
            frequency: 997,
            needed_copy_bytes: 4096,
            goroutines: vec![KnownGoroutine { pid: 42, labels: 1, ..Default::default() }],
            label_sets: vec![Vec::new(), vec![("tenant".into(), "a".into())]],
        }),
    }
}

/// A disk with room for `room` bytes. Its content outlives the writer.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    file: Rc<RefCell<io::Cursor<Vec<u8>>>>,
    room: usize,
}

impl Disk {
    pub(super) fn new(room: usize) -> Self {
        Self { file: Rc::default(), room }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.file.borrow().get_ref().clone()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.file.borrow_mut();
        let free = self.room.saturating_sub(file.position() as usize);
        match bytes.len().min(free) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            fits => file.write(&bytes[..fits]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.borrow_mut().seek(to)
    }
}

/// A writer with every kind of record that goflame's own sampler writes, of two events on two CPUs; not finished.
pub(super) fn native_writer(disk: &Disk) -> Writer<Disk> {
    let events = [native_event("cpu-clock", 0, &[11, 12]), native_event("page-faults", 2, &[21])];
    let mut writer = Writer::create(disk.clone(), &events).unwrap();
    let made_up = SampleId::default();
    writer.kernel_mmap(0xffff_ffff_8100_0000, 0x100_0000, 0xffff_ffff_8100_0000, &made_up).unwrap();
    writer.comm(42, 42, false, b"app", &made_up).unwrap();
    let map = Mmap {
        pid: 42,
        tid: 42,
        start: 0x40_0000,
        len: 0x1000_0000,
        path: b"/bin/app",
        is_executable: true,
        ..Mmap::default()
    };
    let with_id = Mmap { build_id: Some(&BUILD_ID), ..map };
    writer.mmap(CpuMode::User, &with_id, &made_up).unwrap();
    let inode = Some(Inode { major: 8, minor: 1, inode: 77, generation: 3 });
    let with_inode = Mmap { start: 0x5000_0000, len: 0x1000, path: b"/lib/x.so", is_executable: false, inode, ..map };
    writer.mmap(CpuMode::User, &with_inode, &made_up).unwrap();
    let task = TaskEvent { pid: 42, ppid: 42, tid: 43, ptid: 42, time: 900 };
    writer.fork(&task, &SampleId { pid: 42, tid: 42, time: 900, id: 11, stream_id: 0, cpu: 1 }).unwrap();
    let chain = [context::KERNEL, 0xffff_ffff_8100_1000, context::USER, 0x40_1000, 0x40_2000];
    // The ring buffer of CPU 0, then that of CPU 1.
    for (id, time, cpu) in [(11, 1_000, 0), (11, 3_000, 0), (21, 5_000, 0), (12, 2_000, 1), (12, 4_000, 1)] {
        let body = native_sample(id, time, cpu, &chain);
        writer.record(record_type::SAMPLE, misc::KERNEL, &body).unwrap();
    }
    writer.finished_round().unwrap();
    writer
}

pub(super) fn native_file() -> Vec<u8> {
    native_writer(&Disk::new(usize::MAX)).finish(&features()).unwrap().bytes()
}

pub(super) fn times(file: &PerfData<'_>) -> Vec<u64> {
    file.records().map(|record| record.unwrap().time.unwrap()).collect()
}

#[test]
fn the_reader_returns_what_the_writer_wrote() {
    let bytes = native_file();
    let file = PerfData::parse(&bytes).unwrap();
    assert!(file.is_complete());
    assert_eq!(file.events(), [native_event("cpu-clock", 0, &[11, 12]), native_event("page-faults", 2, &[21])]);
    assert_eq!(file.features(), &features());
    assert_eq!(times(&file), [0, 0, 0, 0, 900, 1_000, 2_000, 3_000, 4_000, 5_000]);

    let records: Vec<_> = file.records().map(Result::unwrap).collect();
    let RecordKind::Mmap(kernel) = &records[0].kind else { panic!("{:?}", records[0]) };
    assert_eq!((kernel.pid, kernel.path, kernel.is_executable), (-1, &b"[kernel.kallsyms]_text"[..], true));
    assert_eq!((kernel.pgoff, kernel.inode, kernel.build_id), (0xffff_ffff_8100_0000, None, None));
    assert_eq!(CpuMode::from_misc(records[0].misc), CpuMode::Kernel);
    assert_eq!(records[1].kind, RecordKind::Comm { pid: 42, tid: 42, exec: false, name: b"app" });
    let RecordKind::Mmap(map) = &records[2].kind else { panic!("{:?}", records[2]) };
    assert_eq!((map.path, map.build_id, map.inode), (&b"/bin/app"[..], Some(&BUILD_ID[..]), None));
    assert!(map.is_executable);
    let RecordKind::Mmap(map) = &records[3].kind else { panic!("{:?}", records[3]) };
    assert_eq!(map.inode, Some(Inode { major: 8, minor: 1, inode: 77, generation: 3 }));
    assert!(!map.is_executable);
    assert_eq!(records[4].kind, RecordKind::Fork(TaskEvent { pid: 42, ppid: 42, tid: 43, ptid: 42, time: 900 }));
    assert_eq!((records[4].time, records[4].cpu), (Some(900), Some(1)));

    let RecordKind::Sample(sample) = &records[9].kind else { panic!("{:?}", records[9]) };
    assert_eq!((sample.event, sample.cpu_mode, sample.ip), (1, CpuMode::Kernel, Some(0x40_1000)));
    assert_eq!((sample.pid, sample.tid, sample.time), (Some(42), Some(43), Some(5_000)));
    assert_eq!((sample.cpu, sample.period), (Some(0), 1_001_001));
    let chain: Vec<_> = sample.callchain.clone().collect();
    assert_eq!(chain, [context::KERNEL, 0xffff_ffff_8100_1000, context::USER, 0x40_1000, 0x40_2000]);
    assert_eq!((sample.callchain.len(), sample.callchain.clone().next_back()), (5, Some(0x40_2000)));
    let regs = sample.user_regs.unwrap();
    assert_eq!((regs.abi, regs.mask, regs.get(6)), (2, REGS, Some(0x7ffc_0010)));
    assert_eq!((regs.get(7), regs.get(8)), (Some(0x7ffc_0000), Some(0x40_1000)));
    assert_eq!((regs.get(0), regs.get(9), regs.get(64), regs.get(u32::MAX)), (None, None, None, None));
    assert_eq!(sample.user_stack, Some(&0x1111_u64.to_le_bytes()[..]));
}

#[test]
fn a_killed_recording_is_read_up_to_its_last_whole_record() {
    let disk = Disk::new(usize::MAX);
    let mut writer = native_writer(&disk);
    writer.record(record_type::SAMPLE, misc::USER, &native_sample(11, 6_000, 0, &[1])).unwrap();
    writer.flush().unwrap();
    let bytes = disk.bytes();
    assert_eq!(writer.bytes_written(), bytes.len() as u64);
    for cut in 0..100 {
        let file = PerfData::parse(&bytes[..bytes.len() - cut]).unwrap();
        assert!(!file.is_complete());
        assert_eq!(file.features(), &Features::default());
        // The names of events are in a feature section. Features are written last, so they are missing here, and perf's
        // default names replace them.
        assert_eq!(file.events()[1].name, "page-faults");
        assert_eq!(times(&file).len(), if cut == 0 { 11 } else { 10 });
    }
}

#[test]
fn a_full_disk_is_an_error_and_the_records_that_fitted_are_readable() {
    let disk = Disk::new(100_000);
    let mut writer = Writer::create(disk.clone(), &[native_event("cpu-clock", 0, &[11])]).unwrap();
    let body = native_sample(11, 1_000, 0, &[1, 2, 3]);
    let mut accepted = 0;
    let error = loop {
        match writer.record(record_type::SAMPLE, misc::USER, &body).and_then(|()| writer.flush()) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    let Error::Write(cause) = &error else { panic!("{error:?}") };
    assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
    assert_eq!(error.hints().len(), 1);
    assert!(matches!(writer.record(record_type::SAMPLE, 0, &body), Err(Error::Write(_))));
    assert!(matches!(writer.finish(&Features::default()), Err(Error::Write(_))));
    let bytes = disk.bytes();
    let file = PerfData::parse(&bytes).unwrap();
    assert!(!file.is_complete());
    assert_eq!(times(&file).len(), accepted);
    assert_eq!(accepted, (100_000 - 104 - 8 - 128) / (body.len() + 8));
}

#[test]
fn a_disk_that_fills_at_the_end_costs_only_the_features() {
    let whole = native_file();
    let data_end = native_writer(&Disk::new(usize::MAX)).bytes_written() as usize + 8;
    for room in data_end..whole.len() {
        let disk = Disk::new(room);
        let result = native_writer(&disk).finish(&features());
        assert!(matches!(result, Err(Error::Write(_))), "room {room}");
        let bytes = disk.bytes();
        let file = PerfData::parse(&bytes).unwrap();
        assert!(file.is_complete());
        assert_eq!(times(&file).len(), 10);
    }
}

/// The error of a full disk, from a real kernel.
#[test]
fn dev_full_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = Writer::create(full, &[native_event("cpu-clock", 0, &[1])]).unwrap_err();
    let Error::Write(cause) = error else { panic!("{error:?}") };
    assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_recording_without_records_is_complete() {
    let writer = Writer::create(Disk::new(usize::MAX), &[native_event("cpu-clock", 0, &[])]).unwrap();
    let bytes = writer.finish(&Features::default()).unwrap().bytes();
    let file = PerfData::parse(&bytes).unwrap();
    assert!(file.is_complete());
    assert_eq!(file.records().count(), 0);
}

#[test]
fn a_record_too_long_is_refused_and_the_next_one_is_not() {
    let disk = Disk::new(usize::MAX);
    let mut writer = Writer::create(disk.clone(), &[native_event("cpu-clock", 0, &[1])]).unwrap();
    let error = writer.record(record_type::SAMPLE, 0, &vec![0; 65_528]).unwrap_err();
    assert!(matches!(error, Error::RecordTooLarge { kind: 9, size: 65_536 }), "{error:?}");
    let mut body = native_sample(1, 7, 0, &[]);
    body.resize(65_527, 0);
    writer.record(record_type::SAMPLE, 0, &body).unwrap();
    let bytes = writer.finish(&Features::default()).unwrap().bytes();
    assert_eq!(times(&PerfData::parse(&bytes).unwrap()), [7]);
}
