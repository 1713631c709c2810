//! Inlined calls: the inline trees of the Go functions.
//!
//! `FUNCDATA_InlTree` of a function is an array of inlined calls. `PCDATA_InlTreeIndex` maps an address to the index of its
//! innermost call. An inlined call has the name of the callee and the position of the call in the physical function
//! (src/runtime/symtabinl.go). The arrays are in `go:func.*`. The moduledata's pointer to `go:func.*` has moved several
//! times, so [`InlineTrees::are_plausible_in`] verifies each candidate.

use super::elf::Elf;
use super::function::Function;
use super::header::Layout;
use super::pclntab::Pclntab;
use super::pcvalue::values;
use crate::bytes::Cursor;

/// Indices of the pcdata and the funcdata that describe inlined calls (Go's src/internal/abi/symtab.go, formerly
/// src/runtime/funcdata.h).
#[derive(Debug, Clone, Copy)]
pub(super) struct InlineIndices {
    /// `PCDATA_InlTreeIndex`.
    pub(super) pcdata: u32,
    /// `FUNCDATA_InlTree`.
    pub(super) funcdata: usize,
}

impl InlineIndices {
    pub(super) const GO_1_16: Self = Self { pcdata: 2, funcdata: 3 };
    const GO_1_13: Self = Self { pcdata: 2, funcdata: 4 };
    const GO_1_12: Self = Self { pcdata: 1, funcdata: 2 };
}

/// Maximum number of functions whose inline trees are checked.
const MAX_CHECKED_FUNCTIONS: usize = 64;

/// The memory that holds the inline trees.
#[derive(Debug, Clone, Copy)]
pub(super) struct InlineTrees<'a> {
    /// Funcdata offsets count from here: the address of `go:func.*`, or 0 before Go 1.18.
    pub(super) funcdata_base: u64,
    /// Address of the first byte of `bytes`.
    pub(super) start: u64,
    /// The bytes of the segment that contains the trees.
    pub(super) bytes: &'a [u8],
    pub(super) indices: InlineIndices,
}

/// `inlinedCall` of Go's src/runtime/symtabinl.go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InlinedCall {
    pub(super) func_id: u8,
    /// Offset of the callee's name in the table's names.
    pub(super) name: u32,
    /// Position of the call in the physical function, in bytes from its entry.
    pub(super) call_offset: u32,
    /// Line of the `func` keyword; 0 before Go 1.20.
    pub(super) start_line: u32,
}

impl<'a> InlineTrees<'a> {
    /// Finds the trees of a table of Go 1.12 to 1.15. `None` for older tables, which do not store positions of calls.
    pub(super) fn find_in_go12(elf: &Elf<'a>, table: &Pclntab<'a>) -> Option<Self> {
        [InlineIndices::GO_1_13, InlineIndices::GO_1_12].into_iter().find_map(|indices| {
            let first = table.functions().find_map(|function| function.funcdata(indices.funcdata))?;
            let (start, bytes) = elf.segment_containing(first)?;
            let trees = Self { funcdata_base: 0, start, bytes, indices };
            trees.are_plausible_in(table).then_some(trees)
        })
    }

    /// Whether the trees of the first [`MAX_CHECKED_FUNCTIONS`] functions with inlined calls are plausible.
    pub(super) fn are_plausible_in(&self, table: &Pclntab<'_>) -> bool {
        let mut with_tree = table.functions().filter(|function| function.funcdata(self.indices.funcdata).is_some());
        with_tree.by_ref().take(MAX_CHECKED_FUNCTIONS).all(|function| {
            let size = function.end().saturating_sub(function.entry());
            self.inlined_call(&function, 0).is_some_and(|call| {
                table.is_name(call.name) && u64::from(call.call_offset) < size && call.start_line < 1 << 24
            })
        })
    }

    /// The call with this index in a function's tree.
    fn inlined_call(&self, function: &Function<'_, '_>, index: u32) -> Option<InlinedCall> {
        let layout = function.table().layout;
        let format = function.table().format;
        let tree =
            self.funcdata_base.checked_add(function.funcdata(self.indices.funcdata)?)?.checked_sub(self.start)?;
        let size = if layout == Layout::Go120 { 16 } else { 20 };
        let position = tree.checked_add(u64::from(index).checked_mul(size)?)?;
        let mut cursor = Cursor::from_offset(self.bytes, usize::try_from(position).ok()?)?;
        if layout == Layout::Go120 {
            let func_id = cursor.u8()?;
            cursor.skip(3)?;
            let (name, call_offset) = (format.read_u32(&mut cursor)?, format.read_u32(&mut cursor)?);
            return Some(InlinedCall { func_id, name, call_offset, start_line: format.read_u32(&mut cursor)? });
        }
        cursor.skip(2)?; // index of the enclosing call, which `call_offset` shows too
        let func_id = cursor.u8()?;
        cursor.skip(9)?; // padding, then file and line of the call, which `call_offset` shows too
        let (name, call_offset) = (format.read_u32(&mut cursor)?, format.read_u32(&mut cursor)?);
        Some(InlinedCall { func_id, name, call_offset, start_line: 0 })
    }
}

impl<'a> Function<'_, 'a> {
    /// The pc-value table of indices of the innermost inlined call. `None` if the function has no inlined calls, or if the
    /// address of the inline trees is unknown.
    pub(super) fn inlined_call_table(&self) -> Option<Cursor<'a>> {
        let indices = self.table().inline_trees?.indices;
        self.funcdata(indices.funcdata)?;
        self.pc_values(self.pcdata(indices.pcdata)?)
    }

    /// Whether an address inside the function belongs to an inlined call.
    pub(super) fn has_inlined_call_at(&self, address: u64) -> bool {
        let index = || {
            self.inlined_call_table()?;
            self.value_at(self.pcdata(self.table().inline_trees?.indices.pcdata)?, address)
        };
        index().is_some_and(|index| index >= 0)
    }

    /// The inlined call with this index (a value of the table [`inlined_call_table`](Self::inlined_call_table)).
    pub(super) fn inlined_call(&self, index: i32) -> Option<InlinedCall> {
        self.table().inline_trees?.inlined_call(self, u32::try_from(index).ok()?)
    }

    /// The linker's names of the functions that are inlined into this function. A name occurs once for each of its address
    /// ranges.
    pub fn inlined_names(&self) -> impl Iterator<Item = &'a [u8]> {
        let indexes = self.inlined_call_table().map(|calls| values(calls, self.table().quantum));
        indexes.into_iter().flatten().filter_map(|index| self.table().name_at(self.inlined_call(index)?.name))
    }

    /// Whether other functions are inlined into this function.
    pub fn has_inline_tree(&self) -> bool {
        let known = self.table().inline_trees.map(|trees| trees.indices);
        // Since Go 1.16 the index is known even if the trees were not found.
        let assumed = (self.table().layout > Layout::Go12).then_some(InlineIndices::GO_1_16);
        known.or(assumed).is_some_and(|indices| self.funcdata(indices.funcdata).is_some())
    }
}
