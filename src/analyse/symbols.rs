//! Step 2 of the analysis: names each distinct raw location once, on all cores.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rayon::prelude::*;

use super::files::{Binaries, ImageId};
use super::generated::{GeneratedCode, GeneratedId};
use super::image::{ImageInfo, shorten};
use super::kernel::{self, KernelCode, KernelSymbols};
use super::raw_location::RawLocation;
use crate::gobin::{Binary, Locator};
use crate::goname;
use crate::profile::{LocationId, Origin, position};
use crate::sources::MappedId;

/// A location after naming.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub(super) struct NamedLocation {
    pub(super) id: LocationId,
    /// Link-time address in a mapped file (an offset if no segment contains the location), otherwise the run-time
    /// address. 0 in a kernel without symbols.
    pub(super) address: u64,
    /// The mapped file. `None` in the kernel, in named generated code, and at unmapped addresses.
    pub(super) image: Option<ImageId>,
    pub(super) is_kernel: bool,
    /// Whether the location is in a kernel without symbols. Adjacent hidden locations of a stack are shown as one frame.
    pub(super) is_hidden: bool,
    /// End of the location's frames in [`Batch::frames`].
    frames_end: u32,
    /// Why the location has no function name. `None` if it has a name.
    pub(super) unnamed: Option<ReasonId>,
    /// Whether a complete stack can have its root at this location.
    pub(super) is_root: bool,
    /// Whether later addresses in a callchain are not the location's callers, but remains of an earlier use of the
    /// stack (Go's `FuncFlagTopFrame`, and functions that leave a goroutine's stack and never return to it).
    pub(super) ends_stack: bool,
}

/// The reason why a location has no function name: a position in [`Batch::reasons`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ReasonId(pub(super) u32);

/// A function after naming. Most of its texts borrow from the mapped file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedFunction<'n> {
    pub(super) name: Cow<'n, str>,
    pub(super) display: Cow<'n, str>,
    pub(super) file: Cow<'n, str>,
    pub(super) start_line: u32,
    pub(super) origin: Origin,
}

impl<'n> NamedFunction<'n> {
    /// A function with a known name, without source file and line.
    fn from_name(name: Cow<'n, str>, origin: Origin) -> Self {
        Self { display: name.clone(), name, file: Cow::Borrowed(""), start_line: 0, origin }
    }
}

/// A frame of a named location.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedFrame {
    /// Position in [`Batch::functions`].
    pub(super) function: u32,
    pub(super) line: u32,
    /// Whether the compiler generated the function. Such frames are not shown, as in Go's own tracebacks and profiles.
    pub(super) is_wrapper: bool,
}

/// The named locations of a chunk of work.
#[derive(Debug, Default)]
pub(super) struct Batch<'n> {
    pub(super) functions: Vec<NamedFunction<'n>>,
    frames: Vec<NamedFrame>,
    locations: Vec<NamedLocation>,
    /// The distinct reasons why names are missing.
    pub(super) reasons: Vec<String>,
    /// Hash index of `functions`: their positions.
    index: HashTable<u32>,
    seed: RandomState,
}

impl<'n> Batch<'n> {
    /// All locations, each with its frames: the outermost function first, then the inlined calls.
    pub(super) fn locations(&self) -> impl Iterator<Item = (&NamedLocation, &[NamedFrame])> {
        let mut start = 0;
        self.locations.iter().map(move |named| {
            let end = named.frames_end as usize;
            let frames = self.frames.get(start..end).unwrap_or_default();
            start = end;
            (named, frames)
        })
    }

    /// Returns the position of a function. Adds the function if it is new.
    fn intern_function(&mut self, function: NamedFunction<'n>) -> u32 {
        let Self { functions, index, seed, .. } = self;
        let hash = |function: &NamedFunction<'n>| seed.hash_one((&function.name, &function.file, function.start_line));
        let next = position(functions.len());
        let known =
            index.entry(hash(&function), |at| functions[*at as usize] == function, |at| hash(&functions[*at as usize]));
        let at = *known.or_insert(next).get();
        if at == next {
            functions.push(function);
        }
        at
    }

    /// Adds a location. Its frames are those that were added since the last location.
    fn add_location(&mut self, id: LocationId, address: u64, image: Option<ImageId>) -> &mut NamedLocation {
        let named = NamedLocation {
            id,
            address,
            image,
            is_kernel: false,
            is_hidden: false,
            frames_end: position(self.frames.len()),
            unnamed: None,
            is_root: false,
            ends_stack: false,
        };
        self.locations.push(named);
        let last = self.locations.len() - 1;
        &mut self.locations[last]
    }

