//! Rules of the reader, each tested with a small handmade file.

use super::{Disk, NATIVE, REGS, native_event, native_file, native_sample, times};
use crate::perfdata::abi::{context, feature, flag, misc, record_type, sample_type as st};
use crate::perfdata::*;

/// A file with one event and records of `(type, misc, body)`.
fn file_of(attr: Attr, records: &[(u32, u16, Vec<u8>)]) -> Vec<u8> {
    let event = Event { name: "e".to_owned(), attr, ids: vec![1] };
    let mut writer = Writer::create(Disk::new(usize::MAX), &[event]).unwrap();
    for (kind, misc, body) in records {
        writer.record(*kind, *misc, body).unwrap();
    }
    writer.finish(&Features::default()).unwrap().bytes()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn records_without_time_follow_their_predecessor() {
    let attr = Attr { sample_type: st::IP | st::TIME, ..Attr::default() };
    let sample = |ip, time| (record_type::SAMPLE, misc::USER, words(&[ip, time]));
    // Without sample_id_all only samples have a time.
    let lost = |lost| (record_type::LOST_SAMPLES, 0, words(&[lost]));
    let bytes = file_of(attr, &[lost(1), sample(1, 50), lost(2), lost(3), sample(2, 40), lost(4), sample(3, 50)]);
    let seen: Vec<_> = PerfData::parse(&bytes)
        .unwrap()
        .records()
        .map(|record| match record.unwrap().kind {
            RecordKind::Sample(sample) => (b's', sample.ip.unwrap()),
            RecordKind::LostSamples { lost } => (b'l', lost),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, [(b'l', 1), (b's', 2), (b'l', 4), (b's', 1), (b'l', 2), (b'l', 3), (b's', 3)]);
}

#[test]
fn unused_fields_before_the_user_stack_are_skipped() {
    use crate::perfdata::abi::{branch, read_format as rf};
    let all = NATIVE | st::ADDR | st::READ | st::ID | st::STREAM_ID | st::RAW | st::BRANCH_STACK;
    for format in 0..32 {
        for branch_sample_type in [0, branch::HW_INDEX, branch::COUNTERS, branch::HW_INDEX | branch::COUNTERS] {
            let mut body = words(&[1, 0xaaaa, 5 << 32 | 4, 6, 0, 1, 0, 3, 99]);
            let group = if format & rf::GROUP == 0 { 1 } else { 3 };
            body.extend(words(&[3][..usize::from(group == 3)]));
            let times =
                usize::from(format & rf::TOTAL_TIME_ENABLED != 0) + usize::from(format & rf::TOTAL_TIME_RUNNING != 0);
            let per_value = 1 + usize::from(format & rf::ID != 0) + usize::from(format & rf::LOST != 0);
            body.extend(vec![0xee; 8 * (times + group * per_value)]);
            body.extend(words(&[2, context::USER, 0xaaaa]));
            body.extend([12, 0, 0, 0]);
            body.extend([0xdd; 12]);
            body.extend(words(&[2]));
            body.extend(words(&[7][..usize::from(branch_sample_type & branch::HW_INDEX != 0)]));
            let entry = if branch_sample_type & branch::COUNTERS == 0 { 24 } else { 32 };
            body.extend(vec![0xcc; 2 * entry]);
            body.extend(words(&[2, 0x60, 0x70, 0xaaaa, 8, 0x1234, 8]));
            // A field after the stack (here a weight) is ignored.
            body.extend(words(&[1]));
            let attr = Attr {
                sample_type: all | 1 << 14,
                read_format: format,
                branch_sample_type,
                sample_regs_user: REGS,
                ..Attr::default()
            };
            let bytes = file_of(attr, &[(record_type::SAMPLE, misc::USER, body)]);
            let file = PerfData::parse(&bytes).unwrap();
            let record = file.records().next().unwrap().unwrap();
            let RecordKind::Sample(sample) = record.kind else { panic!() };
            assert_eq!((sample.ip, sample.pid, sample.tid), (Some(0xaaaa), Some(4), Some(5)));
            assert_eq!((sample.time, sample.cpu, sample.period), (Some(6), Some(3), 99));
            assert_eq!(sample.callchain.collect::<Vec<_>>(), [context::USER, 0xaaaa]);
            assert_eq!(sample.user_regs.unwrap().get(7), Some(0x70));
            assert_eq!(sample.user_stack, Some(&words(&[0x1234])[..]));
        }
    }
}

#[test]
fn a_thread_without_user_registers_has_none() {
    let attr = Attr {
        sample_type: st::REGS_USER | st::STACK_USER,
        sample_regs_user: REGS,
        sample_period_or_freq: 7,
        ..Attr::default()
    };
    let bytes = file_of(attr.clone(), &[(record_type::SAMPLE, misc::KERNEL, words(&[0, 0]))]);
    let file = PerfData::parse(&bytes).unwrap();
    let record = file.records().next().unwrap().unwrap();
    let RecordKind::Sample(sample) = record.kind else { panic!() };
    assert_eq!((sample.user_regs, sample.user_stack, sample.ip), (None, None, None));
    assert_eq!((sample.callchain.len(), sample.period, record.time), (0, 7, None));
    // A frequency is not a period.
    let bytes = file_of(Attr { flags: flag::FREQ, ..attr }, &[(record_type::SAMPLE, misc::KERNEL, words(&[0, 0]))]);
    let file = PerfData::parse(&bytes).unwrap();
    let RecordKind::Sample(sample) = file.records().next().unwrap().unwrap().kind else { panic!() };
    assert_eq!(sample.period, 1);
}

#[test]
fn records_other_than_samples_are_decoded() {
    let attr = Attr { sample_type: st::TID | st::TIME | st::CPU, flags: flag::SAMPLE_ID_ALL, ..Attr::default() };
    let id = words(&[5 << 32 | 4, 10, 3]);
    let with_id = |fields: &[u64]| [words(fields), id.clone()].concat();
    let records = [
        (record_type::LOST, 0, with_id(&[1, 12])),
        (record_type::LOST_SAMPLES, 0, with_id(&[13])),
        (record_type::THROTTLE, 0, with_id(&[10, 1, 2])),
        (record_type::UNTHROTTLE, 0, with_id(&[10, 1, 2])),
        (record_type::SWITCH, misc::SWITCH_OUT | misc::SWITCH_OUT_PREEMPT, with_id(&[])),
        (record_type::SWITCH_CPU_WIDE, 0, with_id(&[7 << 32 | 6])),
        (record_type::EXIT, 0, with_id(&[2 << 32 | 1, 4 << 32 | 3, 10])),
        (record_type::COMM, misc::COMM_EXEC, with_id(&[5 << 32 | 4, u64::from_le_bytes(*b"app\0\0\0\0\0")])),
        (record_type::KSYMBOL, 0, with_id(&[0x1000, 1 << 32 | 64, u64::from_le_bytes(*b"bpf_prog")])),
        (record_type::KSYMBOL, 0, with_id(&[0x1000, 1 << 48 | 1 << 32 | 64, u64::from_le_bytes(*b"bpf_prog")])),
        (99, 0, vec![]),
    ];
    let bytes = file_of(attr, &records);
    let file = PerfData::parse(&bytes).unwrap();
    let records: Vec<_> = file.records().map(Result::unwrap).collect();
    assert!(records.iter().all(|record| (record.time, record.cpu) == (Some(10), Some(3))));
    let kinds: Vec<_> = records.into_iter().map(|record| record.kind).collect();
    assert_eq!(
        kinds,
        [
            RecordKind::Lost { id: 1, lost: 12 },
            RecordKind::LostSamples { lost: 13 },
            RecordKind::Throttle { id: 1 },
            RecordKind::Unthrottle { id: 1 },
            RecordKind::Switch { tid: Some(5), out: true, preempted: true, other: None },
            RecordKind::Switch { tid: Some(5), out: false, preempted: false, other: Some((6, 7)) },
            RecordKind::Exit(TaskEvent { pid: 1, ppid: 2, tid: 3, ptid: 4, time: 10 }),
            RecordKind::Comm { pid: 4, tid: 5, exec: true, name: b"app" },
            RecordKind::KernelCode { start: 0x1000, len: 64, bpf: true, name: b"bpf_prog" },
            RecordKind::Other { kind: record_type::KSYMBOL },
        ]
    );
}

#[test]
fn events_without_a_common_position_of_ids_are_refused() {
    let by_id = |bits| Event {
        attr: Attr { sample_type: bits, flags: flag::SAMPLE_ID_ALL, ..Attr::default() },
        ..Event::default()
    };
    for (first, second) in [(st::IP, st::IP), (st::IDENTIFIER, st::IP | st::ID), (st::ID, st::ID | st::IP)] {
        let error = Writer::create(Disk::new(usize::MAX), &[by_id(first), by_id(second)]).unwrap_err();
        assert!(matches!(error, Error::Unsupported(Unsupported::MixedIds)), "{error:?}");
    }
    Writer::create(Disk::new(usize::MAX), &[by_id(st::ID | st::IP), by_id(st::ID | st::TID)]).unwrap();
}

/// Two events with ID fields. ID is the fifth field of a sample, and the third from the end in other records.
#[test]
fn events_are_found_by_id_without_identifier() {
    let bits = st::IP | st::TID | st::TIME | st::ADDR | st::ID | st::STREAM_ID | st::CPU;
    let event = |id| Event {
        attr: Attr { sample_type: bits, flags: flag::SAMPLE_ID_ALL, ..Attr::default() },
        ids: vec![id],
        ..Event::default()
    };
    let mut writer = Writer::create(Disk::new(usize::MAX), &[event(70), event(71)]).unwrap();
    writer.record(record_type::SAMPLE, 0, &words(&[1, 0, 9, 0, 71, 0, 2])).unwrap();
    writer.comm(1, 1, false, b"x", &SampleId { time: 4, id: 71, cpu: 1, ..SampleId::default() }).unwrap();
    let bytes = writer.finish(&Features::default()).unwrap().bytes();
    let file = PerfData::parse(&bytes).unwrap();
    let records: Vec<_> = file.records().map(Result::unwrap).collect();
    assert_eq!((records[0].time, records[0].cpu), (Some(4), Some(1)));
    let RecordKind::Sample(sample) = &records[1].kind else { panic!() };
    assert_eq!((sample.event, sample.time, sample.cpu), (1, Some(9), Some(2)));
}

#[test]
fn a_stream_is_read_like_a_file() {
    let event = native_event("", 0, &[11]);
    let attr = event.attr.encode();
    let record = |kind: u32, body: &[u8]| {
        let mut out = kind.to_le_bytes().to_vec();
        out.extend(((body.len() as u64 + 8) << 16).to_le_bytes()[..4].to_vec());
        out.extend(body);
        out
    };
    let mut bytes = b"PERFILE2".to_vec();
    bytes.extend(words(&[16]));
    bytes.extend(record(record_type::HEADER_ATTR, &[attr, words(&[11, 12])].concat()));
    bytes.extend(record(record_type::EVENT_UPDATE, &[words(&[2, 12]), b"my-clock\0".to_vec()].concat()));
    let arch = [words(&[u64::from(feature::ARCH)]), vec![7, 0, 0, 0], b"riscv64".to_vec()].concat();
    bytes.extend(record(record_type::HEADER_FEATURE, &arch));
    // Payload of trace records that looks like samples.
    bytes.extend(record(record_type::AUXTRACE, &words(&[16, 0, 0, 0, 0])));
    bytes.extend(record(record_type::SAMPLE, &[0; 8]));
    bytes.extend(record(record_type::HEADER_TRACING_DATA, &[16, 0, 0, 0, 0, 0, 0, 0]));
    bytes.extend(record(record_type::SAMPLE, &[0; 8]));
    bytes.extend(record(record_type::SAMPLE, &native_sample(12, 5, 0, &[1])));
    bytes.extend(record(82, &[]));
    let file = PerfData::parse(&bytes).unwrap();
    assert_eq!(file.events(), [Event { name: "my-clock".to_owned(), ids: vec![11, 12], ..event }]);
    assert_eq!(file.features().arch.as_deref(), Some("riscv64"));
    assert_eq!(times(&file), [5]);

    for kind in [record_type::COMPRESSED, record_type::COMPRESSED2] {
        let packed = [bytes.clone(), record(kind, &[0; 8])].concat();
        let error = PerfData::parse(&packed).unwrap_err();
        assert!(matches!(error, Error::Unsupported(Unsupported::Compressed)), "{error:?}");
        assert!(error.hints()[0].contains("without `-z`"), "a record that the header does not announce");
    }
}

#[test]
fn attributes_of_older_and_newer_kernels_are_decoded() {
    let attr = Attr {
        config1: 1,
        config2: 2,
        bp_type: 3,
        sample_regs_intr: 4,
        aux_watermark: 5,
        sample_max_stack: 6,
        ..native_event("", 0, &[]).attr
    };
    let mut bytes = attr.encode();
    assert_eq!(bytes.len(), 112);
    assert_eq!(Attr::decode(&bytes), Some((attr.clone(), 112)));
    // Newer: more fields at the end.
    bytes.extend([0xff; 88]);
    bytes[4] = 200;
    assert_eq!(Attr::decode(&bytes), Some((attr.clone(), 200)));
    // The shortest attribute. Its size can also be given as 0.
    let old = Attr {
        config2: 0,
        sample_regs_user: 0,
        sample_stack_user: 0,
        clockid: 0,
        sample_regs_intr: 0,
        aux_watermark: 0,
        sample_max_stack: 0,
        ..attr
    };
    for size in [0, 64] {
        bytes[4] = size;
        assert_eq!(Attr::decode(&bytes[..64]), Some((old.clone(), 64)));
    }
    bytes[4] = 63;
    assert_eq!(Attr::decode(&bytes), None);
    bytes[4] = 112;
    assert_eq!(Attr::decode(&bytes[..111]), None);
}

#[test]
fn unsupported_files_are_refused_with_the_reason() {
    let mut bytes = native_file();
    let mut refused = |magic: &[u8; 8]| {
        bytes[..8].copy_from_slice(magic);
        PerfData::parse(&bytes).unwrap_err()
    };
    assert!(matches!(refused(b"2ELIFREP"), Error::Unsupported(Unsupported::BigEndian)));
    assert!(matches!(refused(b"PERFFILE"), Error::Unsupported(Unsupported::OldFormat)));
    assert!(matches!(refused(b"\x7fELF\0\0\0\0"), Error::NotPerfData));
    assert!(matches!(PerfData::parse(b""), Err(Error::NotPerfData)));
}
