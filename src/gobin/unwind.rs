//! Data for unwinding a Go function's frame: the result of [`Binary::unwind`](super::Binary::unwind).
//!
//! The data is from the function table, which the runtime uses for its own unwinding (src/runtime/traceback.go). The
//! unwinder itself is in `analyse`.

use super::error::SpDeltaAbsence;
use super::function::Function;

/// A Go function at an address, as a frame to unwind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoUnwind {
    /// The function's first address.
    pub entry: u64,
    /// The function's end address, padding included.
    pub end: u64,
    /// Bytes that the function has on its stack before the instruction at the address runs. On amd64 and 386 the return
    /// address is above these bytes. On other machines the return address is in the link register if the delta is 0, else
    /// at the stack pointer.
    pub sp_delta: Result<u32, SpDeltaAbsence>,
    /// Go's `FuncFlagSPWrite`: the function writes arbitrary values to the stack pointer, so `sp_delta` does not lead to
    /// the return address.
    pub writes_sp: bool,
    /// Go's `FuncFlagTopFrame`: this is the root of the stack.
    pub is_top_frame: bool,
    /// Go's `FuncFlagAsm`: written in assembly, so the function can use the frame pointer register for other values. Always
    /// false before Go 1.18, because older tables do not have the flag.
    pub is_assembly: bool,
    /// Set for runtime functions that need special unwinding.
    pub special: Option<SpecialFunction>,
}

/// Runtime functions that need special unwinding, because their stack is not a plain sequence of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialFunction {
    /// `mcall`: leaves the goroutine's stack and does not return to it. Before Go 1.25 the frame pointer leads to stale
    /// frames.
    Mcall,
    /// `morestack`: like `mcall`. Called by a function that needs a larger stack or has to yield.
    Morestack,
    /// `newstack`, which `morestack` calls on the thread's own stack. Its frame holds the descriptor of the goroutine whose
    /// stack grows.
    Newstack,
    /// `copystack`, which `newstack` calls. Its first argument is the descriptor of the goroutine whose stack grows.
    Copystack,
    /// `asmcgocall`: runs a C function on the thread's own stack and returns.
    Asmcgocall,
    /// `cgocallback` and `crosscall2`, through which C calls Go. They switch back to the goroutine's stack.
    Cgocallback,
    /// `nanotime1`, `walltime`, `vgetrandom1` and `time.now`, which call the vdso on the thread's own stack.
    VdsoCaller,
    /// `goexit`: the root of a goroutine.
    Goexit,
    /// `mstart` and `rt0_go`: the root of a thread.
    ThreadStart,
}

impl SpecialFunction {
    /// Identifies the function by its name, because function ids differ between Go releases.
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        let name = match name.strip_prefix(b"runtime.") {
            Some(name) => name,
            None if name == b"time.now" => return Some(Self::VdsoCaller),
            None if name == b"crosscall2" => return Some(Self::Cgocallback),
            None => return None,
        };
        Some(match name {
            b"mcall" => Self::Mcall,
            b"morestack" | b"morestack_noctxt" => Self::Morestack,
            b"newstack" => Self::Newstack,
            b"copystack" => Self::Copystack,
            b"asmcgocall" | b"asmcgocall_no_g" | b"asmcgocall_landingpad" => Self::Asmcgocall,
            b"cgocallback" => Self::Cgocallback,
            b"nanotime1" | b"walltime" | b"walltime1" | b"vgetrandom1" => Self::VdsoCaller,
            b"goexit" => Self::Goexit,
            b"mstart" | b"rt0_go" => Self::ThreadStart,
            _ => return None,
        })
    }
}

impl GoUnwind {
    /// `None` for C code that Go's internal linker put between Go functions.
    pub(super) fn new(function: &Function<'_, '_>, address: u64) -> Option<Self> {
        if !function.is_go() {
            return None;
        }
        Some(Self {
            entry: function.entry(),
            end: function.end(),
            sp_delta: function.sp_delta_at(address),
            writes_sp: function.writes_sp(),
            is_top_frame: function.is_top_frame(),
            is_assembly: function.is_assembly(),
            special: function.name().and_then(SpecialFunction::from_name),
        })
    }

    /// Whether this is the call in `crosscall2` on amd64, and the stack has two frames there. The assembler adds a frame with
    /// the frame pointer (8 bytes) to the frame of `PUSH_REGS_HOST_TO_ABI0` (`src/runtime/cgo/abi_amd64.h`): 48 bytes of
    /// registers and 24 bytes of arguments.
    pub fn has_two_frames(&self) -> bool {
        self.special == Some(SpecialFunction::Cgocallback) && !self.writes_sp && self.sp_delta == Ok(48 + 24 + 8)
    }
}

#[cfg(test)]
mod tests {
    use super::SpecialFunction;

    #[test]
    fn only_runtime_functions_are_special() {
        assert_eq!(SpecialFunction::from_name(b"runtime.mcall"), Some(SpecialFunction::Mcall));
        assert_eq!(SpecialFunction::from_name(b"runtime.morestack"), Some(SpecialFunction::Morestack));
        assert_eq!(SpecialFunction::from_name(b"time.now"), Some(SpecialFunction::VdsoCaller));
        assert_eq!(SpecialFunction::from_name(b"crosscall2"), Some(SpecialFunction::Cgocallback));
        for other in [&b"main.mcall"[..], b"mcall", b"runtime.mcall.func1", b"runtime.", b"time.Now", b""] {
            assert_eq!(SpecialFunction::from_name(other), None);
        }
    }
}
