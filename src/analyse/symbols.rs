//! Step two: name each distinct place once, on all cores.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::files::{Binaries, ImageId, ImageKey};
use super::kernel::{self, KernelCode, KernelSymbols};
use super::origin::Origins;
use super::place::{Place, position};
use crate::gobin::{Binary, SourceFrame, name};
use crate::profile::Origin;

/// What a place is.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude one another")]
pub(super) struct Named {
    /// The place.
    pub(super) place: u32,
    /// Link-time address in its file, or address in the kernel.
    pub(super) address: u64,
    /// Its file; `None` in the kernel and where nothing is mapped.
    pub(super) image: Option<ImageId>,
    pub(super) is_kernel: bool,
    /// In a kernel that shows no addresses: one frame with all of its kind beneath it.
    pub(super) hidden: bool,
    /// Behind the last of its frames in [`Batch::frames`].
    frames_end: usize,
    /// Why there is no name.
    pub(super) unnamed: Option<Unnamed>,
    /// Whether a stack may legally end here.
    pub(super) is_root: bool,
    /// Whether a callchain must not be followed beyond this frame: what stands there is left over from another use
    /// of the stack (Go's `FuncFlagTopFrame`, and where a goroutine's stack is left for good).
    pub(super) ends_stack: bool,
}

/// Why a place has no name: a position in [`Batch::reasons`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Unnamed(pub(super) usize);

/// A function, in texts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedFunction {
    pub(super) name: String,
    pub(super) display: String,
    pub(super) file: String,
    pub(super) start_line: u32,
    pub(super) origin: Origin,
}

impl NamedFunction {
    /// A function of which no more is known than its name.
    fn plain(name: &str, origin: Origin) -> Self {
        Self { name: name.to_owned(), display: name.to_owned(), file: String::new(), start_line: 0, origin }
    }
}

/// A call of a function, by position in [`Batch::functions`].
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedFrame {
    pub(super) function: usize,
    pub(super) line: u32,
    /// Made up by the compiler, and left out where it merely calls on, as Go's own tracebacks do.
    pub(super) wrapper: bool,
}

/// What one piece of work found.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) functions: Vec<NamedFunction>,
    frames: Vec<NamedFrame>,
    places: Vec<Named>,
    pub(super) reasons: Vec<String>,
    index: HashTable<u32>,
    seed: RandomState,
}

impl Batch {
    /// Every place with its frames, outermost function first and inlined calls after it.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Named, &[NamedFrame])> {
        let mut start = 0;
        self.places.iter().map(move |named| {
            let frames = self.frames.get(start..named.frames_end).unwrap_or_default();
            start = named.frames_end;
            (named, frames)
        })
    }

    fn function(&mut self, function: NamedFunction) -> usize {
        let Self { functions, index, seed, .. } = self;
        let hash = |function: &NamedFunction| seed.hash_one((&function.name, &function.file, function.start_line));
        let next = functions.len();
        let known =
            index.entry(hash(&function), |at| functions[*at as usize] == function, |at| hash(&functions[*at as usize]));
        let at = *known.or_insert_with(|| position(next)).get() as usize;
        if at == next {
            functions.push(function);
        }
        at
    }

    /// Ends a place, whose frames have been added.
    fn place(&mut self, place: u32, address: u64, image: Option<ImageId>) -> &mut Named {
        let named = Named {
            place,
            address,
            image,
            is_kernel: false,
            hidden: false,
            frames_end: self.frames.len(),
            unnamed: None,
            is_root: false,
            ends_stack: false,
        };
        self.places.push(named);
        let last = self.places.len() - 1;
        &mut self.places[last]
    }

    /// A place whose one frame stands for code without a name.
    fn nameless(
        &mut self,
        place: u32,
        address: u64,
        image: Option<ImageId>,
        shown: &str,
        origin: Origin,
        why: &str,
    ) -> &mut Named {
        let unnamed = self.reason(why);
        let function = self.function(NamedFunction::plain(shown, origin));
        self.frames.push(NamedFrame { function, line: 0, wrapper: false });
        let named = self.place(place, address, image);
        named.unnamed = Some(unnamed);
        named.is_kernel = origin == Origin::Kernel;
        named
    }

    fn reason(&mut self, text: &str) -> Unnamed {
        let known = self.reasons.iter().position(|reason| reason == text);
        Unnamed(known.unwrap_or_else(|| {
            self.reasons.push(text.to_owned());
            self.reasons.len() - 1
        }))
    }
}

/// Bytes of a file's name (`NAME_MAX`).
const LONGEST_FILE_NAME: usize = 255;

/// Bytes of a function's name or a path. Go's longest, of generic types, have hundreds; every frame of every stack may
/// carry one, so a crafted file must not bring longer ones.
const LONGEST_NAME: usize = 4096;

/// The file of what the compiler made up, in Go's function table.
const AUTOGENERATED: &[u8] = b"<autogenerated>";

