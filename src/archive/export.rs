//! Writes a run as one file.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::{Map, Value};
use tar::{Builder, Header};

use super::id::RunId;
use super::run::{MANIFEST, MANIFEST_SCHEMA};
use super::tree::{self, FileEntry};
use super::zstd::Compressor;

/// The content of a file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportContent {
    /// A file of the run, with its expected hash and size.
    File(PathBuf, FileEntry),
    /// Bytes that are not a file of the run, such as a rendered report.
    Bytes(Vec<u8>),
}

impl ExportContent {
    fn entry(&self) -> io::Result<FileEntry> {
        match self {
            Self::File(_, entry) => Ok(entry.clone()),
            Self::Bytes(bytes) => tree::hash_reader(bytes.as_slice()),
        }
    }
}

/// Writes an export. The archive sets `schema`, `id` and `files` in the manifest, and removes `sequence`, which counts the
/// runs of one archive. The same run makes the same bytes.
pub fn write_export(
    id: &RunId,
    mut manifest: Map<String, Value>,
    files: &BTreeMap<String, ExportContent>,
    out: impl Write,
) -> io::Result<()> {
    let entries = files.iter().map(|(name, content)| Ok((name.clone(), serde_json::to_value(content.entry()?)?)));
    manifest.insert("files".to_owned(), entries.collect::<io::Result<Map<_, _>>>()?.into());
    manifest.insert("schema".to_owned(), MANIFEST_SCHEMA.into());
    manifest.insert("id".to_owned(), id.as_str().into());
    manifest.remove("sequence");
    let mut text = serde_json::to_vec_pretty(&manifest)?;
    text.push(b'\n');
    let mut compressor = Compressor::new(out);
    let mut tar = Builder::new(&mut compressor);
    let mut append = |name: &str, size: u64, content: &mut dyn Read| {
        let mut header = Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(start_seconds(id));
        tar.append_data(&mut header, format!("{id}/{name}"), content)
    };
    append(MANIFEST, text.len() as u64, &mut text.as_slice())?;
    for (name, content) in files {
        match content {
            ExportContent::Bytes(bytes) => append(name, bytes.len() as u64, &mut bytes.as_slice())?,
            ExportContent::File(path, entry) => {
                // Reads one byte more than expected, to detect a file that has grown.
                let file = tree::open_plain(path).map_err(|error| error.source)?.take(entry.size.saturating_add(1));
                let mut hashed = tree::HashingReader::new(file);
                append(name, entry.size, &mut hashed)?;
                if hashed.finish() != *entry {
                    return Err(io::Error::other(format!("{} changed while it was read", path.display())));
                }
            }
        }
    }
    tar.finish()?;
    drop(tar);
    compressor.finish()
}

/// The time of a run's start in seconds since 1970, from its id.
fn start_seconds(id: &RunId) -> u64 {
    let time = DateTime::strptime("%Y%m%d-%H%M%S", id.timestamp()).ok();
    let time = time.and_then(|time| Offset::UTC.to_timestamp(time).ok());
    time.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or(0)
}
