//! Recordings that are put together before they are read: compressed, in several files, or of gperftools.
//!
//! Input: the length of the first file (16 bits, little-endian), and two files.
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