    /// Adds a location without a function name, with one frame that shows `placeholder`.
    fn add_unnamed(
        &mut self,
        id: LocationId,
        address: u64,
        image: Option<ImageId>,
        placeholder: &str,
        origin: Origin,
        reason: &str,
    ) -> &mut NamedLocation {
        let reason = ReasonId(position(intern_reason(reason, &mut self.reasons)));
        let function = self.intern_function(NamedFunction::from_name(Cow::Owned(placeholder.to_owned()), origin));
        self.frames.push(NamedFrame { function, line: 0, is_wrapper: false });
        let named = self.add_location(id, address, image);
        named.unnamed = Some(reason);
        named.is_kernel = origin == Origin::Kernel;
        named
    }
}

/// Returns the position of a reason. Adds the reason if it is new. Linear search is enough, because there are few reasons.
pub(super) fn intern_reason(text: &str, reasons: &mut Vec<String>) -> usize {
    let known = reasons.iter().position(|reason| reason == text);
    known.unwrap_or_else(|| {
        reasons.push(text.to_owned());
        reasons.len() - 1
    })
}

/// Maximum length of a function name or a path, so that crafted files do not make outputs huge. The longest names of Go
/// functions, those of generic functions, have hundreds of bytes.
const MAX_NAME_BYTES: usize = 4096;

/// Number of locations in a chunk of work: large enough to keep a core busy, small enough to balance the load.
const CHUNK_LOCATIONS: usize = 4096;

/// Names all locations, each once. The batches are in the order of file and address.
pub(super) fn name_all<'n>(
    locations: &[RawLocation],
    keys: &[MappedId],
    binaries: &'n Binaries<'_>,
    kernel: Result<&'n KernelSymbols, &str>,
    kernel_code: &'n KernelCode,
    generated: &'n GeneratedCode<'n>,
) -> Vec<Batch<'n>> {
    // Sorted, so that the locations of a function are adjacent and the tables for it are read once.
    let ids = 0..position(locations.len());
    let mut order: Vec<SortKey> = ids.zip(locations).map(|(id, location)| SortKey::new(id, *location)).collect();
    order.par_sort_unstable();
    let mut images = Vec::new();
    images.resize_with(keys.len(), OnceLock::new);
    let namer = Namer { keys, binaries, kernel, kernel_code, generated, images };
    // In reverse order, so that files that take long to parse (such as compilers of other languages) are not last.
    let chunks = order.par_chunks(CHUNK_LOCATIONS).with_max_len(1).rev();
    let mut batches: Vec<Batch<'n>> = chunks.map(|chunk| namer.name(chunk)).collect();
    batches.reverse();
    batches
}

/// A location and its id as one sortable number: 32 bits for the kind (such as the file), 64 bits for the address, 32 bits
/// for the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SortKey(u128);

impl SortKey {
    fn new(id: u32, location: RawLocation) -> Self {
        Self(u128::from(location.kind()) << 96 | u128::from(location.position()) << 32 | u128::from(id))
    }

    #[expect(clippy::cast_possible_truncation, reason = "splits the number into its parts")]
    fn into_parts(self) -> (LocationId, RawLocation) {
        let (id, address, kind) = (self.0 as u32, (self.0 >> 32) as u64, (self.0 >> 96) as u32);
        let location = RawLocation::from_parts(kind, address);
        (LocationId::from_index(id), location)
    }
}

/// Names locations, one chunk at a time. Shared by all threads.
struct Namer<'k, 'n, 'f> {
    keys: &'k [MappedId],
    binaries: &'n Binaries<'f>,
    kernel: Result<&'n KernelSymbols, &'k str>,
    kernel_code: &'n KernelCode,
    generated: &'n GeneratedCode<'n>,
    images: Vec<OnceLock<ImageInfo<'f>>>,
}

/// The result of a chunk of work, and the state that is kept from one location to the next.
struct ChunkState<'k, 'n, 'f> {
    batch: Batch<'n>,
    /// The file of the last location.
    file: Option<(ImageId, OpenFile<'k, 'n, 'f>)>,
    /// Name, module and position of the last kernel function.
    kernel: Option<(&'n str, Option<&'n str>, u32)>,
}

/// The file whose locations are being named.
struct OpenFile<'k, 'n, 'f> {
    image: &'k ImageInfo<'f>,
    symbols: Result<(&'n Binary<'f>, Locator<'n, 'f>), &'n str>,
    functions: FunctionCache,
    definitions: Definitions<'f>,
    /// A second locator, only for entries of functions, so that the first locator stays at its current function.
    entries: Option<Locator<'n, 'f>>,
}

/// Positions of interned functions, by the texts that [`Locator::locate`] lends: address of the name, length of the name,
/// address of the file name, and the start line.
type FunctionCache = HashMap<(usize, usize, usize, u32), u32, RandomState>;

