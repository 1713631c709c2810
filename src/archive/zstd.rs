//! Zstandard streams of any length: frames of bounded size, one after the other, each with a checksum.

use std::io::{self, BufRead, ErrorKind, Read, Write};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// Number of uncompressed bytes in one frame.
const FRAME_BYTES: usize = 4 << 20;

/// Maximum distance in bytes that a frame may refer back. RFC 8878 recommends that decoders support this distance.
const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// Compresses the bytes that are written to it. [`Compressor::finish`] writes the last frame.
pub(super) struct Compressor<W: Write> {
    pending: Vec<u8>,
    out: W,
}

impl<W: Write> Compressor<W> {
    pub(super) fn new(out: W) -> Self {
        Self { pending: Vec::new(), out }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.write_frame()?;
        self.out.flush()
    }

    fn write_frame(&mut self) -> io::Result<()> {
        // Compresses from and to memory: the compressor panics on an error of a reader or writer.
        self.out.write_all(&compress_to_vec(self.pending.as_slice(), CompressionLevel::Fastest))?;
        self.pending.clear();
        Ok(())
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(FRAME_BYTES - self.pending.len());
        self.pending.extend_from_slice(&bytes[..length]);
        if self.pending.len() == FRAME_BYTES {
            self.write_frame()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unpacks the frames of a stream. Other bytes between or after the frames are an error.
pub(super) struct Decompressor<R: BufRead> {
    source: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Decompressor<R> {
    pub(super) fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        Self { source, decoder }
    }

    fn verify_checksum(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(expected) if self.decoder.get_calculated_checksum() != Some(expected) => {
                Err(io::Error::new(ErrorKind::InvalidData, "the checksum of a Zstandard frame is wrong"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() && self.decoder.can_collect() == 0 {
            if !self.decoder.is_finished() {
                let blocks = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, blocks).map_err(invalid_data)?;
                continue;
            }
            self.verify_checksum()?;
            if self.source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.decoder.reset(&mut self.source).map_err(invalid_data)?;
        }
        self.decoder.read(buffer)
    }
}

fn invalid_data(error: impl std::error::Error) -> io::Error {
    let mut innermost: &dyn std::error::Error = &error;
    // The outer errors of ruzstd only repeat the inner one, as `Debug` prints it.
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    io::Error::new(ErrorKind::InvalidData, innermost.to_string())
}
