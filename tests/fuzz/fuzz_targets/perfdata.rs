//! Fuzzes the reader of `perf.data`. No input causes a panic. After an error, the reader returns no more records.
#![no_main]

use goflame::perfdata::{PerfData, RecordKind, SampleFacts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = PerfData::parse(bytes) else { return };
    let goroutines = file.features().repairs.as_ref().map_or(&[][..], |repairs| &repairs.goroutines);
    assert!(goroutines.len() <= bytes.len() / 40);
    let mut records = file.records();
    while let Some(record) = records.next() {
        let Ok(record) = record else {
            assert!(records.next().is_none());
            return;
        };
        if let RecordKind::Sample(sample) = record.kind {
            assert!(sample.event < file.events().len());
            let _ = SampleFacts::from_sample(&sample).goroutine().and_then(|at| goroutines.get(at));
            assert!(sample.callchain.count() <= bytes.len() / 8);
            if let Some(regs) = sample.user_regs {
                for bit in 0..65 {
                    let _ = regs.get(bit);
                }
            }
        }
    }
});
