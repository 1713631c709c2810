//! The walk over a stack copy: from the sampled registers, return address by return address, for as long as the
//! programs' own tables say where the next one is. Go's function table tells it of Go code, `.eh_frame` of C code.
//!
//! Must not guess: where the tables are silent, the walk ends.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Registers;
use crate::analyse::files::{Binaries, ImageId};
use crate::analyse::maps::{Hint, Space};
use crate::gobin::{Cfa, CfaBase, GoUnwind, NativeUnwind, Saved, Special};

/// Frames that are read from a copy at most.
pub(super) const MOST_FRAMES: usize = 1024;

/// A frame larger than this is none: goroutines' stacks end at 1 GB, and single frames long before.
pub(super) const LARGEST_FRAME: u64 = 1 << 28;

/// The user stack from the stack pointer upwards.
#[derive(Clone, Copy)]
pub(super) struct Copied<'s> {
    pub(super) sp: u64,
    pub(super) bytes: &'s [u8],
}

impl Copied<'_> {
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        self.bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
    }
}

/// A return address that was read from the copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walked {
    /// Where it stands.
    pub(super) location: u64,
    pub(super) address: u64,
}

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the root of a stack.
    Root,
    /// The next return address is beyond the copy.
    Beyond {
        location: u64,
        /// It is that of a function that may not keep frame pointers.
        of_native: bool,
    },
    /// The stack goes on elsewhere: a goroutine's function has called C code, which runs on the thread's own stack. The
    /// frame pointer leads back.
    Elsewhere { frame_pointer: u64 },
    /// The tables are silent.
    Unknown,
}

/// What the tables say of an address.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code {
    Go(GoUnwind),
    Native(NativeUnwind),
}

/// Walks by the tables of a recording's programs.
pub(super) struct Walk<'b, 'f> {
    binaries: &'b Binaries<'f>,
    known: HashMap<(ImageId, u64), Option<Code>, RandomState>,
    /// What the last walk found, leaf's caller first. Each lies above the one before.
    pub(super) frames: Vec<Walked>,
    /// Where in them the last walk went from a Go function that C code called straight to the Go function that had
    /// called the C code: what lies between is on another stack.
    pub(super) callback: Option<usize>,
    /// The goroutine whose call of C code the last walk came to.
    pub(super) goroutine: Option<u64>,
    /// Whether the function that returns to the last of the frames is Go's.
    pub(super) last_is_go: bool,
}

/// A frame of a walk: where it runs, and its registers as far as they are known.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// An instruction of it: the one that runs, or its call.
    address: u64,
    sp: u64,
    bp: Option<u64>,
    /// The register that holds it in Go code.
    goroutine: Option<u64>,
    link: Option<u64>,
    is_leaf: bool,
}

/// The caller of a frame.
struct Caller {
    walked: Walked,
    sp: u64,
    bp: Option<u64>,
    goroutine: Option<u64>,
}

impl<'b, 'f> Walk<'b, 'f> {
    pub(super) fn new(binaries: &'b Binaries<'f>) -> Self {
        Self {
            binaries,
            known: HashMap::default(),
            frames: Vec::new(),
            callback: None,
            goroutine: None,
            last_is_go: false,
        }
    }

