//! Step two: name each distinct place once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::collect::{Collected, Place};
use super::maps::ImageId;
use super::origin::Origins;
use super::{Images, KernelSymbols};
use crate::gobin::{Binary, SourceFrame, name};
use crate::profile::{Frame, Function, FunctionId, Mapping, MappingId, Origin, Profile};

/// What a place is, as frames of the profile: outermost function first, inlined calls after it.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) frames: Vec<crate::profile::FrameId>,
    /// Why there is no name.
    pub(super) unnamed: Option<Unnamed>,
    /// Whether a stack may legally end here.
    pub(super) is_root: bool,
    /// Whether a callchain must not be followed beyond this frame: what stands there is left over from
    /// another use of the stack (Go's `FuncFlagTopFrame`).
    pub(super) ends_stack: bool,
}

/// Why a place has no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Unnamed(pub(super) usize);

/// The images of a recording, opened.
pub(super) struct Opened {
    bytes: Vec<Result<Arc<[u8]>, String>>,
}

impl Opened {
    /// Asks for the bytes of every image that a frame lies in.
    pub(super) fn open(collected: &Collected, images: &mut dyn Images) -> Self {
        let mut wanted = vec![false; collected.images.len()];
        for place in &collected.places {
            if let Place::File(ImageId(at), _) = place
                && let Some(wanted) = wanted.get_mut(*at as usize)
            {
                *wanted = true;
            }
        }
        let bytes = collected.images.iter().zip(wanted).map(|(key, wanted)| {
            if wanted { images.image(&key.path, key.build_id.as_deref()) } else { Err("not sampled".into()) }
        });
        Self { bytes: bytes.collect() }
    }
}

/// Names places, adding what it finds to a profile.
pub(super) struct Symbolizer<'b> {
    images: Vec<Image<'b>>,
    kernel: Result<&'b KernelSymbols, String>,
    kernel_mapping: MappingId,
    /// Reasons, each once; [`Unnamed`] is a position here.
    pub(super) reasons: Vec<String>,
}

struct Image<'b> {
    binary: Result<Binary<'b>, String>,
    origins: Origins,
    mapping: MappingId,
    /// What stands in for a function's name: the file's name in brackets, as perf's folded stacks have it.
    placeholder: String,
}

