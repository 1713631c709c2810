//! The function that a compiler-made wrapper calls.
//!
//! For `go f(x)` the compiler makes a function without arguments (`main.main.gowrap1`), which holds `x` and calls `f(x)`.
//! It either contains `f` as an inlined call, or has one call instruction for it.

use object::elf as raw;

use super::calls::{call_on_amd64, call_on_arm64};
use super::elf::Elf;
use super::function::Function;
use super::pclntab::Pclntab;
use super::unwind::Special;

/// Maximum number of wrappers that call one another.
const MAX_DEPTH: usize = 4;

/// Maximum size of a wrapper in bytes. Real ones have about 100, and more with a large inlined function.
const MAX_SIZE: u64 = 1 << 16;

/// An address in the function that the wrapper at `entry` calls. `None` if there is no wrapper, or if it does not say.
pub(super) fn wrapped(table: &Pclntab<'_>, elf: &Elf<'_>, entry: u64) -> Option<u64> {
    let mut found = None;
    let mut function = table.function_at(entry)?;
    for _ in 0..MAX_DEPTH {
        if !function.is_wrapper() {
            break;
        }
        let (address, inlined) = callee(&function, elf)?;
        found = Some(address);
        if inlined {
            break;
        }
        function = table.function_at(address)?;
    }
    found
}

/// An address in the function that a wrapper calls, and whether the function is inlined into the wrapper.
fn callee(wrapper: &Function<'_, '_>, elf: &Elf<'_>) -> Option<(u64, bool)> {
    let table = wrapper.table();
    let code = wrapper.entry()..wrapper.end();
    let size = wrapper.end().checked_sub(wrapper.entry()).filter(|size| *size <= MAX_SIZE)?;
    if let Some(address) = code.clone().step_by(usize::try_from(table.quantum).ok()?).find(|at| wrapper.inlines_at(*at))
    {
        return Some((address, true));
    }
    let bytes = elf.at(wrapper.entry())?.get(..usize::try_from(size).ok()?)?;
    let target = match elf.machine() {
        raw::EM_X86_64 => call_on_amd64,
        raw::EM_AARCH64 => call_on_arm64,
        _ => return None,
    };
    code.zip(0..).find_map(|(address, at)| {
        let start = target(bytes.get(at..)?, address)?;
        let callee = table.function_at(start).filter(|callee| callee.entry() == start)?;
        // The wrapper may have to grow the stack first.
        let grows = callee.name().and_then(Special::from_name) == Some(Special::Morestack);
        (!grows).then_some((start, false))
    })
}
