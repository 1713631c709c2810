//! Names of the functions that a Go program registers with its runtime while it runs, as loaders of generated code do.
//!
//! The runtime keeps a list of modules (`runtime.moduledata` in Go's src/runtime/symtab.go). Each has the tables of its
//! functions, in the program's memory. The names become a perf map.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::layout::ModuleList;
use super::memory::ProgramMemory;
use crate::sources::{CodeFile, CodeFileKind};

/// Time between two readings of a process's module list, in nanoseconds.
const READ_INTERVAL_NS: u64 = 100_000_000;

/// Maximum number of modules of a process. A loader can make a module for each function.
const MAX_MODULES: usize = 1 << 14;
/// Maximum number of functions of a module.
const MAX_FUNCTIONS: usize = 1 << 16;
/// Maximum bytes of the names of a module.
const MAX_NAMES_BYTES: usize = 1 << 22;
/// Maximum bytes of the perf map of a process.
const MAX_MAP_BYTES: usize = 1 << 26;
/// Maximum bytes of a function's name.
const MAX_NAME_BYTES: usize = 1 << 10;

/// The first 6 bytes of a `runtime.pcHeader` as a number: a magic number and two zero bytes. For Go 1.20 and later, and
/// for Go 1.18 and 1.19.
const PC_HEADERS: [u64; 2] = [0xffff_fff1, 0xffff_fff0];
const HEADER_MASK: u64 = (1 << 48) - 1;

const LOW_HALF_MASK: u64 = (1 << 32) - 1;

/// Offsets of fields of a `runtime.moduledata`, in bytes (Go 1.18 to 1.27).
const HEADER_OFFSET: usize = 0;
const NAMES_OFFSET: usize = 8;
const FUNCTIONS_OFFSET: usize = 104;
const ENTRIES_OFFSET: usize = 128;
const TEXT_OFFSET: usize = 176;
const TEXT_END_OFFSET: usize = 184;

/// Reads the module lists of all processes, and collects the names of the functions.
#[derive(Debug, Default)]
pub(super) struct ModuleWatch {
    processes: HashMap<u32, ProcessModules>,
}

#[derive(Debug, Default)]
struct ProcessModules {
    next_reading_ns: u64,
    /// Run-time address of the last known module.
    newest: Option<u64>,
    count: usize,
    /// The names of the functions, in the form of a perf map.
    perf_map: String,
}

impl ModuleWatch {
    /// Reads the modules that a process has registered since the last reading. `now` is in nanoseconds.
    pub(super) fn read_new_modules(&mut self, pid: u32, list: ModuleList, memory: &mut ProgramMemory, now: u64) {
        let process = self.processes.entry(pid).or_default();
        if now < process.next_reading_ns {
            return;
        }
        process.next_reading_ns = now.saturating_add(READ_INTERVAL_NS);
        let mut newest = process.newest.unwrap_or_else(|| memory.run_time_address(list.first_address));
        while process.count < MAX_MODULES && process.perf_map.len() < MAX_MAP_BYTES {
            let Some([next]) = memory.read_fields(newest.wrapping_add(list.module_bytes.saturating_sub(8)), [0]) else {
                break;
            };
            if next == 0 {
                break;
            }
            (newest, process.count) = (next, process.count + 1);
            // A module that cannot be read adds no names.
            let _ = add_module(next, memory, now, &mut process.perf_map);
        }
        process.newest = Some(newest);
    }

    /// Returns a perf map for each process that registered functions.
    pub(super) fn finish(self) -> Vec<CodeFile> {
        let processes = self.processes.into_iter().filter(|(_, process)| !process.perf_map.is_empty());
        let file = |(pid, process): (u32, ProcessModules)| CodeFile {
            pid,
            kind: CodeFileKind::PerfMap,
            path: format!("the memory of process {pid}"),
            bytes: process.perf_map.into_bytes(),
        };
        processes.map(file).collect()
    }
}

