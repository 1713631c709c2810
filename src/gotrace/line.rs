//! One line of the runtime → an event.
//!
//! Sources: `gcMarkTermination` in runtime/mgc.go, `schedtrace` and `doInit1` in runtime/proc.go, Go 1.18 to 1.27.

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Mismatch};

/// A complete line of the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeLine {
    /// `gctrace=1`: a garbage collection has ended.
    Gc(GcCycle),
    /// `schedtrace=X`: a snapshot of the scheduler.
    Scheduler(SchedulerSnapshot),
    /// `scheddetail=1`: the number of goroutines in a processor's run queue.
    Processor(u64),
    /// `scheddetail=1`: a thread or a goroutine. goflame does not use its fields.
    Detail,
    /// `inittrace=1`: a package was initialised.
    Init(PackageInit),
}

/// A garbage collection. Times in nanoseconds, sizes in MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcCycle {
    /// Number of the collection, from 1 in each process.
    pub number: u64,
    /// Start of the collection, in nanoseconds since the start of the program.
    pub at_ns: u64,
    /// Time of the collector since the start of the program, in percent of the time of all processors. The runtime counts
    /// a pause for every processor, so the value is not a share of CPU time.
    pub percent: u64,
    /// Wall time of the first pause, of the concurrent marking, and of the second pause.
    pub clock_ns: [u64; 3],
    /// CPU time by kind.
    pub cpu: GcCpu,
    /// Heap size at the start.
    pub heap_before_mb: u64,
    /// Heap size at the end of the marking.
    pub heap_after_mb: u64,
    /// Size of the live heap that the collection found.
    pub heap_live_mb: u64,
    /// Heap size at which the collection should have ended.
    pub heap_goal_mb: u64,
    /// Size of the scanned stacks.
    pub stacks_mb: u64,
    /// Size of the scanned global variables.
    pub globals_mb: u64,
    /// Number of processors (`GOMAXPROCS`).
    pub processors: u64,
    /// Whether the program called `runtime.GC`.
    pub forced: bool,
}

/// CPU time of a garbage collection by its kind, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcCpu {
    /// Pauses. Not a measured CPU time, but the wall time multiplied by the number of processors.
    pub pauses_ns: u64,
    /// Marking by goroutines that allocate.
    pub assist_ns: u64,
    /// Marking by the background workers.
    pub background_ns: u64,
    /// Marking by processors that had nothing else to do.
    pub idle_ns: u64,
}

/// A snapshot of the scheduler's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerSnapshot {
    /// Time since the first snapshot of the process, in milliseconds.
    pub at_ms: u64,
    /// Number of processors (`GOMAXPROCS`).
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
    /// Start of the initialisation, in nanoseconds since the start of the program.
    pub at_ns: u64,
    /// Wall time in nanoseconds.
    pub clock_ns: u64,
    /// Bytes allocated during the initialisation.
    pub bytes: u64,
    /// Number of objects allocated during the initialisation.
    pub allocations: u64,
}

impl RuntimeLine {
    /// Parses one line with its newline. Fails if the form is not exactly as the runtime writes it.
    pub fn parse(line: &[u8]) -> Result<Self, Mismatch> {
        let mut cursor = Cursor::new(line);
        let read = match cursor.skip_one_of(&["gc ", "SCHED ", "init ", "  P", "  M", "  G"])? {
            0 => Self::Gc(parse_gc_cycle(&mut cursor)?),
            1 => Self::Scheduler(parse_snapshot(&mut cursor)?),
            2 => Self::Init(parse_package_init(&mut cursor)?),
            3 => Self::Processor(parse_processor(&mut cursor)?),
            4 => skip_thread(&mut cursor).map(|()| Self::Detail)?,
            _ => skip_goroutine(&mut cursor).map(|()| Self::Detail)?,
        };
        cursor.expect_end()?;
        Ok(read)
    }
}

/// Decimal places that convert milliseconds to nanoseconds.
const MILLISECOND_PLACES: u32 = 6;
/// Decimal places that convert seconds to nanoseconds.
const SECOND_PLACES: u32 = 9;

