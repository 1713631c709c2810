//! Files that are cut short while they are mapped. A read beyond the new end causes SIGBUS. The default action of
//! this signal ends a program without a message.
//!
//! The handler does only what signal-safety(7) permits: it reads atomics and memory that is never freed, writes, and
//! ends the process.

use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering::SeqCst};

use nix::libc::{SIGBUS, c_int, c_void, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use signal_hook::low_level::{emulate_default_handler, exit};

/// A mapped file, as the signal handler looks it up. Regions form a linked list and are never freed.
#[derive(Debug)]
pub(super) struct Region {
    start: usize,
    length: usize,
    /// False after the file is unmapped. Then other memory can have the same addresses.
    mapped: AtomicBool,
    /// The error message, ready to be written.
    message: String,
    older: Option<&'static Region>,
}

/// Head of the list of regions: the region that was added last.
static NEWEST_REGION: AtomicPtr<Region> = AtomicPtr::new(ptr::null_mut());
/// Exit status of a program that read beyond the end of a mapped file.
static EXIT_STATUS: AtomicI32 = AtomicI32::new(1);
/// A line that the signal handler prints after the error message. Null for none. Never freed.
static ADVICE: AtomicPtr<String> = AtomicPtr::new(ptr::null_mut());
/// Whether a thread has begun to end the process.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

impl Region {
    /// Adds the region of a file that has just been mapped.
    pub(super) fn add(start: NonNull<c_void>, length: usize, path: &Path) -> &'static Self {
        // A recording can name any path, also one with control characters.
        let name = path.display().to_string().replace(char::is_control, "\u{fffd}");
        let message = format!("error: {name} was cut short while it was read\n");
        let (start, mapped) = (start.as_ptr().addr(), AtomicBool::new(true));
        let region = Box::leak(Box::new(Self { start, length, mapped, message, older: None }));
        let mut newest = NEWEST_REGION.load(SeqCst);
        loop {
            region.older = from_leaked(newest);
            match NEWEST_REGION.compare_exchange(newest, region, SeqCst, SeqCst) {
                Ok(_) => return region,
                Err(added) => newest = added,
            }
        }
    }

    /// Tells the signal handler to ignore this region. Must be called before the file is unmapped.
    pub(super) fn mark_unmapped(&self) {
        self.mapped.store(false, SeqCst);
    }

    /// Finds the mapped region that contains an address.
    fn find(address: usize) -> Option<&'static Self> {
        let newest = from_leaked(NEWEST_REGION.load(SeqCst));
        std::iter::successors(newest, |region| region.older).find(|region| {
            region.mapped.load(SeqCst) && address.checked_sub(region.start).is_some_and(|offset| offset < region.length)
        })
    }
}

/// The value behind a pointer that is null or comes from `Box::leak`.
fn from_leaked<T>(pointer: *mut T) -> Option<&'static T> {
    #[expect(unsafe_code, reason = "an atomic pointer to memory that is never freed")]
    // SAFETY: all pointers in `NEWEST_REGION` and `ADVICE` are null or come from `Box::leak`. Nothing is written
    // through a stored pointer.
    unsafe {
        pointer.as_ref()
    }
}

/// Installs a SIGBUS handler. If the program reads bytes that a mapped file no longer has, the handler prints the name of
/// the file and exits with `status`. Any other SIGBUS keeps its default action.
///
/// The handler of Rust's runtime is replaced because it restores the default action first: a second thread that faults at
/// the same moment then kills the process (seen 4 times in 1,000).
pub fn exit_on_cut_short_file(status: u8) {
    EXIT_STATUS.store(i32::from(status), SeqCst);
    let action = SigAction::new(SigHandler::SigAction(handle_sigbus), SaFlags::SA_SIGINFO, SigSet::empty());
    #[expect(unsafe_code, reason = "a signal handler")]
    // SAFETY: the handler calls only functions that are allowed in signal handlers. On failure SIGBUS keeps its action.
    let _ = unsafe { sigaction(Signal::SIGBUS, &action) };
}

/// Sets a line that is printed after the message of [`exit_on_cut_short_file`].
pub fn advise_when_cut_short(advice: &str) {
    ADVICE.store(Box::leak(Box::new(format!("{advice}\n"))), SeqCst);
}

extern "C" fn handle_sigbus(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    #[expect(unsafe_code, reason = "the address of a fault")]
    // SAFETY: the kernel passes a valid pointer to a handler with SA_SIGINFO. For a SIGBUS of the kernel (code above 0),
    // `si_addr` is valid. A signal from a process has no address.
    let address = unsafe { info.as_ref().filter(|info| info.si_code > 0).map(|info| info.si_addr().addr()) };
    let Some(region) = address.and_then(Region::find) else {
        let _ = emulate_default_handler(SIGBUS);
        return;
    };
    // One thread prints the message. The other threads wait for the end of the process.
    while IS_ENDING.swap(true, SeqCst) {
        nix::unistd::pause();
    }
    let stderr = rustix::stdio::stderr();
    let _ = rustix::io::write(stderr, region.message.as_bytes());
    if let Some(advice) = from_leaked(ADVICE.load(SeqCst)) {
        let _ = rustix::io::write(stderr, advice.as_bytes());
    }
    exit(EXIT_STATUS.load(SeqCst));
}
