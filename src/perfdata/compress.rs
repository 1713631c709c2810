//! Compresses records, in the form of `perf record -z`. [`unpack`](super::unpack()) decompresses them.
//!
//! perf makes one Zstandard frame of a whole recording. goflame makes a frame for each compressed record, and puts only
//! whole records into a frame. So all cores can compress at the same time. perf decompresses both forms with the same
//! calls.

use rayon::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::abi::{RECORD_HEADER, record_type};
use super::layout::RawRecord;

/// Maximum number of bytes that are compressed as one piece. If the bytes do not shrink, the result is a few bytes
/// longer (frame header, block header, checksum). It still fits into a record of at most 65,535 bytes.
const PIECE_BYTES: usize = 65_400;

/// Size in bytes of the buffer into which a reader decompresses one compressed record. The content of a compressed
/// record is never longer.
const MAX_DECOMPRESSED_BYTES: u32 = 1 << 16;

/// The content of the feature section COMPRESSED (`process_compressed` in `tools/perf/util/header.c`): version, algorithm
/// (1 is Zstandard), level, ratio, and the size of the reader's buffer. perf only shows level and ratio.
pub(super) fn compression_section(ratio: u32) -> Vec<u8> {
    [1, 1, 1, ratio, MAX_DECOMPRESSED_BYTES].iter().flat_map(|field| field.to_le_bytes()).collect()
}

/// Compresses whole records, also where that gains nothing: readers move plain records before compressed ones, and a
/// COMM must stay before its mappings. A piece stays plain only if it is one long record that would be too long for the
/// format after the compression.
pub(super) fn compress(records: &[u8]) -> Vec<u8> {
    split_into_pieces(records).into_par_iter().map(compress_piece).collect::<Vec<_>>().concat()
}

/// Splits records into pieces of at most [`PIECE_BYTES`] bytes. A longer record is a piece by itself.
fn split_into_pieces(records: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Ok(record) = RawRecord::parse(records, at) {
        if at > start && record.end.saturating_sub(start) > PIECE_BYTES {
            pieces.extend(records.get(start..at));
            start = at;
        }
        at = record.end;
    }
    pieces.extend(records.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

fn compress_piece(piece: &[u8]) -> Vec<u8> {
    let frame = compress_to_vec(piece, CompressionLevel::Fastest);
    let size = frame.len().saturating_add(RECORD_HEADER);
    match u16::try_from(size) {
        Ok(short) => {
            let mut record = Vec::with_capacity(size);
            record.extend(record_type::COMPRESSED.to_le_bytes());
            record.extend([0; 2]);
            record.extend(short.to_le_bytes());
            record.extend(frame);
            record
        }
        Err(_) => piece.to_vec(),
    }
}
