//! Look-up of many addresses in one program.
//!
//! Decoding a function's pc-value tables takes most of the time of a look-up, and a table can only be read from its start.
//! So the decoded tables of the last function are kept, which makes look-ups in ascending order of addresses cheap.

use std::borrow::Cow;
use std::ops::Range;

use super::binary::Binary;
use super::error::NameAbsence;
use super::function::Function;
use super::pcvalue::DecodedTable;
use super::source_frame::SourceFrame;

/// Maximum depth of inlined calls at one address. Go's inlining budget allows far fewer.
const MAX_INLINE_DEPTH: usize = 200;

/// Looks up addresses in any order; fastest in ascending order.
#[derive(Debug)]
pub struct Locator<'b, 'a> {
    binary: &'b Binary<'a>,
    /// The Go function of the last look-up. `files`, `lines` and `calls` are its tables.
    function: Option<Function<'b, 'a>>,
    files: DecodedTable<'a>,
    lines: DecodedTable<'a>,
    calls: DecodedTable<'a>,
    frames: Vec<SourceFrame<'a>>,
    /// Addresses of native code that have the same `frames`.
    same_frames: Range<u64>,
}

impl<'b, 'a> Locator<'b, 'a> {
    /// A locator with empty caches.
    pub fn new(binary: &'b Binary<'a>) -> Self {
        let (files, lines, calls) = (DecodedTable::new(), DecodedTable::new(), DecodedTable::new());
        Self { binary, function: None, files, lines, calls, frames: Vec::new(), same_frames: 0..0 }
    }

    /// The functions at a link-time virtual address, innermost first. For a return address, pass the address of the
    /// byte before it. The last frame is the physical function; the others are functions inlined into it. Never empty.
    pub fn locate(&mut self, address: u64) -> Result<&[SourceFrame<'a>], NameAbsence> {
        if self.same_frames.contains(&address) {
            return Ok(&self.frames);
        }
        self.frames.clear();
        self.same_frames = 0..0;
        if self.add_go_frames(address).is_none() {
            (self.frames, self.same_frames) = self.binary.native_frames(address)?;
        }
        Ok(&self.frames)
    }

    /// Appends the frames at an address of Go code. `None` outside of Go functions, or if a name is cut off.
    fn add_go_frames(&mut self, address: u64) -> Option<()> {
        self.select_function(address)?;
        let Self { function, files, lines, calls, frames, .. } = self;
        let function = function.as_ref()?;
        let table = function.table();
        let mut offset = function.offset_of_address(address)?;
        loop {
            let call = calls.value_at(offset).filter(|_| frames.len() < MAX_INLINE_DEPTH);
            let call = call.and_then(|number| function.inlined_call(number));
            let (name, start_line, wrapper) = match call {
                Some(call) => (table.name_at(call.name)?, call.start_line, table.is_wrapper(call.func_id)),
                None => (function.name()?, function.start_line(), function.is_wrapper()),
            };
            let file = files.value_at(offset).and_then(|number| function.file_name(number));
            frames.push(SourceFrame {
                name: to_text(name),
                file: file.map(to_text),
                line: lines.value_at(offset).and_then(|line| u32::try_from(line).ok()).unwrap_or_default(),
                start_line,
                is_go: function.is_go(),
                entry: function.entry(),
                inlined: call.is_some(),
                wrapper,
                is_top_frame: call.is_none() && function.is_top_frame(),
            });
            match call {
                Some(call) => offset = call.call_offset,
                None => return Some(()),
            }
        }
    }

    /// Makes the function at an address the current function.
    fn select_function(&mut self, address: u64) -> Option<()> {
        let is_current = |function: &Function<'_, '_>| (function.entry()..function.end()).contains(&address);
        if self.function.as_ref().is_some_and(is_current) {
            return Some(());
        }
        let table = self.binary.pclntab().ok()?;
        let function = self.function.insert(table.function_at(address)?);
        self.files.replace(function.file_table(), table.quantum);
        self.lines.replace(function.line_table(), table.quantum);
        self.calls.replace(function.inlined_call_table(), table.quantum);
        Some(())
    }
}

/// Converts bytes to text. `from_utf8` is faster than `from_utf8_lossy`, which is rarely needed.
fn to_text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
