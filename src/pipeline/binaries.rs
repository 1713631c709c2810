//! Copies of the sampled files other than the program, kept in the run for later reports.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::observer::RunNote;
use crate::analyse::SampledFile;
use crate::archive::{Draft, Run, StoredFile};
use crate::sources::{DELETED, DiskImages, ImageBytes, MappedId};

/// Maximum bytes of sampled files that a run keeps. A Go toolchain has about 60 MB, a browser 200 MB.
const MAX_KEPT_BYTES: u64 = 512 << 20;

/// First bytes of an ELF file.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Sampled file, and its copies in the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BinaryRecord {
    /// Path and build id of the file in the recording.
    #[serde(flatten)]
    pub id: MappedId,
    /// Copy of the file.
    #[serde(flatten)]
    pub copy: StoredFile,
    /// Copy of the separate debug file that named the functions. `None` if there is no such file, or if it did not fit.
    pub debug_file: Option<StoredFile>,
}

/// Copies the sampled ELF files into a run, the smallest first, so that as many as possible fit. Skips `program`, which
/// the run already has. Returns the copied files, sorted by path, and a note if some files did not fit.
pub(super) fn keep_binaries(
    draft: &mut Draft,
    program: Option<&Path>,
    sampled: Vec<SampledFile>,
) -> Result<(Vec<BinaryRecord>, Option<RunNote>), Error> {
    let mut files: Vec<(SampledFile, ImageBytes)> = sampled
        .into_iter()
        .filter(|file| file.id.path.starts_with('/') && Some(Path::new(&file.id.path)) != program)
        .filter_map(|file| file.bytes.clone().map(|bytes| (file, bytes)))
        .filter(|(_, bytes)| bytes.bytes().starts_with(ELF_MAGIC))
        .collect();
    files.sort_by_key(|(_, bytes)| bytes.bytes().len());
    let mut room = MAX_KEPT_BYTES;
    let mut keep = |path: &str, image: &ImageBytes| {
        let bytes = image.bytes();
        let Some(rest) = room.checked_sub(bytes.len() as u64) else { return Ok(None) };
        room = rest;
        let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(DELETED);
        let stored = draft.add_mapped_file(name, bytes);
        image.release();
        stored.map(Some)
    };
    let mut copies = Vec::new();
    let mut left_out = Vec::new();
    for (file, bytes) in files {
        match keep(&file.id.path, &bytes)? {
            Some(copy) => copies.push((file, copy)),
            None => left_out.push(file.id.path),
        }
    }
    // Debug files come last: they can be ten times as large as the programs.
    let mut binaries = Vec::new();
    for (SampledFile { id, debug_file, .. }, copy) in copies {
        let kept = match &debug_file {
            Some(bytes) => keep(&format!("{}.debug", id.path), bytes)?,
            None => None,
        };
        if debug_file.is_some() && kept.is_none() {
            left_out.push(format!("the debug file of {}", id.path));
        }
        binaries.push(BinaryRecord { id, copy, debug_file: kept });
    }
    binaries.sort_by(|a, b| (&a.id.path, &a.copy.file).cmp(&(&b.id.path, &b.copy.file)));
    let note = (!left_out.is_empty()).then_some(RunNote::BinariesLeftOut { files: left_out, bound: MAX_KEPT_BYTES });
    Ok((binaries, note))
}

/// Makes the analysis read the copies in a run instead of the files at the original paths.
pub(super) fn use_kept_binaries(images: &mut DiskImages, run: &Run, binaries: Vec<BinaryRecord>) {
    for BinaryRecord { id, copy, debug_file } in binaries {
        let debug_file = debug_file.and_then(|stored| run.file(&stored.file).ok());
        if let Ok(copy) = run.file(&copy.file) {
            images.use_kept_copy(id, copy, debug_file);
        }
    }
}
