//! A file's bytes, mapped instead of read: what is not looked at takes no memory, and what was can be given back.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::cut_short::Region;

/// Pages of this size are there on every machine; larger ones are multiples of it.
const PAGE: usize = 4096;

/// A regular file, mapped for reading.
///
/// Whoever changes the file meanwhile changes the bytes: readers must be ready for bytes that contradict each other, as
/// those of this crate are for bytes that are wrong from the start. A file that is cut short meanwhile ends the program,
/// see [`on_cut_short`](super::on_cut_short).
#[derive(Debug)]
pub struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    start: Option<NonNull<c_void>>,
    length: usize,
    region: Option<&'static Region>,
}

// SAFETY: nothing is written through the pointer, and the mapping belongs to the value, so that it can be read from any
// thread for as long as there is one.
#[expect(unsafe_code, reason = "a pointer says nothing about threads")]
unsafe impl Send for MappedFile {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a pointer says nothing about threads")]
unsafe impl Sync for MappedFile {}

impl MappedFile {
    /// Maps a whole file, as long as it is now. `path` names it in messages.
    pub fn map(file: &File, path: &Path) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if length == 0 {
            return Ok(Self { start: None, length, region: None });
        }
        #[expect(unsafe_code, reason = "mmap")]
        // SAFETY: no address is asked for, so that no other mapping is replaced; the pages are readable and private.
        let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
        let start = NonNull::new(start);
        Ok(Self { start, length, region: start.map(|start| Region::add(start, length, path)) })
    }

    /// Gives back the memory of some bytes that will hardly be read again. If they are, they come from the file anew.
    pub fn forget(&self, range: Range<usize>) {
        // Whole pages inside of the range.
        let (first, end) = (range.start.next_multiple_of(PAGE), range.end.min(self.length) / PAGE * PAGE);
        let Some(start) = self.start.filter(|_| first < end) else { return };
        #[expect(unsafe_code, reason = "madvise")]
        // SAFETY: the pages are a part of this private mapping that nobody writes to, so that forgetting them changes
        // nothing that can be read. That it fails where pages are larger does no harm.
        let _ = unsafe { madvise(start.as_ptr().byte_add(first), end - first, Advice::LinuxDontNeed) };
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        let Some(start) = self.start else { return &[] };
        #[expect(unsafe_code, reason = "the bytes of a mapping")]
        // SAFETY: `length` bytes from `start` are mapped and readable until `self` is dropped, which the borrow forbids.
        unsafe {
            std::slice::from_raw_parts(start.as_ptr().cast::<u8>(), self.length)
        }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        if let Some(region) = self.region {
            region.remove();
        }
        if let Some(start) = self.start {
            #[expect(unsafe_code, reason = "munmap")]
            // SAFETY: this mapping was made by `map`, and no borrow of it is left.
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
    fn bytes_come_back_after_they_were_forgotten() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..PAGE * 5 + 17).map(|at| u8::try_from(at % 251).unwrap()).collect();
        file.write_all(&bytes).unwrap();
        let mapped = MappedFile::map(&file, Path::new("file")).unwrap();
        for range in [0..0, 0..bytes.len(), 5..PAGE * 3, PAGE..usize::MAX] {
            assert_eq!(mapped.as_ref(), bytes);
            mapped.forget(range);
        }
        assert_eq!(mapped.as_ref(), bytes);
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let mapped = MappedFile::map(&tempfile::tempfile().unwrap(), Path::new("empty")).unwrap();
        mapped.forget(0..10);
        assert_eq!(mapped.as_ref(), b"");
    }
}
