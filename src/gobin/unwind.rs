//! What is needed to walk over a Go function's frame: the answer of [`Binary::unwind`](super::Binary::unwind).
//!
//! The facts are the function table's own, which the runtime unwinds by (src/runtime/traceback.go). How a stack is
//! walked with them is the caller's business.

use super::error::NoSpDelta;
use super::function::Function;

/// A Go function at an address, seen as a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoUnwind {
    /// The function's first address.
    pub entry: u64,
    /// The address behind its last one, padding included.
    pub end: u64,
    /// Bytes between the stack pointer and where it was right after the call, before the instruction at the address
    /// runs. On amd64 and 386 the return address stands there. Elsewhere a frame of 0 bytes has its return address in
    /// the link register, and a larger one has it at the stack pointer.
    pub sp_delta: Result<u32, NoSpDelta>,
    /// Go's `FuncFlagSPWrite`: the function gives the stack pointer values of its own, so that `sp_delta` says nothing
    /// about where its return address is.
    pub sp_write: bool,
    /// Go's `FuncFlagTopFrame`: no frame is outside of this one.
    pub top_frame: bool,
    /// Go's `FuncFlagAsm`: written in assembly, so that it may use the frame pointer's register for itself. Not known
    /// before Go 1.18.
    pub assembly: bool,
    /// The function's part in the runtime, where it bends the stack.
    pub special: Option<Special>,
}

/// Functions of the runtime around which a stack is not a plain row of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// `mcall`: leaves the goroutine's stack for good. What a frame pointer leads to beyond it is stale before Go 1.25.
    Mcall,
    /// `morestack`: as `mcall`, on behalf of a function that found its stack too small or was asked to yield.
    Morestack,
    /// `systemstack`: runs a function on the thread's own stack and comes back. The frame pointer leads back too.
    Systemstack,
    /// `asmcgocall`: runs a C function on the thread's own stack and comes back.
    Asmcgocall,
    /// `cgocallback` and `crosscall2`: C calls Go, which goes back to the goroutine's stack.
    Cgocallback,
    /// `gogo`: jumps into a goroutine.
    Gogo,
    /// `sigtramp` and its kin: the kernel calls it for a signal.
    SignalHandler,
    /// `asyncPreempt`: the signal handler made it look as if the interrupted function had called it.
    AsyncPreempt,
    /// `sigpanic`: as `asyncPreempt`, at an instruction that faulted.
    Sigpanic,
    /// `nanotime1`, `walltime`, `time.now`: call the vdso on the thread's own stack.
    VdsoCaller,
    /// `goexit`: the root of a goroutine.
    Goexit,
    /// `mstart` and `rt0_go`: the root of a thread.
    ThreadStart,
}

impl Special {
    /// By name, since names outlive the numbers that the function table has for some of them.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let name = match name.strip_prefix(b"runtime.") {
            Some(name) => name,
            None if name == b"time.now" => return Some(Self::VdsoCaller),
            None if name == b"crosscall2" => return Some(Self::Cgocallback),
            None => return None,
        };
        Some(match name {
            b"mcall" => Self::Mcall,
            b"morestack" | b"morestack_noctxt" => Self::Morestack,
            b"systemstack" => Self::Systemstack,
            b"asmcgocall" | b"asmcgocall_no_g" | b"asmcgocall_landingpad" => Self::Asmcgocall,
            b"cgocallback" => Self::Cgocallback,
            b"gogo" => Self::Gogo,
            b"sigtramp" | b"cgoSigtramp" | b"sigprofNonGoWrapper" | b"sigreturn__sigaction" | b"sigreturn" => {
                Self::SignalHandler
            }
            b"asyncPreempt" => Self::AsyncPreempt,
            b"sigpanic" | b"sigpanic0" => Self::Sigpanic,
            b"nanotime1" | b"walltime" | b"walltime1" | b"vgetrandom1" => Self::VdsoCaller,
            b"goexit" => Self::Goexit,
            b"mstart" | b"rt0_go" => Self::ThreadStart,
            _ => return None,
        })
    }
}

impl GoUnwind {
    /// `None` for C code that Go's linker put among Go's.
    pub(super) fn of(function: &Function<'_, '_>, address: u64) -> Option<Self> {
        if !function.is_go() {
            return None;
        }
        Some(Self {
            entry: function.entry(),
            end: function.end(),
            sp_delta: function.pushed_at(address),
            sp_write: function.writes_sp(),
            top_frame: function.is_top_frame(),
            assembly: function.is_assembly(),
            special: function.name().and_then(Special::of),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Special;

    #[test]
    fn only_the_runtimes_own() {
        assert_eq!(Special::of(b"runtime.mcall"), Some(Special::Mcall));
        assert_eq!(Special::of(b"runtime.morestack"), Some(Special::Morestack));
        assert_eq!(Special::of(b"time.now"), Some(Special::VdsoCaller));
        assert_eq!(Special::of(b"crosscall2"), Some(Special::Cgocallback));
        for other in [&b"main.mcall"[..], b"mcall", b"runtime.mcall.func1", b"runtime.", b"time.Now", b""] {
            assert_eq!(Special::of(other), None);
        }
    }
}
