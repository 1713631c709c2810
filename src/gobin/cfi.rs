//! Call frame information for unwinding C code. Compilers write `.eh_frame` for exceptions. For every instruction, the
//! section says where the caller's registers are saved (Linux Standard Base, Core, 10.6; DWARF 5, 6.4).
//!
//! gimli parses the section. No guesses: an entry that is not fully understood has no result. Expressions are not
//! evaluated, because they can loop; only the few forms that compilers and linkers write are recognised.

use std::sync::atomic::{AtomicUsize, Ordering};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, CommonInformationEntry, EhFrame, EhFrameOffset, Encoding, EndianSlice,
    LittleEndian, Operation, Register, RegisterRule, Section as _, UnwindContext, UnwindExpression, UnwindSection as _,
    UnwindTableRow, X86_64,
};
use object::elf;

use super::elf::Elf;

/// Data for unwinding a frame of native code: the result of [`Binary::native_unwind`](super::Binary::native_unwind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NativeUnwind {
    /// The root of the stack: a program or a thread starts here.
    Root,
    /// A frame with a caller. The return address is in the word below `cfa`.
    Frame {
        /// The canonical frame address: the stack pointer after the function has returned.
        cfa: Cfa,
        /// The caller's frame pointer, `rbp`.
        frame_pointer: SavedRegister,
        /// The caller's `r14`, which holds the running goroutine in Go code (abi-internal.md).
        goroutine: SavedRegister,
    },
}

/// Rule for a canonical frame address: `base + offset`, or `*(base + offset) + offset_after_load`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cfa {
    /// The register to which `offset` is added.
    pub base: CfaBase,
    /// Bytes that are added to the value of `base`.
    pub offset: i32,
    /// If present, the address is the word in memory at `base + offset`, plus these bytes.
    pub offset_after_load: Option<i32>,
}

/// The register from which a canonical frame address is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CfaBase {
    /// `rsp`.
    StackPointer,
    /// `rbp`.
    FramePointer,
}

/// The location of the caller's value of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedRegister {
    /// The register still has the caller's value.
    Same,
    /// In memory, at this (negative) offset in bytes from the canonical frame address.
    AtCfa(i32),
    /// In memory, at this offset in bytes from the function's own frame pointer.
    AtFramePointer(i32),
    /// The caller's value is unknown.
    Lost,
}

/// Maximum size of a frame description entry (FDE). The largest FDE in gcc has 20 KB.
const MAX_FDE_BYTES: usize = 1 << 16;

/// Maximum size of a common information entry (CIE). The usual size is 20 to 40 bytes.
const MAX_CIE_BYTES: usize = 1 << 8;

/// Maximum number of bytes of entries that are read for all addresses of a file together. The entry of a function has
/// about 50 bytes. Only a hostile file exceeds the limit.
const READ_BUDGET_BYTES: usize = 1 << 26;

/// Maximum number of operations of an expression. The longest known expression has 9.
const MAX_OPERATIONS: usize = 9;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

#[derive(Debug)]
pub(super) struct CallFrames<'a> {
    section: EhFrame<Bytes<'a>>,
    bases: BaseAddresses,
    /// First address of each function, and the offset of its FDE in the section.
    functions: Vec<(u64, usize)>,
    /// Number of bytes that can still be read, at first [`READ_BUDGET_BYTES`].
    budget: AtomicUsize,
}

impl<'a> CallFrames<'a> {
    /// Reads `.eh_frame`. `None` if the file has no such section, or is for a machine other than x86-64.
    pub(super) fn read(elf: &Elf<'a>) -> Option<Self> {
        let format = elf.format();
        if elf.machine() != elf::EM_X86_64 || format.is_big_endian || format.pointer_size != 8 {
            return None;
        }
        let found = elf.section(b".eh_frame").filter(|section| !section.compressed && !section.bytes.is_empty())?;
        let mut section = EhFrame::new(found.bytes, LittleEndian);
        section.set_address_size(8);
        let text = elf.section(b".text").map_or(0, |text| text.address);
        let bases = BaseAddresses::default().set_eh_frame(found.address).set_text(text);
        let mut frames = Self { section, bases, functions: Vec::new(), budget: AtomicUsize::new(READ_BUDGET_BYTES) };
        // `.eh_frame_hdr` has the same list, but goflame would have to check the list against `.eh_frame`.
        frames.functions = frames.list_functions();
        Some(frames)
    }

    fn list_functions(&self) -> Vec<(u64, usize)> {
        let mut functions = Vec::new();
        let mut last_cie: Option<CommonInformationEntry<Bytes<'a>>> = None;
        let mut entries = self.section.entries(&self.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(entry) = entry else { continue };
            let fde = entry.parse(|_, _, offset| match &last_cie {
                Some(known) if known.offset() == offset.0 => Ok(known.clone()),
                _ => {
                    let cie = self.read_cie(offset)?;
                    last_cie = Some(cie.clone());
                    Ok(cie)
                }
            });
            // Linkers keep the FDEs of removed functions. The length of such an FDE is 0.
            if let Ok(fde) = fde
                && fde.len() > 0
            {
                functions.push((fde.initial_address(), fde.offset()));
            }
        }
        functions.sort_unstable();
        functions
    }

