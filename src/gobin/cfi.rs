//! How to step over a frame of C code: `.eh_frame`, which compilers write for exceptions, says for every instruction
//! where the caller's registers are (Linux Standard Base, Core, 10.6; DWARF 5, 6.4).
//!
//! The parsing is gimli's. Must not guess: what is not understood in full has no answer. Expressions are never run,
//! since they may loop: the few forms that compilers and linkers write are recognised.

use std::sync::atomic::{AtomicUsize, Ordering};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, CommonInformationEntry, EhFrame, EhFrameOffset, Encoding, EndianSlice,
    LittleEndian, Operation, Register, RegisterRule, Section as _, UnwindContext, UnwindExpression, UnwindSection as _,
    UnwindTableRow, X86_64,
};
use object::elf;

use super::elf::Elf;

/// A frame of code that is not Go's: the answer of [`Binary::native_unwind`](super::Binary::native_unwind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NativeUnwind {
    /// Nobody called: a program or a thread begins here.
    Root,
    /// Somebody did. The return address is in the word below `cfa`.
    Frame {
        /// Where the stack pointer is when the function has returned.
        cfa: Cfa,
        /// The caller's frame pointer, `rbp`.
        frame_pointer: Saved,
        /// The caller's `r14`, in which Go keeps the running goroutine (abi-internal.md).
        goroutine: Saved,
    },
}

/// A canonical frame address: a register and an offset, or the word that is there and an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cfa {
    /// The register.
    pub base: CfaBase,
    /// Bytes above it.
    pub offset: i32,
    /// The address is not this place but the word there, and so many bytes.
    pub loaded: Option<i32>,
}

/// The registers that frames are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CfaBase {
    /// `rsp`.
    StackPointer,
    /// `rbp`.
    FramePointer,
}

/// Where a register's value in the caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// Still in the register.
    Same,
    /// So many bytes above the canonical frame address (they are negative).
    AtCfa(i32),
    /// So many bytes above the function's own frame pointer.
    AtFramePointer(i32),
    /// Nothing tells.
    Lost,
}

/// The longest description of a function that is read. In a C compiler's own program it has 20 KB.
const LONGEST_ENTRY: usize = 1 << 16;

/// The longest common part of descriptions that is read. They have 20 to 40 bytes.
const LONGEST_COMMON: usize = 1 << 8;

/// Bytes of descriptions that are read for the addresses of a file. A function has about 50; a file that asks for more
/// than this is made to take long.
const MOST_READ: usize = 1 << 26;

/// The longest of the known expressions has 9 operations.
const MOST_OPERATIONS: usize = 9;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The call frame information of a file.
#[derive(Debug)]
pub(super) struct CallFrames<'a> {
    section: EhFrame<Bytes<'a>>,
    bases: BaseAddresses,
    /// The first address of each function that is described, and where its description is.
    functions: Vec<(u64, usize)>,
    /// What is left of [`MOST_READ`].
    left: AtomicUsize,
}

impl<'a> CallFrames<'a> {
    /// `None` where there is none, or of another machine than x86-64.
    pub(super) fn read(elf: &Elf<'a>) -> Option<Self> {
        let format = elf.format();
        if elf.machine() != elf::EM_X86_64 || format.big_endian || format.pointer_size != 8 {
            return None;
        }
        let found = elf.section(b".eh_frame").filter(|section| !section.compressed && !section.bytes.is_empty())?;
        let mut section = EhFrame::new(found.bytes, LittleEndian);
        section.set_address_size(8);
        let text = elf.section(b".text").map_or(0, |text| text.address);
        let bases = BaseAddresses::default().set_eh_frame(found.address).set_text(text);
        let mut frames = Self { section, bases, functions: Vec::new(), left: AtomicUsize::new(MOST_READ) };
        // `.eh_frame_hdr` has such a list, which would be one more thing to check.
        frames.functions = frames.list();
        Some(frames)
    }

    fn list(&self) -> Vec<(u64, usize)> {
        let mut functions = Vec::new();
        let mut common: Option<CommonInformationEntry<Bytes<'a>>> = None;
        let mut entries = self.section.entries(&self.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(entry) = entry else { continue };
            let described = entry.parse(|_, _, offset| match &common {
                Some(known) if known.offset() == offset.0 => Ok(known.clone()),
                _ => {
                    let read = self.common(offset)?;
                    common = Some(read.clone());
                    Ok(read)
                }
            });
            // Linkers leave descriptions of functions behind that they dropped.
            if let Ok(described) = described
                && described.len() > 0
            {
                functions.push((described.initial_address(), described.offset()));
            }
        }
        functions.sort_unstable();
        functions
    }