impl<'b> Symbolizer<'b> {
    pub(super) fn new(
        collected: &Collected,
        opened: &'b Opened,
        kernel: Result<&'b KernelSymbols, String>,
        profile: &mut Profile,
    ) -> Self {
        let images = collected.images.iter().zip(&opened.bytes).map(|(key, bytes)| {
            let binary = bytes
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|bytes| Binary::parse(bytes).map_err(|error| error.to_string()))
                .and_then(|binary| match (&key.build_id, binary.build_id()) {
                    (Some(recorded), Some(found)) if !found.starts_with(recorded.trim_end_matches("00")) => {
                        Err("the file has changed since it was sampled".to_owned())
                    }
                    _ => Ok(binary),
                });
            let main_module = binary
                .as_ref()
                .ok()
                .and_then(|binary| binary.facts().go.ok().and_then(|go| go.module.map(|module| module.path)));
            let segment = binary
                .as_ref()
                .ok()
                .and_then(|binary| binary.load_segments().iter().find(|segment| segment.executable).copied());
            let mapping = Mapping {
                file: profile.intern(&key.path),
                build_id: profile.intern(key.build_id.as_deref().unwrap_or_default()),
                start: segment.map_or(0, |segment| segment.address),
                limit: segment.map_or(u64::MAX, |segment| segment.address.saturating_add(segment.file_size)),
                offset: segment.map_or(0, |segment| segment.offset),
            };
            let file = key.path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("unknown");
            Image {
                binary,
                origins: Origins::new(main_module),
                mapping: profile.add_mapping(mapping),
                placeholder: format!("[{}]", file.trim_matches(['[', ']'])),
            }
        });
        let images = images.collect();
        let kernel_mapping = Mapping {
            file: profile.intern("[kernel.kallsyms]"),
            build_id: profile.intern(""),
            start: collected.kernel_text.unwrap_or(1 << 63),
            limit: u64::MAX,
            offset: 0,
        };
        Self { images, kernel, kernel_mapping: profile.add_mapping(kernel_mapping), reasons: Vec::new() }
    }

    /// Names one place.
    pub(super) fn resolve(&mut self, place: Place, profile: &mut Profile) -> Resolved {
        match place {
            Place::Kernel(address) => self.kernel_frame(address, profile),
            Place::Unmapped(address) => {
                let reason = self.reason("no file is mapped at the address");
                unnamed("[unknown]", None, address, Origin::Unknown, reason, profile)
            }
            Place::File(ImageId(at), offset) => self.user_frame(at as usize, offset, profile),
        }
    }

    fn kernel_frame(&mut self, address: u64, profile: &mut Profile) -> Resolved {
        let reason = match &self.kernel {
            Ok(symbols) => {
                if let Some((kernel_name, _module)) = symbols.name(address) {
                    let function = plain_function(kernel_name, Origin::Kernel, profile);
                    let frame = frame(function, 0, self.kernel_mapping, address);
                    return Resolved {
                        frames: vec![profile.add_frame(frame)],
                        unnamed: None,
                        is_root: false,
                        ends_stack: false,
                    };
                }
                "the address is in no kernel function".to_owned()
            }
            Err(reason) => reason.clone(),
        };
        let reason = self.reason(&reason);
        unnamed("[kernel]", Some(self.kernel_mapping), address, Origin::Kernel, reason, profile)
    }

    fn user_frame(&mut self, at: usize, offset: u64, profile: &mut Profile) -> Resolved {
        let Some(image) = self.images.get(at) else {
            let reason = self.reason("no file is mapped at the address");
            return unnamed("[unknown]", None, offset, Origin::Unknown, reason, profile);
        };
        let located = match &image.binary {
            Ok(binary) => match binary.address_of_offset(offset) {
                Some(address) => binary
                    .locate(address)
                    .map(|location| (address, location))
                    .map_err(|reason| (address, reason.to_string())),
                None => Err((offset, "the offset is in no loaded segment".to_owned())),
            },
            Err(reason) => Err((offset, reason.clone())),
        };
        match located {
            Ok((address, location)) => {
                let root = location.frames.last();
                let ends_stack = root.is_some_and(|frame| frame.top_frame);
                let is_root = ends_stack || root.is_some_and(|frame| is_root_name(&frame.name));
                let mut frames = Vec::with_capacity(location.frames.len());
                let physical = location.frames.len().saturating_sub(1);
                for (depth, source) in location.frames.iter().enumerate().rev() {
                    // A function is where it begins. The line of an address inside an inlined call may be of
                    // another file, and then says nothing about this one.
                    let (file, line) = match own_file(&image.binary, source) {
                        Some(own) if Some(&own) != source.file.as_ref() => (own, 0),
                        _ => (source.file.clone().unwrap_or_default(), source.line),
                    };
                    let function = Function {
                        name: profile.intern(&source.name),
                        display: profile.intern(&display(&source.name, source.is_go)),
                        file: profile.intern(&file),
                        start_line: source.start_line,
                        origin: if source.is_go { image.origins.of(&source.name) } else { Origin::Native },
                    };
                    let function = profile.add_function(function);
                    let mut frame = frame(function, line, image.mapping, address);
                    frame.inlined = depth != physical;
                    frames.push(profile.add_frame(frame));
                }
                Resolved { frames, unnamed: None, is_root, ends_stack }
            }
            Err((address, reason)) => {
                let (placeholder, mapping) = (image.placeholder.clone(), image.mapping);
                let reason = self.reason(&reason);
                unnamed(&placeholder, Some(mapping), address, Origin::Unknown, reason, profile)
            }
        }
    }

    fn reason(&mut self, text: &str) -> Unnamed {
        let known = self.reasons.iter().position(|reason| reason == text);
        Unnamed(known.unwrap_or_else(|| {
            self.reasons.push(text.to_owned());
            self.reasons.len() - 1
        }))
    }
}

impl Unnamed {
    /// Counts of frames by reason, most frequent first.
    pub(super) fn ranked(counts: &BTreeMap<Unnamed, u64>, reasons: &[String]) -> Vec<(String, u64)> {
        let mut ranked: Vec<(String, u64)> =
            counts.iter().filter_map(|(unnamed, count)| Some((reasons.get(unnamed.0)?.clone(), *count))).collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked
    }
}

/// The file that a Go function begins in.
fn own_file<'i>(binary: &'i Result<Binary<'_>, String>, source: &SourceFrame<'_>) -> Option<Cow<'i, str>> {
    let location = binary.as_ref().ok()?.locate(source.entry).ok()?;
    location.frames.into_iter().next_back()?.file
}

fn display(linker_name: &str, is_go: bool) -> Cow<'_, str> {
    if is_go { name::display(linker_name) } else { Cow::Borrowed(linker_name) }
}

/// Where C stacks begin, and the two Go functions that switch to the scheduler's stack for good.
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
            | "runtime.mcall"
            | "runtime.morestack"
    )
}

fn plain_function(name: &str, origin: Origin, profile: &mut Profile) -> FunctionId {
    let name = profile.intern(name);
    let file = profile.intern("");
    profile.add_function(Function { name, display: name, file, start_line: 0, origin })
}

fn frame(function: FunctionId, line: u32, mapping: MappingId, address: u64) -> Frame {
    Frame { function, line, mapping: Some(mapping), address, inlined: false, repaired: false }
}

fn unnamed(
    placeholder: &str,
    mapping: Option<MappingId>,
    address: u64,
    origin: Origin,
    reason: Unnamed,
    profile: &mut Profile,
) -> Resolved {
    let function = plain_function(placeholder, origin, profile);
    let frame = Frame { function, line: 0, mapping, address, inlined: false, repaired: false };
    Resolved { frames: vec![profile.add_frame(frame)], unnamed: Some(reason), is_root: false, ends_stack: false }
}
