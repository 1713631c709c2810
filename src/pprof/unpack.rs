//! Detects pprof profiles and unpacks their gzip stream.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::error::Error;
use super::legacy;
use super::messages::profile::is_field;
use super::wire::begins_with;

/// Maximum size of an unpacked profile in bytes. A million different stacks take about 31 MB.
pub const MAX_UNPACKED_BYTES: usize = 256 << 20;

/// A profile of at most this many bytes is unpacked at any compression ratio: deep recursion repeats itself, and gzip
/// compresses repetitions up to 1000 times.
const ALWAYS_UNPACKED_BYTES: usize = 64 << 20;

/// Maximum compression ratio of a larger profile. Profiles of real programs have 4 to 10.
const MAX_COMPRESSION_RATIO: usize = 64;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether a file with this beginning, or with this content, should be read as a pprof profile.
pub fn is_pprof(beginning: &[u8]) -> bool {
    beginning.starts_with(&GZIP_MAGIC) || legacy::is_text(beginning) || begins_with(beginning, is_field)
}

/// Whether a file with this beginning is a text of Go's runtime, such as `/debug/pprof/goroutine?debug=1`.
pub fn is_go_text(beginning: &[u8]) -> bool {
    legacy::is_text(beginning)
}

/// Returns the unpacked profile, as profile.proto.
pub(super) fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if legacy::is_text(bytes) {
        return if bytes.len() > MAX_UNPACKED_BYTES {
            Err(Error::TooLarge { largest: MAX_UNPACKED_BYTES })
        } else {
            legacy::text_to_proto(bytes).map(Cow::Owned)
        };
    }
    let of_file = bytes.len().saturating_mul(MAX_COMPRESSION_RATIO).max(ALWAYS_UNPACKED_BYTES);
    let largest = if bytes.starts_with(&GZIP_MAGIC) { of_file.min(MAX_UNPACKED_BYTES) } else { MAX_UNPACKED_BYTES };
    unpack_within(bytes, largest)
}

/// Returns the unpacked profile, which has at most `largest` bytes.
pub(super) fn unpack_within(bytes: &[u8], largest: usize) -> Result<Cow<'_, [u8]>, Error> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return if bytes.len() > largest { Err(Error::TooLarge { largest }) } else { Ok(Cow::Borrowed(bytes)) };
    }
    let mut unpacked = Vec::new();
    let limit = u64::try_from(largest).unwrap_or(u64::MAX).saturating_add(1);
    if let Err(source) = MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut unpacked) {
        return Err(Error::Gzip { unpacked: unpacked.len(), source });
    }
    if unpacked.len() > largest {
        return Err(Error::TooLarge { largest });
    }
    // The gzip stream contains something else, such as an archive or a text.
    if !begins_with(&unpacked, is_field) {
        return Err(Error::NotPprof);
    }
    Ok(Cow::Owned(unpacked))
}