    fn read_cie(&self, offset: EhFrameOffset) -> gimli::Result<CommonInformationEntry<Bytes<'a>>> {
        let length = self.section.reader().slice().get(offset.0..).and_then(|rest| rest.first_chunk());
        match length.map(|length| usize::try_from(u32::from_le_bytes(*length))) {
            Some(Ok(length)) if length <= MAX_CIE_BYTES => self.section.cie_from_offset(&self.bases, offset),
            _ => Err(gimli::Error::NoUnwindInfoForAddress),
        }
    }

    /// The unwind rule for the frame of the function at an address.
    pub(super) fn rule_at(&self, address: u64) -> Option<NativeUnwind> {
        let last = self.functions.partition_point(|(start, _)| *start <= address).checked_sub(1)?;
        let offset = EhFrameOffset(self.functions.get(last)?.1);
        let fde = self.section.fde_from_offset(&self.bases, offset, |_, _, offset| self.read_cie(offset)).ok()?;
        let cie = fde.cie();
        // No result for a signal trampoline. A signal can interrupt a function at its first instruction, so the
        // interrupted address must not be treated as a return address.
        if !fde.contains(address)
            || fde.is_signal_trampoline()
            || cie.return_address_register() != X86_64::RA
            || fde.entry_len() > MAX_FDE_BYTES
        {
            return None;
        }
        let size = fde.entry_len().saturating_add(cie.entry_len());
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| budget.checked_sub(size)).ok()?;
        let mut context = UnwindContext::new();
        let row = fde.unwind_info_for_address(&self.section, &self.bases, &mut context, address).ok()?;
        match row.register(X86_64::RA) {
            Some(RegisterRule::Offset(-8)) => {}
            Some(RegisterRule::Undefined) => return Some(NativeUnwind::Root),
            _ => return None,
        }
        let encoding = cie.encoding();
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => Cfa {
                base: CfaBase::from_register(*register)?,
                offset: i32::try_from(*offset).ok()?,
                offset_after_load: None,
            },
            CfaRule::Expression(expression) => recognise_cfa(&self.read_operations(*expression, encoding)?, address)?,
        };
        let saved = |register| self.saved_register(row, register, encoding).unwrap_or(SavedRegister::Lost);
        Some(NativeUnwind::Frame { cfa, frame_pointer: saved(X86_64::RBP), goroutine: saved(X86_64::R14) })
    }

    /// The location of a callee-saved register's old value.
    fn saved_register(
        &self,
        row: &UnwindTableRow<usize>,
        register: Register,
        encoding: Encoding,
    ) -> Option<SavedRegister> {
        match row.register(register) {
            None | Some(RegisterRule::SameValue) => Some(SavedRegister::Same),
            Some(RegisterRule::Offset(offset)) => i32::try_from(offset).ok().map(SavedRegister::AtCfa),
            Some(RegisterRule::Expression(expression)) => match self.read_operations(expression, encoding)?[..] {
                [Operation::RegisterOffset { register: X86_64::RBP, offset, .. }] => {
                    i32::try_from(offset).ok().map(SavedRegister::AtFramePointer)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The operations of an expression. `None` if it has more operations than any known expression.
    fn read_operations(
        &self,
        expression: UnwindExpression<usize>,
        encoding: Encoding,
    ) -> Option<Vec<Operation<Bytes<'a>>>> {
        let mut rest = expression.get(&self.section).ok()?.operations(encoding);
        let mut operations = Vec::new();
        while let Some(operation) = rest.next().ok()? {
            if operations.len() == MAX_OPERATIONS {
                return None;
            }
            operations.push(operation);
        }
        Some(operations)
    }
}

impl CfaBase {
    fn from_register(register: Register) -> Option<Self> {
        match register {
            X86_64::RSP => Some(Self::StackPointer),
            X86_64::RBP => Some(Self::FramePointer),
            _ => None,
        }
    }
}

/// Recognises an expression for the canonical frame address at the instruction `address`.
fn recognise_cfa(operations: &[Operation<Bytes<'_>>], address: u64) -> Option<Cfa> {
    use Operation::{And, Deref, Ge, Plus, PlusConstant, RegisterOffset, Shl, UnsignedConstant};
    match *operations {
        // Written by linkers for the 16-byte stubs in `.plt`, which push a word at byte `pushed`:
        // rsp + 8 + ((rip & 15) >= pushed) << 3. The link-time address has the same low bits as `rip`, because pages are
        // multiples of 16 bytes.
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
            let pushed_bytes = if address & 15 >= pushed { 8 } else { 0 };
            let offset = i32::try_from(offset.checked_add(pushed_bytes)?).ok()?;
            Some(Cfa { base: CfaBase::StackPointer, offset, offset_after_load: None })
        }
        // Written by compilers for functions that align their stack, and in assembly that saves the old stack pointer.
        [RegisterOffset { register, offset, .. }, Deref { space: false, size: 8, .. }] => Some(Cfa {
            base: CfaBase::from_register(register)?,
            offset: i32::try_from(offset).ok()?,
            offset_after_load: Some(0),
        }),
        [RegisterOffset { register, offset, .. }, Deref { space: false, size: 8, .. }, PlusConstant { value }] => {
            let offset_after_load = Some(i32::try_from(value).ok()?);
            Some(Cfa {
                base: CfaBase::from_register(register)?,
                offset: i32::try_from(offset).ok()?,
                offset_after_load,
            })
        }
        _ => None,
    }
}
