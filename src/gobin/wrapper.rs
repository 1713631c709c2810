//! The function that a compiler-made wrapper calls.
//!
//! For `go f(x)` the compiler makes a wrapper: a function without arguments (`main.main.gowrap1`), which stores `x` and
//! calls `f(x)`. Either `f` is inlined into the wrapper, or the wrapper has one call instruction for `f`.

use object::elf as raw;

use super::calls::{call_target_on_amd64, call_target_on_arm64};
use super::elf::Elf;
use super::function::Function;
use super::pclntab::Pclntab;
use super::unwind::SpecialFunction;

/// Maximum length of a chain in which each wrapper calls the next.
const MAX_CHAINED_WRAPPERS: usize = 4;

/// Maximum size of a wrapper. Real wrappers have about 100 bytes, or more with a large inlined function.
const MAX_WRAPPER_BYTES: u64 = 1 << 16;

/// An address in the function that the wrapper at `entry` calls. `None` if there is no wrapper at `entry`, or if the call
/// does not contain its target.
pub(super) fn wrapped_function(table: &Pclntab<'_>, elf: &Elf<'_>, entry: u64) -> Option<u64> {
    let mut found = None;
    let mut function = table.function_at(entry)?;
    for _ in 0..MAX_CHAINED_WRAPPERS {
        if !function.is_wrapper() {
            break;
        }
        let (address, inlined) = find_callee(&function, elf)?;
        found = Some(address);
        if inlined {
            break;
        }
        function = table.function_at(address)?;
    }
    found
}

/// An address in the function that a wrapper calls, and whether the function is inlined into the wrapper.
fn find_callee(wrapper: &Function<'_, '_>, elf: &Elf<'_>) -> Option<(u64, bool)> {
    let table = wrapper.table();
    let code = wrapper.entry()..wrapper.end();
    let size = wrapper.end().checked_sub(wrapper.entry()).filter(|size| *size <= MAX_WRAPPER_BYTES)?;
    if let Some(address) =
        code.clone().step_by(usize::try_from(table.quantum).ok()?).find(|address| wrapper.has_inlined_call_at(*address))
    {
        return Some((address, true));
    }
    let bytes = elf.bytes_from(wrapper.entry())?.get(..usize::try_from(size).ok()?)?;
    let target = match elf.machine() {
        raw::EM_X86_64 => call_target_on_amd64,
        raw::EM_AARCH64 => call_target_on_arm64,
        _ => return None,
    };
    code.zip(0..).find_map(|(address, offset)| {
        let start = target(bytes.get(offset..)?, address)?;
        let callee = table.function_at(start).filter(|callee| callee.entry() == start)?;
        // Skips the wrapper's call of `morestack`, which grows the stack.
        let grows = callee.name().and_then(SpecialFunction::from_name) == Some(SpecialFunction::Morestack);
        (!grows).then_some((start, false))
    })
}
