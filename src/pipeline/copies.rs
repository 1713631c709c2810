//! Size of the stack copies of a run, from the settings or from the program's code.

use std::path::{Path, PathBuf};

use crate::config::{Record, StackSize};
use crate::fsio::MappedFile;
use crate::gobin::{Assembly, Binary, BinaryFacts};
use crate::record::{FramePointerCode, SMALL_COPY};

/// Bytes that hold the callers of code that does not keep the frame pointer, up to the root. In servers, the Go functions
/// between `runtime.goexit` and assembly or C code have 2 to 6 KiB.
const CALLERS: u32 = 8192;

/// Maximum bytes of a copy that the program's code is given.
const MAX_BYTES: u32 = 16 * 1024;

/// Maximum bytes per second and CPU that are copied at a high frequency.
const MAX_RATE: u32 = 16 * 1024 * 1024;

/// The stack copies of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StackCopies {
    /// Bytes that the kernel copies with each sample.
    pub(super) bytes: u32,
    /// Why this many.
    pub(super) reason: String,
    /// Code for which fewer bytes are kept.
    pub(super) frame_pointer_code: FramePointerCode,
}

impl StackCopies {
    /// The copies for a program. `facts` are those of the same program.
    pub(super) fn new(asked: &Record, program: &Path, facts: &BinaryFacts) -> Self {
        let all_alike = FramePointerCode::default();
        if let StackSize::Bytes(bytes) = asked.stack {
            return Self { bytes, reason: "set by the user".into(), frame_pointer_code: all_alike };
        }
        let assembly = MappedFile::open(program).ok().and_then(|bytes| Binary::parse(bytes.as_ref()).ok()?.assembly());
        let Some(reason) = reason(assembly.as_ref(), facts.cgo) else {
            let reason = "all code keeps the frame pointer".into();
            return Self { bytes: SMALL_COPY, reason, frame_pointer_code: all_alike };
        };
        let frame = assembly.as_ref().map_or(0, |assembly| assembly.largest_frame);
        let bytes = with_callers(asked, frame);
        // The kernel chooses the addresses of a position-independent program.
        let frame_pointer_code = match assembly {
            Some(Assembly { go_text, functions, .. }) if !facts.pie => {
                FramePointerCode { text: go_text, except: functions }
            }
            _ => all_alike,
        };
        Self { bytes, reason, frame_pointer_code }
    }

    /// The copies for these programs, of which nothing is known. None means any program.
    pub(super) fn of_programs(asked: &Record, programs: &[PathBuf]) -> Self {
        let of_go = |file: &PathBuf| {
            let facts = Binary::parse(MappedFile::open(file).ok()?.as_ref()).ok()?.facts();
            facts.pclntab.is_ok().then(|| Self::new(asked, file, &facts))
        };
        let copies: Option<Vec<Self>> = programs.iter().map(of_go).collect();
        match copies.unwrap_or_default().as_slice() {
            [copies] => copies.clone(),
            // Programs lie at the same addresses, so no address says whose code it is.
            [first, others @ ..] => {
                let largest =
                    others.iter().fold(first, |largest, one| if one.bytes > largest.bytes { one } else { largest });
                Self { frame_pointer_code: FramePointerCode::default(), ..largest.clone() }
            }
            [] => {
                let bytes = if let StackSize::Bytes(bytes) = asked.stack { bytes } else { with_callers(asked, 0) };
                let reason = "code that may use the frame pointer can run".to_owned();
                Self { bytes, reason, frame_pointer_code: FramePointerCode::default() }
            }
        }
    }
}

/// Bytes of a copy that holds the callers of code with frames of this size.
fn with_callers(asked: &Record, frame: u32) -> u32 {
    let rate_bound = (MAX_RATE / asked.frequency.max(1)).max(SMALL_COPY);
    frame.saturating_add(CALLERS).min(MAX_BYTES).min(rate_bound) / 8 * 8
}

/// Why the copies must hold the callers; `None` if they need not.
fn reason(assembly: Option<&Assembly>, cgo: bool) -> Option<String> {
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
