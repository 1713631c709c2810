//! Calls that the compiler put into their callers: the inline trees of the Go functions.
//!
//! `FUNCDATA_InlTree` of a function is an array of calls, and `PCDATA_InlTreeIndex` tells for an address which of them
//! it is in. A call names the function and an address inside its own caller, whose line is the call's
//! (src/runtime/symtabinl.go). The arrays stand in `go:func.*`, which the runtime finds by a word of its moduledata
//! that has moved more than once; [`Trees::check`] sees whether the right word was taken.

use super::function::Function;
use super::pclntab::{Layout, Pclntab};
use crate::bytes::Cursor;

/// `PCDATA_InlTreeIndex` of Go's src/internal/abi/symtab.go.
const PCDATA_INDEX: u32 = 2;
/// `FUNCDATA_InlTree` of the same file.
const FUNCDATA_TREE: usize = 3;

/// The most functions whose trees are looked at to see whether they are trees.
const CHECKED: usize = 64;

/// Where the trees are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trees<'a> {
    /// What the functions' offsets count from: `go:func.*`, or 0 in Go 1.16 and 1.17.
    pub(super) base: u64,
    /// Address of the first byte of `bytes`.
    pub(super) start: u64,
    /// The memory around the trees.
    pub(super) bytes: &'a [u8],
}

/// `inlinedCall` of Go's src/runtime/symtabinl.go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) func_id: u8,
    /// Place of the name among the table's names.
    pub(super) name: u32,
    /// Place of the call in the physical function, from its entry.
    pub(super) parent: u32,
    /// The line of the `func` keyword; 0 before Go 1.20.
    pub(super) start_line: u32,
}

impl Trees<'_> {
    /// Whether the first functions that have trees have them here.
    pub(super) fn check(&self, table: &Pclntab<'_>) -> bool {
        let mut with_tree = table.functions().filter(Function::has_inline_tree);
        with_tree.by_ref().take(CHECKED).all(|function| {
            let size = function.end().saturating_sub(function.entry());
            self.call(&function, 0).is_some_and(|call| {
                table.is_name(call.name) && u64::from(call.parent) < size && call.start_line < 1 << 24
            })
        })
    }

    /// The call with this number in a function's tree.
    fn call(&self, function: &Function<'_, '_>, number: u32) -> Option<Call> {
        let layout = function.table().layout;
        let format = function.table().format;
        let tree = self.base.checked_add(function.funcdata(FUNCDATA_TREE)?)?.checked_sub(self.start)?;
        let size = if layout == Layout::Go120 { 16 } else { 20 };
        let place = tree.checked_add(u64::from(number).checked_mul(size)?)?;
        let mut cursor = Cursor::at(self.bytes, usize::try_from(place).ok()?)?;
        if layout == Layout::Go120 {
            let func_id = cursor.u8()?;
            cursor.skip(3)?;
            let (name, parent) = (format.u32(&mut cursor)?, format.u32(&mut cursor)?);
            return Some(Call { func_id, name, parent, start_line: format.u32(&mut cursor)? });
        }
        cursor.skip(2)?; // the enclosing call, which the parent's address tells too
        let func_id = cursor.u8()?;
        cursor.skip(9)?; // padding, and the call's file and line, which the parent's address tells too
        let (name, parent) = (format.u32(&mut cursor)?, format.u32(&mut cursor)?);
        Some(Call { func_id, name, parent, start_line: 0 })
    }
}

impl<'a> Function<'_, 'a> {
    /// From address to number of the innermost call that it is in. `None` where there are no calls, or where they are is
    /// not known.
    pub(super) fn calls(&self) -> Option<Cursor<'a>> {
        self.table().trees?;
        self.inline_tree_place()?;
        self.pc_values(self.pcdata(PCDATA_INDEX)?)
    }

    /// The call of a number, as the table of calls has it.
    pub(super) fn call(&self, number: i32) -> Option<Call> {
        self.table().trees?.call(self, u32::try_from(number).ok()?)
    }

    /// Where its tree is, from [`Trees::base`] on.
    pub(super) fn inline_tree_place(&self) -> Option<u64> {
        self.funcdata(FUNCDATA_TREE)
    }

    /// Whether the compiler put calls of other functions into this one's body.
    pub fn has_inline_tree(&self) -> bool {
        self.funcdata(FUNCDATA_TREE).is_some()
    }
}
