//! The program's memory allocator.
//!
//! Page faults dominate the cost of large allocations: the kernel maps each page when it is first touched. glibc
//! returns every block above 128 KiB to the kernel, so that the next large block faults again, page by page. Here freed
//! small blocks stay in the process, and large blocks get huge pages, one of which replaces 512 pages of 4 KiB. glibc
//! itself cannot use huge pages for the start of a large block: it writes a chunk header before the block, so the block
//! never starts at a huge page.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::num::NonZero;
use std::ptr;

use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, munmap};

/// Minimum size of a large block, in bytes. Large blocks have their own mapping, which is unmapped when they are freed.
const LARGE: usize = 1 << 20;

/// Size of a huge page on most machines, in bytes. Linux uses huge pages only at multiples of their size.
const LARGE_PAGE: usize = 2 << 20;

/// Minimum size of a block that gets huge pages, in bytes.
const MOST_OF_A_PAGE: usize = LARGE_PAGE / 4 * 3;

/// Size of the smallest page, in bytes. Every mapping is aligned to it.
const SMALL_PAGE: usize = 4 << 10;

/// The program's allocator: maps large blocks itself, and takes all others from the system's allocator.
#[derive(Debug, Clone, Copy)]
pub struct Allocator;

/// Whether a block has its own mapping.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= SMALL_PAGE
}

/// The size of the mapping for a block of `size` bytes. The unused rest costs only address space.
fn mapped(size: usize) -> usize {
    // Cannot overflow: `Layout` limits the size to isize::MAX.
    size.div_ceil(LARGE_PAGE) * LARGE_PAGE
}

/// Maps zeroed memory of `size` bytes. Null if the kernel has none.
fn map(size: usize) -> *mut u8 {
    #[expect(unsafe_code, reason = "mmap")]
    // SAFETY: the kernel chooses the address, so that no other mapping is replaced.
    let Ok(pages) = (unsafe {
        mmap_anonymous(ptr::null_mut(), mapped(size), ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }) else {
        return ptr::null_mut();
    };
    ask_for_large_pages(pages, size);
    pages.cast()
}

/// Resizes a block and keeps its content. Null if the kernel has no memory; the old block is then still valid.
///
/// # Safety
/// `memory` must come from [`map`] or [`map_again`], with `old` bytes. On success it must not be used again.
#[expect(unsafe_code, reason = "mremap")]
unsafe fn map_again(memory: *mut u8, old: usize, size: usize) -> *mut u8 {
    // SAFETY: the caller guarantees that these are exactly the pages of one mapping.
    let moved = unsafe { mremap(memory.cast(), mapped(old), mapped(size), MremapFlags::MAYMOVE) };
    let Ok(pages) = moved else { return ptr::null_mut() };
    ask_for_large_pages(pages, size);
    pages.cast()
}

/// Advises the kernel to use huge pages. Affects only speed.
fn ask_for_large_pages(pages: *mut c_void, size: usize) {
    if size >= MOST_OF_A_PAGE {
        #[expect(unsafe_code, reason = "madvise")]
        // SAFETY: the advice does not change the content of the pages, which are mapped with this size.
        let _ = unsafe { madvise(pages, mapped(size), Advice::LinuxHugepage) };
    }
}

#[expect(unsafe_code, reason = "an allocator")]
// SAFETY: large blocks come from `map`, start at a page, and go to `munmap`; all others come from and go to the
// system's allocator. The layout alone decides between the two, and the caller passes the same layout when it frees the
// block.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller upholds the contract of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller upholds the contract of this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: a block of this layout comes from `map`, and the caller does not use it again.
            let _ = unsafe { munmap(memory.cast(), mapped(layout.size())) };
        } else {
            // SAFETY: a block of this layout comes from the system's allocator; the caller upholds the rest.
            unsafe { System.dealloc(memory, layout) }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that this layout is valid.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: a block of this layout comes from the system's allocator; the caller upholds the rest.
            (false, false) => unsafe { System.realloc(memory, layout, size) },
            // SAFETY: a block of this layout comes from `map`; the caller upholds the rest.
            (true, true) => unsafe { map_again(memory, layout.size(), size) },
            _ => {
                // SAFETY: the caller guarantees both layouts and the old block. The new block does not overlap the old
                // one, which is freed after the copy.
                unsafe {
                    let new = self.alloc(wanted);
                    if !new.is_null() {
                        ptr::copy_nonoverlapping(memory, new, size.min(layout.size()));
                        self.dealloc(memory, layout);
                    }
                    new
                }
            }
        }
    }
}

