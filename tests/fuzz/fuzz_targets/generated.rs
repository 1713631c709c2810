//! Perf maps and jitdumps: whatever the bytes, no panic, and no more functions and lines than the bytes justify.
#![no_main]

use goflame::jit::{parse_jitdump, parse_perf_map};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let perf_map = parse_perf_map(bytes);
    // A function takes a digit, a space, a digit, a space and a letter.
    assert!(perf_map.functions.len() <= bytes.len() / 5);
    for code in [Some(perf_map), parse_jitdump(bytes)].into_iter().flatten() {
        assert!(code.functions.len() <= bytes.len() && code.lines.len() <= bytes.len());
        for function in code.functions {
            assert!(function.start.checked_add(function.size).is_some_and(|end| end > function.start));
            assert!(code.lines.get(function.lines).is_some());
        }
    }
});
