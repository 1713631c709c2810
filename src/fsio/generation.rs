//! Generation of an inode.

use std::ffi::{c_int, c_long};
use std::fs::File;

use rustix::ioctl::{Getter, ioctl, opcode};

/// `FS_IOC_GETVERSION` (linux/fs.h). The kernel writes an `int`, whatever the number says.
const GET_VERSION: rustix::ioctl::Opcode = opcode::read::<c_long>(b'v', 1);

/// The generation of a file's inode, which distinguishes files that used the same inode number at different times. `None` if
/// the file system has no generations, or does not tell them.
pub fn generation(file: &File) -> Option<u32> {
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: the request writes at most a `long`, and the output has the size of one. It changes nothing.
    let version = unsafe { ioctl(file, Getter::<GET_VERSION, [c_int; 2]>::new()) };
    version.ok().map(|[generation, _]| generation.cast_unsigned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_of_a_file_have_one_generation_and_the_kernels_files_have_none() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(generation(&File::open(&path).unwrap()), generation(&File::open(&path).unwrap()));
        assert_eq!(generation(&File::open("/proc/self/stat").unwrap()), None);
    }
}
