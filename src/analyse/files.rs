//! The files that a recording mapped, each opened when it is first needed and parsed once.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::bytes::hex;
use crate::gobin::Binary;
use crate::perfdata::{BuildId, Mmap, PerfData};
use crate::profile::position;
use crate::sources::{ImageAbsence, ImageBytes, Images, is_memory};

/// A mapped file, by position in [`Files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ImageId(pub(super) u32);

impl ImageId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file (or `[vdso]`, `//anon`, …) that was mapped.
#[derive(Debug)]
pub(super) struct ImageKey {
    pub(super) path: String,
    /// In hexadecimal.
    pub(super) build_id: Option<String>,
    /// Whether the mapping has no file.
    pub(super) is_memory: bool,
}

/// Why code in memory without a file has no name.
pub(super) const UNNAMED_GENERATED: &str = "the code was made at run time, and no perf map or jitdump names it";

/// Path and build id, as the recording has them.
type RawKey<'d> = (&'d [u8], Option<&'d [u8]>);

/// All files that a recording mapped.
pub(super) struct Files<'d> {
    images: &'d dyn Images,
    pub(super) keys: Vec<ImageKey>,
    ids: HashMap<RawKey<'d>, ImageId>,
    /// Build ids by path, for records that have none.
    build_ids: HashMap<&'d [u8], &'d [u8]>,
    bytes: Vec<OnceLock<Result<ImageBytes, String>>>,
    /// Separate debug files that are read for stripped files.
    symbols: Vec<OnceLock<Vec<ImageBytes>>>,
}

impl<'d> Files<'d> {
    /// Lists the files of a recording and opens none. `known`: the build ids that the recording lists.
    pub(super) fn new(data: &PerfData<'d>, known: &'d [BuildId], images: &'d dyn Images) -> Self {
        let build_ids = known.iter().map(|known| (known.path.as_slice(), known.id.as_slice())).collect();
        let mut files =
            Self { images, keys: Vec::new(), ids: HashMap::new(), build_ids, bytes: Vec::new(), symbols: Vec::new() };
        for map in data.mappings().filter(|map| map.pid != -1) {
            let key = files.key(&map);
            let (ids, keys) = (&mut files.ids, &mut files.keys);
            ids.entry(key).or_insert_with(|| {
                let (path, build_id) = key;
                let path = String::from_utf8_lossy(path).into_owned();
                keys.push(ImageKey { is_memory: is_memory(&path), path, build_id: build_id.map(hex) });
                ImageId(u32::try_from(keys.len() - 1).unwrap_or(u32::MAX))
            });
        }
        files.bytes.resize_with(files.keys.len(), OnceLock::new);
        files.symbols.resize_with(files.keys.len(), OnceLock::new);
        files
    }

    fn key(&self, map: &Mmap<'d>) -> RawKey<'d> {
        (map.path, map.build_id.or_else(|| self.build_ids.get(map.path).copied()))
    }

    /// The file of a mapping.
    pub(super) fn of_mapping(&self, map: &Mmap<'d>) -> Option<ImageId> {
        self.ids.get(&self.key(map)).copied()
    }

    /// Whether a mapping has no file.
    pub(super) fn is_memory(&self, id: ImageId) -> bool {
        self.keys.get(id.index()).is_some_and(|key| key.is_memory)
    }

    fn release(&self, id: ImageId) {
        if let Some(Ok(bytes)) = self.bytes.get(id.index()).and_then(OnceLock::get) {
            bytes.release();
        }
    }

    /// Adds the symbols of a separate debug file to a stripped file.
    fn add_debug_file<'f>(&'f self, id: ImageId, binary: &mut Binary<'f>) {
        let (Some(key), Some(found)) = (self.keys.get(id.index()), self.symbols.get(id.index())) else { return };
        let link = binary.debug_link().map(|(name, _)| name);
        let found = found.get_or_init(|| self.images.debug_files(&key.path, binary.build_id().as_deref(), link));
        let _ = found.iter().any(|file| binary.add_debug_file(file.bytes()));
    }

    fn bytes(&self, id: ImageId) -> Result<&[u8], String> {
        let (Some(key), Some(bytes)) = (self.keys.get(id.index()), self.bytes.get(id.index())) else {
            return Err("no file is mapped at the address".into());
        };
        let bytes = bytes.get_or_init(|| {
            let image = self.images.image(&key.path, key.build_id.as_deref());
            image.map_err(|absence| match absence {
                ImageAbsence::NoFile if key.is_memory => UNNAMED_GENERATED.to_owned(),
                _ => absence.to_string(),
            })
        });
        bytes.as_ref().map(|bytes| bytes.bytes()).map_err(Clone::clone)
    }
}

/// The files as programs and libraries.
pub(super) struct Binaries<'f> {
    files: &'f Files<'f>,
    /// Boxed, because most files that a recording maps contain no sampled address and are never parsed.
    parsed: Vec<OnceLock<Result<Box<Binary<'f>>, String>>>,
}

impl<'f> Binaries<'f> {
    /// Parses no file yet.
    pub(super) fn new(files: &'f Files<'f>) -> Self {
        let mut parsed = Vec::new();
        parsed.resize_with(files.keys.len(), OnceLock::new);
        Self { files, parsed }
    }

    /// Releases the memory of a file's bytes that were read. They are read from the file again when they are needed.
    pub(super) fn release(&self, id: ImageId) {
        self.files.release(id);
    }

    /// Does [`Binaries::release`] for all files.
    pub(super) fn release_all(&self) {
        (0..position(self.parsed.len())).for_each(|at| self.release(ImageId(at)));
    }

    /// The parsed file, or the reason why it cannot be read.
    pub(super) fn get(&self, id: ImageId) -> Result<&Binary<'f>, &str> {
        let (Some(key), Some(parsed)) = (self.files.keys.get(id.index()), self.parsed.get(id.index())) else {
            return Err("no file is mapped at the address");
        };
        let parse = || {
            let mut binary = Binary::parse(self.files.bytes(id)?).map_err(|error| error.to_string())?;
            match (&key.build_id, binary.build_id()) {
                // A file without a build id cannot be one that was recorded with one.
                (Some(recorded), found)
                    if !recorded.is_empty()
                        && !found.as_ref().is_some_and(|own| own.starts_with(recorded.trim_end_matches("00"))) =>
                {
                    Err("the file has changed since it was sampled".to_owned())
                }
                _ => {
                    if binary.is_stripped() {
                        self.files.add_debug_file(id, &mut binary);
                    }
                    Ok(Box::new(binary))
                }
            }
        };
        parsed.get_or_init(parse).as_deref().map_err(String::as_str)
    }
}
