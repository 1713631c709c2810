//! Damaged and crafted files: no panic, no endless loop, no excessive memory, and all records before the damage are
//! read.

use proptest::prelude::*;

use super::{Disk, features, native_file, native_sample, native_writer, times};
use crate::perfdata::abi::{flag, read_format as rf, record_type, sample_type as st};
use crate::perfdata::*;

/// Offset of the first record in [`native_file`], in bytes.
const DATA: usize = 104 + 3 * 8 + 2 * 128;

/// Reads all records and every field of them.
fn read_all(bytes: &[u8]) -> Result<(usize, Option<Error>), Error> {
    let file = PerfData::parse(bytes)?;
    let mut count = 0;
    let mut records = file.records();
    for record in records.by_ref() {
        match record {
            Ok(record) => {
                count += 1;
                if let RecordKind::Sample(sample) = record.kind {
                    assert!(sample.event < file.events().len());
                    assert!(sample.callchain.count() * 8 <= bytes.len());
                    if let Some(regs) = sample.user_regs {
                        for bit in 0..70 {
                            regs.get(bit);
                        }
                    }
                }
            }
            Err(error) => {
                assert!(records.next().is_none(), "something follows the error");
                return Ok((count, Some(error)));
            }
        }
    }
    assert!(count <= bytes.len() / 8);
    Ok((count, None))
}

