//! One line of the runtime → an event.
//!
//! Sources: `gcMarkTermination` in runtime/mgc.go, `schedtrace` and `doInit1` in runtime/proc.go, Go 1.18 to 1.27.

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Mismatch};

/// A complete line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeLine {
    /// `gctrace=1`: a garbage collection has ended.
    Gc(GcCycle),
    /// `schedtrace=X`: the state of the scheduler.
    Scheduler(SchedulerSnapshot),
    /// `scheddetail=1`: the length of a processor's own run queue.
    Processor(u64),
    /// `scheddetail=1`: a thread or a goroutine. Its fields are not kept.
    Detail,
    /// `inittrace=1`: a package was initialised.
    Init(PackageInit),
}

/// A garbage collection. Times in nanoseconds, sizes in MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcCycle {
    /// Number of the collection, from 1 in each process.
    pub number: u64,
    /// Start, since the start of the program.
    pub at_ns: u64,
    /// Share of the collector since the start of the program, in percent of all processors' time. The runtime counts
    /// pauses on all processors in it, so it differs from a share of CPU time.
    pub percent: u64,
    /// Wall time of the first pause, of the concurrent marking, and of the second pause.
    pub clock_ns: [u64; 3],
    /// CPU time.
    pub cpu: GcCpu,
    /// Heap at the start.
    pub heap_before_mb: u64,
    /// Heap at the end of the marking.
    pub heap_after_mb: u64,
    /// Heap that was found alive.
    pub heap_live_mb: u64,
    /// Heap size at which the collection should have ended.
    pub heap_goal_mb: u64,
    /// Stacks that were scanned.
    pub stacks_mb: u64,
    /// Global variables that were scanned.
    pub globals_mb: u64,
    /// Number of processors (`GOMAXPROCS`).
    pub processors: u64,
    /// Whether the program called `runtime.GC`.
    pub forced: bool,
}

/// CPU time of a garbage collection by its kind, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcCpu {
    /// Pauses: their wall time multiplied with the number of processors, not measured CPU time.
    pub pauses_ns: u64,
    /// Marking by goroutines that allocate.
    pub assist_ns: u64,
    /// Marking by the background workers.
    pub background_ns: u64,
    /// Marking by processors that had nothing else to do.
    pub idle_ns: u64,
}

/// The state of the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerSnapshot {
    /// Time since the first of these lines, in milliseconds.
    pub at_ms: u64,
    /// Number of processors.
    pub gomaxprocs: u64,
    /// Processors without work.
    pub idle_processors: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Threads that look for work.
    pub spinning_threads: u64,
    /// Threads that are parked.
    pub idle_threads: u64,
    /// Goroutines in the global run queue.
    pub run_queue: u64,
    /// Goroutines in the run queue of each processor.
    pub processor_queues: Vec<u64>,
}

impl SchedulerSnapshot {
    /// Returns the number of goroutines in all run queues.
    pub fn queued(&self) -> u64 {
        self.processor_queues.iter().fold(self.run_queue, |sum, queue| sum.saturating_add(*queue))
    }
}

/// The initialisation of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageInit {
    /// Import path.
    pub package: String,
    /// Start, since the start of the program.
    pub at_ns: u64,
    /// Wall time.
    pub clock_ns: u64,
    /// Bytes allocated.
    pub bytes: u64,
    /// Objects allocated.
    pub allocations: u64,
}

impl RuntimeLine {
    /// Reads one line with its newline. Succeeds only if it is of exactly the form that the runtime writes.
    pub fn parse(line: &[u8]) -> Result<Self, Mismatch> {
        let mut cursor = Cursor::new(line);
        let read = match cursor.one_of(&["gc ", "SCHED ", "init ", "  P", "  M", "  G"])? {
            0 => Self::Gc(gc_cycle(&mut cursor)?),
            1 => Self::Scheduler(snapshot(&mut cursor)?),
            2 => Self::Init(package_init(&mut cursor)?),
            3 => Self::Processor(processor(&mut cursor)?),
            4 => thread(&mut cursor).map(|()| Self::Detail)?,
            _ => goroutine(&mut cursor).map(|()| Self::Detail)?,
        };
        cursor.end()?;
        Ok(read)
    }
}

/// Decimal places of milliseconds in nanoseconds.
const MILLISECONDS: u32 = 6;
/// Decimal places of seconds in nanoseconds.
const SECONDS: u32 = 9;

fn gc_cycle(line: &mut Cursor<'_>) -> Result<GcCycle, Mismatch> {
    let number = line.number()?;
    line.text(" @")?;
    let at_ns = line.decimal(SECONDS)?;
    line.text("s ")?;
    let percent = line.number()?;
    line.text("%")?;
    // Since Go 1.26.
    line.optional(" (checking for goroutine leaks)")?;
    let mut times = [0; 8];
    for (time, before) in times.iter_mut().zip([": ", "+", "+", " ms clock, ", "+", "/", "/", "+"]) {
        line.text(before)?;
        *time = line.decimal(MILLISECONDS)?;
    }
    let [sweep_end, mark, mark_end, cpu_sweep_end, assist_ns, background_ns, idle_ns, cpu_mark_end] = times;
    let mut sizes = [0; 7];
    for (size, before) in
        sizes.iter_mut().zip([" ms cpu, ", "->", "->", " MB, ", " MB goal, ", " MB stacks, ", " MB globals, "])
    {
        line.text(before)?;
        *size = line.number()?;
    }
    let [heap_before_mb, heap_after_mb, heap_live_mb, heap_goal_mb, stacks_mb, globals_mb, processors] = sizes;
    line.text(" P")?;
    let forced = line.optional(" (forced)")?;
    line.text("\n")?;
    let pauses_ns = cpu_sweep_end.saturating_add(cpu_mark_end);
    Ok(GcCycle {
        number,
        at_ns,
        percent,
        clock_ns: [sweep_end, mark, mark_end],
        cpu: GcCpu { pauses_ns, assist_ns, background_ns, idle_ns },
        heap_before_mb,
        heap_after_mb,
        heap_live_mb,
        heap_goal_mb,
        stacks_mb,
        globals_mb,
        processors,
        forced,
    })
}

