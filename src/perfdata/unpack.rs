//! Combines recordings that are not one plain file: compressed records (`perf record -z`), and directories (`perf
//! record --threads`) whose files `data.0`, `data.1`, … contain records without a header.
//!
//! perf compresses the records of a file as one Zstandard stream, and cuts this stream into records of type COMPRESSED.
//! It never ends the stream (`zstd_compress_stream_to_records` in `tools/perf/util/zstd.c`). A compressed record can
//! end in the middle of a plain record.

use std::io::Read;
use std::ops::Range;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::abi::{feature, record_type};
use super::error::Error;
use super::layout::RawRecord;
use super::reader::{FileHeader, HEADER_DATA_SIZE};
use super::scan::end_with_payload;
use crate::bytes::Cursor;

/// A recording of at most this many bytes is unpacked at any compression ratio.
const ALWAYS_UNPACKED_BYTES: usize = 256 << 20;

/// Maximum compression ratio of a larger recording. Callchains compress 5 to 20 times, stack copies up to 100 times.
const MAX_COMPRESSION_RATIO: usize = 256;

/// Maximum size in bytes of a recording that is combined in memory.
const MAX_COMBINED_BYTES: usize = 4 << 30;

/// Maximum number of bytes of records in a recording that goflame compresses. Less than [`MAX_COMBINED_BYTES`], because
/// the unpacked file also has a header, features and the marks at the ends of rounds.
pub const MAX_COMPRESSED_BYTES: u64 = 3 << 30;

/// An empty block that ends a frame, and 4 bytes for the frame's checksum (RFC 8878).
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Combines a recording into one plain file: `file`, which has the header, and `further` files, which have records
/// only. `None` if `file` is already plain, or not a recording.
pub fn unpack(file: &[u8], further: &[&[u8]]) -> Result<Option<Vec<u8>>, Error> {
    let Some(parts) = Parts::find(file) else { return Ok(None) };
    if further.is_empty() && !parts.is_compressed(file) {
        return Ok(None);
    }
    let input = further.iter().fold(file.len(), |sum, bytes| sum.saturating_add(bytes.len()));
    let max_bytes = input.saturating_mul(MAX_COMPRESSION_RATIO).clamp(ALWAYS_UNPACKED_BYTES, MAX_COMBINED_BYTES);
    unpack_within(file, &parts, further, max_bytes).map(Some)
}

fn unpack_within(file: &[u8], parts: &Parts, further: &[&[u8]], max_bytes: usize) -> Result<Vec<u8>, Error> {
    let before = file.get(..parts.records.start).unwrap_or_default();
    let records = file.get(parts.records.clone()).unwrap_or_default();
    let mut unpacked = Unpacked { bytes: before.to_vec(), max_bytes };
    let mut damaged: &[u8] = &[];
    for (number, part) in std::iter::once(&records).chain(further).enumerate() {
        let split = Split::parse(part);
        for range in split.plain {
            unpacked.add(part.get(range).unwrap_or_default())?;
        }
        let decoded = unpacked.decode(&split.compressed)?;
        if !decoded && parts.is_complete {
            let offset = u64::try_from(parts.records.start).ok().filter(|_| number == 0).unwrap_or_default();
            return Err(Error::Damaged { what: "the compressed data", offset });
        }
        if damaged.is_empty() {
            damaged = split.damaged;
        }
    }
    // The reader stops at damaged bytes, so they go after the records of all parts.
    unpacked.add(damaged)?;
    parts.finish(file, unpacked.bytes)
}

/// The parts of a file.
struct Parts {
    /// Byte range of the records. For a file that is cut off, ends at the end of the file.
    records: Range<usize>,
    /// The header of a file; `None` for a stream.
    header: Option<FileHeader>,
    /// Whether the recorder finished the file.
    is_complete: bool,
}

impl Parts {
    fn find(file: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(file.strip_prefix(b"PERFILE2")?);
        if cursor.u64()? == 16 {
            return Some(Self { records: 16..file.len(), header: None, is_complete: true });
        }
        let header = FileHeader::read(Cursor::from_offset(file, 16)?)?;
        let start = usize::try_from(header.data.offset).ok().filter(|start| *start <= file.len())?;
        let is_complete = header.data.size != 0;
        let size = usize::try_from(header.data.size).ok().filter(|_| is_complete);
        let end = size.and_then(|size| start.checked_add(size)).unwrap_or(file.len()).min(file.len());
        Some(Self { records: start..end, header: Some(header), is_complete })
    }

    fn is_compressed(&self, file: &[u8]) -> bool {
        match &self.header {
            Some(header) => header.features().any(|bit| bit == feature::COMPRESSED),
            None => !Split::parse(file.get(self.records.clone()).unwrap_or_default()).compressed.is_empty(),
        }
    }

