//! Decodes the calls and jumps in machine code that show which function called which.

use object::elf as raw;

use super::elf::Elf;
use super::function::Function;
use super::pclntab::Pclntab;

/// Size in bytes of a call on amd64 that contains the distance to its target.
const CALL_SIZE: u64 = 5;

/// The Go function that is the target of the call before a return address. `None` if the call reads its target from a
/// register or from memory, and on machines other than amd64.
pub(super) fn called_function<'t, 'a>(
    table: &'t Pclntab<'a>,
    elf: &Elf<'_>,
    return_address: u64,
) -> Option<Function<'t, 'a>> {
    let call = return_address.checked_sub(CALL_SIZE).filter(|_| elf.machine() == raw::EM_X86_64)?;
    let target = call_target_on_amd64(elf.bytes_from(call)?, call)?;
    table.function_at(target).filter(|called| called.entry() == target)
}

/// Whether a function is assembly that ends with a jump to an address in a register, on amd64. Such a function jumps
/// into other code and does not run after that. False for functions of package `runtime`, such as `reflectcall`: they
/// jump to code of the program itself.
pub(super) fn ends_with_jump_to_register(function: &Function<'_, '_>, elf: &Elf<'_>) -> bool {
    let size = function.end().checked_sub(function.entry()).and_then(|size| usize::try_from(size).ok());
    let code = elf.bytes_from(function.entry()).and_then(|bytes| bytes.get(..size?)).unwrap_or_default();
    // Padding (INT3) fills the space up to the next function.
    let end = code.iter().rposition(|byte| *byte != 0xcc).map_or(0, |last| last.saturating_add(1));
    // `JMP` with a register: FF E0 to FF E7, after 41 for R8 to R15.
    let is_runtime = function.name().is_some_and(|name| name.starts_with(b"runtime."));
    function.is_assembly() && !is_runtime && matches!(code.get(..end), Some([.., 0xff, 0xe0..=0xe7]))
}

/// The target of a call (`E8`, and the distance from its end) at an address. Other bytes can look like a call, so the
/// caller must check that a function starts at the target.
pub(super) fn call_target_on_amd64(bytes: &[u8], address: u64) -> Option<u64> {
    let [0xe8, distance @ ..] = bytes.first_chunk::<5>()? else { return None };
    Some(address.wrapping_add(CALL_SIZE).wrapping_add_signed(i32::from_le_bytes(*distance).into()))
}

/// The target of a call (`BL`, and the distance in words of 4 bytes) at an address.
pub(super) fn call_target_on_arm64(bytes: &[u8], address: u64) -> Option<u64> {
    let word = u32::from_le_bytes(*bytes.first_chunk()?);
    let is_call = address.is_multiple_of(4) && word >> 26 == 0b10_0101;
    // The shifts extend the sign of the 26 bits, and multiply by 4.
    is_call.then(|| address.wrapping_add_signed(i64::from((word << 6).cast_signed() >> 4)))
}

#[cfg(test)]
mod tests {
    use super::{call_target_on_amd64, call_target_on_arm64};

    #[test]
    fn targets_of_calls_are_computed() {
        assert_eq!(call_target_on_amd64(&[0xe8, 0xfb, 0xff, 0xff, 0xff], 0x1000), Some(0x1000));
        assert_eq!(call_target_on_amd64(&[0xe8, 0, 1, 0, 0, 0x90], 0x1000), Some(0x1105));
        assert_eq!(call_target_on_amd64(&[0xe9, 0, 1, 0, 0], 0x1000), None);
        assert_eq!(call_target_on_amd64(&[0xe8, 0, 1, 0], 0x1000), None);
        let arm = |word: u32, address| call_target_on_arm64(&word.to_le_bytes(), address);
        assert_eq!(arm(0x9400_0001, 0x1000), Some(0x1004));
        assert_eq!(arm(0x97ff_ffff, 0x1000), Some(0xffc));
        assert_eq!([arm(0x1400_0001, 0x1000), arm(0x9400_0001, 0x1001)], [None; 2]);
    }
}
