//! Repairs the user part of a callchain, from the registers and the piece of stack that were sampled with it.
//!
//! The kernel follows frame pointers. In a function that has not set up its frame (a leaf without one, a prologue, much
//! of Go's assembly) the register still holds the caller's frame pointer, so that the caller itself is missing from the
//! chain. Go's function table says for every instruction how far above the stack pointer the return address is
//! (pcsp), which is what the runtime unwinds by; with it the true chain is read from the copy, frame by frame, and
//! joined to the kernel's where the copy ends.
//!
//! Must not guess: where the table is silent (code that is not Go's, functions that set the stack pointer themselves)
//! the kernel's chain stands as it is.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::files::{Binaries, ImageId};
use super::maps::{Hint, Space};
use crate::gobin::{GoUnwind, Special};
use crate::perfdata::UserRegs;

/// `PERF_SAMPLE_REGS_ABI_64`.
const ABI_64: u64 = 2;

/// Frames that are read from a copy at most.
const MOST_FRAMES: usize = 1024;

/// A frame larger than this is none: goroutines' stacks end at 1 GB, and single frames long before.
const LARGEST_FRAME: u64 = 1 << 28;

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

/// The user stack from the stack pointer upwards.
#[derive(Clone, Copy)]
struct Copied<'s> {
    sp: u64,
    bytes: &'s [u8],
}

impl Copied<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        self.bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
    }
}

/// What the function table says of an address; `None` where it is silent.
type Step = Option<GoUnwind>;

/// Unwinds by the function tables of a recording's programs.
pub(super) struct Unwinder<'b, 'f> {
    binaries: &'b Binaries<'f>,
    known: HashMap<(ImageId, u64), Step, RandomState>,
    walked: Vec<Walked>,
}

/// A return address that was read from the copy.
#[derive(Debug, Clone, Copy)]
struct Walked {
    location: u64,
    address: u64,
}

/// Why the walk over the copy ended.
enum End {
    /// At the root of a stack.
    Root,
    /// The next return address is here, beyond the copy.
    Beyond(u64),
    /// The table is silent.
    Unknown,
}

impl<'b, 'f> Unwinder<'b, 'f> {
    pub(super) fn new(binaries: &'b Binaries<'f>) -> Self {
        Self { binaries, known: HashMap::default(), walked: Vec::new() }
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
        let end = self.walk(registers, copied, space);
        out.push(UserFrame { address: registers.ip, repaired: false });
        let first = out.len();
        out.extend(self.walked.iter().map(|walked| UserFrame { address: walked.address, repaired: true }));

        // Frame by frame, where the kernel found each return address: eight bytes above the frame pointer.
        let mut pointer = Some(registers.bp);
        let mut callers = chain.get(1..).unwrap_or_default().iter().map(|address| {
            let location = pointer.and_then(|pointer| pointer.checked_add(8));
            pointer = pointer.and_then(|pointer| copied.word(pointer));
            (*address, location)
        });
        // What the walk has seen too is not needed twice.
        let last = self.walked.last().map(|walked| walked.location);
        let (mut confirmed, mut bogus) = (0, 0);
        let mut rest = callers.next();
        while let (Some((address, Some(location))), Some(last)) = (rest, last)
            && (registers.sp..=last).contains(&location)
        {
            match self.walked.binary_search_by_key(&location, |walked| walked.location) {
                Ok(at) if self.walked.get(at).is_some_and(|walked| walked.address == address) => {
                    if let Some(frame) = out.get_mut(first + at) {
                        frame.repaired = false;
                    }
                    confirmed += 1;
                }
                _ => bogus += 1,
            }
            rest = callers.next();
        }
        let fits = match (&end, rest) {
            (End::Root, _) => false,
            // Code that keeps no frame pointers may lie between the two, but not the other way round.
            (End::Beyond(expected), Some((_, Some(location)))) => {
                (*expected..expected.saturating_add(LARGEST_FRAME)).contains(&location) && location % 8 == 0
            }
            _ => true,
        };
        let left_out = rest.is_some() && !fits;
        if fits {
            out.extend(rest.into_iter().chain(callers).map(|(address, _)| UserFrame { address, repaired: false }));
        }
        match end {
            End::Beyond(_) if left_out => Outcome::Cut,
            _ if bogus > 0 || confirmed < self.walked.len() || left_out => Outcome::Repaired,
            _ => Outcome::Untouched,
        }
    }