    /// Appends the bytes that follow the records in `file`: the feature table and the feature sections. Adapts the
    /// offsets in the table, and the size of the records in the header.
    fn finish(&self, file: &[u8], mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        let (Some(header), true) = (&self.header, self.is_complete) else { return Ok(bytes) };
        let grown = |offset: u64| {
            let moved = offset.checked_sub(u64::try_from(self.records.end).ok()?)?;
            moved.checked_add(u64::try_from(bytes.len()).ok()?)
        };
        // For a file that is cut off, the size stays larger than the file, so that the reader reports it.
        let end = header.data.offset.checked_add(header.data.size).and_then(grown);
        let size = end.and_then(|end| end.checked_sub(header.data.offset));
        let size = size.ok_or(Error::Damaged { what: "the data section", offset: header.data.offset })?;
        let mut rest = file.get(self.records.end..).unwrap_or_default().to_vec();
        for (entry, _) in rest.chunks_exact_mut(16).zip(header.features()) {
            let Some(offset) = entry.first_chunk_mut::<8>() else { break };
            if let Some(moved) = grown(u64::from_le_bytes(*offset)) {
                *offset = moved.to_le_bytes();
            }
        }
        bytes.append(&mut rest);
        if let Some(field) = bytes.get_mut(HEADER_DATA_SIZE) {
            field.copy_from_slice(&size.to_le_bytes());
        }
        Ok(bytes)
    }
}

/// The records of a file, plain and compressed.
#[derive(Default)]
struct Split<'a> {
    /// Ranges of plain records.
    plain: Vec<Range<usize>>,
    /// The pieces of the compressed stream.
    compressed: Vec<&'a [u8]>,
    /// The remaining bytes, which do not start with a record.
    damaged: &'a [u8],
}

impl<'a> Split<'a> {
    fn parse(bytes: &'a [u8]) -> Self {
        let mut split = Self::default();
        let mut at = 0;
        while at < bytes.len() {
            let Ok(raw) = RawRecord::parse(bytes, at) else { break };
            let mut cursor = Cursor::new(raw.body);
            let end = match raw.kind {
                record_type::COMPRESSED => {
                    split.compressed.push(raw.body);
                    raw.end
                }
                // The size of the compressed data is before the data. Padding is after it.
                record_type::COMPRESSED2 => {
                    let Some(data) = cursor.u64().and_then(|size| cursor.take_u64(size)) else { break };
                    split.compressed.push(data);
                    raw.end
                }
                _ => {
                    let Ok(end) = end_with_payload(&raw, bytes) else { break };
                    match split.plain.last_mut() {
                        Some(last) if last.end == at => last.end = end,
                        _ => split.plain.push(at..end),
                    }
                    end
                }
            };
            at = end;
        }
        split.damaged = bytes.get(at..).unwrap_or_default();
        split
    }
}

/// The plain file under construction. Its size is limited to `max_bytes` bytes.
struct Unpacked {
    bytes: Vec<u8>,
    max_bytes: usize,
}

impl Unpacked {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > self.max_bytes.saturating_sub(self.bytes.len()) {
            return Err(Error::TooLarge { largest: self.max_bytes });
        }
        self.bytes.extend(bytes);
        Ok(())
    }

    /// Adds the complete records of a compressed stream. Returns whether the whole stream could be decompressed.
    fn decode(&mut self, pieces: &[&[u8]]) -> Result<bool, Error> {
        let start = self.bytes.len();
        let mut source = CompressedStream { pieces, piece: &[] };
        let is_whole = self.decode_frames(&mut source)?;
        let incomplete = Split::parse(self.bytes.get(start..).unwrap_or_default()).damaged.len();
        self.bytes.truncate(self.bytes.len().saturating_sub(incomplete));
        Ok(is_whole)
    }

    fn decode_frames(&mut self, source: &mut CompressedStream<'_>) -> Result<bool, Error> {
        let mut decoder = FrameDecoder::new();
        let mut is_whole = true;
        while is_whole && !source.is_empty() {
            is_whole = decoder.reset(&mut *source).is_ok();
            while is_whole && !decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                is_whole = if source.is_empty() {
                    // perf never ends the frame. Without this block, the decoder does not return its last bytes.
                    decoder.decode_blocks(LAST_BLOCK.as_slice(), one).is_ok()
                } else {
                    decoder.decode_blocks(&mut *source, one).is_ok()
                };
                self.add(&decoder.collect().unwrap_or_default())?;
            }
        }
        Ok(is_whole)
    }
}

/// A compressed stream: its pieces, read one after the other.
struct CompressedStream<'a> {
    pieces: &'a [&'a [u8]],
    piece: &'a [u8],
}

impl CompressedStream<'_> {
    fn is_empty(&mut self) -> bool {
        while self.piece.is_empty() {
            let Some((first, rest)) = self.pieces.split_first() else { return true };
            (self.piece, self.pieces) = (first, rest);
        }
        false
    }
}

impl Read for CompressedStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.is_empty() { Ok(0) } else { self.piece.read(buffer) }
    }
}
