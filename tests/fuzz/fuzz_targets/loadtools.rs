//! Fuzzes the reader of the output of load tools. Every figure that is read is a finite number.
//!
//! Input: a byte that chooses the beginning of the output, then the rest of the output.
#![no_main]

use goflame::loadtool::parse_load_output;
use libfuzzer_sys::fuzz_target;

const BEGINNINGS: [&str; 6] = [
    "",
    "Running 2s test @ http://a/\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\nRequests/sec: 1.0\n",
    "\nSummary:\n  Total:\t2.0 secs\n  Requests/sec:\t1.0\n",
    "\nSummary:\n  Count:\t1\n  Requests/sec:\t1.0\n",
    "Requests      [total, rate, throughput]         1000, 500.38, 500.29\n",
    "    http_reqs......................: 15205  7586.290139/s\n",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let output = [BEGINNINGS[usize::from(*choice) % BEGINNINGS.len()].as_bytes(), rest].concat();
    let Some(figures) = parse_load_output(&output) else { return };
    let latency = &figures.latency;
    let numbers = [Some(figures.per_second), latency.mean, latency.p50, latency.p90, latency.p99];
    assert!(numbers.into_iter().flatten().all(|number| number.is_finite() && number >= 0.0), "{figures:?}");
});
