//! Many addresses of one program, one after the other.
//!
//! Nearly all the time of a look-up goes into a function's pc-value tables, which can only be read from their start.
//! So what was read of the last function's is kept, and addresses that are asked for in rising order cost little.

use std::borrow::Cow;
use std::ops::Range;

use super::binary::Binary;
use super::error::Reason;
use super::function::Function;
use super::location::SourceFrame;
use super::pcvalue::Decoded;

/// The most calls that one address is shown to be in. Go's budget for inlining ends long before.
const DEEPEST: usize = 200;

/// Answers as [`Binary::locate`] does, in any order of the addresses; quickest where each is at or behind the one before.
#[derive(Debug)]
pub struct Locator<'b, 'a> {
    binary: &'b Binary<'a>,
    /// The Go function of the last address that was in one, and its tables.
    function: Option<Function<'b, 'a>>,
    files: Decoded<'a>,
    lines: Decoded<'a>,
    calls: Decoded<'a>,
    frames: Vec<SourceFrame<'a>>,
    /// Addresses of other code that have these frames too.
    alike: Range<u64>,
}

impl<'b, 'a> Locator<'b, 'a> {
    /// Has read nothing yet.
    pub fn new(binary: &'b Binary<'a>) -> Self {
        let (files, lines, calls) = (Decoded::new(), Decoded::new(), Decoded::new());
        Self { binary, function: None, files, lines, calls, frames: Vec::new(), alike: 0..0 }
    }

    /// What [`Location::frames`](super::Location::frames) would be.
    pub fn locate(&mut self, address: u64) -> Result<&[SourceFrame<'a>], Reason> {
        if self.alike.contains(&address) {
            return Ok(&self.frames);
        }
        self.frames.clear();
        self.alike = 0..0;
        if self.go_frames(address).is_none() {
            (self.frames, self.alike) = self.binary.native_frames(address)?;
        }
        Ok(&self.frames)
    }

    /// The frames of the last address.
    pub(super) fn into_frames(self) -> Vec<SourceFrame<'a>> {
        self.frames
    }

    /// `None` where there is no Go function, or a name runs out of the table.
    fn go_frames(&mut self, address: u64) -> Option<()> {
        self.enter(address)?;
        let Self { function, files, lines, calls, frames, .. } = self;
        let function = function.as_ref()?;
        let table = function.table();
        let mut offset = function.offset_of(address)?;
        loop {
            let call = calls.value_at(offset).filter(|_| frames.len() < DEEPEST);
            let call = call.and_then(|number| function.call(number));
            let (name, start_line, wrapper) = match call {
                Some(call) => (table.name_at(call.name)?, call.start_line, table.is_wrapper(call.func_id)),
                None => (function.name()?, function.start_line(), function.is_wrapper()),
            };
            let file = files.value_at(offset).and_then(|number| function.file(number));
            frames.push(SourceFrame {
                name: text(name),
                file: file.map(text),
                line: lines.value_at(offset).and_then(|line| u32::try_from(line).ok()).unwrap_or_default(),
                start_line,
                is_go: function.is_go(),
                entry: function.entry(),
                inlined: call.is_some(),
                wrapper,
                top_frame: call.is_none() && function.is_top_frame(),
            });
            match call {
                Some(call) => offset = call.parent,
                None => return Some(()),
            }
        }
    }

    /// Makes the function at an address the one that is known.
    fn enter(&mut self, address: u64) -> Option<()> {
        let known = |function: &Function<'_, '_>| (function.entry()..function.end()).contains(&address);
        if self.function.as_ref().is_some_and(known) {
            return Some(());
        }
        let table = self.binary.pclntab().ok()?;
        let function = self.function.insert(table.function_at(address)?);
        self.files.restart(function.files(), table.quantum);
        self.lines.restart(function.lines(), table.quantum);
        self.calls.restart(function.calls(), table.quantum);
        Some(())
    }
}

/// Bytes as text. Checking is quicker than searching for repairs, and there are hardly ever any to make.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
