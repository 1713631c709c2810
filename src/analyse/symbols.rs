//! Step two: name each distinct place once, on all cores.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rayon::prelude::*;

use super::files::{Binaries, ImageId, ImageKey};
use super::image::{Image, bounded};
use super::kernel::{self, KernelCode, KernelSymbols};
use super::place::Place;
use crate::gobin::{Binary, Locator};
use crate::goname;
use crate::profile::{Origin, position};

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
    frames_end: u32,
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
pub(super) struct Unnamed(pub(super) u32);

/// A function, in texts, most of which are those of the mapped file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedFunction<'n> {
    pub(super) name: Cow<'n, str>,
    pub(super) display: Cow<'n, str>,
    pub(super) file: Cow<'n, str>,
    pub(super) start_line: u32,
    pub(super) origin: Origin,
}

impl<'n> NamedFunction<'n> {
    /// A function of which no more is known than its name.
    fn plain(name: Cow<'n, str>, origin: Origin) -> Self {
        Self { display: name.clone(), name, file: Cow::Borrowed(""), start_line: 0, origin }
    }
}

/// A call of a function, by position in [`Batch::functions`].
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedFrame {
    pub(super) function: u32,
    pub(super) line: u32,
    /// Made up by the compiler, and left out where it merely calls on, as Go's own tracebacks do.
    pub(super) wrapper: bool,
}

/// What one piece of work found.
#[derive(Debug, Default)]
pub(super) struct Batch<'n> {
    pub(super) functions: Vec<NamedFunction<'n>>,
    frames: Vec<NamedFrame>,
    places: Vec<Named>,
    pub(super) reasons: Vec<String>,
    index: HashTable<u32>,
    seed: RandomState,
}

impl<'n> Batch<'n> {
    /// Every place with its frames, outermost function first and inlined calls after it.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Named, &[NamedFrame])> {
        let mut start = 0;
        self.places.iter().map(move |named| {
            let end = named.frames_end as usize;
            let frames = self.frames.get(start..end).unwrap_or_default();
            start = end;
            (named, frames)
        })
    }

    fn function(&mut self, function: NamedFunction<'n>) -> u32 {
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

    /// Ends a place, whose frames have been added.
    fn place(&mut self, place: u32, address: u64, image: Option<ImageId>) -> &mut Named {
        let named = Named {
            place,
            address,
            image,
            is_kernel: false,
            hidden: false,
            frames_end: position(self.frames.len()),
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
        let function = self.function(NamedFunction::plain(Cow::Owned(shown.to_owned()), origin));
        self.frames.push(NamedFrame { function, line: 0, wrapper: false });
        let named = self.place(place, address, image);
        named.unnamed = Some(unnamed);
        named.is_kernel = origin == Origin::Kernel;
        named
    }

    fn reason(&mut self, text: &str) -> Unnamed {
        Unnamed(position(position_of(text, &mut self.reasons)))
    }
}

/// The position of a reason, of which there are few.
pub(super) fn position_of(text: &str, reasons: &mut Vec<String>) -> usize {
    let known = reasons.iter().position(|reason| reason == text);
    known.unwrap_or_else(|| {
        reasons.push(text.to_owned());
        reasons.len() - 1
    })
}

/// Bytes of a function's name or a path. Go's longest, of generic types, have hundreds; every frame of every stack may
/// carry one, so a crafted file must not bring longer ones.
const LONGEST_NAME: usize = 4096;

/// Places in one piece of work: enough to keep a core busy, few enough to share out evenly.
const PIECE: usize = 4096;

/// Names all places.
pub(super) fn name_all<'n>(
    places: &[Place],
    keys: &[ImageKey],
    binaries: &'n Binaries<'_>,
    kernel: Result<&'n KernelSymbols, &str>,
    kernel_code: &'n KernelCode,
) -> Vec<Batch<'n>> {
    // Places of one function come one after the other, so that its tables are at hand.
    let mut order: Vec<Ordered> =
        (0..position(places.len())).zip(places).map(|(at, of)| Ordered::of(at, *of)).collect();
    order.par_sort_unstable();
    let mut images = Vec::new();
    images.resize_with(keys.len(), OnceLock::new);
    let namer = Namer { keys, binaries, kernel, kernel_code, images };
    // The last first: of what takes long to open, such as compilers in other languages, nobody is to be left with the last.
    let pieces = order.par_chunks(PIECE).with_max_len(1).rev();
    let mut batches: Vec<Batch<'n>> = pieces.map(|piece| namer.name(piece)).collect();
    batches.reverse();
    batches
}

