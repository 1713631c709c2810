//! Maps files into memory. Only the pages that are read use memory, and their memory can be released again.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::cut_short::Region;

/// Smallest page size of any machine. Larger page sizes are multiples of it.
const PAGE_BYTES: usize = 4096;

/// A regular file, mapped for reading.
///
/// A change of the file changes the bytes: readers must handle bytes that contradict each other, as the readers of this
/// crate handle hostile bytes. If the file is cut short, the next read of the missing bytes ends the program, see
/// [`exit_on_cut_short_file`](super::exit_on_cut_short_file).
#[derive(Debug)]
pub struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    start: Option<NonNull<c_void>>,
    length: usize,
    region: Option<&'static Region>,
}

// SAFETY: nothing is written through the pointer, and the mapping exists as long as the value, so any thread can read it.
#[expect(unsafe_code, reason = "raw pointers are not `Send`")]
unsafe impl Send for MappedFile {}
// SAFETY: nothing is written through the pointer, so threads can share it.
#[expect(unsafe_code, reason = "raw pointers are not `Sync`")]
unsafe impl Sync for MappedFile {}

impl MappedFile {
    /// Opens and maps a whole file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::map(&File::open(path)?, path)
    }

    /// Maps a whole file with its current length. `path` names the file in messages.
    pub fn map(file: &File, path: &Path) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if length == 0 {
            return Ok(Self { start: None, length, region: None });
        }
        #[expect(unsafe_code, reason = "mmap")]
        // SAFETY: the kernel chooses the address, so no other mapping is replaced. The pages are readable and private.
        let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
        let start = NonNull::new(start);
        Ok(Self { start, length, region: start.map(|start| Region::add(start, length, path)) })
    }

    /// Releases the memory of these bytes. A later read loads the bytes from the file again.
    pub fn release(&self, range: Range<usize>) {
        // Only whole pages inside the range are released.
        let (first, end) =
            (range.start.next_multiple_of(PAGE_BYTES), range.end.min(self.length) / PAGE_BYTES * PAGE_BYTES);
        let Some(start) = self.start.filter(|_| first < end) else { return };
        #[expect(unsafe_code, reason = "madvise")]
        // SAFETY: this private mapping is never written to, so a released page is read from the file again, unchanged.
        // On machines with larger pages the call can fail. Then no page is released.
        let _ = unsafe { madvise(start.as_ptr().byte_add(first), end - first, Advice::LinuxDontNeed) };
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        let Some(start) = self.start else { return &[] };
        #[expect(unsafe_code, reason = "the bytes of a mapping")]
        // SAFETY: `length` bytes from `start` are mapped and readable until `self` is dropped, and `self` is borrowed.
        unsafe {
            std::slice::from_raw_parts(start.as_ptr().cast::<u8>(), self.length)
        }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        if let Some(region) = self.region {
            region.mark_unmapped();
        }
        if let Some(start) = self.start {
            #[expect(unsafe_code, reason = "munmap")]
            // SAFETY: `map` made this mapping, and nothing borrows it any more.
            let _ = unsafe { munmap(start.as_ptr(), self.length) };
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn released_bytes_are_read_again() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..PAGE_BYTES * 5 + 17).map(|at| u8::try_from(at % 251).unwrap()).collect();
        file.write_all(&bytes).unwrap();
        let mapped = MappedFile::map(&file, Path::new("file")).unwrap();
        for range in [0..0, 0..bytes.len(), 5..PAGE_BYTES * 3, PAGE_BYTES..usize::MAX] {
            assert_eq!(mapped.as_ref(), bytes);
            mapped.release(range);
        }
        assert_eq!(mapped.as_ref(), bytes);
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let mapped = MappedFile::map(&tempfile::tempfile().unwrap(), Path::new("empty")).unwrap();
        mapped.release(0..10);
        assert_eq!(mapped.as_ref(), b"");
    }
}
