//! The files that a recording mapped. Each file is opened when it is first needed, and parsed once.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use crate::bytes::hex;
use crate::gobin::Binary;
use crate::perfdata::{BuildId, Inode, Mmap, PerfData};
use crate::profile::position;
use crate::sources::{FileChange, ImageAbsence, ImageBytes, Images, MappedId, is_memory};

/// A mapped file, by position in [`Files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ImageId(pub(super) u32);

impl ImageId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Path, build id and inode of a file, in the bytes of the recording.
type RawKey<'d> = (&'d [u8], Option<&'d [u8]>, Option<Inode>);

/// Reason why generated code has no name.
pub(super) const UNNAMED_GENERATED: &str = "the code was made at run time, and no perf map or jitdump names it";

/// A file whose code is on any sampled stack.
#[derive(Clone)]
pub struct SampledFile {
    /// Identity of the file in the recording.
    pub id: MappedId,
    /// Content of the file. `None` if the file could not be read, or has changed.
    pub bytes: Option<ImageBytes>,
    /// The separate debug file from which names were read.
    pub debug_file: Option<ImageBytes>,
    /// Why the file at the path is not the file that was sampled.
    pub change: Option<FileChange>,
}

/// All files that a recording mapped.
pub(super) struct Files<'d> {
    images: &'d dyn Images,
    pub(super) keys: Vec<MappedId>,
    ids: HashMap<RawKey<'d>, ImageId>,
    /// Build ids by path, for records without a build id.
    build_ids: HashMap<&'d [u8], &'d [u8]>,
    /// Contents of the files, indexed like `keys`.
    contents: Vec<Content>,
}

/// The content of a file, and what was found out about it. Filled when it is first needed.
#[derive(Default)]
struct Content {
    /// Whether the mapping has no file.
    is_memory: bool,
    bytes: OnceLock<Result<ImageBytes, String>>,
    change: OnceLock<FileChange>,
    /// Separate debug files that are read for a stripped file.
    debug_files: OnceLock<Vec<ImageBytes>>,
    /// Position in `debug_files` of the debug file of the same build.
    fitting: OnceLock<usize>,
}

impl<'d> Files<'d> {
    /// Lists the files of a recording without opening them. `known` are the build ids that the recording lists.
    pub(super) fn new(data: &PerfData<'d>, known: &'d [BuildId], images: &'d dyn Images) -> Self {
        let build_ids = known.iter().map(|known| (known.path.as_slice(), known.id.as_slice())).collect();
        let mut files = Self { images, keys: Vec::new(), ids: HashMap::new(), build_ids, contents: Vec::new() };
        for map in data.mappings().filter(|map| map.pid != -1) {
            let key = files.key(&map);
            let (ids, keys) = (&mut files.ids, &mut files.keys);
            ids.entry(key).or_insert_with(|| {
                let (path, build_id, inode) = key;
                let path = String::from_utf8_lossy(path).into_owned();
                keys.push(MappedId { path, build_id: build_id.map(hex), inode });
                ImageId(u32::try_from(keys.len() - 1).unwrap_or(u32::MAX))
            });
        }
        let content = |key: &MappedId| Content { is_memory: is_memory(&key.path), ..Content::default() };
        files.contents = files.keys.iter().map(content).collect();
        files
    }

    fn key(&self, map: &Mmap<'d>) -> RawKey<'d> {
        (map.path, map.build_id.or_else(|| self.build_ids.get(map.path).copied()), map.inode)
    }

    pub(super) fn find(&self, map: &Mmap<'d>) -> Option<ImageId> {
        self.ids.get(&self.key(map)).copied()
    }

    /// Whether a mapping has no file.
    pub(super) fn is_memory(&self, id: ImageId) -> bool {
        self.contents.get(id.index()).is_some_and(|content| content.is_memory)
    }

    /// The paths of all files that are not in `used`.
    pub(super) fn unused_paths(&self, used: impl Iterator<Item = ImageId>) -> HashSet<String> {
        let mut unused: HashSet<String> = self.keys.iter().map(|key| key.path.clone()).collect();
        for id in used.collect::<HashSet<_>>() {
            self.keys.get(id.index()).map(|key| unused.remove(&key.path));
        }
        unused
    }

    fn release(&self, id: ImageId) {
        if let Some(Ok(bytes)) = self.contents.get(id.index()).and_then(|content| content.bytes.get()) {
            bytes.release();
        }
    }

    /// Adds the symbols of a separate debug file to a stripped file.
    fn add_debug_file<'f>(&'f self, id: ImageId, binary: &mut Binary<'f>) {
        let (Some(key), Some(content)) = (self.keys.get(id.index()), self.contents.get(id.index())) else { return };
        let link = binary.debug_link().map(|(name, _)| name);
        let found = || self.images.debug_files(key, binary.build_id().as_deref(), link);
        let found = content.debug_files.get_or_init(found);
        if let Some(fitting) = found.iter().position(|file| binary.add_debug_file(file.bytes())) {
            content.fitting.get_or_init(|| fitting);
        }
    }