    /// Fills [`Walk::frames`].
    pub(super) fn over(&mut self, registers: &Registers, copied: Copied<'_>, space: &Space) -> End {
        self.frames.clear();
        (self.callback, self.goroutine) = (None, None);
        let mut hint = Hint::default();
        let Registers { ip: address, sp, bp, link, goroutine } = *registers;
        // A call pushes the return address, or leaves it in a register, which a function with a frame saves at the
        // bottom of it.
        let on_stack = link.is_none();
        let mut frame = Frame { address, sp, bp: Some(bp), goroutine, link, is_leaf: true };
        while self.frames.len() < MOST_FRAMES {
            let code = self.code(space, frame.address, &mut hint);
            let caller = match code {
                Some(Code::Go(go)) if on_stack => {
                    match go.special {
                        Some(Special::Cgocallback) if go.sp_write => {
                            self.callback.get_or_insert(self.frames.len());
                        }
                        // C code has preserved the register.
                        Some(Special::Asmcgocall) if go.sp_write && !frame.is_leaf => {
                            self.goroutine = self.goroutine.or(frame.goroutine);
                        }
                        _ => {}
                    }
                    frame.go_caller(&go, copied)
                }
                Some(Code::Go(go)) => frame.go_caller_by_link(&go, copied),
                Some(Code::Native(native)) if on_stack => frame.native_caller(&native, copied),
                _ => Err(End::Unknown),
            };
            let Caller { walked, sp, bp, goroutine } = match caller {
                Ok(caller) => caller,
                Err(end) => return end,
            };
            let call = walked.address.saturating_sub(1);
            if space.find(call, &mut hint).is_none() {
                return End::Unknown;
            }
            self.frames.push(walked);
            self.last_is_go = matches!(code, Some(Code::Go(_)));
            frame = Frame { address: call, sp, bp, goroutine, link: None, is_leaf: false };
        }
        End::Unknown
    }

    /// What the function table says of an address in a Go function.
    pub(super) fn go(&mut self, space: &Space, address: u64) -> Option<GoUnwind> {
        match self.code(space, address, &mut Hint::default())? {
            Code::Go(go) => Some(go),
            Code::Native(_) => None,
        }
    }

    /// The link-time address of what is mapped at an address.
    pub(super) fn linked(&self, space: &Space, address: u64) -> Option<u64> {
        let (image, offset) = space.find(address, &mut Hint::default())?;
        self.binaries.get(image).ok()?.address_of_offset(offset)
    }

    /// Whether an address is in a Go function.
    pub(super) fn is_go(&mut self, space: &Space, address: u64) -> bool {
        self.go(space, address).is_some()
    }

    /// Whether an address is in a function that a table knows.
    pub(super) fn is_code(&mut self, space: &Space, address: u64) -> bool {
        self.code(space, address, &mut Hint::default()).is_some()
    }

    /// What the tables of the program at an address say of it.
    fn code(&mut self, space: &Space, address: u64, hint: &mut Hint) -> Option<Code> {
        let (image, offset) = space.find(address, hint)?;
        let binaries = self.binaries;
        *self.known.entry((image, offset)).or_insert_with(|| {
            let binary = binaries.get(image).ok()?;
            let address = binary.address_of_offset(offset)?;
            binary.unwind(address).map(Code::Go).or_else(|| binary.native_unwind(address).map(Code::Native))
        })
    }

    /// Makes addresses known that no file tells of.
    #[cfg(test)]
    pub(super) fn tell(&mut self, image: ImageId, offset: u64, code: Code) {
        self.known.insert((image, offset), Some(code));
    }
}

/// Whether nobody is beneath a Go function, on this stack or on the one that it left.
pub(super) fn is_root(go: &GoUnwind) -> bool {
    go.top_frame || matches!(go.special, Some(Special::Mcall | Special::Morestack))
}

/// Bytes that a Go function has pushed.
fn pushed(go: &GoUnwind) -> Result<u64, End> {
    if is_root(go) {
        return Err(End::Root);
    }
    go.sp_delta.map(u64::from).map_err(|_| End::Unknown)
}

impl Frame {
    fn go_caller(&self, go: &GoUnwind, copied: Copied<'_>) -> Result<Caller, End> {
        let pushed = pushed(go)?;
        match go.special {
            _ if !go.sp_write => {}
            // It lays out the goroutine's stack as if the function that called the C code had called it there. The
            // runtime's own unwinder relies on that (src/runtime/traceback.go).
            Some(Special::Cgocallback) if !self.is_leaf => {}
            Some(Special::Asmcgocall | Special::VdsoCaller) if !self.is_leaf => {
                return self.caller_on_other_stack(pushed, copied);
            }
            _ => return Err(End::Unknown),
        }
        let location = self.sp.saturating_add(pushed);
        // Where C code called back, the kernel's next return address is on the other stack.
        let beyond = if go.sp_write { End::Unknown } else { End::Beyond { location, of_native: false } };
        let address = copied.word(location).ok_or(beyond)?;
        // The caller's frame pointer stands below the return address, once it is not in the register any more. Assembly
        // may use the register for something else meanwhile.
        let own = location.checked_sub(8).filter(|own| pushed >= 8 && self.bp == Some(*own));
        let bp = match own {
            Some(own) => copied.word(own),
            None => self.bp.filter(|_| !go.assembly),
        };
        Ok(Caller { walked: Walked { location, address }, sp: location.saturating_add(8), bp, goroutine: None })
    }

