//! Repairs the user part of a callchain, from the registers and the piece of stack that were sampled with it.
//!
//! The kernel follows frame pointers. In a function that has not set up its frame (a leaf without one, a prologue, much
//! of Go's assembly) the register still holds the caller's frame pointer, so that the caller itself is missing from the
//! chain. Go's function table says for every instruction how far above the stack pointer the return address is
//! (pcsp), which is what the runtime unwinds by; with it the true chain is read from the copy, frame by frame, and
//! joined to the kernel's where the copy ends. C code, which keeps no frame pointers at all unless told to, is walked
//! over by `.eh_frame` in the same way.
//!
//! C code that a goroutine calls runs on the thread's own stack, so that the copy ends with it. The Go callers are
//! known where the kernel's chain came past the frame pointer that leads to them: not while C code keeps something
//! else in the register.
//!
//! Must not guess: where the tables are silent (code without either, functions that set the stack pointer
//! themselves) the kernel's chain stands as it is.

mod walk;

use super::files::Binaries;
use super::maps::Space;
use crate::gobin::Special;
use crate::perfdata::UserRegs;
use walk::{Copied, End, LARGEST_FRAME, MOST_FRAMES, Walk, Walked, is_root};

/// `PERF_SAMPLE_REGS_ABI_64`.
const ABI_64: u64 = 2;

/// A frame of the user part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UserFrame {
    /// The leaf's own address, else a return address.
    pub(super) address: u64,
    /// Whether the kernel's chain lacked it.
    pub(super) repaired: bool,
}

/// What became of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was right as far as the copy tells, or nothing tells.
    Untouched,
    /// Frames were missing or wrong.
    Repaired,
    /// What the kernel found beyond the copy does not fit on what the copy holds, and was left out.
    Cut,
}

/// The registers of a sample, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers {
    ip: u64,
    sp: u64,
    bp: u64,
    /// The link register, on machines where calls leave the return address in one.
    link: Option<u64>,
    /// Where Go keeps the running goroutine (abi-internal.md).
    pub(super) goroutine: Option<u64>,
}

impl Registers {
    /// Where the thread was.
    pub(super) fn ip(&self) -> u64 {
        self.ip
    }

    /// The stack pointer.
    pub(super) fn sp(&self) -> u64 {
        self.sp
    }

    /// With another goroutine, where one is known.
    pub(super) fn with_goroutine(self, known: Option<u64>) -> Self {
        Self { goroutine: known.or(self.goroutine), ..self }
    }

    /// Reads them, under the numbers of x86-64 or arm64 (`asm/perf_regs.h`).
    pub(super) fn of(regs: &UserRegs<'_>) -> Option<Self> {
        // Only arm64 has a register of this number.
        const ARM64_PC: u32 = 32;
        if regs.abi != ABI_64 {
            return None;
        }
        match regs.get(ARM64_PC) {
            Some(ip) => Some(Self {
                ip,
                sp: regs.get(31)?,
                bp: regs.get(29)?,
                link: Some(regs.get(30)?),
                goroutine: regs.get(28),
            }),
            None => {
                Some(Self { ip: regs.get(8)?, sp: regs.get(7)?, bp: regs.get(6)?, link: None, goroutine: regs.get(22) })
            }
        }
    }
}

/// The callers that the kernel found, leaf's first.
struct Found<'c> {
    addresses: &'c [u64],
    /// The frame pointer that led to the first of them, as far as the copy tells.
    pointer: Option<u64>,
    copied: Copied<'c>,
}

impl Found<'_> {
    /// The first, and where it stands: eight bytes above the frame pointer.
    fn first(&self) -> Option<(u64, Option<u64>)> {
        let location = self.pointer.and_then(|pointer| pointer.checked_add(8));
        self.addresses.first().map(|address| (*address, location))
    }

    fn skip(&mut self) {
        self.addresses = self.addresses.get(1..).unwrap_or_default();
        self.pointer = self.pointer.and_then(|pointer| self.copied.word(pointer));
    }

    /// Whether they end as this does, as far as both are known.
    fn comes_to(&self, walked: &[Walked]) -> bool {
        let ends_so = |from: &[u64]| from.iter().zip(walked).all(|(address, walked)| *address == walked.address);
        walked.is_empty() || (0..self.addresses.len()).any(|at| self.addresses.get(at..).is_some_and(ends_so))
    }
}

/// Unwinds by the tables of a recording's programs.
pub(super) struct Unwinder<'b, 'f> {
    walk: Walk<'b, 'f>,
}

impl<'b, 'f> Unwinder<'b, 'f> {
    pub(super) fn new(binaries: &'b Binaries<'f>) -> Self {
        Self { walk: Walk::new(binaries) }
    }