    /// The first address of the goroutine's function that a chain (of which `root` are the outermost two addresses,
    /// the outermost first) begins with. `None` of a chain that does not begin with a goroutine's root.
    pub(super) fn start_of(&mut self, root: [u64; 2], space: &Space) -> Option<u64> {
        let [goexit, address] = root;
        let mut hint = Hint::default();
        let go = self.step(space, goexit, &mut hint)?;
        matches!(go.special, Some(Special::Goexit)).then_some(())?;
        let go = self.step(space, address, &mut hint)?;
        let (image, offset) = space.find(address, &mut hint)?;
        let linked = self.binaries.get(image).ok()?.address_of_offset(offset)?;
        address.checked_sub(linked.checked_sub(go.entry)?)
    }

    /// The frame pointer that a thread on another stack than its callers' brought along from theirs (`systemstack` and
    /// `asmcgocall` keep it), as far as the copy tells. `None` where there are no callers: in the scheduler.
    pub(super) fn came_from(&mut self, registers: &Registers, stack: &[u8], space: &Space) -> Option<u64> {
        let copied = Copied { sp: registers.sp, bytes: stack };
        // To the function that switches stacks, of which the table does not say where its caller is.
        let End::Unknown = self.walk(registers, copied, space) else { return None };
        // A function that has called has its frame: the caller's frame pointer is below the return address.
        let mut pointer = match self.walked.as_slice() {
            [leaf] if registers.bp.checked_add(8) != Some(leaf.location) => registers.bp,
            [.., last] => copied.word(last.location.checked_sub(8)?)?,
            [] => registers.bp,
        };
        // Code of other languages lies below it.
        let mut hint = Hint::default();
        for _ in 0..MOST_FRAMES {
            let Some(next) = copied.word(pointer) else {
                return Some(pointer).filter(|pointer| pointer.is_multiple_of(8));
            };
            let caller = copied.word(pointer.checked_add(8)?)?;
            if self.step(space, caller.saturating_sub(1), &mut hint).is_some_and(|go| is_root(&go)) {
                return None;
            }
            pointer = next;
        }
        None
    }

    /// Whether an address is in a Go function.
    pub(super) fn is_go(&mut self, space: &Space, address: u64) -> bool {
        self.step(space, address, &mut Hint::default()).is_some()
    }

    /// Reads return addresses from the copy for as long as the table says where they are.
    fn walk(&mut self, registers: &Registers, copied: Copied<'_>, space: &Space) -> End {
        self.walked.clear();
        let mut hint = Hint::default();
        // A call pushes the return address, or leaves it in a register, which a function with a frame saves at the
        // bottom of it.
        let on_stack = registers.link.is_none();
        let (mut address, mut sp, mut link) = (registers.ip, registers.sp, registers.link);
        while self.walked.len() < MOST_FRAMES {
            let Some(go) = self.step(space, address, &mut hint) else { return End::Unknown };
            if is_root(&go) {
                return End::Root;
            }
            let Some(pushed) = go.sp_delta.ok().map(u64::from).filter(|_| !go.sp_write) else { return End::Unknown };
            let (location, above) = if on_stack {
                (sp.saturating_add(pushed), sp.saturating_add(pushed).saturating_add(8))
            } else {
                (sp, sp.saturating_add(pushed))
            };
            let caller = match link.take() {
                Some(link) if pushed == 0 => link,
                None if pushed == 0 && !on_stack => return End::Unknown,
                _ => match copied.word(location) {
                    Some(word) => word,
                    None => return End::Beyond(location),
                },
            };
            let call = caller.saturating_sub(1);
            if space.find(call, &mut hint).is_none() {
                return End::Unknown;
            }
            self.walked.push(Walked { location, address: caller });
            (address, sp) = (call, above);
        }
        End::Unknown
    }

    /// What the function table of the program at an address says of it.
    fn step(&mut self, space: &Space, address: u64, hint: &mut Hint) -> Step {
        let (image, offset) = space.find(address, hint)?;
        let binaries = self.binaries;
        *self.known.entry((image, offset)).or_insert_with(|| {
            let binary = binaries.get(image).ok()?;
            binary.unwind(binary.address_of_offset(offset)?)
        })
    }
}

/// Whether no frame is outside of this one: at the root of a stack, and where a goroutine's stack is left for good.
fn is_root(go: &GoUnwind) -> bool {
    go.top_frame || matches!(go.special, Some(Special::Mcall | Special::Morestack))
}

#[cfg(test)]
mod tests;
