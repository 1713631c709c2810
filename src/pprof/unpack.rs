//! Whether bytes are a pprof profile, and out of their gzip stream.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::error::Error;
use super::message::is_field;
use super::wire::begins_with;

/// The largest profile, in bytes unpacked. A million different stacks take some 31 MB.
pub const LARGEST: usize = 256 << 20;

/// A profile of at most this many bytes is unpacked however small its file is: deep recursion repeats itself, and gzip packs
/// repetitions up to 1000 times.
const ALWAYS_UNPACKED: usize = 64 << 20;

/// A larger one may have this many bytes for each byte of its file. Profiles of real programs have 4 to 10.
const STRONGEST_COMPRESSION: usize = 64;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether a file that begins so, or is that, should be read as a pprof profile.
pub fn is_pprof(beginning: &[u8]) -> bool {
    beginning.starts_with(&GZIP) || begins_with(beginning, is_field)
}

/// The profile itself.
pub(super) fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let of_file = bytes.len().saturating_mul(STRONGEST_COMPRESSION).max(ALWAYS_UNPACKED);
    let largest = if bytes.starts_with(&GZIP) { of_file.min(LARGEST) } else { LARGEST };
    unpack_within(bytes, largest)
}

/// The profile itself, of at most `largest` bytes.
pub(super) fn unpack_within(bytes: &[u8], largest: usize) -> Result<Cow<'_, [u8]>, Error> {
    if !bytes.starts_with(&GZIP) {
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
    // An archive, or a text.
    if !begins_with(&unpacked, is_field) {
        return Err(Error::NotPprof);
    }
    Ok(Cow::Owned(unpacked))
}
