//! Bytes of mapped files for the analysis: from the archive where it has them, else from the disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::analyse::Images;

/// No program is larger; a sparse file named in a recording must not fill the memory.
const LARGEST_IMAGE: u64 = 4 << 30;

/// Files as they are found on this machine, some of them kept elsewhere.
#[derive(Debug, Default)]
pub(super) struct DiskImages {
    kept: HashMap<String, PathBuf>,
    programs: Option<PathBuf>,
    vdso: Option<PathBuf>,
    loaded: HashMap<String, Result<Arc<[u8]>, String>>,
}

impl DiskImages {
    /// Nothing is kept: every file is read from where it was mapped.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The file that was mapped as `path` is kept in `copy`.
    pub(super) fn keep(&mut self, path: impl Into<String>, copy: impl Into<PathBuf>) {
        self.kept.insert(path.into(), copy.into());
    }

    /// Programs are kept under their own names in a directory, as far as it has them.
    pub(super) fn keep_programs(&mut self, dir: impl Into<PathBuf>) {
        self.programs = Some(dir.into());
    }

    /// The vdso is kept in a file.
    pub(super) fn keep_vdso(&mut self, copy: impl Into<PathBuf>) {
        self.vdso = Some(copy.into());
    }

    fn load(&self, path: &str) -> Result<Arc<[u8]>, String> {
        if path == "[vdso]" {
            return match &self.vdso {
                Some(copy) => read_bounded(copy),
                None => own_vdso().map(Arc::from).ok_or_else(|| "the vdso cannot be read".into()),
            };
        }
        if let Some(copy) = self.kept.get(path) {
            return read_bounded(copy);
        }
        if let (Some(dir), Some(name)) = (&self.programs, Path::new(path).file_name())
            && dir.join(name).is_file()
        {
            return read_bounded(&dir.join(name));
        }
        // `[heap]`, `//anon`, `/memfd:x (deleted)` and their like are no files.
        if !path.starts_with('/') || path.starts_with("//") || path.ends_with(" (deleted)") {
            return Err("the code is in no file".into());
        }
        read_bounded(Path::new(path))
    }
}

impl Images for DiskImages {
    fn image(&mut self, path: &str, _build_id: Option<&str>) -> Result<Arc<[u8]>, String> {
        if let Some(known) = self.loaded.get(path) {
            return known.clone();
        }
        let loaded = self.load(path);
        self.loaded.insert(path.to_owned(), loaded.clone());
        loaded
    }
}

/// Reads a regular file; devices and pipes that a recording names are not opened for reading.
fn read_bounded(path: &Path) -> Result<Arc<[u8]>, String> {
    let why = |error: std::io::Error| format!("the file cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(why)?;
    if !metadata.is_file() {
        return Err("the path is no regular file".into());
    }
    if metadata.len() > LARGEST_IMAGE {
        return Err("the file is too large for a program".into());
    }
    // No more than it has: the kernel's own files claim to be empty, and reading some of them waits for ever.
    let mut bytes = Vec::new();
    File::open(path).map_err(why)?.take(metadata.len()).read_to_end(&mut bytes).map_err(why)?;
    Ok(bytes.into())
}

/// The vdso of this very process, which is the kernel's for all.
static VDSO: LazyLock<Option<Vec<u8>>> = LazyLock::new(read_vdso);

/// Reads it now, for when that will be forbidden.
pub(super) fn remember_vdso() {
    LazyLock::force(&VDSO);
}

/// The kernel's vdso; `None` where it cannot be read.
pub(super) fn own_vdso() -> Option<&'static [u8]> {
    VDSO.as_deref()
}

fn read_vdso() -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let mut bytes = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
    let mut memory = File::open("/proc/self/mem").ok()?;
    memory.seek(SeekFrom::Start(start)).ok()?;
    memory.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vdso_is_an_elf_file() {
        assert!(own_vdso().expect("every process has a vdso").starts_with(b"\x7fELF"));
    }

    #[test]
    fn what_is_no_file_says_so() {
        let mut images = DiskImages::new();
        for path in ["//anon", "[heap]", "/memfd:jit (deleted)", "/dev/zero", "/", "/nonexistent"] {
            assert!(images.image(path, None).is_err(), "{path}");
        }
    }
}
