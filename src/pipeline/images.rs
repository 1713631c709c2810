//! Bytes of mapped files for the analysis: from the archive where it has them, else from the disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::analyse::{Image, ImageBytes, Images};
use crate::perfevent::{MappedFile, on_vanished_bytes};

/// Files as they are found on this machine, some of them kept elsewhere.
#[derive(Debug, Default)]
pub(super) struct DiskImages {
    kept: HashMap<String, PathBuf>,
    programs: Option<PathBuf>,
    vdso: Option<PathBuf>,
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
}

impl Image for MappedFile {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }

    fn forget(&self) {
        Self::forget(self, 0..self.as_ref().len());
    }
}

impl Images for DiskImages {
    fn image(&self, path: &str, _build_id: Option<&str>) -> Result<ImageBytes, String> {
        if path == "[vdso]" {
            return match &self.vdso {
                Some(copy) => open(copy),
                None => own_vdso()
                    .map(|vdso| Arc::new(vdso.to_vec()) as ImageBytes)
                    .ok_or_else(|| "the vdso cannot be read".into()),
            };
        }
        if let Some(copy) = self.kept.get(path) {
            return open(copy);
        }
        if let (Some(dir), Some(name)) = (&self.programs, Path::new(path).file_name())
            && dir.join(name).is_file()
        {
            return open(&dir.join(name));
        }
        // `[heap]`, `//anon`, `/memfd:x (deleted)` and their like are no files.
        if !path.starts_with('/') || path.starts_with("//") || path.ends_with(" (deleted)") {
            return Err("the code is in no file".into());
        }
        open(Path::new(path))
    }
}

/// Maps a regular file; devices and pipes that a recording names are not opened for reading.
fn open(path: &Path) -> Result<ImageBytes, String> {
    let why = |error: std::io::Error| format!("the file cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(why)?;
    if !metadata.is_file() {
        return Err("the path is no regular file".into());
    }
    // The kernel's own files claim to be empty, and reading some of them waits for ever; they cannot be mapped.
    let mapped = File::open(path).and_then(|file| MappedFile::map(&file)).map_err(why)?;
    Ok(Arc::new(mapped))
}

/// From now on, ends the program with a message and a status when a file is cut short while it is read. Without this the
/// kernel's signal would end it without a word.
pub fn on_vanished_files(message: &'static [u8], status: u8) {
    // What cannot be told then is no reason not to start.
    let _ = on_vanished_bytes(message, status);
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
        let images = DiskImages::new();
        for path in ["//anon", "[heap]", "/memfd:jit (deleted)", "/dev/zero", "/", "/nonexistent"] {
            assert!(images.image(path, None).is_err(), "{path}");
        }
    }
}
