//! Repairs the user part of a callchain by unwinding the stack copy that was sampled with it.
//!
//! The kernel follows frame pointers. A function that has not set up its frame (a leaf without a frame, a prologue, much of
//! Go's assembly) still has its caller's frame pointer in the register. Then the caller is missing from the callchain.
//!
//! pclntab (pcsp) says for every instruction how far above the stack pointer the return address is. Go's runtime unwinds
//! with the same table. Repair uses the table to read the true callchain from the stack copy, frame by frame. Where the copy
//! ends, repair appends the rest of the kernel's callchain. Most C code has no frame pointers. It is unwound in the same way
//! with `.eh_frame`.
//!
//! C code that a goroutine calls runs on the thread's own stack, so the stack copy contains only the C code. The Go
//! callers are known if the C code has kept the frame pointer, because then the kernel's walk reaches them. They are
//! unknown while C code uses the frame pointer register for another value.
//!
//! Must not guess: where the tables have no answer (code without tables, functions that set the stack pointer), the kernel's
//! callchain is kept.

mod left_stack;
mod walk;

use std::collections::HashMap;
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::address_space::AddressSpace;
use super::files::Binaries;
use crate::gobin::SpecialFunction;
use crate::perfdata::UserRegs;
use walk::{MAX_FRAME_BYTES, MAX_FRAMES, ReturnAddress, StackCopy, StackWalker, WalkEnd, is_root};

/// `PERF_SAMPLE_REGS_ABI_64`.
const ABI_64: u64 = 2;

/// Result of repairing a callchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RepairOutcome {
    /// The stack copy shows no error in the callchain.
    Untouched,
    /// Frames were missing or wrong.
    Repaired,
    /// Callers are missing. Either the callers that the kernel found beyond the copy cannot be the callers of the
    /// frames in the copy, or the callers are on another stack and the kernel did not find them.
    Cut,
}

/// The root of a callchain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum StackRoot {
    /// The root of a goroutine. `entry` is the entry address of the function that the goroutine was started with.
    Goroutine { entry: Option<u64> },
    /// `morestack`, which a goroutine calls to grow its stack. The callers of `morestack` are unknown.
    StackGrowth,
    /// Another root, or no root.
    #[default]
    Other,
}

/// Why the callers of the last walked frame are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingCallers {
    /// The next return address is beyond the end of the stack copy, and the kernel did not find it. A copy of this many
    /// bytes would contain it.
    ShortCopy(u64),
    /// C code uses the frame pointer register for another value, so the goroutine's stack is not found.
    NativeCode,
}

/// The user registers of a sample, by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers {
    ip: u64,
    sp: u64,
    bp: u64,
    /// The link register, on machines where a call stores the return address in a register.
    link: Option<u64>,
    /// The register for the running goroutine in Go's calling convention (abi-internal.md).
    pub(super) goroutine: Option<u64>,
}

impl Registers {
    pub(super) fn ip(&self) -> u64 {
        self.ip
    }

    pub(super) fn sp(&self) -> u64 {
        self.sp
    }

    pub(super) fn frame_pointer(&self) -> u64 {
        self.bp
    }

    /// The word at an address in the stack copy that starts at the stack pointer.
    pub(super) fn word_at(&self, stack: &[u8], address: u64) -> Option<u64> {
        StackCopy { sp: self.sp, bytes: stack }.word(address)
    }

    /// Replaces the goroutine by a known goroutine, if there is one.
    pub(super) fn with_goroutine(self, known: Option<u64>) -> Self {
        Self { goroutine: known.or(self.goroutine), ..self }
    }