    /// Notes that the file on the disk is of another build. Returns the change that was noted first.
    fn note_replaced(&self, id: ImageId) -> FileChange {
        let change = FileChange::Replaced;
        self.contents.get(id.index()).map_or(change, |content| *content.change.get_or_init(|| change))
    }

    fn bytes(&self, id: ImageId) -> Result<&[u8], String> {
        let (Some(key), Some(content)) = (self.keys.get(id.index()), self.contents.get(id.index())) else {
            return Err("no file is mapped at the address".into());
        };
        let read = || {
            self.images.image(key).map_err(|absence| match absence {
                ImageAbsence::NoFile if content.is_memory => UNNAMED_GENERATED.to_owned(),
                absence => {
                    if let ImageAbsence::Changed(change) = absence {
                        content.change.get_or_init(|| change);
                    }
                    absence.to_string()
                }
            })
        };
        content.bytes.get_or_init(read).as_ref().map(|bytes| bytes.bytes()).map_err(Clone::clone)
    }
}

/// The files of a recording, parsed as programs and libraries.
pub(super) struct Binaries<'f> {
    files: &'f Files<'f>,
    /// The parsed files. Boxed, because most files contain no sampled address and are never parsed.
    parsed: Vec<OnceLock<Result<Box<Binary<'f>>, String>>>,
}

impl<'f> Binaries<'f> {
    pub(super) fn new(files: &'f Files<'f>) -> Self {
        let mut parsed = Vec::new();
        parsed.resize_with(files.keys.len(), OnceLock::new);
        Self { files, parsed }
    }

    /// Releases the memory of a file's bytes. A later access loads the bytes again.
    pub(super) fn release(&self, id: ImageId) {
        self.files.release(id);
    }

    pub(super) fn release_all(&self) {
        (0..position(self.parsed.len())).for_each(|at| self.release(ImageId(at)));
    }

    /// A file, with its content if the content is the same as when it was sampled.
    pub(super) fn sampled_file(&self, id: ImageId) -> Option<SampledFile> {
        let (key, content) = (self.files.keys.get(id.index())?, self.files.contents.get(id.index())?);
        let bytes = self.get(id).ok().and_then(|_| content.bytes.get()?.clone().ok());
        let debug_file = content.fitting.get().and_then(|fitting| content.debug_files.get()?.get(*fitting).cloned());
        Some(SampledFile { id: key.clone(), bytes, debug_file, change: content.change.get().copied() })
    }

    /// The parsed file, or the reason why it cannot be used: it is unreadable, not ELF, or of another build.
    pub(super) fn get(&self, id: ImageId) -> Result<&Binary<'f>, &str> {
        let (Some(key), Some(parsed)) = (self.files.keys.get(id.index()), self.parsed.get(id.index())) else {
            return Err("no file is mapped at the address");
        };
        let parse = || {
            let mut binary = Binary::parse(self.files.bytes(id)?).map_err(|error| error.to_string())?;
            match (&key.build_id, binary.build_id()) {
                // If the recording has a build id, a file without a build id is another file.
                (Some(recorded), found)
                    if !recorded.is_empty()
                        && !found.as_ref().is_some_and(|own| own.starts_with(recorded.trim_end_matches("00"))) =>
                {
                    Err(self.files.note_replaced(id).to_string())
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
