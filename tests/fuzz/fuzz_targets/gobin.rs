//! Any bytes as an ELF file: everything that can be asked of one.
#![no_main]

use goflame::gobin::{Binary, name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(binary) = Binary::parse(bytes) else { return };
    let facts = binary.facts();
    assert_eq!(facts.build_id, binary.build_id());
    for segment in binary.load_segments() {
        let last = segment.address.saturating_add(segment.file_size.saturating_sub(1));
        for address in [segment.address, segment.address.midpoint(last), last, last.saturating_add(1)] {
            let Ok(location) = binary.locate(address) else { continue };
            for frame in location.frames {
                name::display(&frame.name);
                name::package(&frame.name);
            }
        }
        binary.address_of_offset(segment.offset);
    }
    if let Ok(table) = binary.pclntab() {
        for function in table.functions().take(1000) {
            let last = function.end().saturating_sub(1);
            for address in [function.entry(), function.entry().midpoint(last), last] {
                function.line_at(address);
                function.file_at(address);
            }
        }
    }
});