/// A place and its position in one number, that sorts by file and address: 32 bits for what it is in (the kernel,
/// nothing, a file), 64 for the address, 32 for the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ordered(u128);

impl Ordered {
    fn of(at: u32, place: Place) -> Self {
        let (home, address) = match place {
            Place::Kernel(address) => (0, address),
            Place::Unmapped(address) => (1, address),
            Place::File(image, offset) => (image.0.saturating_add(2), offset),
        };
        Self(u128::from(home) << 96 | u128::from(address) << 32 | u128::from(at))
    }

    /// The position and the place.
    #[expect(clippy::cast_possible_truncation, reason = "it is cut into its parts")]
    fn parts(self) -> (u32, Place) {
        let (position, address, home) = (self.0 as u32, (self.0 >> 32) as u64, (self.0 >> 96) as u32);
        let place = match home {
            0 => Place::Kernel(address),
            1 => Place::Unmapped(address),
            image => Place::File(ImageId(image - 2), address),
        };
        (position, place)
    }
}

/// Names places, one batch at a time.
struct Namer<'k, 'n, 'f> {
    keys: &'k [ImageKey],
    binaries: &'n Binaries<'f>,
    kernel: Result<&'n KernelSymbols, &'k str>,
    kernel_code: &'n KernelCode,
    images: Vec<OnceLock<Image<'f>>>,
}

/// One piece of work, and what of it the places after a place may need again.
struct Piece<'k, 'n, 'f> {
    batch: Batch<'n>,
    file: Option<(ImageId, OpenFile<'k, 'n, 'f>)>,
    /// Name, module and position of the last function of the kernel.
    kernel: Option<(&'n str, Option<&'n str>, u32)>,
}

/// A file whose places are being named.
struct OpenFile<'k, 'n, 'f> {
    image: &'k Image<'f>,
    symbols: Result<(&'n Binary<'f>, Locator<'n, 'f>), &'n str>,
    named: Lent,
    homes: Homes<'f>,
    /// Apart from the other one, which is amid a function whose home is asked for.
    entries: Option<Locator<'n, 'f>>,
}

/// Functions that were named already, by what [`Locator::locate`] lends: where the texts of their name and file lie.
type Lent = HashMap<(usize, usize, usize, u32), u32, RandomState>;

/// Where Go functions are written, by their first address.
type Homes<'f> = HashMap<u64, Option<(Cow<'f, str>, u32)>, RandomState>;

