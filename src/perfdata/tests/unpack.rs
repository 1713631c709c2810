//! Recordings of compressed records, and in several files.

use std::io::Cursor;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{features, native_event, native_file, native_sample, times};
use crate::perfdata::abi::{misc, record_type};
use crate::perfdata::*;

/// File offset of the first record in [`native_file`].
const DATA: usize = 104 + 3 * 8 + 2 * 128;

/// File offset of the end of the records.
fn data_end(file: &[u8]) -> usize {
    DATA + u64::from_le_bytes(file[48..56].try_into().unwrap()) as usize
}

/// [`native_file`] with other records, and with the feature bit of compression.
fn with_records(records: &[u8]) -> Vec<u8> {
    const COMPRESSED: usize = 27;
    let file = native_file();
    let end = data_end(&file);
    let before = u32::from_le_bytes(file[72..76].try_into().unwrap()) & ((1 << COMPRESSED) - 1);
    let mut bytes = [&file[..DATA], records, &file[end..]].concat();
    bytes[48..56].copy_from_slice(&(records.len() as u64).to_le_bytes());
    bytes[72 + COMPRESSED / 8] |= 1 << (COMPRESSED % 8);
    let table = DATA + records.len();
    let count = file[72..104].iter().map(|bits| bits.count_ones() as usize).sum::<usize>();
    for entry in 0..count {
        let field = table + entry * 16..table + entry * 16 + 8;
        let offset = u64::from_le_bytes(bytes[field.clone()].try_into().unwrap()) as usize;
        bytes[field].copy_from_slice(&((offset - end + table + 16) as u64).to_le_bytes());
    }
    let entry = table + before.count_ones() as usize * 16;
    bytes.splice(entry..entry, [0; 16]);
    bytes
}

/// Compressed records that hold a stream in pieces of this size.
fn in_pieces(stream: &[u8], size: usize, kind: u32) -> Vec<u8> {
    let record = |piece: &[u8]| {
        let mut body = piece.to_vec();
        if kind == record_type::COMPRESSED2 {
            body.splice(0..0, (piece.len() as u64).to_le_bytes());
            body.resize(body.len().next_multiple_of(8), 0xee);
        }
        let header = [&kind.to_le_bytes()[..], &[0, 0], &(body.len() as u16 + 8).to_le_bytes()].concat();
        [header, body].concat()
    };
    stream.chunks(size).flat_map(record).collect()
}

/// [`native_file`] with compressed records.
fn compressed(size: usize, kind: u32) -> Vec<u8> {
    let file = native_file();
    let records = &file[DATA..data_end(&file)];
    let stream = compress_to_vec(records, CompressionLevel::Fastest);
    with_records(&in_pieces(&stream, size, kind))
}

#[test]
fn compressed_records_are_those_that_were_compressed() {
    let expected = native_file();
    let expected = PerfData::parse(&expected).unwrap();
    for kind in [record_type::COMPRESSED, record_type::COMPRESSED2] {
        for size in [1, 7, 100, 10_000] {
            let plain = unpack(&compressed(size, kind), &[]).unwrap().unwrap();
            let file = PerfData::parse(&plain).unwrap();
            let kinds = |file: &PerfData<'_>| file.records().map(|record| format!("{record:?}")).collect::<Vec<_>>();
            assert_eq!(kinds(&file), kinds(&expected));
            assert_eq!(*file.features(), features());
        }
    }
}

/// More records than one piece holds, of which one is longer than a piece and does not shrink.
#[test]
fn a_compressing_writer_writes_the_records_that_a_plain_one_writes() {
    let noise: Vec<u64> = (1..8_176_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)).collect();
    let file = |is_compressed: bool| {
        let writer = Writer::create(Cursor::new(Vec::new()), &[native_event("cpu-clock", 0, &[11])]).unwrap();
        let mut writer = if is_compressed { writer.with_compression() } else { writer };
        for time in 0..2_000 {
            let chain = if time == 500 { &noise } else { &[0x40_1000, 0x40_2000, 0x40_3000][..] };
            writer.record(record_type::SAMPLE, misc::USER, &native_sample(11, time, 0, chain)).unwrap();
        }
        writer.finish(&features()).unwrap().into_inner()
    };
    let (plain, compressed) = (file(false), file(true));
    assert!(compressed.len() - noise.len() * 8 < (plain.len() - noise.len() * 8) / 4, "{}", compressed.len());
    let unpacked = unpack(&compressed, &[]).unwrap().expect("compressed records");
    let contents = |bytes: &[u8]| {
        let file = PerfData::parse(bytes).unwrap();
        let records: Vec<_> = file
            .records()
            .map(|record| Record { offset: 0, ..record.unwrap() })
            .map(|record| format!("{record:?}"))
            .collect();
        (records, file.features().clone(), file.is_complete())
    };
    assert_eq!(contents(&unpacked), contents(&plain));
    let cut = unpack(&compressed[..compressed.len() / 2], &[]).unwrap().unwrap();
    assert!(PerfData::parse(&cut).unwrap().records().last().unwrap().is_err(), "the end is missing");
}

