//! The opened events of all CPUs and their ring buffers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use perf_event::{Builder, Counter, Sampler};
use perf_event_open_sys::ioctls::SET_OUTPUT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Error, Spec, Target};

/// Size of the smallest useful ring buffer in bytes: a record of the maximum size (64 KiB) must fit.
pub const MIN_RING_BYTES: usize = 128 * 1024;

/// The events of all CPUs for one target.
pub struct Rings {
    by_cpu: Vec<Ring>,
    ring_bytes: usize,
}

/// A CPU's ring buffer, and the events that write into it.
struct Ring {
    cpu: u32,
    sampler: Sampler,
    /// Events of running threads, which write into this ring buffer. If there is any, `sampler` counts nothing.
    thread_events: Vec<Counter>,
    /// Events of context switches, which write into this ring buffer.
    switch_events: Vec<Counter>,
    /// False after the target and all its children have ended (POLLHUP). Then `sampler` is no longer polled, because `poll`
    /// would return at once.
    is_polled: bool,
}

/// The result of draining all ring buffers once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrainResult {
    /// Number of records.
    pub records: usize,
}

/// Opens the event of a target on each of these CPUs, and maps ring buffers. Skips CPUs that are offline or do not exist.
/// Fails if no CPU has the event.
///
/// `ring_bytes` (a power of two) is the desired size of each buffer. If the kernel's budget of locked memory is too small,
/// all buffers are halved until they fit; [`Rings::ring_bytes`] returns the final size.
pub fn open(spec: &Spec, target: Target<'_>, cpus: &[u32], ring_bytes: usize) -> Result<Rings, Error> {
    open_fitting(spec, cpus, ring_bytes, |cpu, size| spec.builder(target, cpu, size))
}

/// Maps ring buffers for the events that [`Rings::add_thread`] opens later. For `cpus` and `ring_bytes`, see [`open`].
pub fn open_shared(spec: &Spec, cpus: &[u32], ring_bytes: usize) -> Result<Rings, Error> {
    open_fitting(spec, cpus, ring_bytes, Spec::shared_buffer_builder)
}

fn open_fitting<'g>(
    spec: &Spec,
    cpus: &[u32],
    ring_bytes: usize,
    builder: impl Fn(u32, usize) -> Builder<'g>,
) -> Result<Rings, Error> {
    let mut size = ring_bytes.max(MIN_RING_BYTES);
    loop {
        match open_rings(spec, cpus, size, &builder) {
            Ok(rings) => return Ok(Rings { by_cpu: rings, ring_bytes: size }),
            Err(Error::Map { .. }) if size / 2 >= MIN_RING_BYTES => size /= 2,
            Err(error) => return Err(error),
        }
    }
}

fn open_rings<'g>(
    spec: &Spec,
    cpus: &[u32],
    size: usize,
    builder: impl Fn(u32, usize) -> Builder<'g>,
) -> Result<Vec<Ring>, Error> {
    let mut rings = Vec::with_capacity(cpus.len());
    let mut refused: Option<Error> = None;
    for &cpu in cpus {
        let counter: Counter = match builder(cpu, size).build() {
            Ok(counter) => counter,
            Err(source) => {
                let error = Error::Open { event: spec.source, cpu, kernel: spec.kernel, source };
                if !error.can_be_absent_cpu() {
                    return Err(error);
                }
                // Prefer the error of an unknown attribute: all CPUs refuse it, and the caller can try another attribute.
                refused = match refused {
                    Some(first) if first.is_unknown_attribute() || !error.is_unknown_attribute() => Some(first),
                    _ => Some(error),
                };
                continue;
            }
        };
        let sampler = counter.sampled(size).map_err(|source| Error::Map { bytes: size, cpu, source })?;
        rings.push(Ring { cpu, sampler, thread_events: Vec::new(), switch_events: Vec::new(), is_polled: true });
    }
    if rings.is_empty() { Err(refused.unwrap_or(Error::NoCpu)) } else { Ok(rings) }
}

impl Ring {
    /// The events that take samples.
    fn events(&self) -> impl Iterator<Item = &Counter> {
        let own = self.thread_events.is_empty().then(|| self.sampler.as_counter());
        own.into_iter().chain(&self.thread_events)
    }

    fn events_mut(&mut self) -> impl Iterator<Item = &mut Counter> {
        let own = self.thread_events.is_empty().then(|| self.sampler.as_counter_mut());
        own.into_iter().chain(&mut self.thread_events)
    }

    /// The events that take samples, and the events of context switches.
    fn all_events_mut(&mut self) -> impl Iterator<Item = &mut Counter> {
        let own = self.thread_events.is_empty().then(|| self.sampler.as_counter_mut());
        own.into_iter().chain(&mut self.thread_events).chain(&mut self.switch_events)
    }

    /// Lets another event of this CPU write into the ring buffer.
    fn share_with(&self, event: &Counter) -> io::Result<()> {
        #[expect(unsafe_code, reason = "ioctl")]
        // SAFETY: both descriptors belong to open events. The kernel keeps the buffer until no event uses it.
        let answer = unsafe { SET_OUTPUT(event.as_raw_fd(), self.sampler.as_raw_fd()) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The file descriptor of `sampler`, which `perf-event2` returns only as a number.
    #[expect(unsafe_code, reason = "perf-event2 has no AsFd")]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the sampler owns the descriptor and keeps it open while `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.sampler.as_raw_fd()) }
    }
}

impl Rings {
    /// No ring buffers. [`Rings::wait`] then waits only for the other descriptors.
    pub fn empty() -> Self {
        Self { by_cpu: Vec::new(), ring_bytes: 0 }
    }

    /// Size of each ring buffer in bytes, without its control page.
    pub fn ring_bytes(&self) -> usize {
        self.ring_bytes
    }

