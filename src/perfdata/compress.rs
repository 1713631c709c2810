//! Compressed records, in the form of `perf record -z`. [`unpack`](super::unpack()) is the way back.
//!
//! perf makes one Zstandard frame of a whole recording. Here, each compressed record holds one whole frame and plain
//! records that are not cut, so that pieces are compressed on all cores. perf decompresses both with the same calls.

use rayon::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::abi::{RECORD_HEADER, record_type};
use super::layout::RawRecord;

/// Maximum number of bytes that are compressed as one piece. Bytes that do not shrink get a few more (frame header, block
/// header, checksum), and still fit into a record of at most 65,535 bytes.
const PIECE: usize = 65_400;

/// Number of bytes for which a reader makes room before it decompresses a record. No record is longer.
const MAX_DECOMPRESSED: u32 = 1 << 16;

/// The content of the feature section COMPRESSED (`process_compressed` in `tools/perf/util/header.c`): version, algorithm
/// (1 is Zstandard), level, ratio, and the size of the reader's buffer. perf only shows level and ratio.
pub(super) fn section(ratio: u32) -> Vec<u8> {
    [1, 1, 1, ratio, MAX_DECOMPRESSED].iter().flat_map(|field| field.to_le_bytes()).collect()
}

/// Compresses whole records. The result has records of type COMPRESSED, and plain ones where compression gains nothing.
pub(super) fn compressed(records: &[u8]) -> Vec<u8> {
    pieces(records).into_par_iter().map(compressed_piece).collect::<Vec<_>>().concat()
}

/// Splits records into pieces of at most [`PIECE`] bytes. A record that is longer is a piece.
fn pieces(records: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Ok(record) = RawRecord::parse(records, at) {
        if at > start && record.end.saturating_sub(start) > PIECE {
            pieces.extend(records.get(start..at));
            start = at;
        }
        at = record.end;
    }
    pieces.extend(records.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

fn compressed_piece(piece: &[u8]) -> Vec<u8> {
    let frame = compress_to_vec(piece, CompressionLevel::Fastest);
    let size = frame.len().saturating_add(RECORD_HEADER);
    match u16::try_from(size) {
        Ok(short) if size < piece.len() => {
            let mut record = Vec::with_capacity(size);
            record.extend(record_type::COMPRESSED.to_le_bytes());
            record.extend([0; 2]);
            record.extend(short.to_le_bytes());
            record.extend(frame);
            record
        }
        _ => piece.to_vec(),
    }
}
