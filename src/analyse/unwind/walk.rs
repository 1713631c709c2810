//! Unwinding of a stack copy: from the sampled registers, return address by return address, as long as the tables of the
//! programs say where the next return address is. Go code has pclntab, C code has `.eh_frame`.
//!
//! Must not guess: the walk ends where the tables have no answer.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Registers;
use crate::analyse::address_space::{AddressSpace, LookupHint};
use crate::analyse::files::{Binaries, ImageId};
use crate::gobin::{Binary, Cfa, CfaBase, GoUnwind, NativeUnwind, SavedRegister, SpecialFunction};

/// Maximum number of frames that are read from a stack copy.
pub(super) const MAX_FRAMES: usize = 1024;

/// Maximum size of a frame. Real frames are far smaller: the maximum size of a goroutine's whole stack is 1 GB.
pub(super) const MAX_FRAME_BYTES: u64 = 1 << 28;

/// The sampled copy of the user stack, from the stack pointer upwards.
#[derive(Clone, Copy)]
pub(super) struct StackCopy<'s> {
    pub(super) sp: u64,
    pub(super) bytes: &'s [u8],
}

impl StackCopy<'_> {
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        self.bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
    }
}

/// A return address that was read from the stack copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReturnAddress {
    /// Address of the stack slot with the return address.
    pub(super) slot: u64,
    pub(super) address: u64,
}

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalkEnd {
    /// The walk reached the root of the stack.
    Root,
    /// The next return address is beyond the end of the copy.
    BeyondCopy {
        /// Address of the stack slot with the next return address.
        slot: u64,
        /// Whether the function that returns to that address is native. Native code often has no frame pointers.
        of_native: bool,
    },
    /// The callers are on another stack: a goroutine has called C code or the vdso, which run on the thread's own
    /// stack. The frame pointer leads to the callers.
    OtherStack { frame_pointer: u64 },
    /// The tables do not say where the next return address is.
    Unknown,
}

/// Unwind information for an address, from pclntab or `.eh_frame`.
#[derive(Debug, Clone, Copy)]
pub(super) enum UnwindInfo {
    Go(GoUnwind),
    Native(NativeUnwind),
}

/// Walks stack copies with the tables of all programs in a recording.
pub(super) struct StackWalker<'b, 'f> {
    binaries: &'b Binaries<'f>,
    /// Unwind information by file and offset. `None` where the tables have no answer.
    pub(super) cache: HashMap<(ImageId, u64), Option<UnwindInfo>, RandomState>,
    /// The callers that the last walk found, the caller of the leaf first. Slots are in ascending order.
    pub(super) callers: Vec<ReturnAddress>,
    /// Position in `callers` at which the last walk jumped over C code: from a Go function that the C code called, to the
    /// Go function that called the C code. The frames of the C code are on another stack.
    pub(super) callback: Option<usize>,
    /// The goroutine that called the C code of the last walk.
    pub(super) goroutine: Option<u64>,
    /// Whether the function that returns to the last address in `callers` is a Go function.
    pub(super) last_is_go: bool,
}

/// A frame of a walk: the current instruction and the known registers.
#[derive(Debug, Clone, Copy)]
struct WalkFrame {
    /// Address of the current instruction. In a caller, the address of its call.
    address: u64,
    sp: u64,
    bp: Option<u64>,
    /// The register that holds the goroutine in Go code.
    goroutine: Option<u64>,
    link: Option<u64>,
    is_leaf: bool,
}

/// The caller of a frame.
struct Caller {
    return_address: ReturnAddress,
    sp: u64,
    bp: Option<u64>,
    goroutine: Option<u64>,
}

impl<'b, 'f> StackWalker<'b, 'f> {
    pub(super) fn new(binaries: &'b Binaries<'f>) -> Self {
        Self {
            binaries,
            cache: HashMap::default(),
            callers: Vec::new(),
            callback: None,
            goroutine: None,
            last_is_go: false,
        }
    }