fn parse_gc_cycle(line: &mut Cursor<'_>) -> Result<GcCycle, Mismatch> {
    let number = line.read_number()?;
    line.skip(" @")?;
    let at_ns = line.read_decimal(SECOND_PLACES)?;
    line.skip("s ")?;
    let percent = line.read_number()?;
    line.skip("%")?;
    // Go 1.26 added this text.
    line.skip_optional(" (checking for goroutine leaks)")?;
    let mut times = [0; 8];
    for (time, before) in times.iter_mut().zip([": ", "+", "+", " ms clock, ", "+", "/", "/", "+"]) {
        line.skip(before)?;
        *time = line.read_decimal(MILLISECOND_PLACES)?;
    }
    let [sweep_end, mark, mark_end, cpu_sweep_end, assist_ns, background_ns, idle_ns, cpu_mark_end] = times;
    let mut sizes = [0; 7];
    for (size, before) in
        sizes.iter_mut().zip([" ms cpu, ", "->", "->", " MB, ", " MB goal, ", " MB stacks, ", " MB globals, "])
    {
        line.skip(before)?;
        *size = line.read_number()?;
    }
    let [heap_before_mb, heap_after_mb, heap_live_mb, heap_goal_mb, stacks_mb, globals_mb, processors] = sizes;
    line.skip(" P")?;
    let forced = line.skip_optional(" (forced)")?;
    line.skip("\n")?;
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

fn parse_snapshot(line: &mut Cursor<'_>) -> Result<SchedulerSnapshot, Mismatch> {
    let at_ms = line.read_number()?;
    let mut field = |before: &str| line.skip(before).and_then(|()| line.read_number());
    let gomaxprocs = field("ms: gomaxprocs=")?;
    let idle_processors = field(" idleprocs=")?;
    let threads = field(" threads=")?;
    let spinning_threads = field(" spinningthreads=")?;
    // Go 1.20 added this field.
    if line.skip_optional(" needspinning=")? {
        line.read_number()?;
    }
    let mut field = |before: &str| line.skip(before).and_then(|()| line.read_number());
    let idle_threads = field(" idlethreads=")?;
    let run_queue = field(" runqueue=")?;
    line.skip(" ")?;
    let processor_queues = if line.skip_one_of(&["gcwaiting=", "["])? == 0 {
        line.skip_boolean()?;
        line.skip(" nmidlelocked=")?;
        line.skip_signed()?;
        line.skip(" stopwait=")?;
        line.skip_signed()?;
        line.skip(" sysmonwait=")?;
        line.skip_boolean()?;
        Vec::new()
    } else {
        // Since Go 1.25, there is a space after `[` and before `]`.
        let has_spaces = line.skip_optional(" ")?;
        let queues = parse_numbers(line, has_spaces)?;
        if has_spaces {
            line.skip(" schedticks=[ ")?;
            parse_numbers(line, true)?;
        }
        queues
    };
    line.skip("\n")?;
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

/// Parses numbers that are separated by spaces, up to `]`. `has_spaces` means that there is a space before `]`.
fn parse_numbers(line: &mut Cursor<'_>, has_spaces: bool) -> Result<Vec<u64>, Mismatch> {
    let mut numbers = vec![line.read_number()?];
    loop {
        if !has_spaces && line.skip_optional("]")? {
            return Ok(numbers);
        }
        line.skip(" ")?;
        if has_spaces && line.skip_optional("]")? {
            return Ok(numbers);
        }
        numbers.push(line.read_number()?);
    }
}

fn parse_package_init(line: &mut Cursor<'_>) -> Result<PackageInit, Mismatch> {
    let package = line.read_until(" @", |byte| byte.is_ascii_graphic() || !byte.is_ascii())?;
    let at_ns = line.read_decimal(MILLISECOND_PLACES)?;
    line.skip(" ms, ")?;
    let clock_ns = line.read_decimal(MILLISECOND_PLACES)?;
    line.skip(" ms clock, ")?;
    let bytes = line.read_number()?;
    line.skip(" bytes, ")?;
    let allocations = line.read_number()?;
    line.skip(" allocs")?;
    line.skip("\n")?;
    Ok(PackageInit { package, at_ns, clock_ns, bytes, allocations })
}

fn parse_processor(line: &mut Cursor<'_>) -> Result<u64, Mismatch> {
    for after in [": status=", " schedtick=", " syscalltick=", " m="] {
        line.read_number()?;
        line.skip(after)?;
    }
    line.skip_id()?;
    line.skip(" runqsize=")?;
    let queue = line.read_number()?;
    for before in [" gfreecnt=", " timerslen="] {
        line.skip(before)?;
        line.read_number()?;
    }
    line.skip("\n")?;
    Ok(queue)
}

fn skip_thread(line: &mut Cursor<'_>) -> Result<(), Mismatch> {
    line.read_number()?;
    line.skip(": p=")?;
    line.skip_id()?;
    line.skip(" curg=")?;
    line.skip_id()?;
    for before in [" mallocing=", " throwing="] {
        line.skip(before)?;
        line.skip_signed()?;
    }
    line.skip(" preemptoff=")?;
    line.read_until(" locks=", is_reason_byte)?;
    line.skip_signed()?;
    line.skip(" dying=")?;
    line.skip_signed()?;
    for before in [" spinning=", " blocked="] {
        line.skip(before)?;
        line.skip_boolean()?;
    }
    line.skip(" lockedg=")?;
    line.skip_id()?;
    line.skip("\n")
}

fn skip_goroutine(line: &mut Cursor<'_>) -> Result<(), Mismatch> {
    line.read_number()?;
    line.skip(": status=")?;
    line.read_number()?;
    line.skip("(")?;
    line.read_until(") m=", is_reason_byte)?;
    line.skip_id()?;
    line.skip(" lockedm=")?;
    line.skip_id()?;
    line.skip("\n")
}

/// Whether a byte can be in a wait reason, such as `select (no cases)`.
fn is_reason_byte(byte: u8) -> bool {
    byte == b' ' || (byte.is_ascii_graphic() && !byte.is_ascii_digit())
}
