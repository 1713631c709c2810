//! Frames of code that is not in pclntab, from the symbol table and debug information.

use std::borrow::Cow;

use super::debuginfo::{DebugFrame, demangle};
use super::source_frame::SourceFrame;
use super::symbols::CoveringSymbol;

/// The frames at an address, innermost first. Inlined calls and lines come from debug information. The name and the
/// entry of the physical function come from the symbol. Empty if neither has a name.
pub(super) fn frames<'a>(
    symbol: Option<CoveringSymbol<'a>>,
    debug: Vec<DebugFrame>,
    address: u64,
) -> Vec<SourceFrame<'a>> {
    let entry = symbol.as_ref().map_or(address, |symbol| symbol.entry);
    let symbol_is_go = symbol.as_ref().is_some_and(|symbol| symbol.is_go);
    // Like perf, prefers the symbol's name to the name in the debug information. If the compiler split `work`, only the
    // symbol shows that this is a part: `work.part.0`.
    let mut symbol_name = symbol.map(|symbol| if symbol.is_go { symbol.name } else { demangle(symbol.name) });
    let frame = |name: Cow<'a, str>, debug: DebugFrame| SourceFrame {
        name,
        file: debug.file.map(Cow::Owned),
        line: debug.line,
        start_line: 0,
        is_go: debug.is_go || symbol_is_go,
        entry,
        inlined: true,
        wrapper: false,
        is_top_frame: false,
    };
    let physical = debug.len().saturating_sub(1);
    let mut frames = Vec::with_capacity(debug.len());
    for (depth, mut debug_frame) in debug.into_iter().enumerate() {
        let symbol_name = if depth == physical { symbol_name.take() } else { None };
        if let Some(name) = symbol_name.or(debug_frame.name.take().map(Cow::Owned)) {
            frames.push(frame(name, debug_frame));
        }
    }
    frames.extend(symbol_name.map(|name| frame(name, DebugFrame::default())));
    if let Some(last) = frames.last_mut() {
        last.inlined = false;
    }
    frames
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    fn symbol(name: &str) -> CoveringSymbol<'_> {
        CoveringSymbol { name: name.into(), entry: 16, end: 32, is_go: false }
    }

    fn debug_frames(names: &[Option<&str>]) -> Vec<DebugFrame> {
        let frame = |name: Option<&str>| DebugFrame { name: name.map(str::to_owned), line: 7, ..DebugFrame::default() };
        names.iter().copied().map(frame).collect()
    }

    /// Name, line and `inlined` of each frame.
    fn shown_frames(symbol: Option<CoveringSymbol<'_>>, names: &[Option<&str>]) -> Vec<(String, u32, bool)> {
        let frames = frames(symbol, debug_frames(names), 20);
        frames.into_iter().map(|frame| (frame.name.into_owned(), frame.line, frame.inlined)).collect()
    }

    #[test]
    fn the_symbol_names_the_physical_function() {
        assert_eq!(shown_frames(None, &[]), []);
        assert_eq!(shown_frames(Some(symbol("f")), &[]), [("f".into(), 0, false)]);
        assert_eq!(shown_frames(Some(symbol("f.part.0")), &[Some("f")]), [("f.part.0".into(), 7, false)]);
        let inlined = [Some("inner"), Some("f")];
        assert_eq!(shown_frames(Some(symbol("f")), &inlined), [("inner".into(), 7, true), ("f".into(), 7, false)]);
        assert_eq!(frames(Some(symbol("f")), debug_frames(&inlined), 20)[0].entry, 16);
        assert_eq!(frames(None, debug_frames(&inlined), 20)[1].entry, 20);
    }

    #[test]
    fn the_last_frame_is_physical_even_if_the_function_has_no_name() {
        assert_eq!(shown_frames(None, &[Some("inner"), None]), [("inner".into(), 7, false)]);
        assert_eq!(shown_frames(Some(symbol("f")), &[None, None]), [("f".into(), 7, false)]);
        assert_eq!(shown_frames(None, &[None]), []);
    }

    #[test]
    fn names_of_rust_and_cplusplus_are_demangled() {
        assert_eq!(
            shown_frames(Some(symbol("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE")), &[])[0].0,
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(shown_frames(Some(symbol("_ZN5space5twiceEi")), &[])[0].0, "space::twice(int)");
        // `f` is the mangled C++ name of `float`.
        for c in ["memcpy", "f"] {
            assert_eq!(shown_frames(Some(symbol(c)), &[])[0].0, c);
        }
    }
}