    /// The caller of a function that has called code that is not Go's, for which it left the goroutine's stack and kept
    /// its frame pointer (`src/runtime/asm_amd64.s`, `sys_linux_amd64.s`, `time_linux_amd64.s`).
    fn caller_on_other_stack(&self, pushed: u64, copied: Copied<'_>) -> Result<Caller, End> {
        let Some(frame_pointer) = self.bp.filter(|bp| bp.is_multiple_of(8)) else { return Err(End::Unknown) };
        let elsewhere = End::Elsewhere { frame_pointer };
        // Code that runs on the thread's own stack anyway stays there. Before Go 1.21, asmcgocall has no frame, and the
        // frame pointer is its caller's.
        let location = frame_pointer.checked_add(8).filter(|location| *location > self.sp && pushed >= 8);
        let location = location.ok_or(elsewhere)?;
        let address = copied.word(location).ok_or(elsewhere)?;
        let bp = copied.word(frame_pointer);
        Ok(Caller { walked: Walked { location, address }, sp: location.saturating_add(8), bp, goroutine: None })
    }

    fn go_caller_by_link(&self, go: &GoUnwind, copied: Copied<'_>) -> Result<Caller, End> {
        let pushed = pushed(go)?;
        let location = self.sp;
        let address = match self.link {
            _ if go.sp_write => return Err(End::Unknown),
            Some(link) if pushed == 0 => link,
            None if pushed == 0 => return Err(End::Unknown),
            _ => copied.word(location).ok_or(End::Beyond { location, of_native: false })?,
        };
        Ok(Caller {
            walked: Walked { location, address },
            sp: self.sp.saturating_add(pushed),
            bp: None,
            goroutine: None,
        })
    }

    fn native_caller(&self, native: &NativeUnwind, copied: Copied<'_>) -> Result<Caller, End> {
        let NativeUnwind::Frame { cfa, frame_pointer, goroutine } = *native else { return Err(End::Root) };
        let cfa = self.cfa(cfa, copied).ok_or(End::Unknown)?;
        if !(self.sp.saturating_add(8)..self.sp.saturating_add(LARGEST_FRAME)).contains(&cfa) || cfa % 8 != 0 {
            return Err(End::Unknown);
        }
        let location = cfa - 8;
        let address = copied.word(location).ok_or(End::Beyond { location, of_native: true })?;
        let bp = self.saved(frame_pointer, self.bp, cfa, copied);
        let goroutine = self.saved(goroutine, self.goroutine, cfa, copied);
        Ok(Caller { walked: Walked { location, address }, sp: cfa, bp, goroutine })
    }

    /// The caller's value of a register that is `now` in this frame.
    fn saved(&self, saved: Saved, now: Option<u64>, cfa: u64, copied: Copied<'_>) -> Option<u64> {
        match saved {
            Saved::Same => now,
            Saved::AtCfa(offset) => match cfa.checked_add_signed(offset.into())? {
                // An epilogue has popped it: what lies below the stack pointer is nobody's.
                place if place < self.sp => now.filter(|_| self.is_leaf),
                place => copied.word(place),
            },
            Saved::AtFramePointer(offset) => copied.word(self.bp?.checked_add_signed(offset.into())?),
            Saved::Lost => None,
        }
    }

    /// A canonical frame address, by this frame's registers.
    fn cfa(&self, Cfa { base, offset, loaded }: Cfa, copied: Copied<'_>) -> Option<u64> {
        let register = match base {
            CfaBase::StackPointer => self.sp,
            CfaBase::FramePointer => self.bp?,
        };
        let place = register.checked_add_signed(offset.into())?;
        match loaded {
            Some(more) => copied.word(place)?.checked_add_signed(more.into()),
            None => Some(place),
        }
    }
}
