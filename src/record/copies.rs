//! Size of stack copies: large for code whose callers are found only in the copy, small for all other code.

use std::ops::Range;

use super::raw_sample::RawSample;

/// Bytes of stack copy that are stored for a sample in [`FramePointerCode`]. Finding the caller of a leaf needs far
/// fewer.
pub const SMALL_COPY_BYTES: u32 = 1024;

/// Code of the program that uses the frame pointer register only for frame pointers. The kernel finds the callers of
/// such code, so most of a large stack copy is not written to the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FramePointerCode {
    /// Addresses of the code.
    pub text: Range<u64>,
    /// Functions in `text` that can use the frame pointer for other values, sorted by address.
    pub excluded_functions: Vec<Range<u64>>,
}

impl FramePointerCode {
    fn contains(&self, address: u64) -> bool {
        let next = self.excluded_functions.partition_point(|function| function.start <= address);
        let before = next.checked_sub(1).and_then(|last| self.excluded_functions.get(last));
        self.text.contains(&address) && !before.is_some_and(|function| function.contains(&address))
    }

    /// Writes the body of a sample with a stack copy of [`SMALL_COPY_BYTES`] bytes to `out`. `None` if the sample needs its
    /// full copy, or if the copy is not larger.
    pub(super) fn shorten<'o>(&self, sampled: &RawSample<'_>, body: &[u8], out: &'o mut Vec<u8>) -> Option<&'o [u8]> {
        if self.contains(sampled.ip) { sampled.shorten(body, SMALL_COPY_BYTES as usize, out) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excluded_functions_are_not_frame_pointer_code() {
        let code = FramePointerCode { text: 0x1000..0x2000, excluded_functions: vec![0x1100..0x1200, 0x1800..0x1900] };
        for kept in [0x1000, 0x10ff, 0x1200, 0x17ff, 0x1900, 0x1fff] {
            assert!(code.contains(kept), "{kept:x}");
        }
        for other in [0, 0xfff, 0x1100, 0x11ff, 0x1800, 0x18ff, 0x2000, u64::MAX] {
            assert!(!code.contains(other), "{other:x}");
        }
        assert!(!FramePointerCode::default().contains(0));
    }
}