    /// Number of sampled CPUs.
    pub fn cpu_count(&self) -> usize {
        self.by_cpu.len()
    }

    /// The kernel's ids of the sampled events. A sample contains the id of its event.
    pub fn ids(&self) -> Vec<u64> {
        self.by_cpu.iter().flat_map(Ring::events).map(Counter::id).collect()
    }

    /// The kernel's ids of the events of context switches.
    pub fn switch_ids(&self) -> Vec<u64> {
        self.by_cpu.iter().flat_map(|ring| &ring.switch_events).map(Counter::id).collect()
    }

    /// Opens the event of a running thread on every CPU of these [shared](open_shared) buffers. Returns the kernel's ids of
    /// the new events. Sampling starts with [`Rings::enable`].
    pub fn add_thread(&mut self, spec: &Spec, tid: i32) -> Result<Vec<u64>, Error> {
        let events = self.open_into_buffers(spec, Target::RunningThread(tid))?;
        let ids = events.iter().map(Counter::id).collect();
        for (ring, event) in self.by_cpu.iter_mut().zip(events) {
            ring.thread_events.push(event);
        }
        Ok(ids)
    }

    /// Opens an [event of context switches](Spec::switch_spec) of a target on every CPU of these buffers. Returns the
    /// kernel's ids of the new events.
    pub fn add_switches(&mut self, spec: &Spec, target: Target<'_>) -> Result<Vec<u64>, Error> {
        let events = self.open_into_buffers(spec, target)?;
        let ids = events.iter().map(Counter::id).collect();
        for (ring, event) in self.by_cpu.iter_mut().zip(events) {
            ring.switch_events.push(event);
        }
        Ok(ids)
    }

    /// Opens an event on every CPU. The event writes into the CPU's existing ring buffer.
    fn open_into_buffers(&self, spec: &Spec, target: Target<'_>) -> Result<Vec<Counter>, Error> {
        let open = |ring: &Ring| {
            let refused = |source| Error::Open { event: spec.source, cpu: ring.cpu, kernel: spec.kernel, source };
            let event = spec.builder(target, ring.cpu, self.ring_bytes).build().map_err(refused)?;
            ring.share_with(&event).map_err(refused)?;
            Ok(event)
        };
        self.by_cpu.iter().map(open).collect()
    }

    /// Waits until a ring buffer reaches its watermark, one of `others` is readable, or the timeout is reached. Returns for
    /// each of `others` whether it is readable or its other end is closed.
    pub fn wait(&mut self, others: &[BorrowedFd<'_>], timeout: Duration) -> Result<Vec<bool>, Error> {
        let open: Vec<usize> = (0..self.by_cpu.len()).filter(|at| self.by_cpu[*at].is_polled).collect();
        let ring_fds: Vec<BorrowedFd<'_>> = open.iter().map(|at| self.by_cpu[*at].fd()).collect();
        let mut fds: Vec<PollFd<'_>> =
            others.iter().chain(&ring_fds).map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::Poll(io::Error::from(errno))),
        }
        let ready: Vec<bool> =
            fds.iter().take(others.len()).map(|fd| !(fd.revents() & !PollFlags::NVAL).is_empty()).collect();
        let hung: Vec<bool> =
            fds.iter().skip(others.len()).map(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR)).collect();
        for (at, hung) in open.into_iter().zip(hung) {
            if hung {
                self.by_cpu[at].is_polled = false;
            }
        }
        Ok(ready)
    }

    /// Removes all available records from the buffers and passes them to `sink` (type, misc, body without the 8-byte
    /// header). Stops at the first error of `sink`, after that record was removed.
    pub fn drain<E>(&mut self, mut sink: impl FnMut(u32, u16, &[u8]) -> Result<(), E>) -> Result<DrainResult, E> {
        let mut drained = DrainResult::default();
        for ring in &mut self.by_cpu {
            while let Some(record) = ring.sampler.next_record() {
                sink(record.ty(), record.misc(), &record.to_contiguous())?;
                drained.records += 1;
            }
        }
        Ok(drained)
    }

    /// Starts sampling now, without waiting for the target's `exec`.
    pub fn enable(&mut self) -> Result<(), Error> {
        self.by_cpu.iter_mut().flat_map(Ring::all_events_mut).try_for_each(Counter::enable).map_err(Error::Enable)
    }

    /// Stops sampling. The records in the buffers can still be drained.
    pub fn disable(&mut self) {
        for event in self.by_cpu.iter_mut().flat_map(Ring::all_events_mut) {
            // Fails after the target has ended. Then the event is off anyway.
            let _ = event.disable();
        }
    }

    /// Number of records of the sampled events that the kernel dropped on all CPUs (`PERF_FORMAT_LOST`). `None` if the
    /// kernel does not count them.
    pub fn lost_records(&mut self) -> Option<u64> {
        sum_lost(self.by_cpu.iter_mut().flat_map(Ring::events_mut))
    }

    /// Number of records of context switches that the kernel dropped on all CPUs. `None` if the kernel does not count them.
    pub fn lost_switches(&mut self) -> Option<u64> {
        sum_lost(self.by_cpu.iter_mut().flat_map(|ring| &mut ring.switch_events))
    }
}

fn sum_lost<'e>(mut events: impl Iterator<Item = &'e mut Counter>) -> Option<u64> {
    events.try_fold(0_u64, |sum, event| Some(sum.saturating_add(event.read_full().ok()?.lost()?)))
}

impl std::fmt::Debug for Rings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rings")
            .field("fds", &self.by_cpu.iter().map(|ring| ring.sampler.as_raw_fd()).collect::<Vec<_>>())
            .field("ring_bytes", &self.ring_bytes)
            .finish_non_exhaustive()
    }
}
