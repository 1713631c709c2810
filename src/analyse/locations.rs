//! Makes profile locations from named raw locations. A location keeps its id.

use std::collections::HashMap;
use std::mem;

use foldhash::fast::RandomState;

use super::files::{Binaries, ImageId};
use super::raw_location::RawLocations;
use super::symbols::{Batch, NamedFrame, NamedFunction};
use crate::profile::{Frame, Function, FunctionId, Location, LocationId, Mapping, MappingId, Profile, StrId};
use crate::sources::MappedId;

/// Names of compiler-generated wrappers that are not shown, by location. The wrapper is the location's only frame.
pub(super) type WrapperNames = HashMap<LocationId, StrId, RandomState>;

/// Adds all named locations to a profile without locations. Returns the names of the wrappers that are not shown.
pub(super) fn add_locations(
    mut named: Vec<Batch<'_>>,
    raw: &RawLocations,
    keys: &[MappedId],
    binaries: &Binaries<'_>,
    profile: &mut Profile,
) -> WrapperNames {
    let mut mappings = MappingTable { keys, binaries, images: vec![None; keys.len()], kernel: None };
    profile.reserve_functions(named.iter().map(|batch| batch.functions.len()).sum());
    let add = |batch: &mut Batch<'_>| add_functions(&mem::take(&mut batch.functions), profile);
    let functions: Vec<Vec<FunctionId>> = named.iter_mut().map(add).collect();
    // The names were borrowed from the files. Now they are in the profile.
    binaries.release_all();
    profile.add_locations(raw.list.len());
    let mut wrappers = WrapperNames::default();
    for (batch, functions) in named.into_iter().zip(functions) {
        for (named, frames) in batch.locations() {
            let mapping = mappings.intern(named.image, named.is_kernel, profile);
            let location = Location { mapping, address: named.address };
            let id = named.id;
            profile.set_location(id, location, shown_frames(frames, &functions));
            if let [NamedFrame { function, is_wrapper: true, .. }] = frames {
                wrappers.insert(id, profile.function(functions[*function as usize]).display);
            }
        }
    }
    wrappers
}

/// The frames of a location that are shown. Compiler-generated wrappers are left out, as in Go's own tracebacks and
/// profiles, so their time counts for their caller.
fn shown_frames<'n>(frames: &'n [NamedFrame], functions: &'n [FunctionId]) -> impl Iterator<Item = Frame> + 'n {
    frames.iter().filter(|frame| !frame.is_wrapper).filter_map(|frame| {
        Some(Frame { function: functions.get(frame.function as usize).copied()?, line: frame.line })
    })
}

fn add_functions(functions: &[NamedFunction<'_>], profile: &mut Profile) -> Vec<FunctionId> {
    let mut ids = Vec::with_capacity(functions.len());
    // Functions are sorted by address, so most have the same file as the function before.
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
        ids.push(profile.intern_function(Function { name, display, file, start_line, origin }));
    }
    ids
}

/// The mappings of a profile. A mapping is added together with its first location.
struct MappingTable<'m, 'f> {
    keys: &'m [MappedId],
    binaries: &'m Binaries<'f>,
    /// The mapping of each image, indexed by [`ImageId`].
    images: Vec<Option<MappingId>>,
    kernel: Option<MappingId>,
}

impl MappingTable<'_, '_> {
    fn intern(&mut self, image: Option<ImageId>, is_kernel: bool, profile: &mut Profile) -> Option<MappingId> {
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
                    profile.intern_mapping(kernel)
                })
            });
        };
        let (key, mapping) = (self.keys.get(image.index())?, self.images.get_mut(image.index())?);
        Some(*mapping.get_or_insert_with(|| {
            let binary = self.binaries.get(image).ok();
            // Some kernels and file systems do not give the recording a build id.
            let build_id = key.build_id.clone().or_else(|| binary?.build_id()).unwrap_or_default();
            let segment = binary.and_then(|binary| binary.load_segments().iter().find(|segment| segment.executable));
            let mapping = Mapping {
                file: profile.intern(&key.path),
                build_id: profile.intern(&build_id),
                start: segment.map_or(0, |segment| segment.address),
                limit: segment.map_or(u64::MAX, |segment| segment.address.saturating_add(segment.file_size)),
                offset: segment.map_or(0, |segment| segment.offset),
            };
            profile.intern_mapping(mapping)
        }))
    }
}