    /// Walks a stack copy. Stores the result in [`StackWalker::callers`], and returns why the walk ended.
    pub(super) fn walk(&mut self, registers: &Registers, copy: StackCopy<'_>, space: &AddressSpace) -> WalkEnd {
        self.callers.clear();
        (self.callback, self.goroutine) = (None, None);
        let mut hint = LookupHint::default();
        let Registers { ip: address, sp, bp, link, goroutine } = *registers;
        // A call pushes the return address (x86-64) or stores it in the link register (arm64). On arm64, a function
        // with a frame saves the link register at the bottom of the frame.
        let on_stack = link.is_none();
        let mut frame = WalkFrame { address, sp, bp: Some(bp), goroutine, link, is_leaf: true };
        while self.callers.len() < MAX_FRAMES {
            let info = self.unwind_info(space, frame.address, &mut hint);
            let caller = match info {
                Some(UnwindInfo::Go(go)) if on_stack => {
                    match go.special {
                        Some(SpecialFunction::Cgocallback) if go.writes_sp => {
                            self.callback.get_or_insert(self.callers.len());
                        }
                        // The C code has preserved the goroutine register.
                        Some(SpecialFunction::Asmcgocall) if go.writes_sp && !frame.is_leaf => {
                            self.goroutine = self.goroutine.or(frame.goroutine);
                        }
                        _ => {}
                    }
                    frame.go_caller(&go, copy)
                }
                Some(UnwindInfo::Go(go)) => frame.go_caller_by_link(&go, copy),
                Some(UnwindInfo::Native(native)) if on_stack => frame.native_caller(&native, copy),
                _ => Err(WalkEnd::Unknown),
            };
            let Caller { return_address, sp, bp, goroutine } = match caller {
                Ok(caller) => caller,
                Err(end) => return end,
            };
            let call = return_address.address.saturating_sub(1);
            if space.find(call, &mut hint).is_none() {
                return WalkEnd::Unknown;
            }
            self.callers.push(return_address);
            self.last_is_go = matches!(info, Some(UnwindInfo::Go(_)));
            frame = WalkFrame { address: call, sp, bp, goroutine, link: None, is_leaf: false };
        }
        WalkEnd::Unknown
    }

    /// The unwind information for an address in a Go function.
    pub(super) fn go_unwind_info(&mut self, space: &AddressSpace, address: u64) -> Option<GoUnwind> {
        match self.unwind_info(space, address, &mut LookupHint::default())? {
            UnwindInfo::Go(go) => Some(go),
            UnwindInfo::Native(_) => None,
        }
    }

    /// The program that is mapped at an address, and the link-time address.
    pub(super) fn binary_at(&self, space: &AddressSpace, address: u64) -> Option<(&'b Binary<'f>, u64)> {
        let (image, offset) = space.find(address, &mut LookupHint::default())?;
        let binary = self.binaries.get(image).ok()?;
        Some((binary, binary.address_of_offset(offset)?))
    }

    /// Whether an address is in a Go function.
    pub(super) fn is_go(&mut self, space: &AddressSpace, address: u64) -> bool {
        self.go_unwind_info(space, address).is_some()
    }

    /// Whether an address is in a function with unwind information.
    pub(super) fn is_code(&mut self, space: &AddressSpace, address: u64) -> bool {
        self.unwind_info(space, address, &mut LookupHint::default()).is_some()
    }

    /// The unwind information for an address, from the tables of the program that is mapped there.
    fn unwind_info(&mut self, space: &AddressSpace, address: u64, hint: &mut LookupHint) -> Option<UnwindInfo> {
        let (image, offset) = space.find(address, hint)?;
        let binaries = self.binaries;
        *self.cache.entry((image, offset)).or_insert_with(|| {
            let binary = binaries.get(image).ok()?;
            let address = binary.address_of_offset(offset)?;
            binary.unwind(address).map(UnwindInfo::Go).or_else(|| binary.native_unwind(address).map(UnwindInfo::Native))
        })
    }
}

/// Whether a Go function has no callers, on this stack or on the stack that its thread left.
pub(super) fn is_root(go: &GoUnwind) -> bool {
    go.is_top_frame || matches!(go.special, Some(SpecialFunction::Mcall | SpecialFunction::Morestack))
}

/// Number of bytes from the stack pointer of a Go function up to its return address.
fn bytes_below_return(go: &GoUnwind) -> Result<u64, WalkEnd> {
    if is_root(go) {
        return Err(WalkEnd::Root);
    }
    go.sp_delta.map(u64::from).map_err(|_| WalkEnd::Unknown)
}

impl WalkFrame {
    fn go_caller(&self, go: &GoUnwind, copy: StackCopy<'_>) -> Result<Caller, WalkEnd> {
        let pushed = bytes_below_return(go)?;
        match go.special {
            _ if !go.writes_sp => {}
            // cgocallback changes the goroutine's stack: it looks as if cgocallback was called by the function that called
            // the C code. The runtime's unwinder relies on that too (src/runtime/traceback.go).
            Some(SpecialFunction::Cgocallback) if !self.is_leaf => {}
            Some(SpecialFunction::Asmcgocall | SpecialFunction::VdsoCaller) if !self.is_leaf => {
                return self.caller_on_other_stack(pushed, copy);
            }
            _ => return Err(WalkEnd::Unknown),
        }
        let slot = self.sp.saturating_add(pushed);
        // If C code called back, the kernel's next return address is on the C code's stack.
        let beyond = if go.writes_sp { WalkEnd::Unknown } else { WalkEnd::BeyondCopy { slot, of_native: false } };
        let address = copy.word(slot).ok_or(beyond)?;
        // After the function has set up its frame, the caller's frame pointer is saved below the return address. Before
        // that, the frame pointer is still in the register. Only assembly can use the register for other values.
        let saved = slot.checked_sub(8).filter(|saved| pushed >= 8 && self.bp == Some(*saved));
        let bp = match saved {
            Some(saved) => copy.word(saved),
            None => self.bp.filter(|_| !go.is_assembly),
        };
        Ok(Caller { return_address: ReturnAddress { slot, address }, sp: slot.saturating_add(8), bp, goroutine: None })
    }

