//! Sizes and errors that all parts of the SVG share.

use std::io;

/// Width of the image. Browsers fit it to their window. All lengths are in pixels.
pub(super) const WIDTH: usize = 1200;
/// Space at the left and at the right.
pub(super) const MARGIN: usize = 10;
/// Width of the frame of all samples.
pub(super) const FRAMES_WIDTH: u64 = 1180;

/// Error for an SVG of another version of inferno. No input file can cause it.
pub(super) fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "inferno's SVG is not laid out as expected")
}
