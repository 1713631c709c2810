//! Fuzzes the readers of perf maps and jitdumps. No input causes a panic, or more functions or lines than its number of
//! bytes justifies.
#![no_main]

use goflame::jit::{parse_jitdump, parse_perf_map};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let perf_map = parse_perf_map(bytes);
    // The shortest line of a function has 5 bytes: digit, space, digit, space, letter.
    assert!(perf_map.functions.len() <= bytes.len() / 5);
    for code in [Some(perf_map), parse_jitdump(bytes)].into_iter().flatten() {
        assert!(code.functions.len() <= bytes.len() && code.lines.len() <= bytes.len());
        for function in code.functions {
            assert!(function.start.checked_add(function.size).is_some_and(|end| end > function.start));
            assert!(code.lines.get(function.lines).is_some());
        }
    }
});
