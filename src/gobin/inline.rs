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

/// The most calls that one address is shown to be in. Go's budget for inlining ends long before.
const DEEPEST: usize = 200;

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

/// One level at an address: a function, and the address whose file and line are the place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// The call at this level; `None` is the physical function.
    pub(super) call: Option<Call>,
    pub(super) address: u64,
}

/// `inlinedCall` of Go's src/runtime/symtabinl.go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) func_id: u8,
    /// Place of the name among the table's names.
    pub(super) name: u32,
    /// Place of the call in the physical function, from its entry.
    parent: u32,
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

/// The functions at an address of a physical function, innermost first; the last one is the physical function.
pub(super) fn levels(function: &Function<'_, '_>, address: u64) -> Vec<Level> {
    let mut levels = Vec::with_capacity(1);
    let mut address = address;
    while let Some(call) = inlined_at(function, address).filter(|_| levels.len() < DEEPEST) {
        levels.push(Level { call: Some(call), address });
        address = function.entry().saturating_add(u64::from(call.parent));
    }
    levels.push(Level { call: None, address });
    levels
}

/// The innermost call that an address is in.
fn inlined_at(function: &Function<'_, '_>, address: u64) -> Option<Call> {
    let trees = function.table().trees?;
    function.funcdata(FUNCDATA_TREE)?;
    let number = u32::try_from(function.value_at(function.pcdata(PCDATA_INDEX)?, address)?).ok()?;
    trees.call(function, number)
}

impl Function<'_, '_> {
    /// Where its tree is, from [`Trees::base`] on.
    pub(super) fn inline_tree_place(&self) -> Option<u64> {
        self.funcdata(FUNCDATA_TREE)
    }

    /// Whether the compiler put calls of other functions into this one's body.
    pub fn has_inline_tree(&self) -> bool {
        self.funcdata(FUNCDATA_TREE).is_some()
    }
}
