//! Fuzzes the import of exported runs. No input causes a panic or a large allocation.
//!
//! Input: a byte that chooses what the following bytes are: a Zstandard stream, a tar archive, or two files of a tar archive
//! (the manifest and another file).
#![no_main]

use goflame::archive::check_export_bytes;
use libfuzzer_sys::fuzz_target;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, Header};

const RUN: &str = "20261123-065001-server-8f2c";

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let tar = match choice % 3 {
        0 => {
            let _ = check_export_bytes(rest);
            return;
        }
        1 => rest.to_vec(),
        _ => {
            let (manifest, file) = rest.split_at(rest.len().min(usize::from(*choice)));
            let mut tar = Builder::new(Vec::new());
            for (name, bytes) in [("manifest.json", manifest), ("a", file)] {
                let mut header = Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                tar.append_data(&mut header, format!("{RUN}/{name}"), bytes).unwrap();
            }
            tar.into_inner().unwrap()
        }
    };
    let _ = check_export_bytes(&compress_to_vec(tar.as_slice(), CompressionLevel::Uncompressed));
});
