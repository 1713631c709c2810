//! Builds the profile of a text.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::goname;
use crate::pprof::{CodePlace, is_placeholder, origin};
use crate::profile::{
    Event, Frame, Function, LabelSetId, Location, LocationId, Mapping, MappingId, Origin, Profile, Quality, StackId,
    Task, TaskId,
};

/// Maximum frames of a stack, inlined calls included. Go's runtime records at most 1024 (debug.profstackdepth), and the
/// kernel 127 unless `kernel.perf_event_max_stack` is raised.
pub(super) const MAX_FRAMES: usize = 4096;

/// Maximum bytes of a name or path, as for binaries. Every frame of every stack may carry one.
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
    /// The origin, if the text tells it.
    pub(super) origin: Option<Origin>,
}

/// A location of a text: mapping, address and frames.
type TextLocation = (Option<MappingId>, u64, Vec<Frame>);

/// A profile under construction.
pub(super) struct StackTextBuilder {
    pub(super) profile: Profile,
    pub(super) quality: Quality,
    locations: HashMap<TextLocation, LocationId, RandomState>,
    /// Handles of functions by name, file, mapping, and whether their address is the kernel's; and whether they are
    /// placeholders for code without a name.
    functions: HashMap<(String, String, String, bool), (Frame, bool), RandomState>,
}

impl StackTextBuilder {
    pub(super) fn new(event: Event) -> Self {
        let quality = Quality { event: event.name.clone(), complete_file: true, ..Quality::default() };
        let (locations, functions) = (HashMap::default(), HashMap::default());
        Self { profile: Profile::new(event), quality, locations, functions }
    }

    /// Returns the handle of a task. Ids are 0 if they are unknown.
    pub(super) fn task(&mut self, process: &str, pid: u32, tid: u32, cpu: Option<u32>) -> TaskId {
        let process = self.profile.intern(bounded(process));
        self.profile.intern_task(Task { process, pid, tid, cpu, goroutine: None, labels: LabelSetId::EMPTY })
    }

    /// Returns the handle of a stack whose root comes first. Counts its frames in the quality `times` times.
    pub(super) fn stack(&mut self, frames: &[TextFrame], times: u64) -> StackId {
        let mut locations = Vec::new();
        for group in frames.chunk_by(|_, next| next.inlined) {
            let built: Vec<Frame> = group.iter().map(|frame| self.frame(frame, times)).collect();
            let Some(outermost) = group.first() else { continue };
            let mapping = self.mapping(&outermost.mapping);
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

    fn mapping(&mut self, file: &str) -> Option<MappingId> {
        if file.is_empty() {
            return None;
        }
        let (file, build_id) = (self.profile.intern(bounded(file)), self.profile.intern(""));
        Some(self.profile.intern_mapping(Mapping { file, build_id, start: 0, limit: 0, offset: 0 }))
    }

    fn frame(&mut self, frame: &TextFrame, times: u64) -> Frame {
        let seen = CodePlace { mapping: &frame.mapping, address: frame.address };
        let is_kernel = seen.is_kernel() || frame.origin == Some(Origin::Kernel);
        let key = (frame.name.clone(), frame.file.clone(), frame.mapping.clone(), is_kernel);
        let (built, unnamed) = if let Some(known) = self.functions.get(&key) {
            *known
        } else {
            let unnamed = is_placeholder(&frame.name, &frame.file);
            let is_plain = !frame.name.is_empty() && (!unnamed || frame.mapping.is_empty());
            let name = if is_plain { bounded(&frame.name) } else { &seen.placeholder() };
            let origin = frame.origin.unwrap_or_else(|| origin(name, &frame.file, seen));
            // perf shows how a function of Go is called, which is no part of its name.
            let name = if origin.is_go() { name.strip_suffix(".abi0").unwrap_or(name) } else { name };
            let display = if origin.is_go() { goname::display(name) } else { name.into() };
            let profile = &mut self.profile;
            let function = Function {
                name: profile.intern(name),
                display: profile.intern(&display),
                file: profile.intern(bounded(&frame.file)),
                start_line: 0,
                origin,
            };
            let built = (Frame { function: profile.intern_function(function), line: 0 }, unnamed);
            self.functions.insert(key, built);
            built
        };
        let quality = &mut self.quality;
        let (all, unnamed_of_all) = if is_kernel {
            (&mut quality.kernel_frames, &mut quality.unnamed_kernel_frames)
        } else {
            (&mut quality.user_frames, &mut quality.unnamed_user_frames)
        };
        *all = all.saturating_add(times);
        *unnamed_of_all = unnamed_of_all.saturating_add(if unnamed { times } else { 0 });
        Frame { line: frame.line, ..built }
    }

    /// Completes the figures of quality.
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

/// Cuts a name at [`MAX_NAME_BYTES`].
fn bounded(name: &str) -> &str {
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    (0..=MAX_NAME_BYTES).rev().find_map(|end| name.get(..end)).unwrap_or_default()
}