    /// The caller of a Go function that has switched from the goroutine's stack to another stack and kept the frame pointer
    /// (`src/runtime/asm_amd64.s`, `sys_linux_amd64.s`, `time_linux_amd64.s`).
    fn caller_on_other_stack(&self, pushed: u64, copy: StackCopy<'_>) -> Result<Caller, WalkEnd> {
        let Some(frame_pointer) = self.bp.filter(|bp| bp.is_multiple_of(8)) else { return Err(WalkEnd::Unknown) };
        let other_stack = WalkEnd::OtherStack { frame_pointer };
        // If the caller already ran on the thread's own stack, the caller's slot is above this frame. Before Go 1.21,
        // asmcgocall has no frame, so the frame pointer belongs to the frame of asmcgocall's caller.
        let slot = frame_pointer.checked_add(8).filter(|slot| *slot > self.sp && pushed >= 8);
        let slot = slot.ok_or(other_stack)?;
        let address = copy.word(slot).ok_or(other_stack)?;
        let bp = copy.word(frame_pointer);
        Ok(Caller { return_address: ReturnAddress { slot, address }, sp: slot.saturating_add(8), bp, goroutine: None })
    }

    fn go_caller_by_link(&self, go: &GoUnwind, copy: StackCopy<'_>) -> Result<Caller, WalkEnd> {
        let pushed = bytes_below_return(go)?;
        let slot = self.sp;
        let address = match self.link {
            _ if go.writes_sp => return Err(WalkEnd::Unknown),
            Some(link) if pushed == 0 => link,
            None if pushed == 0 => return Err(WalkEnd::Unknown),
            _ => copy.word(slot).ok_or(WalkEnd::BeyondCopy { slot, of_native: false })?,
        };
        Ok(Caller {
            return_address: ReturnAddress { slot, address },
            sp: self.sp.saturating_add(pushed),
            bp: None,
            goroutine: None,
        })
    }

    fn native_caller(&self, native: &NativeUnwind, copy: StackCopy<'_>) -> Result<Caller, WalkEnd> {
        let NativeUnwind::Frame { cfa, frame_pointer, goroutine } = *native else { return Err(WalkEnd::Root) };
        let cfa = self.cfa(cfa, copy).ok_or(WalkEnd::Unknown)?;
        if !(self.sp.saturating_add(8)..self.sp.saturating_add(MAX_FRAME_BYTES)).contains(&cfa) || cfa % 8 != 0 {
            return Err(WalkEnd::Unknown);
        }
        let slot = cfa - 8;
        let address = copy.word(slot).ok_or(WalkEnd::BeyondCopy { slot, of_native: true })?;
        let bp = self.saved_register(frame_pointer, self.bp, cfa, copy);
        let goroutine = self.saved_register(goroutine, self.goroutine, cfa, copy);
        Ok(Caller { return_address: ReturnAddress { slot, address }, sp: cfa, bp, goroutine })
    }

    /// The caller's value of a register whose value in this frame is `current`.
    fn saved_register(&self, saved: SavedRegister, current: Option<u64>, cfa: u64, copy: StackCopy<'_>) -> Option<u64> {
        match saved {
            SavedRegister::Same => current,
            SavedRegister::AtCfa(offset) => match cfa.checked_add_signed(offset.into())? {
                // A slot below the stack pointer: an epilogue has already restored the register.
                slot if slot < self.sp => current.filter(|_| self.is_leaf),
                slot => copy.word(slot),
            },
            SavedRegister::AtFramePointer(offset) => copy.word(self.bp?.checked_add_signed(offset.into())?),
            SavedRegister::Lost => None,
        }
    }

    /// The canonical frame address, computed from the registers of this frame.
    fn cfa(&self, Cfa { base, offset, offset_after_load }: Cfa, copy: StackCopy<'_>) -> Option<u64> {
        let register = match base {
            CfaBase::StackPointer => self.sp,
            CfaBase::FramePointer => self.bp?,
        };
        let address = register.checked_add_signed(offset.into())?;
        match offset_after_load {
            Some(offset) => copy.word(address)?.checked_add_signed(offset.into()),
            None => Some(address),
        }
    }
}
