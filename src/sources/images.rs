//! Bytes of the files that a recording mapped: from the archive if it has them, else from the disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::debug_files;
use crate::fsio::MappedFile;
use crate::perfevent;
use crate::process::open_with_own_rights;

/// The bytes of a file, read or mapped.
pub type ImageBytes = Arc<dyn Image>;

/// The content of a file that was mapped by a sampled process.
pub trait Image: Send + Sync {
    /// All bytes of the file.
    fn bytes(&self) -> &[u8];

    /// Releases the memory of the bytes that were read so far, which are rarely read again.
    fn release(&self) {}
}

/// Source of the bytes of mapped files. Each file is requested at most once, from any thread.
pub trait Images: Sync {
    /// The bytes of the file that was mapped as `path`. `build_id` (hexadecimal) is the file's build id, if the recording
    /// has it.
    fn image(&self, path: &str, build_id: Option<&str>) -> Result<ImageBytes, ImageAbsence>;

    /// Files that may hold the symbols of a stripped file. `link` is the name in its `.gnu_debuglink`. The files may be of
    /// other builds.
    fn debug_files(&self, _path: &str, _build_id: Option<&str>, _link: Option<&str>) -> Vec<ImageBytes> {
        Vec::new()
    }
}

/// Why the bytes of a mapped file are missing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ImageAbsence {
    /// The mapping has no file: `[heap]`, `//anon`, `/memfd:x (deleted)`.
    #[error("the code is in no file")]
    NoFile,
    /// The path leads to a device, a pipe or a directory. These are not read.
    #[error("the path is not a regular file")]
    NotRegular,
    /// This process has no readable vdso.
    #[error("the vdso cannot be read")]
    NoVdso,
    /// The file cannot be opened or mapped.
    #[error("the file cannot be read: {0}")]
    Unreadable(Arc<io::Error>),
}

impl Image for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Image for MappedFile {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }

    fn release(&self) {
        Self::release(self, 0..self.as_ref().len());
    }
}

/// Files on this machine. For some of them a stored copy is read instead.
#[derive(Debug, Default)]
pub struct DiskImages {
    copies: HashMap<String, PathBuf>,
    programs: Option<PathBuf>,
    vdso: Option<PathBuf>,
}

impl DiskImages {
    /// Creates the set without copies: each file is read from the path that it was mapped from.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `copy` for the file that was mapped as `path`.
    pub fn use_copy(&mut self, path: impl Into<String>, copy: impl Into<PathBuf>) {
        self.copies.insert(path.into(), copy.into());
    }

    /// Reads programs from `dir`, by their file names, if they are there.
    pub fn use_programs_in(&mut self, dir: impl Into<PathBuf>) {
        self.programs = Some(dir.into());
    }

    /// Reads `copy` for the vdso.
    pub fn use_vdso(&mut self, copy: impl Into<PathBuf>) {
        self.vdso = Some(copy.into());
    }
}

impl Images for DiskImages {
    fn image(&self, path: &str, _build_id: Option<&str>) -> Result<ImageBytes, ImageAbsence> {
        if path == "[vdso]" {
            return match &self.vdso {
                Some(copy) => open(copy),
                None => own_vdso().map(|vdso| Arc::new(vdso.to_vec()) as ImageBytes).ok_or(ImageAbsence::NoVdso),
            };
        }
        if let Some(copy) = self.copies.get(path) {
            return open(copy);
        }
        if let (Some(dir), Some(name)) = (&self.programs, Path::new(path).file_name())
            && dir.join(name).is_file()
        {
            return open(&dir.join(name));
        }
        // `[heap]`, `//anon`, `/memfd:x (deleted)` and similar names are not files.
        if !path.starts_with('/') || path.starts_with("//") || path.ends_with(" (deleted)") {
            return Err(ImageAbsence::NoFile);
        }
        open(Path::new(path))
    }

    fn debug_files(&self, path: &str, build_id: Option<&str>, link: Option<&str>) -> Vec<ImageBytes> {
        debug_files::candidates(path, build_id, link).iter().filter_map(|file| open(file).ok()).collect()
    }
}

/// Maps a regular file. Does not read devices and pipes that a recording names.
fn open(path: &Path) -> Result<ImageBytes, ImageAbsence> {
    let unreadable = |error| ImageAbsence::Unreadable(Arc::new(error));
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(ImageAbsence::NotRegular);
    }
    let file = File::open(path).or_else(|refused| open_with_own_rights(path).ok_or(refused)).map_err(unreadable)?;
    // Files of the kernel report a size of 0, and reading some of them blocks for ever. They cannot be mapped.
    Ok(Arc::new(MappedFile::map(&file, path).map_err(unreadable)?))
}

/// Returns the vdso of this machine; `None` if it cannot be read.
pub fn own_vdso() -> Option<&'static [u8]> {
    static VDSO: LazyLock<Option<Vec<u8>>> = LazyLock::new(perfevent::vdso);
    VDSO.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_without_a_regular_file_have_a_reason() {
        let absence = |path| match DiskImages::new().image(path, None) {
            Ok(_) => panic!("{path} was read"),
            Err(absence) => absence,
        };
        for path in ["//anon", "[heap]", "/memfd:jit (deleted)"] {
            assert!(matches!(absence(path), ImageAbsence::NoFile), "{path}");
        }
        for path in ["/dev/zero", "/"] {
            assert!(matches!(absence(path), ImageAbsence::NotRegular), "{path}");
        }
        assert!(matches!(absence("/nonexistent"), ImageAbsence::Unreadable(_)));
    }
}
