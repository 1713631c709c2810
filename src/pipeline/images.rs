//! Bytes of mapped files for the analysis: from the archive if it has them, else from the disk.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::analyse::{Image, ImageBytes, Images};
use crate::perfevent::{self, MappedFile};
use crate::process::open_with_own_rights;

/// Files on this machine. For some of them a stored copy is read instead.
#[derive(Debug, Default)]
pub(super) struct DiskImages {
    kept: HashMap<String, PathBuf>,
    programs: Option<PathBuf>,
    vdso: Option<PathBuf>,
}

impl DiskImages {
    /// Creates the set without copies: each file is read from the path that it was mapped from.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Reads `copy` for the file that was mapped as `path`.
    pub(super) fn keep(&mut self, path: impl Into<String>, copy: impl Into<PathBuf>) {
        self.kept.insert(path.into(), copy.into());
    }

    /// Reads programs from `dir`, by their file names, if they are there.
    pub(super) fn keep_programs(&mut self, dir: impl Into<PathBuf>) {
        self.programs = Some(dir.into());
    }

    /// Reads `copy` for the vdso.
    pub(super) fn keep_vdso(&mut self, copy: impl Into<PathBuf>) {
        self.vdso = Some(copy.into());
    }
}

impl Image for MappedFile {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }

    fn release(&self) {
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
        // `[heap]`, `//anon`, `/memfd:x (deleted)` and similar names are not files.
        if !path.starts_with('/') || path.starts_with("//") || path.ends_with(" (deleted)") {
            return Err("the code is in no file".into());
        }
        open(Path::new(path))
    }
}

/// Maps a regular file. Does not read devices and pipes that a recording names.
fn open(path: &Path) -> Result<ImageBytes, String> {
    let why = |error: std::io::Error| format!("the file cannot be read: {error}");
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err("the path is no regular file".into());
    }
    let file = File::open(path).or_else(|refused| open_with_own_rights(path).ok_or(refused)).map_err(why)?;
    // Files of the kernel report a size of 0, and reading some of them blocks for ever. They cannot be mapped.
    Ok(Arc::new(MappedFile::map(&file, path).map_err(why)?))
}

/// Returns the vdso of this machine; `None` if it cannot be read.
pub(super) fn own_vdso() -> Option<&'static [u8]> {
    static VDSO: LazyLock<Option<Vec<u8>>> = LazyLock::new(perfevent::vdso);
    VDSO.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_says_so() {
        let images = DiskImages::new();
        for path in ["//anon", "[heap]", "/memfd:jit (deleted)", "/dev/zero", "/", "/nonexistent"] {
            assert!(images.image(path, None).is_err(), "{path}");
        }
    }
}