/// Source positions of Go functions, by entry address.
type Definitions<'f> = HashMap<u64, Option<(Cow<'f, str>, u32)>, RandomState>;

impl<'n, 'f> Namer<'_, 'n, 'f> {
    fn name(&self, locations: &[SortKey]) -> Batch<'n> {
        let mut state = ChunkState { batch: Batch::default(), file: None, kernel: None };
        for key in locations {
            let (id, location) = key.into_parts();
            match location {
                RawLocation::Kernel(address) => self.name_in_kernel(id, address, &mut state),
                RawLocation::Unmapped(address) => {
                    let reason = "no file is mapped at the address";
                    state.batch.add_unnamed(id, address, None, "[unknown]", Origin::Unknown, reason);
                }
                RawLocation::File(image, offset) => self.name_in_file(id, image, offset, &mut state),
                RawLocation::Generated(function, address) => {
                    self.name_generated(id, function, address, &mut state.batch);
                }
            }
        }
        self.release(state.file.as_ref());
        state.batch
    }

    fn name_in_kernel(&self, id: LocationId, address: u64, state: &mut ChunkState<'_, 'n, 'f>) {
        let batch = &mut state.batch;
        let (name, module) = match (self.kernel_code.name(address), self.kernel) {
            (Some(generated), _) => (generated, None),
            (None, Ok(symbols)) => {
                let Some(found) = symbols.name(address) else {
                    let reason = "the address is in no kernel function";
                    batch.add_unnamed(id, address, None, "[kernel]", Origin::Kernel, reason);
                    return;
                };
                found
            }
            (None, Err(reason)) => {
                // Functions cannot be distinguished, so all have the address 0.
                batch.add_unnamed(id, 0, None, "[kernel]", Origin::Kernel, reason).is_hidden = true;
                return;
            }
        };
        let function = match state.kernel {
            Some((last_name, last_module, function)) if (last_name, last_module) == (name, module) => function,
            _ => {
                let (shown, file) = kernel::shown_name_and_file(name, module);
                let function = NamedFunction::from_name(shorten_name(&shown), Origin::Kernel);
                batch.intern_function(NamedFunction { file: Cow::Owned(file), ..function })
            }
        };
        state.kernel = Some((name, module, function));
        batch.frames.push(NamedFrame { function, line: 0, is_wrapper: false });
        batch.add_location(id, address, None).is_kernel = true;
    }

    fn name_generated(&self, id: LocationId, function: GeneratedId, address: u64, batch: &mut Batch<'n>) {
        let Some(function) = self.generated.function(function) else { return };
        let (file, start_line) = self.generated.definition(function).unwrap_or_default();
        let text = |bytes| shorten_name(&String::from_utf8_lossy(bytes));
        let named = NamedFunction::from_name(text(function.name), Origin::Native);
        let named = NamedFunction { file: text(file), start_line, ..named };
        let line = self.generated.line(function, address);
        let function = batch.intern_function(named);
        batch.frames.push(NamedFrame { function, line, is_wrapper: false });
        batch.add_location(id, address, None);
    }

    fn name_in_file<'k>(&'k self, id: LocationId, image_id: ImageId, offset: u64, state: &mut ChunkState<'k, 'n, 'f>) {
        let ChunkState { batch, file, .. } = state;
        if file.as_ref().is_none_or(|(open, _)| *open != image_id) {
            self.release(file.as_ref());
            *file = Some((image_id, self.open(image_id)));
        }
        let Some((_, OpenFile { image, symbols, functions, definitions, entries })) = file else { return };
        let located = match symbols {
            Ok((binary, locator)) => match binary.address_of_offset(offset) {
                Some(address) => match locator.locate(address) {
                    Ok(frames) => Ok((*binary, address, frames)),
                    Err(reason) => Err((address, reason.to_string())),
                },
                None => Err((offset, "the offset is in no loaded segment".to_owned())),
            },
            Err(reason) => Err((offset, (*reason).to_owned())),
        };
        let (binary, address, frames) = match located {
            Ok(located) => located,
            Err((address, reason)) => {
                batch.add_unnamed(id, address, Some(image_id), &image.placeholder, Origin::Unknown, &reason);
                return;
            }
        };
        for source in frames.iter().rev() {
            let mut line = source.line;
            let name = source.name.as_bytes();
            let file = source.file.as_deref().unwrap_or_default().as_bytes();
            let key = (name.as_ptr().addr(), name.len(), file.as_ptr().addr(), source.start_line);
            let borrowed =
                matches!(source.name, Cow::Borrowed(_)) && matches!(source.file, Some(Cow::Borrowed(_)) | None);
            let function = if let Some(function) = functions.get(&key).filter(|_| borrowed) {
                *function
            } else {
                let definition = if source.inlined || !source.is_go {
                    None
                } else {
                    let entries = entries.get_or_insert_with(|| Locator::new(binary));
                    let definition = || image.definition(binary, entries, source);
                    definitions.entry(source.entry).or_insert_with(definition).as_ref()
                };
                // The file of a function is the file at the function's entry. Lines in other files, which come from
                // `//line` directives, are not shown.
                let (file, start_line, in_other_file) = match definition {
                    Some((defined, start_line)) => (Some(defined), *start_line, defined.as_bytes() != file),
                    None => (source.file.as_ref(), source.start_line, false),
                };
                if in_other_file {
                    line = 0;
                }
                let name = shorten_name(&source.name);
                let function = batch.intern_function(NamedFunction {
                    display: if source.is_go { map_text(&name, goname::display) } else { name.clone() },
                    name,
                    file: file.map_or(Cow::Borrowed(""), shorten_name),
                    start_line,
                    origin: if source.is_go { image.origins.origin_of(&source.name) } else { image.native_origin },
                });
                if borrowed && !in_other_file {
                    functions.insert(key, function);
                }
                function
            };
            batch.frames.push(NamedFrame { function, line, is_wrapper: source.wrapper });
        }
        let location = batch.add_location(id, address, Some(image_id));
        if let Some(outermost) = frames.last() {
            location.ends_stack = outermost.is_top_frame || leaves_the_goroutine(&outermost.name);
            location.is_root = location.ends_stack || is_root_name(&outermost.name);
        }
    }

    /// Releases the memory of a file after the last location of the file in a chunk.
    fn release(&self, file: Option<&(ImageId, OpenFile<'_, 'n, 'f>)>) {
        if let Some((id, _)) = file {
            self.binaries.release(*id);
        }
    }

    fn open<'k>(&'k self, id: ImageId) -> OpenFile<'k, 'n, 'f> {
        let binary = self.binaries.get(id);
        let image = self.images[id.index()].get_or_init(|| ImageInfo::new(self.keys.get(id.index()), binary.ok()));
        let symbols = binary.map(|binary| (binary, Locator::new(binary)));
        let (functions, definitions) = (FunctionCache::default(), Definitions::default());
        OpenFile { image, symbols, functions, definitions, entries: None }
    }
}

