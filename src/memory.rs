//! Where the program's memory comes from. What is put there is not known here.
//!
//! Most of the time that memory takes goes into traps: the system gives each page when it is first touched. glibc gives back
//! what is larger than 128 KiB, and then asks for it again, page by page. Here what is small is kept for the next one who
//! wants it, and what is large comes in large pages, of which a few do for some thousand others. No such page could hold the
//! beginning of what glibc gives, for it writes a note before that as soon as it has it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::num::NonZero;
use std::ptr;

use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, munmap};

/// What is at least as large has pages of its own, which are given back to the system as soon as they are free.
const LARGE: usize = 1 << 20;

/// A large page, on most machines. Linux puts whole ones where one begins.
const LARGE_PAGE: usize = 2 << 20;

/// Less than so much is not worth a large page.
const MOST_OF_A_PAGE: usize = LARGE_PAGE / 4 * 3;

/// No page is smaller: what may begin at a multiple of this may begin with any page.
const SMALL_PAGE: usize = 4 << 10;

/// The program's allocator: the system's own, but for what is large.
#[derive(Debug, Clone, Copy)]
pub struct Allocator;

/// Whether memory of this size has pages of its own.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= SMALL_PAGE
}

/// The address space that is taken for so many bytes. What is not used of it is no memory.
fn mapped(size: usize) -> usize {
    // No allocation has so many bytes that this is more than there are numbers for.
    size.div_ceil(LARGE_PAGE) * LARGE_PAGE
}

/// Pages for so many bytes, all of them nought; null where the system has none.
fn map(size: usize) -> *mut u8 {
    #[expect(unsafe_code, reason = "mmap")]
    // SAFETY: the system chooses where, so nothing else is there.
    let Ok(pages) = (unsafe {
        mmap_anonymous(ptr::null_mut(), mapped(size), ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }) else {
        return ptr::null_mut();
    };
    ask_for_large_pages(pages, size);
    pages.cast()
}

/// As [`map`], with what is in other pages.
///
/// # Safety
/// These must come from `map`, for `old` bytes. Unless the system has no new ones, they are no more from then on.
#[expect(unsafe_code, reason = "mremap")]
unsafe fn map_again(memory: *mut u8, old: usize, size: usize) -> *mut u8 {
    // SAFETY: as the caller promises, these are all pages of one mapping.
    let moved = unsafe { mremap(memory.cast(), mapped(old), mapped(size), MremapFlags::MAYMOVE) };
    let Ok(pages) = moved else { return ptr::null_mut() };
    ask_for_large_pages(pages, size);
    pages.cast()
}

/// Has no effect but on speed, and none where the system has no large pages to give.
fn ask_for_large_pages(pages: *mut c_void, size: usize) {
    if size >= MOST_OF_A_PAGE {
        #[expect(unsafe_code, reason = "madvise")]
        // SAFETY: the advice changes nothing of what is in these pages, which were mapped for so many bytes.
        let _ = unsafe { madvise(pages, mapped(size), Advice::LinuxHugepage) };
    }
}

#[expect(unsafe_code, reason = "an allocator")]
// SAFETY: what is large comes from `map`, at the beginning of a page, and goes back to `munmap`; everything else comes from
// and goes back to the system's allocator. Which of the two it is follows from the layout alone, that the caller says again
// when giving memory back.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: of this layout, it comes from `map`, and the caller has no use for it any more.
            let _ = unsafe { munmap(memory.cast(), mapped(layout.size())) };
        } else {
            // SAFETY: as the caller promises, and of this layout it comes from there.
            unsafe { System.dealloc(memory, layout) }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that there is such a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: as the caller promises, and of this layout it comes from there.
            (false, false) => unsafe { System.realloc(memory, layout, size) },
            // SAFETY: as the caller promises, and of this layout it comes from `map`.
            (true, true) => unsafe { map_again(memory, layout.size(), size) },
            _ => {
                // SAFETY: as the caller promises of what is wanted and what is there; the new memory is apart from the old,
                // which is given back only once it is copied.
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

/// Gives back what glibc keeps. To be called where much was needed for the last time.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "malloc_trim")]
        // SAFETY: what is free may be given back at any time.
        let _ = unsafe { nix::libc::malloc_trim(0) };
    }
}

/// Has glibc keep what is given back, for all threads, instead of asking the system for it again.
/// To be called where much will be needed.
pub fn keep() {
    #[cfg(target_env = "gnu")]
    {
        use nix::libc::{M_ARENA_MAX, M_MMAP_THRESHOLD, M_TOP_PAD, M_TRIM_THRESHOLD, mallopt};
        /// What is larger does not come from glibc.
        const OWN_PAGES: i32 = 2 << 20;
        /// With so much free it gives some of it back after all.
        const KEPT: i32 = 64 << 20;
        /// Asked for at once.
        const AT_ONCE: i32 = 1 << 20;
        // Two threads do not wait for one another as often as memory is found that another one has given back.
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let arenas = i32::try_from(threads.div_ceil(2)).unwrap_or(i32::MAX);
        let settings =
            [(M_ARENA_MAX, arenas), (M_MMAP_THRESHOLD, OWN_PAGES), (M_TRIM_THRESHOLD, KEPT), (M_TOP_PAD, AT_ONCE)];
        for (setting, value) in settings {
            #[expect(unsafe_code, reason = "mallopt")]
            // SAFETY: a setting of the allocator, which may be changed at any time.
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

    /// Whether so many bytes from here on are what was written there.
    #[expect(unsafe_code, reason = "reads what was allocated")]
    fn is_kept(memory: *const u8, bytes: usize) -> bool {
        // SAFETY: the callers have allocated and written as many.
        (0..bytes).step_by(511).all(|at| unsafe { memory.add(at).read() } == mark(at))
    }

    #[expect(unsafe_code, reason = "writes what was allocated")]
    fn fill(memory: *mut u8, bytes: usize) {
        // SAFETY: the callers have allocated as many.
        (0..bytes).step_by(511).for_each(|at| unsafe { memory.add(at).write(mark(at)) });
    }

    #[test]
    #[expect(unsafe_code, reason = "an allocator's own functions")]
    fn what_is_written_stays_while_memory_grows_and_shrinks() {
        let sizes = [1, 4096, LARGE - 1, LARGE, LARGE + 1, LARGE_PAGE, LARGE_PAGE + 1, 3 * LARGE_PAGE];
        for align in [1, 32, 4096, 8192] {
            for old in sizes {
                for new in sizes {
                    let layout = Layout::from_size_align(old, align).expect("small");
                    // SAFETY: of this size and alignment until `realloc`, and of the new size after it.
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
    fn zeroed_memory_is_that_after_it_was_used() {
        for size in [100, LARGE, LARGE_PAGE + 7] {
            let layout = Layout::from_size_align(size, 8).expect("small");
            for _ in 0..3 {
                // SAFETY: of this layout from beginning to end.
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
    fn what_the_system_does_not_have_is_null() {
        let layout = Layout::from_size_align(isize::MAX as usize / 2, 8).expect("less than all");
        // SAFETY: nothing is done with what it gives.
        assert!(unsafe { Allocator.alloc(layout) }.is_null());
    }
}
