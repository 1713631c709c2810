//! Decodes registers and stack copy of a sample while the recording runs.

use crate::perfdata::{Attr, decode_sample};
use crate::perfevent::UserRegisters;

/// Registers and stack copy of a sample that goflame's own sampler took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawSample<'b> {
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// The instruction pointer in user mode.
    pub(super) ip: u64,
    /// The register in which Go keeps the descriptor of the running goroutine.
    pub(super) goroutine: u64,
    pub(super) sp: u64,
    bp: u64,
    /// The stack copy, from the stack pointer upwards.
    copy: &'b [u8],
}

impl<'b> RawSample<'b> {
    /// Decodes the body of a sample of the event with this attribute. `None` for a kernel thread, which has no user
    /// registers.
    pub(super) fn decode(body: &'b [u8], attr: &Attr) -> Option<Self> {
        let sample = decode_sample(body, 0, 0, attr)?;
        let register = |bit: u8| sample.user_regs?.get(bit.into());
        let UserRegisters { ip, sp, bp, goroutine, .. } = UserRegisters::NATIVE;
        Some(Self {
            pid: sample.pid?.cast_unsigned(),
            tid: sample.tid?.cast_unsigned(),
            ip: register(ip)?,
            goroutine: register(goroutine)?,
            sp: register(sp)?,
            bp: register(bp)?,
            copy: sample.user_stack.unwrap_or_default(),
        })
    }

    pub(super) fn copied_words(&self) -> impl Iterator<Item = u64> + 'b {
        self.copy.as_chunks().0.iter().copied().map(u64::from_le_bytes)
    }

    /// Writes the body of the sample with a stack copy of only `size` bytes to `out`. `body` is the body that `self`
    /// was decoded from. `None` if the stack copy already has at most `size` bytes.
    pub(super) fn shorten<'o>(&self, body: &[u8], size: usize, out: &'o mut Vec<u8>) -> Option<&'o [u8]> {
        let copy = self.copy.get(..size).filter(|copy| copy.len() < self.copy.len())?;
        let bytes = u64::try_from(size).ok()?.to_le_bytes();
        // `self.copy` is a slice of `body`. The size stands before the copy, and the number of valid bytes after it.
        let copy_at = self.copy.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
        let before = body.get(..copy_at.checked_sub(bytes.len())?)?;
        out.clear();
        for part in [before, &bytes, copy, &bytes] {
            out.extend(part);
        }
        Some(out)
    }

    /// Follows the frame pointers and returns the first frame pointer outside of the stack copy. `None` if the frame
    /// pointers form a circle.
    pub(super) fn pointer_outside_copy(&self) -> Option<u64> {
        let mut pointer = self.bp;
        for _ in 0..=self.copy.len() / 8 {
            let into = pointer.checked_sub(self.sp).and_then(|into| usize::try_from(into).ok());
            match into.and_then(|into| read_word(self.copy, into)) {
                Some(next) => pointer = next,
                None => return Some(pointer),
            }
        }
        None
    }
}

/// Number of lost records that a LOST record reports: `struct { u64 id; u64 lost; }` (`perf_event.h`).
pub(super) fn read_lost_count(body: &[u8]) -> u64 {
    read_word(body, 8).unwrap_or(0)
}

fn read_word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
pub(super) mod tests {
    use super::*;
    use crate::perfevent::{Source, Spec, Target};
    use crate::record::event::file_attr;

    /// Decodes a body that [`body`] built.
    pub(in crate::record) fn decode(body: &[u8]) -> Option<RawSample<'_>> {
        let spec = Spec {
            source: Source::CpuClock,
            frequency: 1,
            kernel: true,
            stack: 1,
            build_ids: false,
            count_lost: false,
            switches: false,
        };
        RawSample::decode(body, &file_attr(&spec.attr(Target::CallingThread, 0)))
    }

    /// Builds the body of a sample with these registers and this stack copy.
    pub(in crate::record) fn body(pid: u32, goroutine: u64, sp: u64, bp: u64, stack: &[u64]) -> Vec<u8> {
        let here = UserRegisters::NATIVE;
        let mut words = vec![1, 0x1000, u64::from(pid), 50, 0, 7, 1, 0x1000, 2];
        words.extend((0..64).filter(|bit| here.mask() >> bit & 1 == 1).map(|bit| match bit {
            bit if bit == here.goroutine => goroutine,
            bit if bit == here.sp => sp,
            bit if bit == here.bp => bp,
            _ => 7,
        }));
        let size = stack.len() as u64 * 8;
        words.push(size);
        if size > 0 {
            words.extend(stack);
            words.push(size);
        }
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn registers_and_stack_copy_are_decoded() {
        let stack = [1, 0x7020, 2, 3, 0x9000, 4];
        let body = body(5, 0x60, 0x7000, 0x7008, &stack);
        let sampled = decode(&body).unwrap();
        assert_eq!((sampled.pid, sampled.goroutine, sampled.sp, sampled.copy.len()), (5, 0x60, 0x7000, 48));
        assert_eq!(sampled.pointer_outside_copy(), Some(0x9000));
        for cut in 0..body.len() {
            // A sample without its stack still has registers.
            assert!(decode(&body[..cut]).is_none_or(|sampled| sampled.copy.is_empty()), "{cut}");
        }
    }

    #[test]
    fn a_shortened_sample_differs_only_in_its_stack_copy() {
        let stack = [1, 0x7020, 2, 3, 0x9000, 4];
        let long = body(5, 0x60, 0x7000, 0x7008, &stack);
        let sampled = decode(&long).unwrap();
        let mut out = Vec::new();
        assert_eq!(sampled.shorten(&long, 16, &mut out), Some(&*body(5, 0x60, 0x7000, 0x7008, &stack[..2])));
        for not_shorter in [48, 56] {
            assert_eq!(sampled.shorten(&long, not_shorter, &mut out), None);
        }
    }

    #[test]
    fn following_frame_pointers_ends_at_circles_and_outside_the_copy() {
        let of = |bp, stack: &[u64]| decode(&body(5, 0x60, 0x7000, bp, stack)).unwrap().pointer_outside_copy();
        assert_eq!(of(0x7000, &[0x7000]), None, "a circle");
        assert_eq!(of(0x1234, &[]), Some(0x1234));
        assert_eq!(of(0x7004, &[1]), Some(0x7004));
    }
}
