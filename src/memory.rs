//! Room in memory for large tables. What goes into them is not known here.

use rustix::mm::{Advice, madvise};

/// Less than so many bytes are no large table.
const LARGE: usize = 1 << 20;

/// So many bytes are given back to the system as soon as they are free, which allocators do with little of what is smaller.
const ROOM: usize = 40 << 20;

/// Memory for so many entries, and in a large table for as many as it may come to have without being copied: what is not
/// used is no memory but addresses. The system is asked to give it in large pages, of which a table of 10^5 entries takes a
/// few and not some thousand, each with a trap of its own.
pub fn room<T>(entries: usize) -> Vec<T> {
    let size = size_of::<T>().max(1);
    if entries < LARGE / size {
        return Vec::with_capacity(entries);
    }
    let mut table = Vec::with_capacity(entries.max(ROOM / size));
    in_large_pages(table.spare_capacity_mut());
    table
}

/// Has no effect but on speed, and none where the system has no large pages to give.
fn in_large_pages<T>(memory: &mut [T]) {
    let page = rustix::param::page_size();
    let start = memory.as_mut_ptr().cast::<u8>();
    let to_page = start.align_offset(page);
    let Some(length) = size_of_val(memory).checked_sub(to_page) else { return };
    #[expect(unsafe_code, reason = "madvise")]
    // SAFETY: the range lies within `memory`, which is ours alone, and the advice changes nothing of what is in it.
    let _ = unsafe { madvise(start.wrapping_add(to_page).cast(), length / page * page, Advice::LinuxHugepage) };
}

#[cfg(test)]
mod tests {
    use super::{ROOM, room};

    #[test]
    fn room_is_for_what_was_asked_for() {
        for entries in [0, 1, 1000, 200_000, ROOM] {
            let mut table: Vec<u64> = room(entries);
            let capacity = table.capacity();
            assert!(capacity >= entries, "{entries}");
            table.extend(0..entries as u64);
            assert_eq!(table.capacity(), capacity, "{entries}: not copied");
            assert!(table.iter().zip(0..).all(|(entry, at)| *entry == at), "{entries}");
        }
        assert!(room::<()>(7).is_empty());
    }
}