fn offset_of(error: &Error) -> u64 {
    match error {
        Error::Damaged { offset, .. } => *offset,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_cut_at_any_byte_is_read_up_to_the_cut() {
    let whole = native_file();
    let writer = native_writer(&Disk::new(usize::MAX));
    let data_end = writer.bytes_written() as usize + 8;
    // End offsets of the kernel's records, in the order of the file.
    let file = PerfData::parse(&whole).unwrap();
    let mut starts: Vec<_> = file.records().map(|record| record.unwrap().offset as usize).collect();
    starts.sort_unstable();
    let ends: Vec<_> =
        starts.iter().map(|at| at + usize::from(u16::from_le_bytes([whole[at + 6], whole[at + 7]]))).collect();
    for cut in 0..whole.len() {
        let result = read_all(&whole[..cut]);
        if cut < DATA {
            result.unwrap_err();
            continue;
        }
        let (count, error) = result.unwrap();
        assert_eq!(count, ends.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
        if cut < data_end {
            let offset = offset_of(&error.unwrap());
            assert!(offset <= cut as u64 && offset + 200 > cut as u64, "cut at {cut} is reported as {offset}");
        } else {
            // The records are whole; only features are missing.
            assert!(error.is_none());
            assert_ne!(PerfData::parse(&whole[..cut]).unwrap().features(), &features());
        }
    }
}

#[test]
fn a_stream_cut_at_any_byte_is_read_up_to_the_cut() {
    let event = super::native_event("", 0, &[11]);
    let record = |kind: u32, body: &[u8]| {
        let mut out = kind.to_le_bytes().to_vec();
        out.extend([0, 0]);
        out.extend((body.len() as u16 + 8).to_le_bytes());
        out.extend(body);
        out
    };
    let mut ids = event.attr.encode();
    ids.extend(11_u64.to_le_bytes());
    let mut whole = b"PERFILE2\x10\0\0\0\0\0\0\0".to_vec();
    whole.extend(record(record_type::HEADER_ATTR, &ids));
    for (bit, section) in features().sections(&[event]) {
        whole.extend(record(record_type::HEADER_FEATURE, &[u64::from(bit).to_le_bytes().to_vec(), section].concat()));
    }
    for time in 1..4 {
        whole.extend(record(record_type::SAMPLE, &native_sample(11, time, 0, &[1, 2])));
    }
    let file = PerfData::parse(&whole).unwrap();
    assert_eq!((times(&file), file.features()), (vec![1, 2, 3], &features()));
    for cut in 0..whole.len() {
        match read_all(&whole[..cut]) {
            Ok((count, _)) => assert!(cut >= 16 && count < 3),
            Err(_) => assert!(cut < 16),
        }
    }
}

#[test]
fn damage_inside_a_record_ends_reading_there() {
    let whole = native_file();
    let file = PerfData::parse(&whole).unwrap();
    // The second sample in the file is the third in time: of the samples of CPU 1, one is earlier and one is later.
    let damaged = file.records().map(Result::unwrap).find(|record| record.time == Some(3_000)).unwrap().offset;
    let mut bytes = whole.clone();
    // The number of callchain entries, after six other words and the header.
    bytes[damaged as usize + 8 + 6 * 8..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let file = PerfData::parse(&bytes).unwrap();
    let mut records: Vec<_> = file.records().collect();
    assert_eq!(offset_of(&records.pop().unwrap().unwrap_err()), damaged);
    let offsets: Vec<_> = records.into_iter().map(|record| record.unwrap().offset).collect();
    let before = |offset: &&u64| **offset < damaged;
    assert_eq!(offsets.iter().filter(before).count(), 6);
    // The sample of CPU 1 with time 2000 is after the damage in the file, but comes before the damage in time, so it is
    // read.
    assert_eq!(offsets.len(), 7);
}

/// [`native_file`] with the 8-byte field at an offset set to `value`.
fn file_with(at: usize, value: u64) -> Vec<u8> {
    let mut bytes = native_file();
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn extreme_header_fields_do_not_panic() {
    let extremes = [0, 1, 15, 16, 79, 80, 103, 104, 1 << 31, 1 << 32, 1 << 60, 1 << 63, u64::MAX - 7, u64::MAX];
    for at in (8..104).step_by(8) {
        for value in extremes {
            let _ = read_all(&file_with(at, value));
        }
    }
    // Attribute size.
    for value in [0, 1, 16, 79, u64::MAX] {
        let error = read_all(&file_with(16, value)).unwrap_err();
        assert!(matches!(error, Error::Damaged { what: "the attribute section", .. }), "{error:?}");
    }
    // Offset and size of the attributes.
    assert!(read_all(&file_with(24, u64::MAX)).is_err());
    assert!(read_all(&file_with(32, 1 << 63)).is_err());
    // Offset and size of the data.
    assert_eq!(offset_of(&read_all(&file_with(40, u64::MAX)).unwrap_err()), u64::MAX);
    let (count, error) = read_all(&file_with(48, u64::MAX)).unwrap();
    assert_eq!((count, error.is_some()), (10, true));
    // All feature bits set: the table is read up to its end.
    for at in [72, 80, 88, 96] {
        let (count, error) = read_all(&file_with(at, u64::MAX)).unwrap();
        assert_eq!((count, error.is_none()), (10, true));
    }
}

#[test]
fn extreme_feature_sections_cost_only_their_feature() {
    let whole = native_file();
    let table = native_writer(&Disk::new(usize::MAX)).bytes_written() as usize + 8;
    let sections = 10;
    // Without the event description, the events keep perf's default names, which are the same.
    let event_description = 8;
    for section in 0..sections {
        for (field, value) in [(0, 1 << 63), (0, u64::MAX), (8, 1 << 63), (8, u64::MAX), (8, 1), (8, 3)] {
            let bytes = file_with(table + section * 16 + field, value);
            let file = PerfData::parse(&bytes).unwrap();
            let missing = file.features() != &features();
            assert_eq!(missing, section != event_description, "section {section}, field {field}, value {value}");
            assert_eq!(times(&file).len(), 10);
        }
        // Every word of the section.
        let start = u64::from_le_bytes(whole[table + section * 16..][..8].try_into().unwrap()) as usize;
        let size = u64::from_le_bytes(whole[table + section * 16 + 8..][..8].try_into().unwrap()) as usize;
        for at in (start..start + size - 7).step_by(4) {
            for value in [0, 0xffff_ffff, u64::MAX, 1 << 63] {
                let (count, error) = read_all(&file_with(at, value)).unwrap();
                assert_eq!((count, error.is_none()), (10, true));
            }
        }
    }
}

#[test]
fn overlapping_sections_of_ids_are_refused() {
    // 2000 attributes that all refer to the same 256 kB of ids, which would need half a gigabyte of memory.
    let event = Event { ids: vec![7; 32_000], ..super::native_event("e", 0, &[]) };
    let events = vec![Event { ids: vec![], ..event.clone() }; 2_000];
    let mut many = vec![event];
    many.extend(events);
    let mut bytes = Writer::create(Disk::new(usize::MAX), &many).unwrap().finish(&Features::default()).unwrap().bytes();
    let attrs = 104 + 32_000 * 8;
    let section: Vec<u8> = bytes[attrs + 112..attrs + 128].to_vec();
    for attr in 1..=2_000 {
        bytes[attrs + attr * 128 + 112..][..16].copy_from_slice(&section);
    }
    let error = PerfData::parse(&bytes).unwrap_err();
    assert!(matches!(error, Error::Damaged { what: "the attribute section", .. }), "{error:?}");
}

/// A file with one event and one sample.
fn one_sample(attr: Attr, words: &[u64]) -> Vec<u8> {
    let event = Event { name: String::new(), attr, ids: vec![] };
    let mut writer = Writer::create(Disk::new(usize::MAX), &[event]).unwrap();
    let body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    writer.record(record_type::SAMPLE, 0, &body).unwrap();
    writer.finish(&Features::default()).unwrap().bytes()
}

#[test]
fn extreme_lengths_inside_a_sample_are_damage() {
    let attr = |sample_type| Attr { sample_type, ..Attr::default() };
    let group = Attr { read_format: rf::GROUP | rf::ID | rf::LOST, ..attr(st::READ) };
    let registers = Attr { sample_regs_user: u64::MAX, ..attr(st::REGS_USER) };
    let long = [1 << 13, 1 << 32, 1 << 60, 1 << 61, 1 << 63, u64::MAX / 8, u64::MAX - 7, u64::MAX];
    for nr in long {
        for (attr, words) in [
            (attr(st::CALLCHAIN), vec![nr, 1, 2]),
            (attr(st::BRANCH_STACK), vec![nr, 1, 2, 3]),
            (attr(st::STACK_USER), vec![nr, 1, 2]),
            (attr(st::STACK_USER), vec![8, 1, nr]),
            (group.clone(), vec![nr, 1, 2, 3]),
            (registers.clone(), vec![nr, 1, 2, 3]),
            (attr(st::RAW), vec![nr | 0xffff_fff0, 1]),
        ] {
            let bytes = one_sample(attr, &words);
            let (count, error) = read_all(&bytes).unwrap();
            assert_eq!((count, offset_of(&error.unwrap())), (0, 104 + 128), "{nr:#x}");
        }
    }
}

#[test]
fn records_that_are_too_short_for_their_type_do_not_panic() {
    let attr = Attr { sample_type: st::TID | st::TIME, flags: flag::SAMPLE_ID_ALL, ..Attr::default() };
    for kind in 0..100 {
        for length in 0..96 {
            let event = Event { name: String::new(), attr: attr.clone(), ids: vec![] };
            let mut writer = Writer::create(Disk::new(usize::MAX), &[event]).unwrap();
            writer.record(kind, 0xffff, &vec![0xff; length]).unwrap();
            let bytes = writer.finish(&Features::default()).unwrap().bytes();
            let _ = read_all(&bytes);
        }
    }
}

#[test]
fn a_record_of_size_0_does_not_loop_forever() {
    let mut bytes = native_file();
    bytes[DATA + 6..DATA + 8].copy_from_slice(&[0, 0]);
    let (count, error) = read_all(&bytes).unwrap();
    assert_eq!((count, offset_of(&error.unwrap())), (0, DATA as u64));
}

#[test]
fn a_sample_of_an_unknown_event_is_damage() {
    let mut writer = native_writer(&Disk::new(usize::MAX));
    writer.record(record_type::SAMPLE, 0, &native_sample(99, 1, 0, &[])).unwrap();
    let bytes = writer.finish(&Features::default()).unwrap().bytes();
    let (count, error) = read_all(&bytes).unwrap();
    assert_eq!((count, error.is_some()), (10, true));
}

proptest! {
    #[test]
    fn flipped_bytes_do_not_panic(changes in prop::collection::vec((0_usize..4_000, any::<u8>()), 1..8)) {
        let mut bytes = native_file();
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at % length] = value;
        }
        let _ = read_all(&bytes);
    }

    #[test]
    fn any_record_does_not_panic(data in prop::collection::vec(any::<u8>(), 0..400), kind in 0_u32..90, sample_type in any::<u64>(),
        branch_sample_type in any::<u64>(), read_format in any::<u64>(), flags in any::<u64>())
    {
        let attr = Attr { sample_type, branch_sample_type, read_format, flags, sample_regs_user: 0xff_0fff, ..Attr::default() };
        let mut writer = Writer::create(Disk::new(usize::MAX), &[Event { attr, ..Event::default() }]).unwrap();
        writer.record(kind, 0, &data).unwrap();
        let bytes = writer.finish(&Features::default()).unwrap().bytes();
        let _ = read_all(&bytes);
    }

    #[test]
    fn any_stream_does_not_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"PERFILE2\x10\0\0\0\0\0\0\0".to_vec();
        bytes.extend(data);
        let _ = read_all(&bytes);
    }
}
