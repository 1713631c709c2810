//! Fuzzes all readers of `gobin`: the input is an ELF file.
#![no_main]

#[path = "../image/mod.rs"]
#[allow(dead_code, reason = "only other targets build files")]
mod image;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| image::exercise(bytes));