    /// The common part of descriptions at an offset of the section.
    fn common(&self, offset: EhFrameOffset) -> gimli::Result<CommonInformationEntry<Bytes<'a>>> {
        let length = self.section.reader().slice().get(offset.0..).and_then(|rest| rest.first_chunk());
        match length.map(|length| usize::try_from(u32::from_le_bytes(*length))) {
            Some(Ok(length)) if length <= LONGEST_COMMON => self.section.cie_from_offset(&self.bases, offset),
            _ => Err(gimli::Error::NoUnwindInfoForAddress),
        }
    }

    /// The frame of the function at an address.
    pub(super) fn at(&self, address: u64) -> Option<NativeUnwind> {
        let last = self.functions.partition_point(|(start, _)| *start <= address).checked_sub(1)?;
        let offset = EhFrameOffset(self.functions.get(last)?.1);
        let function = self.section.fde_from_offset(&self.bases, offset, |_, _, offset| self.common(offset)).ok()?;
        let common = function.cie();
        // The caller of a signal handler was not calling: it may be anywhere, also at its function's first instruction.
        if !function.contains(address)
            || function.is_signal_trampoline()
            || common.return_address_register() != X86_64::RA
            || function.entry_len() > LONGEST_ENTRY
        {
            return None;
        }
        let size = function.entry_len().saturating_add(common.entry_len());
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size)).ok()?;
        let mut context = UnwindContext::new();
        let row = function.unwind_info_for_address(&self.section, &self.bases, &mut context, address).ok()?;
        match row.register(X86_64::RA) {
            Some(RegisterRule::Offset(-8)) => {}
            Some(RegisterRule::Undefined) => return Some(NativeUnwind::Root),
            _ => return None,
        }
        let encoding = common.encoding();
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                Cfa { base: CfaBase::of(*register)?, offset: i32::try_from(*offset).ok()?, loaded: None }
            }
            CfaRule::Expression(expression) => cfa(&self.operations(*expression, encoding)?, address)?,
        };
        let saved = |register| self.saved(row, register, encoding).unwrap_or(Saved::Lost);
        Some(NativeUnwind::Frame { cfa, frame_pointer: saved(X86_64::RBP), goroutine: saved(X86_64::R14) })
    }

    /// Where a register that the ABI has callees preserve is.
    fn saved(&self, row: &UnwindTableRow<usize>, register: Register, encoding: Encoding) -> Option<Saved> {
        match row.register(register) {
            None | Some(RegisterRule::SameValue) => Some(Saved::Same),
            Some(RegisterRule::Offset(offset)) => i32::try_from(offset).ok().map(Saved::AtCfa),
            Some(RegisterRule::Expression(expression)) => match self.operations(expression, encoding)?[..] {
                [Operation::RegisterOffset { register: X86_64::RBP, offset, .. }] => {
                    i32::try_from(offset).ok().map(Saved::AtFramePointer)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// An expression; `None` where it is longer than those that are known.
    fn operations(&self, expression: UnwindExpression<usize>, encoding: Encoding) -> Option<Vec<Operation<Bytes<'a>>>> {
        let mut left = expression.get(&self.section).ok()?.operations(encoding);
        let mut operations = Vec::new();
        while let Some(operation) = left.next().ok()? {
            if operations.len() == MOST_OPERATIONS {
                return None;
            }
            operations.push(operation);
        }
        Some(operations)
    }
}

impl CfaBase {
    fn of(register: Register) -> Option<Self> {
        match register {
            X86_64::RSP => Some(Self::StackPointer),
            X86_64::RBP => Some(Self::FramePointer),
            _ => None,
        }
    }
}

/// What an expression makes the canonical frame address of the instruction at `address`.
fn cfa(operations: &[Operation<Bytes<'_>>], address: u64) -> Option<Cfa> {
    use Operation::{And, Deref, Ge, Plus, PlusConstant, RegisterOffset, Shl, UnsignedConstant};
    match *operations {
        // Linkers, of stubs in `.plt` with 16 bytes each, which push a word at byte `pushed`:
        // rsp + 8 + ((rip & 15) >= pushed) << 3. Pages begin at multiples of 16.
        [
            RegisterOffset { register: X86_64::RSP, offset, .. },
            RegisterOffset { register: X86_64::RA, offset: 0, .. },
            UnsignedConstant { value: 15 },
            And,
            UnsignedConstant { value: pushed },
            Ge,
            UnsignedConstant { value: 3 },
            Shl,
            Plus,
        ] => {
            let more = if address & 15 >= pushed { 8 } else { 0 };
            let offset = i32::try_from(offset.checked_add(more)?).ok()?;
            Some(Cfa { base: CfaBase::StackPointer, offset, loaded: None })
        }
        // Compilers, of functions that align their stack, and assembly that keeps the old stack pointer on it.
        [RegisterOffset { register, offset, .. }, Deref { space: false, size: 8, .. }] => {
            Some(Cfa { base: CfaBase::of(register)?, offset: i32::try_from(offset).ok()?, loaded: Some(0) })
        }
        [RegisterOffset { register, offset, .. }, Deref { space: false, size: 8, .. }, PlusConstant { value }] => {
            let loaded = Some(i32::try_from(value).ok()?);
            Some(Cfa { base: CfaBase::of(register)?, offset: i32::try_from(offset).ok()?, loaded })
        }
        _ => None,
    }
}
