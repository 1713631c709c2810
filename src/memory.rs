//! Room in memory for large tables, and what becomes of it. What goes into them is not known here.

use rustix::mm::{Advice, madvise};

/// Less than so many bytes are no large table.
const LARGE: usize = 1 << 20;

/// From so many bytes on, large pages spare more time than is lost by those that are not filled: the last one, and as an
/// allocator's own note stands before what it gives, most of one more.
const HUGE: usize = 4 << 20;

/// So many bytes are given back to the system as soon as they are free, which allocators do with little of what is smaller.
const ROOM: usize = 40 << 20;

/// Memory for so many entries, and in a large table for as many as it may come to have without being copied: what is not
/// used is no memory but addresses. The system is asked to give a very large one in large pages, of which it takes a few and
/// not some thousand, each with a trap of its own.
pub fn room<T>(entries: usize) -> Vec<T> {
    let size = size_of::<T>().max(1);
    if entries < LARGE / size {
        return Vec::with_capacity(entries);
    }
    let mut table = Vec::with_capacity(entries.max(ROOM / size));
    if entries >= HUGE / size {
        in_large_pages(table.spare_capacity_mut());
    }
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

/// From now on glibc gives what is larger than this back to the system as soon as it is free. By itself it would keep ever
/// larger pieces, having seen as large ones freed, and a report would take a tenth more memory.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    {
        use nix::libc::{M_MMAP_THRESHOLD, mallopt};
        /// The size that glibc starts with.
        const KEPT: i32 = 128 << 10;
        #[expect(unsafe_code, reason = "mallopt")]
        // SAFETY: a setting of the allocator, which may be changed at any time.
        let _ = unsafe { mallopt(M_MMAP_THRESHOLD, KEPT) };
    }
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
