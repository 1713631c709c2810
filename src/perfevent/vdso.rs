//! The vdso: code that the kernel maps into every process.

use std::fs;
use std::ptr;

/// The bytes of this process's own vdso, which is the same in all processes of this architecture. `None` if the kernel
/// maps no vdso.
///
/// The bytes are copied from memory, because `/proc/self/mem` is not always readable: it belongs to root in a process with
/// file capabilities or with a changed user (prctl(2), `PR_SET_DUMPABLE`).
pub fn vdso() -> Option<Vec<u8>> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    if !rest.starts_with('r') {
        return None;
    }
    #[expect(unsafe_code, reason = "memory that Rust did not allocate")]
    // SAFETY: the kernel mapped these bytes as readable when the process started. Nothing unmaps or changes them.
    let bytes = unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(start), end.checked_sub(start)?) };
    Some(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::vdso;

    #[test]
    fn the_vdso_is_an_elf_file() {
        assert!(vdso().is_some_and(|vdso| vdso.starts_with(b"\x7fELF")));
    }
}
