//! Any bytes as an ELF file: everything that can be asked of one.
#![no_main]

#[path = "../image/mod.rs"]
#[allow(dead_code, reason = "files of its own are for the other targets")]
mod image;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| image::ask(bytes));
