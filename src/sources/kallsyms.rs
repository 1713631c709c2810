//! The list of kernel symbols (`/proc/kallsyms`), and a cache for the symbols that reports need: the kernel needs about
//! 50 ms to write the list.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::fsio::{self, FileError, MappedFile};
use crate::process::acting_account;

/// File in which the kernel lists its symbols.
const KALLSYMS: &str = "/proc/kallsyms";

/// File with an id that changes at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Maximum number of bytes that are read from a list of kernel symbols. The rest is ignored. A kernel with all its modules
/// has about 10^5 symbols of about 50 bytes.
const MAX_LIST_BYTES: u64 = 1 << 28;

/// Opens the list of symbols of the running kernel.
pub fn open_kallsyms_of_this_kernel() -> Result<impl BufRead + use<>, FileError> {
    open_kallsyms(Path::new(KALLSYMS))
}

/// Opens a list of kernel symbols that was stored with a recording.
pub fn open_kallsyms(path: &Path) -> Result<impl BufRead + use<>, FileError> {
    Ok(BufReader::new(fsio::open(path)?.take(MAX_LIST_BYTES)))
}

/// Cache of kernel symbols, in the user's cache directory. Best effort: on any error the symbols are not cached.
#[derive(Debug)]
pub struct KallsymsCache {
    path: PathBuf,
    boot: String,
}

impl KallsymsCache {
    /// Opens the cache of the user who runs goflame, or of the user who called sudo. The cache is accessed with the
    /// file permissions of that user.
    pub fn open_for_this_user() -> Option<Self> {
        let var = |name| std::env::var_os(name).map(PathBuf::from);
        let home = || acting_account().map(|account| account.home.clone()).or_else(|| var("HOME"));
        let cache = var("XDG_CACHE_HOME").filter(|cache| cache.is_absolute());
        let cache = cache.or_else(|| Some(home()?.join(".cache"))).filter(|cache| cache.is_absolute())?;
        let boot = fs::read_to_string(BOOT_ID).ok()?.trim().to_owned();
        is_safe_to_use(&cache).then(|| Self::new(cache.join("goflame/kernel-symbols"), boot))
    }

    /// The cache in the file at `path`. `boot` is the id of the boot whose symbols are used.
    pub fn new(path: PathBuf, boot: impl Into<String>) -> Self {
        Self { path, boot: boot.into() }
    }

    /// Id of the boot that the cached symbols must belong to.
    pub fn boot_id(&self) -> &str {
        &self.boot
    }

    /// Maps the cached bytes. `None` if there is no cache file. The bytes can be of another boot, or damaged.
    pub fn map_cached(&self) -> Option<MappedFile> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = rustix::fs::open(&self.path, flags, rustix::fs::Mode::empty()).ok()?.into();
        let about = file.metadata().ok()?;
        if !about.is_file() || about.uid() != file_user_id() {
            return None;
        }
        MappedFile::map(&file, &self.path).ok()
    }

    /// Replaces the cached bytes. Does nothing if the directory belongs to another user, or on any error.
    pub fn write(&self, symbols: &[u8]) {
        let write = || {
            let dir = self.path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(dir)?;
            // Never stores files in a directory of another user.
            if fs::metadata(dir)?.uid() != file_user_id() {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(symbols)?;
            file.persist(&self.path)?;
            Ok(())
        };
        let _: io::Result<()> = write();
    }

    /// Removes the cache file.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the id of the user whose file permissions this process has.
fn file_user_id() -> u32 {
    acting_account().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid)
}

/// Whether a cache directory is safe to use. Root can run in another user's environment without sudo (`su -m`). Then root
/// must not create files in that user's home and must not follow links of that user.
fn is_safe_to_use(cache: &Path) -> bool {
    let is_roots = |path: &Path| match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.uid() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    file_user_id() != 0 || cache.ancestors().all(is_roots)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::KallsymsCache;

    #[test]
    fn only_a_regular_file_is_read_and_anything_else_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = KallsymsCache::new(dir.path().join("cache/kernel-symbols"), "boot");
        let read = || cache.map_cached().map(|bytes| bytes.as_ref().to_vec());
        assert_eq!(read(), None);
        cache.write(b"one");
        assert_eq!(read(), Some(b"one".to_vec()));
        cache.remove();
        fs::create_dir(&cache.path).expect("a directory");
        cache.write(b"two");
        assert_eq!(read(), None);
        fs::remove_dir(&cache.path).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &cache.path).expect("a link");
        assert_eq!(read(), None);
        cache.write(b"three");
        assert_eq!(read(), Some(b"three".to_vec()), "the link is replaced");
    }
}
