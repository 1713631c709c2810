//! Calls and jumps in machine code, as far as they are needed to tell who called whom.

use object::elf as raw;

use super::elf::Elf;
use super::function::Function;
use super::pclntab::Pclntab;

/// Size of a call with the distance to its target on amd64.
const CALL_SIZE: u64 = 5;

/// The Go function that the call before a return address names. `None` if the call takes its target from a register or
/// from memory, and on machines other than amd64.
pub(super) fn called<'t, 'a>(table: &'t Pclntab<'a>, elf: &Elf<'_>, return_address: u64) -> Option<Function<'t, 'a>> {
    let call = return_address.checked_sub(CALL_SIZE).filter(|_| elf.machine() == raw::EM_X86_64)?;
    let target = call_on_amd64(elf.at(call)?, call)?;
    table.function_at(target).filter(|called| called.entry() == target)
}

/// Whether a function is assembly that ends with a jump to an address in a register, on amd64. Such a function goes on in
/// other code, and does not come back to the end of its own. Functions of package `runtime`, such as `reflectcall`, do not
/// count: they go on in code of the program itself.
pub(super) fn jumps_out(function: &Function<'_, '_>, elf: &Elf<'_>) -> bool {
    let size = function.end().checked_sub(function.entry()).and_then(|size| usize::try_from(size).ok());
    let code = elf.at(function.entry()).and_then(|bytes| bytes.get(..size?)).unwrap_or_default();
    // Padding (INT3) fills the space up to the next function.
    let end = code.iter().rposition(|byte| *byte != 0xcc).map_or(0, |last| last.saturating_add(1));
    // `JMP` with a register: FF E0 to FF E7, after 41 for R8 to R15.
    let is_of_runtime = function.name().is_some_and(|name| name.starts_with(b"runtime."));
    function.is_assembly() && !is_of_runtime && matches!(code.get(..end), Some([.., 0xff, 0xe0..=0xe7]))
}

/// The target of a call (`E8`, and the distance from its end) at an address. Any byte may look like a call, so the caller
/// must check that a function starts at the target.
pub(super) fn call_on_amd64(bytes: &[u8], address: u64) -> Option<u64> {
    let [0xe8, distance @ ..] = bytes.first_chunk::<5>()? else { return None };
    Some(address.wrapping_add(CALL_SIZE).wrapping_add_signed(i32::from_le_bytes(*distance).into()))
}

/// The target of a call (`BL`, and the distance in words of 4 bytes) at an address.
pub(super) fn call_on_arm64(bytes: &[u8], address: u64) -> Option<u64> {
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