fn snapshot(line: &mut Cursor<'_>) -> Result<SchedulerSnapshot, Mismatch> {
    let at_ms = line.number()?;
    let mut field = |before: &str| line.text(before).and_then(|()| line.number());
    let gomaxprocs = field("ms: gomaxprocs=")?;
    let idle_processors = field(" idleprocs=")?;
    let threads = field(" threads=")?;
    let spinning_threads = field(" spinningthreads=")?;
    // Since Go 1.20.
    if line.optional(" needspinning=")? {
        line.number()?;
    }
    let mut field = |before: &str| line.text(before).and_then(|()| line.number());
    let idle_threads = field(" idlethreads=")?;
    let run_queue = field(" runqueue=")?;
    line.text(" ")?;
    let processor_queues = if line.one_of(&["gcwaiting=", "["])? == 0 {
        line.boolean()?;
        line.text(" nmidlelocked=")?;
        line.signed()?;
        line.text(" stopwait=")?;
        line.signed()?;
        line.text(" sysmonwait=")?;
        line.boolean()?;
        Vec::new()
    } else {
        // Since Go 1.25, there are spaces at both ends.
        let spaced = line.optional(" ")?;
        let queues = numbers(line, spaced)?;
        if spaced {
            line.text(" schedticks=[ ")?;
            numbers(line, true)?;
        }
        queues
    };
    line.text("\n")?;
    Ok(SchedulerSnapshot {
        at_ms,
        gomaxprocs,
        idle_processors,
        threads,
        spinning_threads,
        idle_threads,
        run_queue,
        processor_queues,
    })
}

/// Reads numbers with spaces between them, up to a bracket. `spaced`: with a space before it.
fn numbers(line: &mut Cursor<'_>, spaced: bool) -> Result<Vec<u64>, Mismatch> {
    let mut numbers = vec![line.number()?];
    loop {
        if !spaced && line.optional("]")? {
            return Ok(numbers);
        }
        line.text(" ")?;
        if spaced && line.optional("]")? {
            return Ok(numbers);
        }
        numbers.push(line.number()?);
    }
}

fn package_init(line: &mut Cursor<'_>) -> Result<PackageInit, Mismatch> {
    let package = line.words_until(" @", |byte| byte.is_ascii_graphic() || !byte.is_ascii())?;
    let at_ns = line.decimal(MILLISECONDS)?;
    line.text(" ms, ")?;
    let clock_ns = line.decimal(MILLISECONDS)?;
    line.text(" ms clock, ")?;
    let bytes = line.number()?;
    line.text(" bytes, ")?;
    let allocations = line.number()?;
    line.text(" allocs")?;
    line.text("\n")?;
    Ok(PackageInit { package, at_ns, clock_ns, bytes, allocations })
}

fn processor(line: &mut Cursor<'_>) -> Result<u64, Mismatch> {
    for after in [": status=", " schedtick=", " syscalltick=", " m="] {
        line.number()?;
        line.text(after)?;
    }
    line.id()?;
    line.text(" runqsize=")?;
    let queue = line.number()?;
    for before in [" gfreecnt=", " timerslen="] {
        line.text(before)?;
        line.number()?;
    }
    line.text("\n")?;
    Ok(queue)
}

fn thread(line: &mut Cursor<'_>) -> Result<(), Mismatch> {
    line.number()?;
    line.text(": p=")?;
    line.id()?;
    line.text(" curg=")?;
    line.id()?;
    for before in [" mallocing=", " throwing="] {
        line.text(before)?;
        line.signed()?;
    }
    line.text(" preemptoff=")?;
    line.words_until(" locks=", is_reason)?;
    line.signed()?;
    line.text(" dying=")?;
    line.signed()?;
    for before in [" spinning=", " blocked="] {
        line.text(before)?;
        line.boolean()?;
    }
    line.text(" lockedg=")?;
    line.id()?;
    line.text("\n")
}

fn goroutine(line: &mut Cursor<'_>) -> Result<(), Mismatch> {
    line.number()?;
    line.text(": status=")?;
    line.number()?;
    line.text("(")?;
    line.words_until(") m=", is_reason)?;
    line.id()?;
    line.text(" lockedm=")?;
    line.id()?;
    line.text("\n")
}

/// Whether a byte may be in a wait reason, such as `select (no cases)`.
fn is_reason(byte: u8) -> bool {
    byte == b' ' || (byte.is_ascii_graphic() && !byte.is_ascii_digit())
}
