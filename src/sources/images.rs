//! Bytes of the files that a recording mapped: from the archive if it has the file, else from the disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use super::debug_files;
use super::mapped_id::{DELETED, FileChange, MappedId, RecordingOrigin};
use crate::fsio::MappedFile;
use crate::perfdata::Features;
use crate::perfevent;
use crate::process::open_with_own_rights;

/// The bytes of a file, read or mapped.
pub type ImageBytes = Arc<dyn Image>;

/// The content of a file that was mapped by a sampled process.
pub trait Image: Send + Sync {
    /// All bytes of the file.
    fn bytes(&self) -> &[u8];

    /// Releases the memory of the bytes that were read. A later read loads the bytes again.
    fn release(&self) {}
}

/// Source of the bytes of mapped files. Each file is requested at most once, from any thread.
pub trait Images: Sync {
    /// The bytes of a mapped file. If `file` has a build id, the caller must compare it: the bytes can be of another build.
    fn image(&self, file: &MappedId) -> Result<ImageBytes, ImageAbsence>;

    /// Debug files that can have the symbols of a stripped file, also files of other builds. `build_id` is the build id of
    /// the stripped file. `link` is the name in its `.gnu_debuglink`.
    fn debug_files(&self, _file: &MappedId, _build_id: Option<&str>, _link: Option<&str>) -> Vec<ImageBytes> {
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
    /// The file at the path is not the file that was mapped.
    #[error(transparent)]
    Changed(#[from] FileChange),
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

/// The mapped files on this machine, and stored copies that are read in place of some files.
#[derive(Debug, Default)]
pub struct DiskImages {
    /// Copies by the path of the mapped file.
    copies: HashMap<String, PathBuf>,
    kept: Vec<KeptFile>,
    origin: RecordingOrigin,
    program_dir: Option<PathBuf>,
    vdso_copy: Option<PathBuf>,
}

/// A mapped file that was opened while the process was running. It can be read even after it was deleted.
#[derive(Debug)]
pub struct HeldFile {
    /// Identity of the file in the recording.
    pub id: MappedId,
    /// The file, open for reading.
    pub file: File,
}

/// A mapped file whose content at the time of the recording was kept.
#[derive(Debug)]
struct KeptFile {
    id: MappedId,
    content: KeptContent,
    /// A separate debug file with the symbols of the mapped file.
    debug_file: Option<PathBuf>,
}

#[derive(Debug)]
enum KeptContent {
    Held(File),
    Copy(PathBuf),
}

impl DiskImages {
    /// Images without any copy: each file is read from the path from which it was mapped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `copy` for the file that was mapped as `path`.
    pub fn use_copy(&mut self, path: impl Into<String>, copy: impl Into<PathBuf>) {
        self.copies.insert(path.into(), copy.into());
    }

    /// Reads `copy` for a mapped file, and `debug_file` for its symbols.
    pub fn use_kept_copy(&mut self, id: MappedId, copy: PathBuf, debug_file: Option<PathBuf>) {
        self.kept.push(KeptFile { id, content: KeptContent::Copy(copy), debug_file });
    }

    /// Reads mapped files that were opened during the recording.
    pub fn use_held_files(&mut self, held: Vec<HeldFile>) {
        let kept = held.into_iter().map(|HeldFile { id, file }| KeptFile {
            id,
            content: KeptContent::Held(file),
            debug_file: None,
        });
        self.kept.extend(kept);
    }

    /// Refuses files on the disk that were changed after this time, the end of the recording.
    pub fn set_recording_end(&mut self, end: Option<SystemTime>) {
        self.origin.end = end;
    }

    /// Refuses files on the disk that were replaced or changed after the recording, if the metadata of the recording
    /// says where and when it was made.
    pub fn note_origin(&mut self, features: &Features) {
        self.origin.note(features);
    }

    fn find_kept(&self, id: &MappedId) -> Option<&KeptFile> {
        let fitting = || self.kept.iter().filter(|kept| kept.id.is_same_file(id));
        // Prefers the same path, because a program and its stripped copy have the same build id.
        fitting().find(|kept| kept.id.path == id.path).or_else(|| fitting().next())
    }

    /// Reads a mapped file from `dir` if `dir` contains a file with this file name. Copies and held files have
    /// precedence.
    pub fn use_programs_in(&mut self, dir: impl Into<PathBuf>) {
        self.program_dir = Some(dir.into());
    }

    /// Reads `copy` for the vdso.
    pub fn use_vdso(&mut self, copy: impl Into<PathBuf>) {
        self.vdso_copy = Some(copy.into());
    }
}

impl Images for DiskImages {
    fn image(&self, id: &MappedId) -> Result<ImageBytes, ImageAbsence> {
        let path = id.path.as_str();
        if path == "[vdso]" {
            return match &self.vdso_copy {
                Some(copy) => open_and_map(copy),
                None => own_vdso().map(|vdso| Arc::new(vdso.to_vec()) as ImageBytes).ok_or(ImageAbsence::NoVdso),
            };
        }
        if let Some(copy) = self.copies.get(path) {
            return open_and_map(copy);
        }
        match self.find_kept(id).map(|kept| &kept.content) {
            Some(KeptContent::Held(file)) => return map_open_file(file, Path::new(path)),
            Some(KeptContent::Copy(copy)) => return open_and_map(copy),
            None => {}
        }
        if let (Some(dir), Some(name)) = (&self.program_dir, Path::new(path).file_name())
            && dir.join(name).is_file()
        {
            return open_and_map(&dir.join(name));
        }
        // `[heap]`, `//anon`, `/memfd:x (deleted)` and similar names are not files.
        if !path.starts_with('/') || path.starts_with("//") || path.ends_with(DELETED) {
            return Err(ImageAbsence::NoFile);
        }
        let file = open(Path::new(path))?;
        self.origin.check(id, &file)?;
        map_open_file(&file, Path::new(path))
    }

    fn debug_files(&self, id: &MappedId, build_id: Option<&str>, link: Option<&str>) -> Vec<ImageBytes> {
        let kept = self.find_kept(id).and_then(|kept| kept.debug_file.clone());
        let installed = || debug_files::debug_file_candidates(&id.path, build_id, link);
        let paths = kept.map_or_else(installed, |kept| vec![kept]);
        paths.iter().filter_map(|path| open_and_map(path).ok()).collect()
    }
}

/// Opens a regular file. Refuses devices and pipes, which a recording can name.
fn open(path: &Path) -> Result<File, ImageAbsence> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(ImageAbsence::NotRegular);
    }
    File::open(path).or_else(|refused| open_with_own_rights(path).ok_or(refused)).map_err(to_absence)
}

fn open_and_map(path: &Path) -> Result<ImageBytes, ImageAbsence> {
    map_open_file(&open(path)?, path)
}

/// Maps an open file. `path` names it in messages.
fn map_open_file(file: &File, path: &Path) -> Result<ImageBytes, ImageAbsence> {
    // Never reads the file: reading some files of the kernel blocks for ever. These have the size 0.
    Ok(Arc::new(MappedFile::map(file, path).map_err(to_absence)?))
}

fn to_absence(error: io::Error) -> ImageAbsence {
    ImageAbsence::Unreadable(Arc::new(error))
}

/// Returns the vdso of this machine; `None` if it cannot be read.
pub fn own_vdso() -> Option<&'static [u8]> {
    static VDSO: LazyLock<Option<Vec<u8>>> = LazyLock::new(perfevent::vdso);
    VDSO.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(path: &str) -> MappedId {
        MappedId { path: path.to_owned(), build_id: None, inode: None }
    }

    #[test]
    fn mappings_without_a_regular_file_have_a_reason() {
        let absence = |path: &str| match DiskImages::new().image(&mapped(path)) {
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
