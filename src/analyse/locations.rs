//! Named places become locations of the profile, of the same numbers.

use std::collections::HashMap;
use std::mem;

use foldhash::fast::RandomState;

use super::files::{Binaries, ImageId, ImageKey};
use super::place::Places;
use super::symbols::{Batch, NamedFrame, NamedFunction};
use crate::profile::{Frame, Function, FunctionId, Location, LocationId, Mapping, MappingId, Profile, StrId};

/// Locations of places where they are the leaf of a stack, which differ from what they are elsewhere.
pub(super) type Leaves = HashMap<LocationId, LocationId, RandomState>;

/// Adds what was named to a profile that has no locations.
pub(super) fn add_locations(
    mut named: Vec<Batch<'_>>,
    places: &Places,
    keys: &[ImageKey],
    binaries: &Binaries<'_>,
    profile: &mut Profile,
) -> Leaves {
    let mut mappings = Mappings { keys, binaries, known: vec![None; keys.len()], kernel: None };
    profile.reserve_functions(named.iter().map(|batch| batch.functions.len()).sum());
    let add = |batch: &mut Batch<'_>| add_functions(&mem::take(&mut batch.functions), profile);
    let functions: Vec<Vec<FunctionId>> = named.iter_mut().map(add).collect();
    // Names were read from them.
    binaries.leave_all();
    profile.add_locations(places.list.len());
    let mut wrapped = Vec::new();
    for (batch, functions) in named.into_iter().zip(functions) {
        for (place, frames) in batch.places() {
            let mapping = mappings.of(place.image, place.is_kernel, profile);
            let repaired = places.repaired.get(place.place as usize).copied().unwrap_or_default();
            let location = Location { mapping, address: place.address, repaired };
            let id = LocationId::from_index(place.place);
            profile.set_location(id, location, shown(frames, &functions, false));
            if has_other_leaf(frames) {
                wrapped.push((id, location, shown(frames, &functions, true).collect::<Vec<_>>()));
            }
        }
    }
    // In the order of places, as everything is.
    wrapped.sort_unstable_by_key(|(id, ..)| *id);
    wrapped.into_iter().map(|(id, location, frames)| (id, profile.add_location(location, frames))).collect()
}

/// Whether a place with these frames is another location where it is the leaf of a stack.
pub(super) fn has_other_leaf(frames: &[NamedFrame]) -> bool {
    frames.last().is_some_and(|innermost| innermost.wrapper)
}

/// The frames of a place that are shown. Wrappers that the compiler made are left out, as Go's own tracebacks do, but for
/// the one that a sample was taken in.
fn shown<'n>(frames: &'n [NamedFrame], functions: &'n [FunctionId], is_leaf: bool) -> impl Iterator<Item = Frame> + 'n {
    let last = frames.len().saturating_sub(1);
    let shown = frames.iter().enumerate().filter(move |(at, frame)| !frame.wrapper || is_leaf && *at == last);
    shown.filter_map(|(_, frame)| {
        Some(Frame { function: functions.get(frame.function as usize).copied()?, line: frame.line })
    })
}

fn add_functions(functions: &[NamedFunction<'_>], profile: &mut Profile) -> Vec<FunctionId> {
    let mut ids = Vec::with_capacity(functions.len());
    // They are in the order of their addresses: the next one is mostly of the same file.
    let mut last: Option<(&str, StrId)> = None;
    for function in functions {
        let name = profile.intern(&function.name);
        let display = if function.display == function.name { name } else { profile.intern(&function.display) };
        let file = match last {
            Some((file, id)) if *file == *function.file => id,
            _ => profile.intern(&function.file),
        };
        last = Some((&function.file, file));
        let NamedFunction { start_line, origin, .. } = *function;
        ids.push(profile.add_function(Function { name, display, file, start_line, origin }));
    }
    ids
}

/// The mappings that frames lie in.
struct Mappings<'m, 'f> {
    keys: &'m [ImageKey],
    binaries: &'m Binaries<'f>,
    known: Vec<Option<MappingId>>,
    kernel: Option<MappingId>,
}

impl Mappings<'_, '_> {
    fn of(&mut self, image: Option<ImageId>, is_kernel: bool, profile: &mut Profile) -> Option<MappingId> {
        let Some(image) = image else {
            return is_kernel.then(|| {
                *self.kernel.get_or_insert_with(|| {
                    let kernel = Mapping {
                        file: profile.intern("[kernel.kallsyms]"),
                        build_id: profile.intern(""),
                        start: 1 << 63,
                        limit: u64::MAX,
                        offset: 0,
                    };
                    profile.add_mapping(kernel)
                })
            });
        };
        let (key, known) = (self.keys.get(image.index())?, self.known.get_mut(image.index())?);
        Some(*known.get_or_insert_with(|| {
            let binary = self.binaries.get(image).ok();
            let segment = binary.and_then(|binary| binary.load_segments().iter().find(|segment| segment.executable));
            let mapping = Mapping {
                file: profile.intern(&key.path),
                build_id: profile.intern(key.build_id.as_deref().unwrap_or_default()),
                start: segment.map_or(0, |segment| segment.address),
                limit: segment.map_or(u64::MAX, |segment| segment.address.saturating_add(segment.file_size)),
                offset: segment.map_or(0, |segment| segment.offset),
            };
            profile.add_mapping(mapping)
        }))
    }
}