/// Shortens a name or a path to [`MAX_NAME_BYTES`].
fn shorten_name<'t>(text: &Cow<'t, str>) -> Cow<'t, str> {
    map_text(text, |text| Cow::Borrowed(shorten(text, MAX_NAME_BYTES)))
}

/// Applies `make` to a text. The result stays borrowed if the text is borrowed.
fn map_text<'t>(text: &Cow<'t, str>, make: impl Fn(&str) -> Cow<'_, str>) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => make(text),
        Cow::Owned(text) => Cow::Owned(make(text).into_owned()),
    }
}

/// Whether a function switches to the scheduler's stack and never back. Before Go 1.25, the frame pointer still leads
/// to the stack of the goroutine, which can already run on another thread.
fn leaves_the_goroutine(name: &str) -> bool {
    matches!(name, "runtime.mcall" | "runtime.morestack")
}

/// Whether a function is the root of a C stack or of a thread.
fn is_root_name(name: &str) -> bool {
    matches!(
        name,
        "_start"
            | "__libc_start_main"
            | "__libc_start_call_main"
            | "start_thread"
            | "clone"
            | "clone3"
            | "__clone"
            | "__clone3"
            | "__GI___clone3"
            | "_rt0_amd64"
            | "_rt0_amd64_linux"
            | "_rt0_arm64_linux"
    )
}

#[cfg(test)]
mod tests {
    use super::{GeneratedId, ImageId, LocationId, RawLocation, SortKey};

    #[test]
    fn locations_sort_by_file_and_address() {
        let locations = [
            RawLocation::Kernel(u64::MAX),
            RawLocation::Unmapped(0),
            RawLocation::Unmapped(7),
            RawLocation::File(ImageId(0), 9),
            RawLocation::File(ImageId(0), u64::MAX),
            RawLocation::File(ImageId(1), 0),
            RawLocation::File(ImageId(1 << 31), 3),
            RawLocation::Generated(GeneratedId(0), 5),
            RawLocation::Generated(GeneratedId((1 << 24) - 1), u64::MAX),
        ];
        let numbered = || (0..).zip(locations).map(|(at, location)| (u32::MAX - at, location));
        let keys: Vec<SortKey> = numbered().map(|(id, location)| SortKey::new(id, location)).collect();
        assert!(keys.is_sorted());
        for ((id, location), key) in numbered().zip(keys) {
            assert_eq!(key.into_parts(), (LocationId::from_index(id), location));
        }
    }
}
