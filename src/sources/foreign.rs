//! Converts recordings of other forms into one plain file in memory: a directory of `perf record --threads`,
//! compressed records of `perf record -z`, and CPU profiles of gperftools.

use std::fs;
use std::path::{Path, PathBuf};

use super::input::InputBytes;
use crate::fsio::FileError;
use crate::perfdata::{self, from_gperftools, unpack};

/// Name of the file with the header, in a recording that is a directory.
const HEADER_FILE: &str = "data";

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content is damaged or not supported.
    #[error("cannot read {path}")]
    Content {
        /// Path of the file or directory.
        path: String,
        /// The reason.
        #[source]
        source: perfdata::Error,
    },
}

/// Opens a profile or a recording. A recording that is not one plain file is converted to one in memory.
pub fn open_input(path: &Path) -> Result<InputBytes, InputError> {
    match header_file(path) {
        Some(file) => to_plain_file(path, InputBytes::open(&file)?, Some(path)),
        None => to_plain_file(path, InputBytes::open(path)?, None),
    }
}

/// Returns the file with the header if a directory is a recording.
fn header_file(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(HEADER_FILE)).filter(|file| dir.is_dir() && file.is_file())
}

/// Returns the recording as one plain file. Returns the bytes unchanged if they are already plain. `dir` is the
/// directory of a recording that consists of several files.
fn to_plain_file(path: &Path, bytes: InputBytes, dir: Option<&Path>) -> Result<InputBytes, InputError> {
    let further = dir.map_or(Ok(Vec::new()), record_files)?;
    let further: Vec<InputBytes> = further.iter().map(|file| InputBytes::open(file)).collect::<Result<_, _>>()?;
    let further: Vec<&[u8]> = further.iter().map(InputBytes::bytes).collect();
    let plain = match from_gperftools(bytes.bytes()) {
        Ok(None) => unpack(bytes.bytes(), &further),
        converted => converted,
    };
    let plain = plain.map_err(|source| InputError::Content { path: path.display().to_string(), source })?;
    Ok(plain.map_or(bytes, InputBytes::Read))
}

/// The paths of the files `data.0`, `data.1`, … of a recording, in the order of their numbers.
fn record_files(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unread = |source| FileError::new("read", dir, source);
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix(HEADER_FILE)?.strip_prefix('.')?.parse::<u32>().ok());
        files.extend(number.map(|number| (number, entry.path())));
    }
    files.sort_unstable();
    Ok(files.into_iter().map(|(_, file)| file).collect())
}
