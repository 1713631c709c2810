//! Fuzzes the reader of Go's text profiles (`?debug=1`).
//!
//! Input: a byte that chooses the first lines, then the rest of the text.
#![no_main]

use goflame::pprof;
use libfuzzer_sys::fuzz_target;

const BEGINNINGS: [&str; 4] = [
    "goroutine profile: total ",
    "heap profile: 0: 0 [0: 0] @ heap/",
    "--- contention:\ncycles/second=",
    "--- mutex:\ncycles/second=1000000000\nsampling period=1\n",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let text = [BEGINNINGS[usize::from(*choice) % BEGINNINGS.len()].as_bytes(), rest].concat();
    assert!(pprof::is_pprof(&text));
    if let Ok(read) = pprof::read(&text, None) {
        assert!(read.profile.stack_count() <= text.len());
    }
});