    /// Reads the registers of a 64-bit thread, with the register numbers of x86-64 or arm64 (`asm/perf_regs.h`).
    pub(super) fn from_sample(regs: &UserRegs<'_>) -> Option<Self> {
        // Only arm64 has a register with this number.
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

/// The callers in the kernel's callchain that were not processed yet, innermost first.
struct KernelCallers<'c> {
    addresses: &'c [u64],
    /// The frame pointer that led the kernel to the first of these callers: at first the sampled register, then a word
    /// of the stack copy. `None` beyond the copy.
    frame_pointer: Option<u64>,
    copy: StackCopy<'c>,
}

/// A return address that the kernel found.
#[derive(Debug, Clone, Copy)]
struct KernelCaller {
    address: u64,
    /// The address of the stack slot with the return address, if it is known.
    slot: Option<u64>,
}

impl KernelCallers<'_> {
    /// The first caller. The caller's slot is eight bytes above the frame pointer.
    fn first(&self) -> Option<KernelCaller> {
        let slot = self.frame_pointer.and_then(|pointer| pointer.checked_add(8));
        self.addresses.first().map(|address| KernelCaller { address: *address, slot })
    }

    fn skip_first(&mut self) {
        self.addresses = self.addresses.get(1..).unwrap_or_default();
        self.frame_pointer = self.frame_pointer.and_then(|pointer| self.copy.word(pointer));
    }

    /// Whether `walked` begins at one of these callers: from there on, the addresses are equal up to the end of the
    /// shorter list. True if `walked` is empty.
    fn lead_to(&self, walked: &[ReturnAddress]) -> bool {
        let agree = |from: &[u64]| from.iter().zip(walked).all(|(address, walked)| *address == walked.address);
        walked.is_empty() || (0..self.addresses.len()).any(|at| self.addresses.get(at..).is_some_and(agree))
    }
}

/// Repairs callchains with the tables of all programs in a recording.
pub(super) struct Unwinder<'b, 'f> {
    walker: StackWalker<'b, 'f>,
    /// Results of [`Unwinder::started_function`], by version of the address space and address.
    started_functions: HashMap<(u64, u64), u64, RandomState>,
    /// Results of [`Unwinder::callers_on_left_stack`], by version of the address space and position of the stack's
    /// content.
    left_callers: HashMap<(u64, u32), Rc<[u64]>, RandomState>,
    /// Why the last repaired callchain has no root, if the repair found the reason.
    pub(super) missing_callers: Option<MissingCallers>,
}

impl<'b, 'f> Unwinder<'b, 'f> {
    pub(super) fn new(binaries: &'b Binaries<'f>) -> Self {
        Self {
            walker: StackWalker::new(binaries),
            started_functions: HashMap::default(),
            left_callers: HashMap::default(),
            missing_callers: None,
        }
    }

    /// Appends the true callchain to `out`, leaf first. `callchain` is the kernel's callchain, which can be empty.
    pub(super) fn repair(
        &mut self,
        callchain: &[u64],
        registers: &Registers,
        stack: &[u8],
        space: &AddressSpace,
        out: &mut Vec<u64>,
    ) -> RepairOutcome {
        let copy = StackCopy { sp: registers.sp, bytes: stack };
        let mut end = self.walker.walk(registers, copy, space);
        let walked = &self.walker.callers;
        out.push(registers.ip);
        let first = out.len();
        out.extend(walked.iter().map(|walked| walked.address));

        let addresses = callchain.get(1..).unwrap_or_default();
        let mut kernel = KernelCallers { addresses, frame_pointer: Some(registers.bp), copy };
        // Skip the kernel's callers whose slot is in the walked part of the stack.
        let last = walked.last().map(|walked| walked.slot);
        let (mut confirmed, mut bogus) = (0, 0);
        while let (Some(KernelCaller { address, slot: Some(slot) }), Some(last)) = (kernel.first(), last)
            && (registers.sp..=last).contains(&slot)
        {
            match walked.binary_search_by_key(&slot, |walked| walked.slot) {
                Ok(at) if walked.get(at).is_some_and(|walked| walked.address == address) => confirmed += 1,
                _ => bogus += 1,
            }
            kernel.skip_first();
        }
        let mut walked = walked.len();
        let mut native_skipped = false;
        if let Some(at) = self.walker.callback.filter(|at| *at < walked) {
            // The walk jumped over the C code that called back. If the C code keeps frame pointers, the kernel's callers
            // include the frames of the C code and lead to the same Go frames. Then the kernel's callers are used.
            native_skipped = !kernel.lead_to(self.walker.callers.get(at + 1..).unwrap_or_default());
            if !native_skipped {
                walked = at;
                out.truncate(first + at);
                end = WalkEnd::Unknown;
            }
        }
        if let WalkEnd::OtherStack { frame_pointer } = end {
            // The kernel's callers before this frame pointer are not on the other stack. They are wrong.
            while kernel.first().is_some_and(|caller| caller.slot != frame_pointer.checked_add(8)) {
                bogus += 1;
                kernel.skip_first();
            }
        }
        let rest = kernel.first();
        let continues = !native_skipped && self.can_continue(end, rest, space);
        let left_out = rest.is_some() && !continues;
        if continues {
            self.extend_without_saved_registers(out, kernel.addresses, space);
        }
        self.missing_callers = match end {
            WalkEnd::BeyondCopy { slot, .. } if left_out || rest.is_none() => {
                Some(MissingCallers::ShortCopy(slot.saturating_sub(registers.sp).saturating_add(8)))
            }
            WalkEnd::OtherStack { .. } if !continues => Some(MissingCallers::NativeCode),
            _ => None,
        };
        match end {
            WalkEnd::BeyondCopy { .. } | WalkEnd::Unknown if left_out => RepairOutcome::Cut,
            WalkEnd::OtherStack { .. } if !continues => RepairOutcome::Cut,
            _ if bogus > 0 || confirmed < walked || left_out => RepairOutcome::Repaired,
            _ => RepairOutcome::Untouched,
        }
    }

