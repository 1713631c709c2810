//! Named places become frames of the profile, and raw stacks its stacks.

use std::collections::{BTreeMap, HashMap};

use super::collect::{Collected, Counted, RawGoroutine};
use super::files::{Binaries, ImageId, ImageKey};
use super::place::{NodeId, Place, RawFrame};
use super::symbols::{Batch, NamedFrame, Unnamed};
use crate::profile::{
    Frame, FrameId, Function, FunctionId, Goroutine, GoroutineId, Mapping, MappingId, Profile, Quality, Sample,
    StackId, Trie,
};

/// What each place became.
pub(super) struct Resolved {
    frames: Vec<ResolvedFrame>,
    places: Vec<Slot>,
    /// Reasons for missing names, each once.
    reasons: Vec<String>,
    /// Frames as they are in some stacks (repaired, and not inlined since the wrapper that they are inlined into is
    /// left out), by what they are otherwise.
    variants: HashMap<(FrameId, bool, bool), FrameId>,
}

#[derive(Debug, Clone, Copy)]
struct ResolvedFrame {
    frame: FrameId,
    wrapper: bool,
}

/// A place, and its frames in [`Resolved::frames`].
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude one another")]
struct Slot {
    start: usize,
    /// Outermost first.
    end: usize,
    /// Position in [`Resolved::reasons`].
    unnamed: Option<usize>,
    has_wrapper: bool,
    hidden: bool,
    is_root: bool,
    ends_stack: bool,
}

impl Resolved {
    /// Adds what was named to a profile.
    pub(super) fn of(
        named: &[Batch],
        places: usize,
        keys: &[ImageKey],
        binaries: &Binaries<'_>,
        profile: &mut Profile,
    ) -> Self {
        let mut resolved = Self {
            frames: Vec::new(),
            places: vec![Slot::default(); places],
            reasons: Vec::new(),
            variants: HashMap::new(),
        };
        let mut mappings = Mappings { keys, binaries, known: vec![None; keys.len()], kernel: None };
        for batch in named {
            let functions: Vec<FunctionId> = batch
                .functions
                .iter()
                .map(|function| {
                    let function = Function {
                        name: profile.intern(&function.name),
                        display: profile.intern(&function.display),
                        file: profile.intern(&function.file),
                        start_line: function.start_line,
                        origin: function.origin,
                    };
                    profile.add_function(function)
                })
                .collect();
            let reasons: Vec<usize> = batch.reasons.iter().map(|reason| resolved.reason(reason)).collect();
            for (place, frames) in batch.places() {
                let start = resolved.frames.len();
                let mapping = mappings.of(place.image, place.is_kernel, profile);
                for NamedFrame { function, line, inlined, wrapper } in frames.iter().copied() {
                    let Some(function) = functions.get(function).copied() else { continue };
                    let frame = Frame { function, line, mapping, address: place.address, inlined, repaired: false };
                    resolved.frames.push(ResolvedFrame { frame: profile.add_frame(frame), wrapper });
                }
                if let Some(slot) = resolved.places.get_mut(place.place as usize) {
                    *slot = Slot {
                        start,
                        end: resolved.frames.len(),
                        unnamed: place.unnamed.and_then(|Unnamed(at)| reasons.get(at).copied()),
                        hidden: place.hidden,
                        has_wrapper: frames.iter().any(|frame| frame.wrapper),
                        is_root: place.is_root,
                        ends_stack: place.ends_stack,
                    };
                }
            }
        }
        resolved
    }

    fn reason(&mut self, text: &str) -> usize {
        let known = self.reasons.iter().position(|reason| reason == text);
        known.unwrap_or_else(|| {
            self.reasons.push(text.to_owned());
            self.reasons.len() - 1
        })
    }

    /// Whether the leaf of a stack is in a kernel that shows no addresses.
    fn stands_on_hidden(&self, stack: NodeId, tree: &Trie) -> bool {
        tree.get(stack).is_some_and(|(_, frame)| self.slot(RawFrame::of_key(frame)).hidden)
    }

    fn slot(&self, frame: RawFrame) -> Slot {
        self.places.get(frame.place()).copied().unwrap_or_default()
    }

    fn goroutine(&self, raw: &RawGoroutine, profile: &mut Profile) -> GoroutineId {
        // The innermost function there.
        let name = |place: Option<u32>, profile: &Profile| {
            let slot = *self.places.get(place? as usize)?;
            let frame = self.frames.get(slot.start..slot.end)?.last()?.frame;
            Some(profile.frame_function(frame).display)
        };
        let none = profile.intern("");
        let entry = name(raw.start, profile).unwrap_or(none);
        let creator = name(raw.creator, profile).unwrap_or(none);
        profile.add_goroutine(Goroutine { pid: raw.pid, address: raw.address, id: raw.id, entry, creator })
    }