/// Places in one piece of work: enough to keep a core busy, few enough to share out evenly.
const PIECE: usize = 4096;

/// Names all places.
pub(super) fn name_all(
    places: &[Place],
    keys: &[ImageKey],
    binaries: &Binaries<'_>,
    kernel: Result<&KernelSymbols, &str>,
    kernel_code: &KernelCode,
) -> Vec<Batch> {
    // Places of one function come one after the other, so that its tables are at hand.
    let mut order: Vec<u32> = (0..position(places.len())).collect();
    order.sort_unstable_by_key(|at| match places[*at as usize] {
        Place::Kernel(address) => (0, address),
        Place::Unmapped(address) => (1, address),
        Place::File(image, offset) => (u64::from(image.0) + 2, offset),
    });
    let mut images = Vec::new();
    images.resize_with(keys.len(), OnceLock::new);
    let namer = Namer { places, keys, binaries, kernel, kernel_code, images };
    let pieces: Vec<&[u32]> = order.chunks(PIECE).collect();
    let (next, mut batches) = (AtomicUsize::new(0), Vec::new());
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(at) else { return done };
            done.push((at, namer.name(piece)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pieces.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        batches.extend(work());
        batches.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_default()));
    });
    // Whoever was quicker: the same recording gives the same profile.
    batches.sort_unstable_by_key(|(at, _)| *at);
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// Names places, one batch at a time.
struct Namer<'n, 'f> {
    places: &'n [Place],
    keys: &'n [ImageKey],
    binaries: &'n Binaries<'f>,
    kernel: Result<&'n KernelSymbols, &'n str>,
    kernel_code: &'n KernelCode,
    images: Vec<OnceLock<Image<'f>>>,
}

/// What is known of a file besides its symbols.
struct Image<'f> {
    origins: Origins,
    /// What stands in for a function's name: the file's name in brackets, as perf's folded stacks have it.
    placeholder: String,
    /// See [`written_functions`]; not needed until a generated function is sampled.
    written: OnceLock<HashMap<&'f [u8], u64>>,
}

/// Functions that were named already, by what [`Binary::locate`] lends: where the texts of their name and file lie.
type Lent = HashMap<(usize, usize, usize, u32), usize, RandomState>;

/// Where Go functions are written, by their first address.
type Homes = HashMap<u64, Option<(String, u32)>, RandomState>;

impl<'f> Namer<'_, 'f> {
    fn name(&self, piece: &[u32]) -> Batch {
        let mut batch = Batch::default();
        let (mut lent, mut homes, mut last) = (Lent::default(), Homes::default(), None);
        for at in piece {
            match self.places[*at as usize] {
                Place::Kernel(address) => self.kernel_place(*at, address, &mut batch),
                Place::Unmapped(address) => {
                    let why = "no file is mapped at the address";
                    batch.nameless(*at, address, None, "[unknown]", Origin::Unknown, why);
                }
                Place::File(image, offset) => {
                    if last.replace(image) != Some(image) {
                        lent.clear();
                        homes.clear();
                    }
                    self.file_place(*at, image, offset, &mut batch, (&mut lent, &mut homes));
                }
            }
        }
        batch
    }

    fn kernel_place(&self, place: u32, address: u64, batch: &mut Batch) {
        let made = self.kernel_code.name(address).map(|name| (Cow::Borrowed(name), String::new()));
        let found = match (made, self.kernel) {
            (Some(made), _) => made,
            (None, Ok(symbols)) => {
                let Some((name, module)) = symbols.name(address) else {
                    let why = "the address is in no kernel function";
                    batch.nameless(place, address, None, "[kernel]", Origin::Kernel, why);
                    return;
                };
                kernel::shown(name, module)
            }
            (None, Err(why)) => {
                // Nothing tells one function from another: all of them are one frame.
                batch.nameless(place, 0, None, "[kernel]", Origin::Kernel, why).hidden = true;
                return;
            }
        };
        let (name, file) = found;
        let function = NamedFunction { file, ..NamedFunction::plain(bounded(&name, LONGEST_NAME), Origin::Kernel) };
        let function = batch.function(function);
        batch.frames.push(NamedFrame { function, line: 0, wrapper: false });
        batch.place(place, address, None).is_kernel = true;
    }

    fn file_place(
        &self,
        place: u32,
        id: ImageId,
        offset: u64,
        batch: &mut Batch,
        (lent, homes): (&mut Lent, &mut Homes),
    ) {
        let image = self.image(id);
        let located = match self.binaries.get(id) {
            Ok(binary) => match binary.address_of_offset(offset) {
                Some(address) => match binary.locate(address) {
                    Ok(location) => Ok((binary, address, location)),
                    Err(reason) => Err((address, reason.to_string())),
                },
                None => Err((offset, "the offset is in no loaded segment".to_owned())),
            },
            Err(why) => Err((offset, why.to_owned())),
        };
        let (binary, address, location) = match located {
            Ok(located) => located,
            Err((address, why)) => {
                batch.nameless(place, address, Some(id), &image.placeholder, Origin::Unknown, &why);
                return;
            }
        };
        for source in location.frames.iter().rev() {
            let mut line = source.line;
            let name = source.name.as_bytes();
            let file = source.file.as_deref().unwrap_or_default().as_bytes();
            let key = (name.as_ptr().addr(), name.len(), file.as_ptr().addr(), source.start_line);
            let borrowed =
                matches!(source.name, Cow::Borrowed(_)) && matches!(source.file, Some(Cow::Borrowed(_)) | None);
            let function = if let Some(known) = lent.get(&key).filter(|_| borrowed) {
                *known
            } else {
                let home = if source.inlined || !source.is_go {
                    &None
                } else {
                    homes.entry(source.entry).or_insert_with(|| image.home(binary, source))
                };
                // A function is where it begins, whatever `//line` directives say of its middle.
                let (file, start_line, elsewhere) = match home {
                    Some((home, start_line)) => (home.as_str(), *start_line, home.as_bytes() != file),
                    None => (source.file.as_deref().unwrap_or_default(), source.start_line, false),
                };
                if elsewhere {
                    line = 0;
                }
                let function = batch.function(NamedFunction {
                    name: bounded(&source.name, LONGEST_NAME).to_owned(),
                    display: display(bounded(&source.name, LONGEST_NAME), source.is_go).into_owned(),
                    file: bounded(file, LONGEST_NAME).to_owned(),
                    start_line,
                    origin: if source.is_go { image.origins.of(&source.name) } else { Origin::Native },
                });
                if borrowed && !elsewhere {
                    lent.insert(key, function);
                }
                function
            };
            batch.frames.push(NamedFrame { function, line, wrapper: source.wrapper });
        }
        let named = batch.place(place, address, Some(id));
        if let Some(root) = location.frames.last() {
            named.ends_stack = root.top_frame || leaves_the_goroutine(&root.name);
            named.is_root = named.ends_stack || is_root_name(&root.name);
        }
    }

    fn image(&self, id: ImageId) -> &Image<'f> {
        self.images[id.index()].get_or_init(|| {
            let path = self.keys.get(id.index()).map_or("", |key| &key.path);
            let file = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("unknown");
            let facts = self.binaries.get(id).ok().map(Binary::facts);
            let main_module = facts.and_then(|facts| facts.go.ok()?.module.map(|module| module.path));
            Image {
                origins: Origins::new(main_module),
                placeholder: format!("[{}]", bounded(file.trim_matches(['[', ']']), LONGEST_FILE_NAME)),
                written: OnceLock::new(),
            }
        })
    }
}