/// Appends the functions of a module. Skips modules whose code is in a file, because the file has the names.
fn add_module(module: u64, memory: &mut ProgramMemory, now: u64, perf_map: &mut String) -> Option<()> {
    let [header, names, names_length, functions, functions_length, entries, entry_count, text, text_end] = memory
        .read_fields(
            module,
            [
                HEADER_OFFSET,
                NAMES_OFFSET,
                NAMES_OFFSET + 8,
                FUNCTIONS_OFFSET,
                FUNCTIONS_OFFSET + 8,
                ENTRIES_OFFSET,
                ENTRIES_OFFSET + 8,
                TEXT_OFFSET,
                TEXT_END_OFFSET,
            ],
        )?;
    let [magic] = memory.read_fields(header, [0])?;
    if !PC_HEADERS.contains(&(magic & HEADER_MASK)) || memory.is_in_file(text, now) {
        return None;
    }
    let names = memory.read_bytes(names, usize::try_from(names_length).ok()?.min(MAX_NAMES_BYTES))?;
    let count = usize::try_from(entry_count).ok()?.min(MAX_FUNCTIONS);
    let entries = memory.read_words(entries, count)?;
    // Low half of an entry: offset of the code. High half: offset of the `runtime._func`. Each function ends at the
    // next entry. The last entry only marks the end of the code.
    for (entry, next) in entries.iter().zip(entries.iter().skip(1)) {
        let start = text.checked_add(entry & LOW_HALF_MASK)?;
        let end = text.checked_add(next & LOW_HALF_MASK)?.min(text_end);
        let function = entry >> 32;
        if function >= functions_length || end <= start {
            continue;
        }
        // `runtime._func` begins with the offset of its entry and the offset of its name.
        let [offsets] = memory.read_fields(functions.checked_add(function)?, [0])?;
        let name = usize::try_from(offsets >> 32).ok().and_then(|name| names.get(name..)).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name.get(..MAX_NAME_BYTES).unwrap_or(name)).replace(char::is_control, " ");
        // Writing to a string cannot fail.
        let _ = writeln!(perf_map, "{start:x} {:x} {name}", end - start);
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const SIZE: usize = 512;

    /// A list of two modules in this process's memory: the program's main module, and a registered one.
    struct Fake {
        modules: [Box<[u64; SIZE / 8]>; 2],
        header: Box<[u8; 8]>,
        names: Vec<u8>,
        functions: Vec<u8>,
        entries: Vec<u8>,
    }

    impl Fake {
        fn new() -> Self {
            let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
            let mut fake = Self {
                modules: [Box::new([0; SIZE / 8]), Box::new([0; SIZE / 8])],
                header: Box::new([0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]),
                names: b"\0gen.first\0gen.\x1b[31msecond\0".to_vec(),
                functions: words(&[0, 1, 0x10, 11]),
                entries: words(&[0, 0, 0x10, 8, 0x30, 16]),
            };
            let address = |bytes: &[u8]| bytes.as_ptr() as u64;
            let values = [
                (HEADER_OFFSET, address(&*fake.header)),
                (NAMES_OFFSET, address(&fake.names)),
                (NAMES_OFFSET + 8, fake.names.len() as u64),
                (FUNCTIONS_OFFSET, address(&fake.functions)),
                (FUNCTIONS_OFFSET + 8, fake.functions.len() as u64),
                (ENTRIES_OFFSET, address(&fake.entries)),
                (ENTRIES_OFFSET + 8, 3),
                (TEXT_OFFSET, 0x1000),
                (TEXT_END_OFFSET, 0x1030),
            ];
            for (at, value) in values {
                fake.modules[1][at / 8] = value;
            }
            fake
        }

        fn list(&self) -> ModuleList {
            ModuleList { first_address: self.modules[0].as_ptr() as u64, module_bytes: SIZE as u64 }
        }

        fn register(&mut self) {
            self.modules[0][SIZE / 8 - 1] = self.modules[1].as_ptr() as u64;
        }
    }

    #[test]
    fn functions_are_named_after_their_module_is_registered() {
        let (mut fake, mut memory, mut watch) =
            (Fake::new(), ProgramMemory::open_this_process(), ModuleWatch::default());
        watch.read_new_modules(7, fake.list(), &mut memory, 0);
        fake.register();
        for time in [1, READ_INTERVAL_NS, 2 * READ_INTERVAL_NS] {
            watch.read_new_modules(7, fake.list(), &mut memory, time);
        }
        let [file] = <[CodeFile; 1]>::try_from(watch.finish()).unwrap();
        assert_eq!((file.pid, file.kind), (7, CodeFileKind::PerfMap));
        assert_eq!(String::from_utf8(file.bytes).unwrap(), "1000 10 gen.first\n1010 20 gen. [31msecond\n");
    }

    #[test]
    fn reading_ends_for_modules_with_wrong_values_and_endless_lists() {
        for at in 0..=TEXT_END_OFFSET / 8 {
            for value in [0, 1, u64::MAX, 1 << 47, u64::from(u32::MAX)] {
                let mut fake = Fake::new();
                fake.register();
                fake.modules[1][at] = value;
                // The module follows itself.
                fake.modules[1][SIZE / 8 - 1] = fake.modules[1].as_ptr() as u64;
                let mut watch = ModuleWatch::default();
                watch.processes.insert(7, ProcessModules { count: MAX_MODULES - 2, ..ProcessModules::default() });
                watch.read_new_modules(7, fake.list(), &mut ProgramMemory::open_this_process(), 0);
                assert_eq!(watch.processes[&7].count, MAX_MODULES);
            }
        }
    }
}