impl<'n, 'f> Namer<'_, 'n, 'f> {
    fn name(&self, places: &[Ordered]) -> Batch<'n> {
        let mut piece = Piece { batch: Batch::default(), file: None, kernel: None };
        for ordered in places {
            let (at, place) = ordered.parts();
            match place {
                Place::Kernel(address) => self.kernel_place(at, address, &mut piece),
                Place::Unmapped(address) => {
                    let why = "no file is mapped at the address";
                    piece.batch.nameless(at, address, None, "[unknown]", Origin::Unknown, why);
                }
                Place::File(image, offset) => self.file_place(at, image, offset, &mut piece),
            }
        }
        self.leave(piece.file.as_ref());
        piece.batch
    }

    fn kernel_place(&self, place: u32, address: u64, piece: &mut Piece<'_, 'n, 'f>) {
        let batch = &mut piece.batch;
        let (name, module) = match (self.kernel_code.name(address), self.kernel) {
            (Some(made), _) => (made, None),
            (None, Ok(symbols)) => {
                let Some(found) = symbols.name(address) else {
                    let why = "the address is in no kernel function";
                    batch.nameless(place, address, None, "[kernel]", Origin::Kernel, why);
                    return;
                };
                found
            }
            (None, Err(why)) => {
                // Nothing tells one function from another: all of them are one frame.
                batch.nameless(place, 0, None, "[kernel]", Origin::Kernel, why).hidden = true;
                return;
            }
        };
        let function = match piece.kernel {
            Some((last, of, function)) if (last, of) == (name, module) => function,
            _ => {
                let (shown, file) = kernel::shown(name, module);
                let plain = NamedFunction::plain(of_bounded_length(&shown), Origin::Kernel);
                batch.function(NamedFunction { file: Cow::Owned(file), ..plain })
            }
        };
        piece.kernel = Some((name, module, function));
        batch.frames.push(NamedFrame { function, line: 0, wrapper: false });
        batch.place(place, address, None).is_kernel = true;
    }

    fn file_place<'k>(&'k self, place: u32, id: ImageId, offset: u64, piece: &mut Piece<'k, 'n, 'f>) {
        let Piece { batch, file, .. } = piece;
        if file.as_ref().is_none_or(|(open, _)| *open != id) {
            self.leave(file.as_ref());
            *file = Some((id, self.open(id)));
        }
        let Some((_, OpenFile { image, symbols, named, homes, entries })) = file else { return };
        let located = match symbols {
            Ok((binary, locator)) => match binary.address_of_offset(offset) {
                Some(address) => match locator.locate(address) {
                    Ok(frames) => Ok((*binary, address, frames)),
                    Err(reason) => Err((address, reason.to_string())),
                },
                None => Err((offset, "the offset is in no loaded segment".to_owned())),
            },
            Err(why) => Err((offset, (*why).to_owned())),
        };
        let (binary, address, frames) = match located {
            Ok(located) => located,
            Err((address, why)) => {
                batch.nameless(place, address, Some(id), &image.placeholder, Origin::Unknown, &why);
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
            let function = if let Some(known) = named.get(&key).filter(|_| borrowed) {
                *known
            } else {
                let home = if source.inlined || !source.is_go {
                    None
                } else {
                    let entries = entries.get_or_insert_with(|| Locator::new(binary));
                    homes.entry(source.entry).or_insert_with(|| image.home(binary, entries, source)).as_ref()
                };
                // A function is where it begins, whatever `//line` directives say of its middle.
                let (file, start_line, elsewhere) = match home {
                    Some((home, start_line)) => (Some(home), *start_line, home.as_bytes() != file),
                    None => (source.file.as_ref(), source.start_line, false),
                };
                if elsewhere {
                    line = 0;
                }
                let name = of_bounded_length(&source.name);
                let function = batch.function(NamedFunction {
                    display: if source.is_go { made_of(&name, goname::display) } else { name.clone() },
                    name,
                    file: file.map_or(Cow::Borrowed(""), of_bounded_length),
                    start_line,
                    origin: if source.is_go { image.origins.of(&source.name) } else { Origin::Native },
                });
                if borrowed && !elsewhere {
                    named.insert(key, function);
                }
                function
            };
            batch.frames.push(NamedFrame { function, line, wrapper: source.wrapper });
        }
        let place = batch.place(place, address, Some(id));
        if let Some(root) = frames.last() {
            place.ends_stack = root.top_frame || leaves_the_goroutine(&root.name);
            place.is_root = place.ends_stack || is_root_name(&root.name);
        }
    }

    /// Gives back the memory of a file that no more places of a piece are in: programs are large.
    fn leave(&self, file: Option<&(ImageId, OpenFile<'_, 'n, 'f>)>) {
        if let Some((id, _)) = file {
            self.binaries.leave(*id);
        }
    }

    fn open<'k>(&'k self, id: ImageId) -> OpenFile<'k, 'n, 'f> {
        let binary = self.binaries.get(id);
        let image = self.images[id.index()].get_or_init(|| {
            let path = self.keys.get(id.index()).map_or("", |key| &key.path);
            Image::of(path, binary.ok())
        });
        let symbols = binary.map(|binary| (binary, Locator::new(binary)));
        OpenFile { image, symbols, named: Lent::default(), homes: Homes::default(), entries: None }
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

/// As much of a text as may be long.
fn of_bounded_length<'t>(text: &Cow<'t, str>) -> Cow<'t, str> {
    made_of(text, |text| Cow::Borrowed(bounded(text, LONGEST_NAME)))
}

/// What is made of a text: borrowed from where that is, if it can be.
fn made_of<'t>(text: &Cow<'t, str>, make: impl Fn(&str) -> Cow<'_, str>) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => make(text),
        Cow::Owned(text) => Cow::Owned(make(text).into_owned()),
    }
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

#[cfg(test)]
mod tests {
    use super::{ImageId, Ordered, Place};

    #[test]
    fn places_sort_by_file_and_address() {
        let places = [
            Place::Kernel(u64::MAX),
            Place::Unmapped(0),
            Place::Unmapped(7),
            Place::File(ImageId(0), 9),
            Place::File(ImageId(0), u64::MAX),
            Place::File(ImageId(1), 0),
            Place::File(ImageId(u32::MAX - 2), 3),
        ];
        let ordered: Vec<Ordered> = (0..).zip(places).map(|(at, place)| Ordered::of(u32::MAX - at, place)).collect();
        assert!(ordered.is_sorted());
        for ((at, place), ordered) in (0..).zip(places).zip(ordered) {
            assert_eq!(ordered.parts(), (u32::MAX - at, place));
        }
    }
}
