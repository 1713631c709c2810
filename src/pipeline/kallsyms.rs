//! The symbols of the kernel that runs: read from it, which takes it some 50 ms to write, and what a report needs of them
//! kept until it boots again.
//!
//! Only the kernel's own code is kept, which stays where it is. Modules and BPF programs come and go: a recording with
//! samples in them has the kernel asked again, and while that is so nothing is kept.

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

/// Where the kernel writes them.
const KALLSYMS: &str = "/proc/kallsyms";

/// Another one with every boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A kernel with all its modules has some 10^5 symbols of some 50 bytes. What lies behind this is not read.
const LARGEST: u64 = 1 << 28;

/// Kernel symbols, or why there are none.
pub(super) struct Kernel {
    symbols: Result<KernelSymbols, String>,
    /// Where the running kernel's are kept.
    keep: Option<Keep>,
    /// Whether these are from there: mapped, so that only what is looked at takes time and memory.
    kept: bool,
}

impl Kernel {
    /// Of symbols that are to be used as they are.
    pub(super) fn known(symbols: Result<KernelSymbols, String>) -> Self {
        Self { symbols, keep: None, kept: false }
    }

    /// Those of the kernel that runs.
    pub(super) fn running() -> Self {
        let keep = Keep::of_this_user();
        match keep.as_ref().and_then(Keep::read) {
            Some(symbols) => Self { symbols: Ok(symbols), keep, kept: true },
            None => Self { symbols: of_running(), keep, kept: false },
        }
    }

    /// The symbols that are needed to name these addresses.
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

/// Reads those of the kernel that runs; an error says why there are none.
pub(super) fn of_running() -> Result<KernelSymbols, String> {
    of_file(Path::new(KALLSYMS))
}

/// Reads those that were kept with a recording; an error says why there are none.
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
    /// The cache of the user who runs goflame, or who called sudo; it is used with that user's rights over files.
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
            // Another user's directory is no place for this user's files.
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

/// The user whose rights over files this process has.
fn user() -> u32 {
    acting_for().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid)
}

/// Whether a cache directory may be used. Root can be in another user's environment without sudo (`su -m`): it must make
/// nothing in that user's home, and follow no link of theirs.
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
        // The kernel that runs here is asked then.
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