/// Before: a COMM and a mapping at time 0 stayed plain if they did not shrink, and moved before the records of earlier rounds.
#[test]
fn records_that_do_not_shrink_stay_in_their_order() {
    let writer = Writer::create(Cursor::new(Vec::new()), &[native_event("cpu-clock", 0, &[11])]).unwrap();
    let mut writer = writer.with_compression();
    for round in 0..3 {
        for thread in 0..[100, 1, 100][round] {
            writer.comm(7, thread, false, format!("{round}").as_bytes(), &SampleId::default()).unwrap();
        }
        writer.finished_round().unwrap();
    }
    let file = writer.finish(&features()).unwrap().into_inner();
    let unpacked = unpack(&file, &[]).unwrap().unwrap();
    let names = PerfData::parse(&unpacked)
        .unwrap()
        .records()
        .filter_map(|record| match record.unwrap().kind {
            RecordKind::Comm { name, .. } => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        })
        .collect::<Vec<_>>();
    assert_eq!(names.len(), 201);
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn a_plain_file_and_other_bytes_need_nothing() {
    for bytes in [native_file(), Vec::new(), b"PERFILE2".to_vec(), vec![0; 200]] {
        assert_eq!(unpack(&bytes, &[]).unwrap(), None);
    }
}

#[test]
fn records_of_further_files_come_before_the_features() {
    let file = native_file();
    let records = &file[DATA..data_end(&file)];
    let plain = unpack(&file, &[records, records]).unwrap().unwrap();
    let both = PerfData::parse(&plain).unwrap();
    let mut expected = times(&PerfData::parse(&file).unwrap()).repeat(3);
    expected.sort_unstable();
    assert_eq!(times(&both), expected);
    assert_eq!(*both.features(), features());
}

#[test]
fn a_compressed_recording_cut_off_anywhere_keeps_its_whole_records() {
    let bytes = compressed(64, record_type::COMPRESSED);
    let whole = times(&PerfData::parse(&unpack(&bytes, &[]).unwrap().unwrap()).unwrap());
    let mut most = 0;
    for length in 0..bytes.len() {
        let Ok(plain) = unpack(&bytes[..length], &[]) else { continue };
        let plain = plain.unwrap_or_default();
        let Ok(file) = PerfData::parse(&plain) else { continue };
        let found: Vec<u64> = file.records().map_while(Result::ok).filter_map(|record| record.time).collect();
        assert!(found.iter().all(|time| whole.contains(time)), "{length}");
        most = most.max(found.len());
        // A recorder that is killed leaves no size and no features.
        let mut killed = bytes[..length.min(data_end(&bytes))].to_vec();
        killed[48..56].fill(0);
        let killed = unpack(&killed, &[]).unwrap().unwrap();
        assert!(PerfData::parse(&killed).unwrap().records().all(|record| record.is_ok()), "{length}");
    }
    assert_eq!(most, whole.len());
}

#[test]
fn a_compressed_recording_with_any_byte_changed_does_not_panic() {
    let original = compressed(64, record_type::COMPRESSED2);
    let mut refused = 0;
    for at in 0..original.len() {
        for value in [0, 0xff, original[at] ^ 1] {
            let mut bytes = original.clone();
            bytes[at] = value;
            match unpack(&bytes, &[]) {
                Ok(Some(plain)) => _ = PerfData::parse(&plain).map(|file| file.records().count()),
                Ok(None) => {}
                Err(error) => refused += u32::from(error.to_string().starts_with("the compressed data")),
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_small_file_cannot_unpack_to_any_size() {
    // A frame of blocks that each repeat one byte 128 Ki times (RFC 8878).
    let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    let block = (128_u32 << 10) << 3 | 1 << 1;
    for _ in 0..4096 {
        stream.extend(&block.to_le_bytes()[..3]);
        stream.push(0);
    }
    let bytes = with_records(&in_pieces(&stream, 4096, record_type::COMPRESSED));
    let error = unpack(&bytes, &[]).unwrap_err();
    assert_eq!(error.to_string(), "unpacked, it is larger than the limit of 256 MiB");
    assert!(error.hints()[0].contains("without `-z`"));
}