impl<'f> Image<'f> {
    /// The file that a Go function is written in, and the line of its `func` keyword.
    ///
    /// A wrapper that the compiler makes between its two calling conventions has the name of what it wraps
    /// (abi-internal.md), and therefore its home: it is one function with it, as in Go's own profiles, which know
    /// functions by their names (runtime/pprof/proto.go).
    fn home(&self, binary: &Binary<'f>, source: &SourceFrame<'_>) -> Option<(String, u32)> {
        let home_at = |entry: u64| {
            let frame = binary.locate(entry).ok()?.frames.into_iter().next_back()?;
            Some((frame.file?.into_owned(), frame.start_line))
        };
        let own = home_at(source.entry)?;
        if own.0.as_bytes() != AUTOGENERATED {
            return Some(own);
        }
        let written = self.written.get_or_init(|| written_functions(binary)).get(source.name.as_bytes());
        Some(written.and_then(|entry| home_at(*entry)).unwrap_or(own))
    }
}

impl Unnamed {
    /// Counts of frames by reason, most frequent first.
    pub(super) fn ranked(counts: &BTreeMap<&str, u64>) -> Vec<(String, u64)> {
        let mut ranked: Vec<(String, u64)> =
            counts.iter().filter(|(_, count)| **count > 0).map(|(why, count)| ((*why).to_owned(), *count)).collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked
    }
}

/// The Go functions that people wrote, by name, with their first addresses.
fn written_functions<'b>(binary: &Binary<'b>) -> HashMap<&'b [u8], u64> {
    let Ok(table) = binary.pclntab() else { return HashMap::new() };
    let written = table.functions().filter(|function| function.file_at(function.entry()) != Some(AUTOGENERATED));
    written.filter_map(|function| Some((function.name()?, function.entry()))).collect()
}

/// The beginning of a text, at most `limit` bytes of it.
fn bounded(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

fn display(linker_name: &str, is_go: bool) -> Cow<'_, str> {
    if is_go { name::display(linker_name) } else { Cow::Borrowed(linker_name) }
}

/// Functions that switch to the scheduler's stack for good. Before Go 1.25, the frame pointer that they leave behind
/// leads to a goroutine that may run elsewhere by now.
fn leaves_the_goroutine(name: &str) -> bool {
    matches!(name, "runtime.mcall" | "runtime.morestack")
}

/// Where C stacks and threads begin.
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
