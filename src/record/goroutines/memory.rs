//! Memory of a process that runs the profiled program.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::layout::ProgramFile;
use crate::process::run_with_own_rights;
use crate::record::code_mapping::CodeMapping;

/// Maximum bytes from the start of a structure to the end of a field (a `runtime.m` of Go 1.27 has about 2000).
const MAX_STRUCT_BYTES: usize = 4096;

/// Minimum time between two readings of the executable mappings, in nanoseconds.
const MAPPINGS_LIFETIME_NS: u64 = 1_000_000_000;

/// Open memory of a process, and its executable mappings.
#[derive(Debug)]
pub(super) struct ProgramMemory {
    pid: u32,
    file: File,
    /// Executable mappings, sorted by address.
    code: Vec<CodeMapping>,
    /// When the mappings were read, in nanoseconds on the clock of the samples.
    code_time: u64,
    /// Distance from link-time to run-time addresses.
    bias: u64,
}

impl ProgramMemory {
    /// `None` if the process runs another program, has ended, or does not let this user read its memory. `program` is
    /// the kernel's path of the program, `code` the file offset and link-time address of its code.
    pub(super) fn open(
        pid: u32,
        program: &Path,
        file: ProgramFile,
        code: Option<(u64, u64)>,
        now: u64,
    ) -> Option<Self> {
        let of_process = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
        let file = run_with_own_rights(|| {
            let runs_it = ProgramFile::from_path(&of_process("exe")).is_ok_and(|runs| runs == file);
            runs_it.then(|| File::open(of_process("mem")).ok()).flatten()
        })?;
        let mappings = CodeMapping::list(pid);
        let is_of_program =
            |mapping: &&CodeMapping| program.to_str().is_some_and(|path| mapping.path == path.as_bytes());
        let bias = mappings.iter().find(is_of_program).and_then(|mapping| {
            let (offset, address) = code?;
            Some(mapping.range.start.wrapping_sub(mapping.offset).wrapping_add(offset).wrapping_sub(address))
        });
        Some(Self { pid, file, code: mappings, code_time: now, bias: bias.unwrap_or(0) })
    }

    /// The memory of the test process.
    #[cfg(test)]
    pub(super) fn open_this_process() -> Self {
        let program = std::fs::read_link("/proc/self/exe").expect("a link");
        let file = ProgramFile::from_path(&program).expect("a file");
        Self::open(std::process::id(), &program, file, None, 0).expect("its own memory")
    }

    /// Whether an address is in code.
    pub(super) fn is_code(&mut self, address: u64, now: u64) -> bool {
        self.find_mapping(address, now).is_some()
    }

    /// Whether an address is in code of a file. Code that was mapped less than [`MAPPINGS_LIFETIME_NS`] ago can be unknown.
    pub(super) fn is_in_file(&mut self, address: u64, now: u64) -> bool {
        self.find_mapping(address, now).is_some_and(CodeMapping::has_file)
    }

    /// Whether an address is in code of a file that was mapped when the mappings were last read.
    pub(super) fn is_in_known_file(&self, address: u64) -> bool {
        self.mapping_index(address).and_then(|at| self.code.get(at)).is_some_and(CodeMapping::has_file)
    }

    /// Whether an address is in an executable mapping with a name: a file or the vdso. Memory for generated code has no
    /// name.
    pub(super) fn is_in_named_code(&self, address: u64) -> bool {
        self.mapping_index(address).and_then(|at| self.code.get(at)).is_some_and(|mapping| !mapping.path.is_empty())
    }

    fn find_mapping(&mut self, address: u64, now: u64) -> Option<&CodeMapping> {
        if self.mapping_index(address).is_none() && now.saturating_sub(self.code_time) >= MAPPINGS_LIFETIME_NS {
            // The program can have loaded a plugin since the mappings were read.
            self.code = CodeMapping::list(self.pid);
            self.code_time = now;
        }
        self.code.get(self.mapping_index(address)?)
    }

    fn mapping_index(&self, address: u64) -> Option<usize> {
        let next = self.code.partition_point(|mapping| mapping.range.end <= address);
        self.code.get(next).filter(|mapping| mapping.range.contains(&address)).map(|_| next)
    }

    /// Converts a link-time address to the address in the running process.
    pub(super) fn run_time_address(&self, address: u64) -> u64 {
        address.wrapping_add(self.bias)
    }

    /// Reads at most `max` descriptors of the list of all goroutines (`[]*runtime.g`) at the link-time address `list`.
    /// Starts at position `from`, or at 0 if the list is shorter.
    pub(super) fn read_goroutine_list(&self, list: u64, from: usize, max: usize) -> Option<Vec<u64>> {
        let [array, length, capacity] = self.read_fields(self.run_time_address(list), [0, 8, 16])?;
        let length = usize::try_from(length).ok().filter(|_| length <= capacity)?;
        let from = if from < length { from } else { 0 };
        self.read_words(array.checked_add(from as u64 * 8)?, (length - from).min(max))
    }

    pub(super) fn read_words(&self, address: u64, count: usize) -> Option<Vec<u64>> {
        let bytes = self.read_bytes(address, count.checked_mul(8)?)?;
        let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk());
        Some(words.map(|word| u64::from_le_bytes(*word)).collect())
    }

    pub(super) fn read_bytes(&self, address: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    /// Reads the words at these offsets from an address with one system call.
    pub(super) fn read_fields<const N: usize>(&self, address: u64, offsets: [usize; N]) -> Option<[u64; N]> {
        let mut bytes = [0; MAX_STRUCT_BYTES];
        let end = offsets.iter().max()?.checked_add(8)?;
        let bytes = bytes.get_mut(..end)?;
        // A structure never continues beyond its mapping, so a short read is an error.
        self.file.read_exact_at(bytes, address).ok()?;
        let mut words = [0; N];
        for (word, at) in words.iter_mut().zip(offsets) {
            *word = bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))?;
        }
        Some(words)
    }
}
