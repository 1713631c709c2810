//! Symbols of the running kernel. Reading them takes about 50 ms, because the kernel has to write them. The part that a
//! report needs is cached until the next boot.
//!
//! Only symbols of the kernel itself are cached: their addresses do not change. Modules and BPF programs come and go:
//! if a recording has samples in them, the kernel is read again. Nothing is cached for such a recording.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::analyse::KernelSymbols;
use crate::fsio;
use crate::perfevent::MappedFile;
use crate::process::acting_for;

/// File in which the kernel lists its symbols.
const KALLSYMS: &str = "/proc/kallsyms";

/// File with an id that changes at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Maximum number of bytes to read. A kernel with all its modules has about 10^5 symbols of about 50 bytes. Bytes after
/// the maximum are ignored.
const LARGEST: u64 = 1 << 28;

/// Kernel symbols, or the reason why there are none.
pub(super) struct Kernel {
    symbols: Result<KernelSymbols, String>,
    /// Cache for the symbols of the running kernel; `None` if nothing is cached.
    keep: Option<Keep>,
    /// Whether the symbols come from the cache. The cache file is mapped, so only the parts that are used cost time and
    /// memory.
    kept: bool,
}

impl Kernel {
    /// Uses the given symbols without a cache.
    pub(super) fn known(symbols: Result<KernelSymbols, String>) -> Self {
        Self { symbols, keep: None, kept: false }
    }

    /// Returns the symbols of the running kernel, from the cache if possible.
    pub(super) fn running() -> Self {
        let keep = Keep::of_this_user();
        match keep.as_ref().and_then(Keep::read) {
            Some(symbols) => Self { symbols: Ok(symbols), keep, kept: true },
            None => Self { symbols: of_running(), keep, kept: false },
        }
    }

    /// Returns symbols that cover these addresses. Reads the kernel again if the cache does not cover them, and updates
    /// the cache.
    pub(super) fn naming(self, addresses: &[u64]) -> Result<KernelSymbols, String> {
        let symbols = self.symbols?;
        let Some(keep) = self.keep else { return Ok(symbols) };
        let own = symbols.text().is_some_and(|text| addresses.iter().all(|address| text.contains(address)));
        match (self.kept, own) {
            (true, false) => {
                keep.forget();
                of_running()
            }
            (false, true) => {
                keep.write(&symbols);
                Ok(symbols)
            }
            _ => Ok(symbols),
        }
    }
}

/// Reads the symbols of the running kernel. An error is the reason why there are none.
pub(super) fn of_running() -> Result<KernelSymbols, String> {
    of_file(Path::new(KALLSYMS))
}

/// Reads the symbols that were stored with a recording. An error is the reason why there are none.
pub(super) fn of_file(path: &Path) -> Result<KernelSymbols, String> {
    let file = fsio::open(path).map_err(|error| error.to_string())?;
    KernelSymbols::read(BufReader::new(file.take(LARGEST))).map_err(|error| error.to_string())
}

/// Cache of kernel symbols in the user's cache directory. Best effort: on any error the kernel is read instead.
struct Keep {
    path: PathBuf,
    boot: String,
}

impl Keep {
    /// Opens the cache of the user who runs goflame, or of the user who called sudo. The cache is accessed with the
    /// file permissions of that user.
    fn of_this_user() -> Option<Self> {
        let var = |name| std::env::var_os(name).map(PathBuf::from);
        let home = || acting_for().map(|account| account.home.clone()).or_else(|| var("HOME"));
        let cache = var("XDG_CACHE_HOME").filter(|cache| cache.is_absolute());
        let cache = cache.or_else(|| Some(home()?.join(".cache"))).filter(|cache| cache.is_absolute())?;
        let boot = fs::read_to_string(BOOT_ID).ok()?.trim().to_owned();
        may_use(&cache).then(|| Self { path: cache.join("goflame/kernel-symbols"), boot })
    }

    fn read(&self) -> Option<KernelSymbols> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = rustix::fs::open(&self.path, flags, rustix::fs::Mode::empty()).ok()?.into();
        let about = file.metadata().ok()?;
        if !about.is_file() || about.uid() != user() {
            return None;
        }
        KernelSymbols::unpack(&self.boot, Arc::new(MappedFile::map(&file, &self.path).ok()?))
    }

    fn write(&self, symbols: &KernelSymbols) {
        let write = || {
            let dir = self.path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(dir)?;
            // Never stores files in a directory of another user.
            if fs::metadata(dir)?.uid() != user() {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(&symbols.pack(&self.boot))?;
            file.persist(&self.path)?;
            Ok(())
        };
        let _: io::Result<()> = write();
    }

    fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the id of the user whose file permissions this process has.
fn user() -> u32 {
    acting_for().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid)
}

/// Whether a cache directory may be used. Root can run in another user's environment without sudo (`su -m`). It must
/// then create nothing in that user's home and follow no link of that user.
fn may_use(cache: &Path) -> bool {
    let is_roots = |path: &Path| match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.uid() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    user() != 0 || cache.ancestors().all(is_roots)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Keep, Kernel, KernelSymbols};

    const TEXT: &[u8] = b"ffffffff81000000 T _text\nffffffff81000100 t do_one\nffffffff81000200 T _etext\n\
        ffffffffa0000000 t ext4_read\t[ext4]\n";
    const OWN: u64 = 0xffff_ffff_8100_0150;
    const MODULE: u64 = 0xffff_ffff_a000_0010;

    #[test]
    fn the_kernels_own_are_kept_until_others_are_needed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cache/goflame/kernel-symbols");
        let keep = |boot: &str| Some(Keep { path: path.clone(), boot: boot.to_owned() });
        let read = || Kernel {
            symbols: KernelSymbols::read(TEXT).map_err(|error| error.to_string()),
            keep: keep("boot"),
            kept: false,
        };
        let symbols = read().naming(&[MODULE]).expect("symbols");
        assert_eq!(symbols.name(MODULE), Some(("ext4_read", Some("ext4"))));
        assert!(!path.exists());
        read().naming(&[OWN]).expect("symbols");
        let kept = keep("boot").and_then(|keep| keep.read()).expect("kept");
        assert_eq!((kept.name(OWN), kept.name(MODULE)), (Some(("do_one", None)), None));
        assert!(keep("another").is_some_and(|keep| keep.read().is_none()));
        let again = Kernel { symbols: Ok(kept.clone()), keep: keep("boot"), kept: true };
        assert!(again.naming(&[OWN]).is_ok_and(|symbols| symbols.name(OWN) == Some(("do_one", None))));
        assert!(path.exists());
        // Reads the symbols of the running kernel in this case.
        let _ = Kernel { symbols: Ok(kept), keep: keep("boot"), kept: true }.naming(&[OWN, MODULE]);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_file_of_symbols_is_passed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let keep = Keep { path: dir.path().join("kernel-symbols"), boot: "boot".to_owned() };
        let symbols = KernelSymbols::read(TEXT).expect("symbols");
        assert!(keep.read().is_none());
        fs::create_dir(&keep.path).expect("a directory");
        keep.write(&symbols);
        assert!(keep.read().is_none());
        fs::remove_dir(&keep.path).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &keep.path).expect("a link");
        assert!(keep.read().is_none());
        keep.write(&symbols);
        assert!(keep.read().is_some(), "the link is replaced");
    }
}