    /// Puts the frames of a place on top of a stack. Wrappers that the compiler made are left out, as Go's own
    /// tracebacks do, but for the one that a sample was taken in.
    fn push(&mut self, caller: StackId, raw: RawFrame, is_leaf: bool, profile: &mut Profile) -> StackId {
        let Slot { start, end, .. } = self.slot(raw);
        let mut stack = caller;
        let mut outermost = true;
        for at in start..end {
            let ResolvedFrame { mut frame, wrapper } = self.frames[at];
            if wrapper && !(is_leaf && at + 1 == end) {
                continue;
            }
            let inlined = profile.frame(frame).inlined;
            let promoted = std::mem::take(&mut outermost) && inlined;
            if raw.repaired() || promoted {
                frame = *self.variants.entry((frame, raw.repaired(), promoted)).or_insert_with(|| {
                    let original = profile.frame(frame).clone();
                    let (repaired, inlined) = (raw.repaired(), inlined && !promoted);
                    profile.add_frame(Frame { inlined, repaired, ..original })
                });
            }
            stack = profile.push(stack, frame);
        }
        stack
    }
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

/// Adds stacks and samples to a profile.
pub(super) fn add_samples(collected: Collected, resolved: &mut Resolved, profile: &mut Profile) {
    let Collected { tree, counts, runners, processes, goroutines, .. } = collected;
    // Each raw stack as the caller of another.
    let mut callers = vec![StackId::EMPTY; tree.count()];
    for (stack, caller, frame) in tree.nodes() {
        let frame = RawFrame::of_key(frame);
        let below = base(resolved, frame, caller, &callers);
        let same = resolved.slot(frame).hidden && resolved.stands_on_hidden(caller, &tree);
        callers[stack as usize] = if same { below } else { resolved.push(below, frame, false, profile) };
    }
    let mut stack_of = |counted: &Counted| match tree.get(counted.stack) {
        Some((caller, frame)) if resolved.slot(RawFrame::of_key(frame)).has_wrapper => {
            let frame = RawFrame::of_key(frame);
            let below = base(resolved, frame, caller, &callers);
            resolved.push(below, frame, true, profile)
        }
        _ => callers[counted.stack as usize],
    };
    let stacks: Vec<StackId> = counts.iter().map(&mut stack_of).collect();
    drop((tree, callers));
    let processes: Vec<_> = processes.iter().map(|name| profile.intern(name)).collect();
    let goroutines: Vec<_> = goroutines.iter().map(|raw| resolved.goroutine(raw, profile)).collect();
    profile.reserve_samples(counts.len());
    for (counted, stack) in counts.into_iter().zip(stacks) {
        let Some(runner) = runners.get(counted.runner as usize) else { continue };
        let Some(process) = processes.get(runner.process as usize) else { continue };
        profile.add_sample(Sample {
            stack,
            process: *process,
            pid: runner.pid,
            tid: runner.tid,
            cpu: runner.cpu,
            goroutine: runner.goroutine.and_then(|at| goroutines.get(at as usize).copied()),
            count: counted.count,
            weight: counted.weight,
        });
    }
}

/// What a frame stands on: nothing, where a stack ends with it, whatever its raw stack says.
fn base(resolved: &Resolved, frame: RawFrame, caller: NodeId, callers: &[StackId]) -> StackId {
    if resolved.slot(frame).ends_stack { StackId::EMPTY } else { callers[caller as usize] }
}

/// Counts stacks and frames, complete or not, named or not.
pub(super) fn account(collected: &Collected, resolved: &Resolved, quality: &mut Quality) {
    let tree = &collected.tree;
    // The samples whose stack passes through each raw stack.
    let mut passing = vec![0_u64; tree.count()];
    for counted in &collected.counts {
        passing[counted.stack as usize] += counted.count;
    }
    let mut unnamed = vec![0_u64; resolved.reasons.len()];
    for (stack, caller, frame) in tree.nodes().rev() {
        let frame = RawFrame::of_key(frame);
        let count = passing[stack as usize];
        let slot = resolved.slot(frame);
        let begins = slot.ends_stack || caller == Trie::ROOT;
        if !slot.ends_stack {
            passing[caller as usize] += count;
        }
        if slot.hidden && resolved.stands_on_hidden(caller, tree) {
            continue;
        }
        let is_kernel = matches!(collected.places.list.get(frame.place()), Some(Place::Kernel(_)));
        let frames = (slot.end - slot.start) as u64 * count;
        if is_kernel {
            quality.kernel_frames += frames;
        } else {
            quality.user_frames += frames;
            if begins {
                quality.user_stacks += count;
                quality.rooted_stacks += if slot.is_root { count } else { 0 };
            }
        }
        if let Some(why) = slot.unnamed {
            unnamed[why] += count;
            let sum = if is_kernel { &mut quality.unnamed_kernel_frames } else { &mut quality.unnamed_user_frames };
            *sum += count;
        }
    }
    let reasons = resolved.reasons.iter().map(String::as_str);
    quality.unnamed_reasons = Unnamed::ranked(&reasons.zip(unnamed).collect::<BTreeMap<_, _>>());
}
