//! The error that all parts of the SVG share.

use std::io;

/// Error for an SVG of another version of inferno. No input file can cause it.
pub(super) fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "inferno's SVG is not laid out as expected")
}
