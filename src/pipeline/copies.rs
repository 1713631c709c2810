//! Size of the stack copies of a run, from the settings or from the program's code.

use std::path::{Path, PathBuf};

use crate::config::{Record, StackSize};
use crate::fsio::MappedFile;
use crate::gobin::{Assembly, Binary, BinaryFacts};
use crate::record::{FramePointerCode, SMALL_COPY_BYTES};

/// Bytes of stack between the root and code without a frame pointer. In servers, the Go functions between
/// `runtime.goexit` and assembly or C code use 2 to 6 KiB.
const CALLERS_STACK_BYTES: u32 = 8192;

/// Maximum bytes of a stack copy whose size goflame chooses.
const MAX_COPY_BYTES: u32 = 16 * 1024;

/// Maximum bytes of stack copied per second and CPU. Limits the copies at high sampling frequencies.
const MAX_COPIED_BYTES_PER_SECOND: u32 = 16 * 1024 * 1024;

/// Settings of the stack copies of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StackCopies {
    /// Bytes that the kernel copies with each sample.
    pub(super) bytes: u32,
    /// Why the copies have this size.
    pub(super) reason: String,
    /// Code that keeps the frame pointer: most bytes of a large stack copy are not stored if the sample is in this
    /// code.
    pub(super) frame_pointer_code: FramePointerCode,
}

impl StackCopies {
    /// Decides how many bytes of stack to copy for a program. `facts` describes the same program.
    pub(super) fn new(settings: &Record, program: &Path, facts: &BinaryFacts) -> Self {
        let all_alike = FramePointerCode::default();
        if let StackSize::Bytes(bytes) = settings.stack {
            return Self { bytes, reason: "set by the user".into(), frame_pointer_code: all_alike };
        }
        let assembly = MappedFile::open(program).ok().and_then(|bytes| Binary::parse(bytes.as_ref()).ok()?.assembly());
        let Some(reason) = reason_for_callers(assembly.as_ref(), facts.uses_cgo) else {
            let reason = "all code keeps the frame pointer".into();
            return Self { bytes: SMALL_COPY_BYTES, reason, frame_pointer_code: all_alike };
        };
        let frame = assembly.as_ref().map_or(0, |assembly| assembly.largest_frame);
        let bytes = stack_copy_bytes(settings, frame);
        // The kernel chooses the addresses of a position-independent program.
        let frame_pointer_code = match assembly {
            Some(Assembly { go_text, functions, .. }) if !facts.is_pie => {
                FramePointerCode { text: go_text, excluded_functions: functions }
            }
            _ => all_alike,
        };
        Self { bytes, reason, frame_pointer_code }
    }

    /// Decides how many bytes of stack to copy for programs that goflame did not build. If `programs` is empty or
    /// contains a program that is not a Go program, any code can run.
    pub(super) fn for_programs(settings: &Record, programs: &[PathBuf]) -> Self {
        let if_go = |file: &PathBuf| {
            let facts = Binary::parse(MappedFile::open(file).ok()?.as_ref()).ok()?.facts();
            facts.pclntab.is_ok().then(|| Self::new(settings, file, &facts))
        };
        let copies: Option<Vec<Self>> = programs.iter().map(if_go).collect();
        match copies.unwrap_or_default().as_slice() {
            [copies] => copies.clone(),
            // Several programs use the same addresses, so an address does not identify the code.
            [first, others @ ..] => {
                let largest = others
                    .iter()
                    .fold(first, |largest, copies| if copies.bytes > largest.bytes { copies } else { largest });
                Self { frame_pointer_code: FramePointerCode::default(), ..largest.clone() }
            }
            [] => {
                let bytes =
                    if let StackSize::Bytes(bytes) = settings.stack { bytes } else { stack_copy_bytes(settings, 0) };
                let reason = "code that may use the frame pointer can run".to_owned();
                Self { bytes, reason, frame_pointer_code: FramePointerCode::default() }
            }
        }
    }
}

/// Returns the size in bytes of a stack copy that contains a frame of `frame` bytes and its callers, within the limits
/// of size and rate.
fn stack_copy_bytes(settings: &Record, frame: u32) -> u32 {
    let rate_bound = (MAX_COPIED_BYTES_PER_SECOND / settings.frequency.max(1)).max(SMALL_COPY_BYTES);
    frame.saturating_add(CALLERS_STACK_BYTES).min(MAX_COPY_BYTES).min(rate_bound) / 8 * 8
}

/// Returns why stack copies must contain the callers. `None` if all code keeps the frame pointer.
fn reason_for_callers(assembly: Option<&Assembly>, cgo: bool) -> Option<String> {
    let assembly = assembly.filter(|assembly| assembly.largest_frame > 0).map(|assembly| {
        format!(
            "assembly that may use the frame pointer is linked in, with frames of up to {} bytes",
            assembly.largest_frame
        )
    });
    match (assembly, cgo) {
        (Some(assembly), _) => Some(assembly),
        (None, true) => Some("C code that may use the frame pointer is linked in".into()),
        (None, false) => None,
    }
}