    /// Appends the kernel's callers without the words that are not return addresses. `crosscall2` sets up two frames. Above
    /// the frame pointer of the inner frame is a saved register of the outer frame, not a return address.
    fn extend_without_saved_registers(&mut self, out: &mut Vec<u64>, callers: &[u64], space: &AddressSpace) {
        let mut callers = callers.iter();
        while let Some(caller) = callers.next() {
            out.push(*caller);
            if self.walker.go_unwind_info(space, caller.saturating_sub(1)).is_some_and(|go| go.has_two_frames()) {
                callers.next();
            }
        }
    }

    /// The root of a callchain, from its outermost two addresses, root first.
    pub(super) fn find_root(&mut self, addresses: [u64; 2], space: &AddressSpace) -> StackRoot {
        let [root, callee] = addresses;
        match self.walker.go_unwind_info(space, root).and_then(|go| go.special) {
            Some(SpecialFunction::Goexit) => StackRoot::Goroutine { entry: self.function_start(callee, space) },
            Some(SpecialFunction::Morestack) => StackRoot::StackGrowth,
            _ => StackRoot::Other,
        }
    }

    /// An address in the function that a `go` statement names. `entry` can be a compiler-generated function that calls the
    /// named function.
    pub(super) fn started_function(&mut self, entry: u64, space: &AddressSpace) -> u64 {
        let Self { walker, started_functions, .. } = self;
        let found = || {
            let (binary, address) = walker.binary_at(space, entry)?;
            let started = binary.started_function(address)?;
            Some(entry.wrapping_sub(address).wrapping_add(started))
        };
        *started_functions.entry((space.version(), entry)).or_insert_with(|| found().unwrap_or(entry))
    }

    /// The run-time entry address of the Go function at an address.
    fn function_start(&mut self, address: u64, space: &AddressSpace) -> Option<u64> {
        let go = self.walker.go_unwind_info(space, address)?;
        let (_, in_file) = self.walker.binary_at(space, address)?;
        address.checked_sub(in_file.checked_sub(go.entry)?)
    }

