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

/// A mapping of a file, for the handler to find. Regions form a list and are never freed.
#[derive(Debug)]
pub(super) struct Region {
    start: usize,
    length: usize,
    /// False once the file is unmapped: other memory may have the addresses then.
    mapped: AtomicBool,
    /// The error message, ready to be written.
    message: String,
    older: Option<&'static Region>,
}

/// The region that was added last.
static NEWEST: AtomicPtr<Region> = AtomicPtr::new(ptr::null_mut());
/// The exit status.
static STATUS: AtomicI32 = AtomicI32::new(1);
/// A line to write after the message; null for none. Never freed.
static ADVICE: AtomicPtr<String> = AtomicPtr::new(ptr::null_mut());
/// Whether a thread has begun to end the process.
static ENDING: AtomicBool = AtomicBool::new(false);

impl Region {
    /// Adds the region of a file that has just been mapped.
    pub(super) fn add(start: NonNull<c_void>, length: usize, path: &Path) -> &'static Self {
        // A recording can name any path.
        let name = path.display().to_string().replace(char::is_control, "\u{fffd}");
        let message = format!("error: {name} was cut short while it was read\n");
        let (start, mapped) = (start.as_ptr().addr(), AtomicBool::new(true));
        let region = Box::leak(Box::new(Self { start, length, mapped, message, older: None }));
        let mut newest = NEWEST.load(SeqCst);
        loop {
            region.older = leaked(newest);
            match NEWEST.compare_exchange(newest, region, SeqCst, SeqCst) {
                Ok(_) => return region,
                Err(added) => newest = added,
            }
        }
    }

    /// Call this before the file is unmapped.
    pub(super) fn remove(&self) {
        self.mapped.store(false, SeqCst);
    }

    /// The region that an address lies in.
    fn find(address: usize) -> Option<&'static Self> {
        let newest = leaked(NEWEST.load(SeqCst));
        std::iter::successors(newest, |region| region.older).find(|region| {
            region.mapped.load(SeqCst) && address.checked_sub(region.start).is_some_and(|offset| offset < region.length)
        })
    }
}

/// A value behind one of the pointers above.
fn leaked<T>(pointer: *mut T) -> Option<&'static T> {
    #[expect(unsafe_code, reason = "an atomic pointer to memory that is never freed")]
    // SAFETY: the pointers above are null or come from `Box::leak`, and nothing is written through them after they were
    // stored.
    unsafe {
        pointer.as_ref()
    }
}

/// From now on, ends the program with a message that names the file and with `status` when it reads bytes that a mapped
/// file no longer has. Any other SIGBUS has its default action.
///
/// The handler replaces the handler of Rust's runtime, which sets the default action before anything else: a second
/// thread that faults at the same moment would be killed (seen 4 times in 1,000).
pub fn on_cut_short(status: u8) {
    STATUS.store(i32::from(status), SeqCst);
    let action = SigAction::new(SigHandler::SigAction(handle), SaFlags::SA_SIGINFO, SigSet::empty());
    #[expect(unsafe_code, reason = "a signal handler")]
    // SAFETY: the handler does only what a signal handler may do, see above. On failure the signal keeps its default action.
    let _ = unsafe { sigaction(Signal::SIGBUS, &action) };
}

/// From now on, the message of [`on_cut_short`] is followed by this line.
pub fn advise_when_cut_short(advice: &str) {
    ADVICE.store(Box::leak(Box::new(format!("{advice}\n"))), SeqCst);
}

extern "C" fn handle(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    #[expect(unsafe_code, reason = "the address of a fault")]
    // SAFETY: the kernel passes a valid pointer to a handler with SA_SIGINFO, and `si_addr` is one of the fields for
    // SIGBUS. Codes above 0 are the kernel's own: a signal that a process sent has no address.
    let address = unsafe { info.as_ref().filter(|info| info.si_code > 0).map(|info| info.si_addr().addr()) };
    let Some(region) = address.and_then(Region::find) else {
        let _ = emulate_default_handler(SIGBUS);
        return;
    };
    // One thread writes the message, the others wait for the end of the process.
    while ENDING.swap(true, SeqCst) {
        nix::unistd::pause();
    }
    let stderr = rustix::stdio::stderr();
    let _ = rustix::io::write(stderr, region.message.as_bytes());
    if let Some(advice) = leaked(ADVICE.load(SeqCst)) {
        let _ = rustix::io::write(stderr, advice.as_bytes());
    }
    exit(STATUS.load(SeqCst));
}
