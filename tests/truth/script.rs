//! Stacks from the output of `perf script`, and the differences between its names and goflame's.

use std::collections::BTreeSet;
use std::path::Path;

use object::{Object as _, ObjectSymbol as _};

use crate::harness::{text, tool};

/// A frame of `perf script`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) symbol: String,
    /// Whether the address is the first address of the symbol.
    pub(crate) at_start: bool,
    pub(crate) dso: String,
}

/// A sample of `perf script`.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// Time in nanoseconds.
    pub(crate) time: u64,
    /// Frames, leaf first.
    pub(crate) frames: Vec<Frame>,
}

impl Sample {
    /// Whether a frame's address is a return address. The addresses of the leaf, and of the first user frame below a
    /// kernel stack, are exact.
    pub(crate) fn is_return(&self, at: usize) -> bool {
        at > 0 && self.frames.iter().position(|frame| !frame.is_kernel()) != Some(at)
    }

    /// Whether the call of a frame is the last instruction of its function. Then the return address is the start of the next
    /// symbol: goflame shows the function with the call, perf shows the next symbol.
    pub(crate) fn call_is_last(&self, at: usize) -> bool {
        self.is_return(at) && self.frames[at].at_start
    }
}

impl Frame {
    fn is_kernel(&self) -> bool {
        self.dso.starts_with('[') && self.dso != "[vdso]" && self.dso != "[unknown]"
    }
}

/// All samples of a perf.data file, in perf's order.
pub(crate) fn read(file: &Path) -> Vec<Sample> {
    let fields = "pid,tid,time,ip,sym,symoff,dso";
    let printed = text(tool("perf").args(["script", "--no-inline", "--ns", "-F", fields, "-i"]).arg(file));
    let mut samples: Vec<Sample> = Vec::new();
    for line in printed.lines() {
        if line.starts_with('\t') {
            let (_ip, rest) = line.trim_start().split_once(' ').unwrap();
            let (symbol, dso) = rest.rsplit_once(" (").unwrap();
            let (symbol, offset) = symbol.rsplit_once("+0x").unwrap_or((symbol, ""));
            let frame = Frame { symbol: symbol.into(), at_start: offset == "0", dso: dso.trim_end_matches(')').into() };
            samples.last_mut().unwrap().frames.push(frame);
        } else if !line.trim().is_empty() {
            // `  32409/32410   5674.514149123: `
            let (pid, rest) = line.trim_start().split_once('/').unwrap();
            let (tid, time) = rest.split_once(' ').unwrap();
            let time: String = time.chars().filter(char::is_ascii_digit).collect();
            // For a thread that has just ended, the kernel records the id -1.
            let [pid, tid] = [pid, tid].map(|id| if id == "-1" { u32::MAX } else { id.parse().unwrap() });
            samples.push(Sample { pid, tid, time: time.parse().unwrap(), frames: Vec::new() });
        }
    }
    samples
}

/// Functions at which Go's own traceback ends (`TOPFRAME` in Go's src/runtime/*_amd64.s and *_arm64.s). goflame ends
/// stacks there too, because the callers that perf finds for them are remains of an earlier use of the stack.
const TOP_FRAMES: [&str; 6] = [
    "runtime.goexit",
    "runtime.mstart",
    "runtime.rt0_go",
    "runtime.sigtramp",
    // The next two leave the goroutine's stack for good.
    "runtime.mcall",
    "runtime.morestack",
];

/// Removes the suffix of assembly functions in the symbol table (`f.abi0`). Go's function table, which goflame reads, has
/// the name without the suffix (`f`).
pub(crate) fn drop_abi0(name: &str) -> &str {
    name.strip_suffix(".abi0").unwrap_or(name)
}

/// Ends a stack (leaf first) at Go's top frame, as goflame does and perf does not. Returns whether frames were removed.
pub(crate) fn cut_at_top_frame<T>(frames: &mut Vec<T>, name: impl Fn(&T) -> &str) -> bool {
    let top = frames.iter().position(|frame| TOP_FRAMES.contains(&name(frame)));
    let length = frames.len();
    frames.truncate(top.map_or(length, |top| top + 1));
    frames.len() < length
}

/// Names of the compiler-generated wrappers of a program, from the symbol table. The name of a wrapper can differ from that
/// of the wrapped function only in `.abi0`. goflame does not show wrappers as callers, like Go's own tracebacks.
pub(crate) fn wrappers(program: &Path) -> BTreeSet<String> {
    let bytes = std::fs::read(program).unwrap();
    let binary = goflame::gobin::Binary::parse(&bytes).unwrap();
    let functions = binary.pclntab().unwrap().functions();
    let entries: BTreeSet<u64> =
        functions.filter(goflame::gobin::Function::is_wrapper).map(|function| function.entry()).collect();
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let symbols = file.symbols().filter(|symbol| entries.contains(&symbol.address()));
    symbols.map(|symbol| symbol.name().unwrap().to_owned()).collect()
}
