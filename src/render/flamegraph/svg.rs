//! The error for an SVG of inferno that goflame does not understand.

use std::io;

/// Returns the error for an SVG of another version of inferno. No input file can cause it.
pub(super) fn unexpected_svg() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "inferno's SVG is not laid out as expected")
}
