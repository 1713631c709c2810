//! Generation of an inode.

use std::ffi::{c_int, c_long};
use std::fs::File;

use rustix::ioctl::{Getter, ioctl, opcode};

/// `FS_IOC_GETVERSION` (linux/fs.h). The kernel writes an `int`, although the request number says `long`.
const GET_VERSION: rustix::ioctl::Opcode = opcode::read::<c_long>(b'v', 1);

/// The generation of a file's inode. The generation differs between files that used the same inode number at different
/// times. `None` if the file system does not report generations.
pub fn generation(file: &File) -> Option<u32> {
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: the request writes at most a `long`, and the output buffer has the size of a `long`.
    let version = unsafe { ioctl(file, Getter::<GET_VERSION, [c_int; 2]>::new()) };
    version.ok().map(|[generation, _]| generation.cast_unsigned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_of_a_file_have_the_same_generation_and_proc_files_have_none() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(generation(&File::open(&path).unwrap()), generation(&File::open(&path).unwrap()));
        assert_eq!(generation(&File::open("/proc/self/stat").unwrap()), None);
    }
}