/// Returns the freed memory that glibc has kept to the kernel. Call it after the last phase that needs much memory.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "malloc_trim")]
        // SAFETY: `malloc_trim` has no precondition.
        let _ = unsafe { nix::libc::malloc_trim(0) };
    }
}

/// Makes glibc keep freed memory for all threads instead of returning it to the kernel. Call it before a phase that
/// needs much memory.
pub fn keep() {
    #[cfg(target_env = "gnu")]
    {
        use nix::libc::{M_ARENA_MAX, M_MMAP_THRESHOLD, M_TOP_PAD, M_TRIM_THRESHOLD, mallopt};
        /// Minimum size of a block for which glibc makes a mapping, in bytes. Few such blocks come from glibc.
        const OWN_PAGES: i32 = 2 << 20;
        /// Free memory at the end of the heap above which glibc returns some to the kernel, in bytes.
        const KEPT: i32 = 64 << 20;
        /// Memory that glibc requests from the kernel at a time, in bytes.
        const AT_ONCE: i32 = 1 << 20;
        // One arena for two threads: reuse of memory that another thread has freed saves more than waiting costs.
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let arenas = i32::try_from(threads.div_ceil(2)).unwrap_or(i32::MAX);
        let settings =
            [(M_ARENA_MAX, arenas), (M_MMAP_THRESHOLD, OWN_PAGES), (M_TRIM_THRESHOLD, KEPT), (M_TOP_PAD, AT_ONCE)];
        for (setting, value) in settings {
            #[expect(unsafe_code, reason = "mallopt")]
            // SAFETY: `mallopt` has no precondition.
            let _ = unsafe { mallopt(setting, value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout};

    use super::{Allocator, LARGE, LARGE_PAGE};

    fn mark(at: usize) -> u8 {
        u8::try_from(at % 251).unwrap_or(0)
    }

    /// Whether the first `bytes` bytes hold what `fill` wrote.
    #[expect(unsafe_code, reason = "reads what was allocated")]
    fn is_kept(memory: *const u8, bytes: usize) -> bool {
        // SAFETY: the callers have allocated and written this number of bytes.
        (0..bytes).step_by(511).all(|at| unsafe { memory.add(at).read() } == mark(at))
    }

    #[expect(unsafe_code, reason = "writes what was allocated")]
    fn fill(memory: *mut u8, bytes: usize) {
        // SAFETY: the callers have allocated this number of bytes.
        (0..bytes).step_by(511).for_each(|at| unsafe { memory.add(at).write(mark(at)) });
    }

    #[test]
    #[expect(unsafe_code, reason = "an allocator's own functions")]
    fn a_block_keeps_its_content_when_it_grows_and_shrinks() {
        let sizes = [1, 4096, LARGE - 1, LARGE, LARGE + 1, LARGE_PAGE, LARGE_PAGE + 1, 3 * LARGE_PAGE];
        for align in [1, 32, 4096, 8192] {
            for old in sizes {
                for new in sizes {
                    let layout = Layout::from_size_align(old, align).expect("small");
                    // SAFETY: the block has this layout until `realloc`, and the new size after it.
                    unsafe {
                        let memory = Allocator.alloc(layout);
                        assert!(!memory.is_null() && memory.addr().is_multiple_of(align), "{old} bytes at {align}");
                        fill(memory, old);
                        let memory = Allocator.realloc(memory, layout, new);
                        assert!(!memory.is_null() && memory.addr().is_multiple_of(align), "{old} to {new} at {align}");
                        assert!(is_kept(memory, old.min(new)), "{old} to {new} at {align}");
                        fill(memory, new);
                        Allocator.dealloc(memory, Layout::from_size_align(new, align).expect("small"));
                    }
                }
            }
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "an allocator's own functions")]
    fn zeroed_memory_is_zero_when_it_is_reused() {
        for size in [100, LARGE, LARGE_PAGE + 7] {
            let layout = Layout::from_size_align(size, 8).expect("small");
            for _ in 0..3 {
                // SAFETY: all accesses are inside a block of this layout.
                unsafe {
                    let memory = Allocator.alloc_zeroed(layout);
                    assert!((0..size).all(|at| memory.add(at).read() == 0), "{size} bytes");
                    fill(memory, size);
                    Allocator.dealloc(memory, layout);
                }
            }
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "an allocator's own functions")]
    fn an_impossible_size_gives_null() {
        let layout = Layout::from_size_align(isize::MAX as usize / 2, 8).expect("less than all");
        // SAFETY: the result is not used.
        assert!(unsafe { Allocator.alloc(layout) }.is_null());
    }
}