    /// Appends the true chain to `out`, leaf first. `chain` is the kernel's, which may be empty.
    pub(super) fn repair(
        &mut self,
        chain: &[u64],
        registers: &Registers,
        stack: &[u8],
        space: &Space,
        out: &mut Vec<UserFrame>,
    ) -> Outcome {
        let copied = Copied { sp: registers.sp, bytes: stack };
        let mut end = self.walk.over(registers, copied, space);
        let walked = &self.walk.frames;
        out.push(UserFrame { address: registers.ip, repaired: false });
        let first = out.len();
        out.extend(walked.iter().map(|walked| UserFrame { address: walked.address, repaired: true }));

        let mut found = Found { addresses: chain.get(1..).unwrap_or_default(), pointer: Some(registers.bp), copied };
        // What the walk has seen too is not needed twice.
        let last = walked.last().map(|walked| walked.location);
        let (mut confirmed, mut bogus) = (0, 0);
        while let (Some((address, Some(location))), Some(last)) = (found.first(), last)
            && (registers.sp..=last).contains(&location)
        {
            match walked.binary_search_by_key(&location, |walked| walked.location) {
                Ok(at) if walked.get(at).is_some_and(|walked| walked.address == address) => {
                    if let Some(frame) = out.get_mut(first + at) {
                        frame.repaired = false;
                    }
                    confirmed += 1;
                }
                _ => bogus += 1,
            }
            found.skip();
        }
        let mut walked = walked.len();
        let mut around_native = false;
        if let Some(at) = self.walk.callback.filter(|at| *at < walked) {
            // Frame pointers lead through the C code, where it keeps them, and must arrive where the walk did.
            around_native = !found.comes_to(self.walk.frames.get(at + 1..).unwrap_or_default());
            if !around_native {
                walked = at;
                out.truncate(first + at);
                end = End::Unknown;
            }
        }
        if let End::Elsewhere { frame_pointer } = end {
            // The kernel has the rest if it came past this frame pointer too.
            while found.first().is_some_and(|(_, location)| location != frame_pointer.checked_add(8)) {
                bogus += 1;
                found.skip();
            }
        }
        let rest = found.first();
        let fits = !around_native && self.fits(end, rest, space);
        let left_out = rest.is_some() && !fits;
        if fits {
            out.extend(found.addresses.iter().map(|address| UserFrame { address: *address, repaired: false }));
        }
        match end {
            End::Beyond { .. } | End::Unknown if left_out => Outcome::Cut,
            End::Elsewhere { .. } if !fits => Outcome::Cut,
            _ if bogus > 0 || confirmed < walked || left_out => Outcome::Repaired,
            _ => Outcome::Untouched,
        }
    }

    /// The first address of the goroutine's function that a chain (of which `root` are the outermost two addresses,
    /// the outermost first) begins with. `None` of a chain that does not begin with a goroutine's root.
    pub(super) fn start_of(&mut self, root: [u64; 2], space: &Space) -> Option<u64> {
        let [goexit, address] = root;
        let go = self.walk.go(space, goexit)?;
        matches!(go.special, Some(Special::Goexit)).then_some(())?;
        let go = self.walk.go(space, address)?;
        address.checked_sub(self.walk.linked(space, address)?.checked_sub(go.entry)?)
    }

    /// The frame pointer that a thread on another stack than its callers' brought along from theirs (`systemstack` and
    /// `asmcgocall` keep it), as far as the copy tells. `None` where there are no callers: in the scheduler.
    pub(super) fn came_from(&mut self, registers: &Registers, stack: &[u8], space: &Space) -> Option<u64> {
        let copied = Copied { sp: registers.sp, bytes: stack };
        // To the function that switches stacks, of which the table does not say where its caller is.
        match self.walk.over(registers, copied, space) {
            End::Elsewhere { frame_pointer } => return Some(frame_pointer),
            End::Unknown => {}
            End::Root | End::Beyond { .. } => return None,
        }
        let mut pointer = match *self.walk.frames.as_slice() {
            [] => registers.bp,
            [leaf] if registers.bp.checked_add(8) != Some(leaf.location) => registers.bp,
            // A Go function that has called has its frame: the caller's frame pointer is below the return address.
            [.., last] if self.walk.last_is_go => copied.word(last.location.checked_sub(8)?)?,
            _ => return None,
        };
        // Code of other languages lies below it.
        for _ in 0..MOST_FRAMES {
            let Some(next) = copied.word(pointer) else {
                return Some(pointer).filter(|pointer| pointer.is_multiple_of(8));
            };
            let caller = copied.word(pointer.checked_add(8)?)?;
            if self.walk.go(space, caller.saturating_sub(1)).is_some_and(|go| is_root(&go)) {
                return None;
            }
            pointer = next;
        }
        None
    }

    /// Whether what the kernel found goes on where a walk ended.
    fn fits(&mut self, end: End, rest: Option<(u64, Option<u64>)>, space: &Space) -> bool {
        match (end, rest) {
            (End::Root, _) | (End::Elsewhere { .. }, None) => false,
            (End::Elsewhere { .. }, Some((address, _))) => self.is_go(space, address.saturating_sub(1)),
            (End::Beyond { location: expected, of_native }, Some((address, Some(location)))) => {
                let call = address.saturating_sub(1);
                // Code that keeps no frame pointers may lie between the two, but not the other way round.
                let above = (expected..expected.saturating_add(LARGEST_FRAME)).contains(&location) && location % 8 == 0;
                // C code may have left the register as Go set it, or keep anything in it.
                if of_native { self.is_go(space, call) || above && self.walk.is_code(space, call) } else { above }
            }
            (End::Beyond { .. } | End::Unknown, _) => true,
        }
    }

    /// The goroutine that had called the C code of the last chain. Once only: it is no other chain's.
    pub(super) fn take_goroutine(&mut self) -> Option<u64> {
        self.walk.goroutine.take()
    }

    /// Whether an address is in a Go function.
    pub(super) fn is_go(&mut self, space: &Space, address: u64) -> bool {
        self.walk.is_go(space, address)
    }
}

#[cfg(test)]
mod tests;
