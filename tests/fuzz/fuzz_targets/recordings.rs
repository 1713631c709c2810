//! Fuzzes the conversion of recordings to one plain file: compressed, in several files, or written by gperftools.
//!
//! Input: the size of the first file in bytes (16 bits, little-endian), then two files.
#![no_main]

use goflame::perfdata::{PerfData, from_gperftools, unpack};
use libfuzzer_sys::fuzz_target;

fn read(plain: &[u8]) {
    if let Ok(file) = PerfData::parse(plain) {
        assert!(file.records().count() <= plain.len() / 8 + 1);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let (file, further) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
    if let Ok(Some(plain)) = from_gperftools(file) {
        PerfData::parse(&plain).expect("goflame reads what it writes");
    }
    for further in [&[][..], &[further]] {
        if let Ok(Some(plain)) = unpack(file, further) {
            read(&plain);
        }
    }
});
