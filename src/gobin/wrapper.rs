//! The function that a compiler-made wrapper calls.
//!
//! For `go f(x)` the compiler makes a function without arguments (`main.main.gowrap1`), which holds `x` and calls `f(x)`.
//! It either contains `f` as an inlined call, or has one call instruction for it.

use object::elf as raw;

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

/// The target of a call (`E8`, and the distance from its end) at an address. Any byte may look like a call, so the caller
/// must check that a function starts at the target.
fn call_on_amd64(bytes: &[u8], address: u64) -> Option<u64> {
    let [0xe8, distance @ ..] = bytes.first_chunk::<5>()? else { return None };
    Some(address.wrapping_add(5).wrapping_add_signed(i32::from_le_bytes(*distance).into()))
}

/// The target of a call (`BL`, and the distance in words of 4 bytes) at an address.
fn call_on_arm64(bytes: &[u8], address: u64) -> Option<u64> {
    let word = u32::from_le_bytes(*bytes.first_chunk()?);
    let is_call = address.is_multiple_of(4) && word >> 26 == 0b10_0101;
    // The shifts extend the sign of the 26 bits, and multiply by 4.
    is_call.then(|| address.wrapping_add_signed(i64::from((word << 6).cast_signed() >> 4)))
}

#[cfg(test)]
mod tests {
    use super::{call_on_amd64, call_on_arm64};

    #[test]
    fn calls_lead_to_their_targets() {
        assert_eq!(call_on_amd64(&[0xe8, 0xfb, 0xff, 0xff, 0xff], 0x1000), Some(0x1000));
        assert_eq!(call_on_amd64(&[0xe8, 0, 1, 0, 0, 0x90], 0x1000), Some(0x1105));
        assert_eq!(call_on_amd64(&[0xe9, 0, 1, 0, 0], 0x1000), None);
        assert_eq!(call_on_amd64(&[0xe8, 0, 1, 0], 0x1000), None);
        let arm = |word: u32, address| call_on_arm64(&word.to_le_bytes(), address);
        assert_eq!(arm(0x9400_0001, 0x1000), Some(0x1004));
        assert_eq!(arm(0x97ff_ffff, 0x1000), Some(0xffc));
        assert_eq!([arm(0x1400_0001, 0x1000), arm(0x9400_0001, 0x1001)], [None; 2]);
    }
}
