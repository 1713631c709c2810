//! Builds a profile from the stacks of a text.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::goname;
use crate::pprof::{CodePlace, is_placeholder, origin};
use crate::profile::{
    Event, Frame, Function, LabelSetId, Location, LocationId, Mapping, MappingId, Origin, Profile, Quality, StackId,
    Task, TaskId,
};

/// Maximum number of frames of a stack, inlined calls included. Go's runtime records at most 1024
/// (debug.profstackdepth), and the kernel 127 unless `kernel.perf_event_max_stack` is raised.
pub(super) const MAX_FRAMES: usize = 4096;

/// Maximum size of a name or path, the same as for binaries. Without a limit, every frame could have a huge name.
const MAX_NAME_BYTES: usize = 4096;

/// A frame as a text shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct TextFrame {
    pub(super) name: String,
    /// The mapped file, or the empty string.
    pub(super) mapping: String,
    pub(super) address: u64,
    /// The source file, or the empty string.
    pub(super) file: String,
    /// The source line, or 0.
    pub(super) line: u32,
    /// Whether the compiler inlined the call into the frame's caller.
    pub(super) inlined: bool,
    /// The origin, if the text contains it.
    pub(super) origin: Option<Origin>,
}

/// A location of a text: mapping, address and frames.
type TextLocation = (Option<MappingId>, u64, Vec<Frame>);

/// Properties that distinguish the functions of a text.
#[derive(PartialEq, Eq, Hash)]
struct FunctionKey {
    name: String,
    file: String,
    mapping: String,
    is_kernel: bool,
}

/// A function that is in the profile already.
#[derive(Clone, Copy)]
struct KnownFunction {
    /// A frame of the function, without a line.
    frame: Frame,
    /// Whether the text has no name for the function.
    is_unnamed: bool,
}

pub(super) struct StackTextBuilder {
    pub(super) profile: Profile,
    pub(super) quality: Quality,
    locations: HashMap<TextLocation, LocationId, RandomState>,
    functions: HashMap<FunctionKey, KnownFunction, RandomState>,
}

impl StackTextBuilder {
    pub(super) fn new(event: Event) -> Self {
        let quality = Quality { event: event.name.clone(), complete_file: true, ..Quality::default() };
        let (locations, functions) = (HashMap::default(), HashMap::default());
        Self { profile: Profile::new(event), quality, locations, functions }
    }

    /// Returns the id of a task. `pid` and `tid` are 0 if they are unknown.
    pub(super) fn intern_task(&mut self, process: &str, pid: u32, tid: u32, cpu: Option<u32>) -> TaskId {
        let process = self.profile.intern(cut_name(process));
        self.profile.intern_task(Task { process, pid, tid, cpu, goroutine: None, labels: LabelSetId::EMPTY })
    }

    /// Returns the id of a stack. `frames` begins with the root. The quality figures count each frame `samples` times.
    pub(super) fn intern_stack(&mut self, frames: &[TextFrame], samples: u64) -> StackId {
        let mut locations = Vec::new();
        for group in frames.chunk_by(|_, next| next.inlined) {
            let built: Vec<Frame> = group.iter().map(|frame| self.intern_frame(frame, samples)).collect();
            let Some(outermost) = group.first() else { continue };
            let mapping = self.intern_mapping(&outermost.mapping);
            let profile = &mut self.profile;
            let id = *self.locations.entry((mapping, outermost.address, built)).or_insert_with_key(
                |(mapping, address, frames)| {
                    let location = Location { mapping: *mapping, address: *address };
                    profile.add_location(location, frames.iter().copied())
                },
            );
            locations.push(id);
        }
        self.profile.intern_stack(&locations)
    }

    fn intern_mapping(&mut self, file: &str) -> Option<MappingId> {
        if file.is_empty() {
            return None;
        }
        let (file, build_id) = (self.profile.intern(cut_name(file)), self.profile.intern(""));
        Some(self.profile.intern_mapping(Mapping { file, build_id, start: 0, limit: 0, offset: 0 }))
    }

    fn intern_frame(&mut self, frame: &TextFrame, samples: u64) -> Frame {
        let place = CodePlace { mapping: &frame.mapping, address: frame.address };
        let is_kernel = place.is_kernel() || frame.origin == Some(Origin::Kernel);
        let key = FunctionKey {
            name: frame.name.clone(),
            file: frame.file.clone(),
            mapping: frame.mapping.clone(),
            is_kernel,
        };
        let known = if let Some(known) = self.functions.get(&key) {
            *known
        } else {
            let is_unnamed = is_placeholder(&frame.name, &frame.file);
            let keeps_name = !frame.name.is_empty() && (!is_unnamed || frame.mapping.is_empty());
            let name = if keeps_name { cut_name(&frame.name) } else { &place.placeholder() };
            let origin = frame.origin.unwrap_or_else(|| origin(name, &frame.file, place));
            // perf adds the calling convention (`.abi0`) to names of Go functions.
            let name = if origin.is_go() { name.strip_suffix(".abi0").unwrap_or(name) } else { name };
            let display = if origin.is_go() { goname::display(name) } else { name.into() };
            let profile = &mut self.profile;
            let function = Function {
                name: profile.intern(name),
                display: profile.intern(&display),
                file: profile.intern(cut_name(&frame.file)),
                start_line: 0,
                origin,
            };
            let frame = Frame { function: profile.intern_function(function), line: 0 };
            let known = KnownFunction { frame, is_unnamed };
            self.functions.insert(key, known);
            known
        };
        let quality = &mut self.quality;
        let (all, unnamed) = if is_kernel {
            (&mut quality.kernel_frames, &mut quality.unnamed_kernel_frames)
        } else {
            (&mut quality.user_frames, &mut quality.unnamed_user_frames)
        };
        *all = all.saturating_add(samples);
        *unnamed = unnamed.saturating_add(if known.is_unnamed { samples } else { 0 });
        Frame { line: frame.line, ..known.frame }
    }

    /// Completes the figures of quality, and returns the profile.
    pub(super) fn finish(mut self) -> (Profile, Quality) {
        let sampled = self.profile.event.is_sampled() || self.profile.samples().is_empty();
        self.quality.samples = sampled.then(|| self.profile.total_count());
        let unnamed = self.quality.unnamed_user_frames.saturating_add(self.quality.unnamed_kernel_frames);
        if unnamed > 0 {
            self.quality.unnamed_reasons = vec![("the text names no function there".to_owned(), unnamed)];
        }
        (self.profile, self.quality)
    }
}

/// Cuts a name off after [`MAX_NAME_BYTES`] bytes.
fn cut_name(name: &str) -> &str {
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    (0..=MAX_NAME_BYTES).rev().find_map(|end| name.get(..end)).unwrap_or_default()
}