    /// The frame pointer into the goroutine's stack, for a thread that has switched to its own stack. `systemstack` and
    /// `asmcgocall` switch stacks and keep the frame pointer. `None` if the frame pointer is lost, and in the
    /// scheduler, which has no callers.
    pub(super) fn left_frame_pointer(
        &mut self,
        registers: &Registers,
        stack: &[u8],
        space: &AddressSpace,
    ) -> Option<u64> {
        let copy = StackCopy { sp: registers.sp, bytes: stack };
        // The walk ends at the function that switched stacks, because the table does not say where its caller is.
        match self.walker.walk(registers, copy, space) {
            WalkEnd::OtherStack { frame_pointer } => return Some(frame_pointer),
            WalkEnd::Unknown => {}
            WalkEnd::Root | WalkEnd::BeyondCopy { .. } => return None,
        }
        let mut pointer = match *self.walker.callers.as_slice() {
            [] => registers.bp,
            [leaf] if registers.bp.checked_add(8) != Some(leaf.slot) => registers.bp,
            // A Go function that has called another function has a frame: the caller's frame pointer is below the return
            // address.
            [.., last] if self.walker.last_is_go => copy.word(last.slot.checked_sub(8)?)?,
            _ => return None,
        };
        // Follow the frame pointers through code of other languages.
        for _ in 0..MAX_FRAMES {
            let Some(next) = copy.word(pointer) else {
                return Some(pointer).filter(|pointer| pointer.is_multiple_of(8));
            };
            let caller = copy.word(pointer.checked_add(8)?)?;
            if self.walker.go_unwind_info(space, caller.saturating_sub(1)).is_some_and(|go| is_root(&go)) {
                return None;
            }
            pointer = next;
        }
        None
    }

    /// The words of the stack copy that can point to the descriptor of the goroutine whose stack grows.
    pub(super) fn growing_goroutines(&mut self, registers: &Registers, stack: &[u8], space: &AddressSpace) -> Vec<u64> {
        let copy = StackCopy { sp: registers.sp, bytes: stack };
        self.walker.walk(registers, copy, space);
        let (mut words, mut low, mut address) = (Vec::new(), registers.sp, registers.ip);
        let callers = std::mem::take(&mut self.walker.callers);
        for (at, ReturnAddress { slot, address: caller }) in callers.iter().copied().enumerate() {
            match self.walker.go_unwind_info(space, address).and_then(|go| go.special) {
                // copystack saves its first argument, the goroutine, above its return address (abi-internal.md).
                Some(SpecialFunction::Copystack) if at > 0 => {
                    words.extend(slot.checked_add(8).and_then(|saved| copy.word(saved)));
                    break;
                }
                Some(SpecialFunction::Newstack) => {
                    words.extend((low..slot).step_by(8).map_while(|slot| copy.word(slot)));
                    break;
                }
                _ => (low, address) = (slot.saturating_add(8), caller.saturating_sub(1)),
            }
        }
        self.walker.callers = callers;
        words
    }

    /// Whether the rest of the kernel's callers can be the callers of the last walked frame.
    fn can_continue(&mut self, end: WalkEnd, rest: Option<KernelCaller>, space: &AddressSpace) -> bool {
        match (end, rest) {
            (WalkEnd::Root, _) | (WalkEnd::OtherStack { .. }, None) => false,
            (WalkEnd::OtherStack { .. }, Some(caller)) => self.walker.is_go(space, caller.address.saturating_sub(1)),
            (WalkEnd::BeyondCopy { slot: expected, of_native }, Some(KernelCaller { address, slot: Some(slot) })) => {
                let call = address.saturating_sub(1);
                // Frames without frame pointers can be in between. So the kernel's slot is the expected slot or a higher
                // slot.
                let above = (expected..expected.saturating_add(MAX_FRAME_BYTES)).contains(&slot) && slot % 8 == 0;
                // C code has either kept Go's frame pointer, or uses the register for another value.
                if of_native {
                    self.walker.is_go(space, call) || above && self.walker.is_code(space, call)
                } else {
                    above
                }
            }
            (WalkEnd::BeyondCopy { .. } | WalkEnd::Unknown, _) => true,
        }
    }

    /// The goroutine that called the C code of the last repaired callchain. Returned only once, because the next callchain
    /// can be of another goroutine.
    pub(super) fn take_goroutine(&mut self) -> Option<u64> {
        self.walker.goroutine.take()
    }

    /// Whether an address is in compiled Go code, which always has the goroutine in the goroutine register.
    pub(super) fn is_compiled_go(&mut self, space: &AddressSpace, address: u64) -> bool {
        self.walker.go_unwind_info(space, address).is_some_and(|go| !go.is_assembly)
    }
}

#[cfg(test)]
mod tests;
