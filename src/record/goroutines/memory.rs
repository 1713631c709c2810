//! Memory of a process that runs the profiled program.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::layout::ProgramFile;
use crate::process::with_own_rights;
use crate::record::code_mapping::CodeMapping;

/// Upper limit of field offsets, in bytes (a `runtime.m` of Go 1.27 has about 2000).
const DESCRIPTOR: usize = 4096;

/// Time for which the executable mappings are not read again, in nanoseconds.
const CODE_LIFE: u64 = 1_000_000_000;

/// Open memory of a process, and where its code is.
#[derive(Debug)]
pub(super) struct ProgramMemory {
    pid: u32,
    file: File,
    /// Executable mappings, sorted, and when they were read.
    code: Vec<CodeMapping>,
    code_time: u64,
    /// Distance from link-time to run-time addresses.
    bias: u64,
}

impl ProgramMemory {
    /// `None` if the process runs another program, if it has ended, or if this user may not read its memory. `program` is the
    /// path by which the kernel names it, `code` the file offset and the link-time address of its code, if they are known.
    pub(super) fn open(
        pid: u32,
        program: &Path,
        file: ProgramFile,
        code: Option<(u64, u64)>,
        now: u64,
    ) -> Option<Self> {
        let of_process = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
        let file = with_own_rights(|| {
            let runs_it = ProgramFile::at(&of_process("exe")).is_ok_and(|runs| runs == file);
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
    pub(super) fn of_this_process() -> Self {
        let program = std::fs::read_link("/proc/self/exe").expect("a link");
        let file = ProgramFile::at(&program).expect("a file");
        Self::open(std::process::id(), &program, file, None, 0).expect("its own memory")
    }

    /// Whether an address is in code.
    pub(super) fn is_code(&mut self, address: u64, now: u64) -> bool {
        self.mapping(address, now).is_some()
    }

    /// Whether an address is in code of a file. Code that was mapped less than [`CODE_LIFE`] ago may be unknown.
    pub(super) fn is_in_file(&mut self, address: u64, now: u64) -> bool {
        self.mapping(address, now).is_some_and(CodeMapping::is_of_file)
    }

    /// Whether an address is in code of a file that was mapped when the mappings were last read.
    pub(super) fn is_in_known_file(&self, address: u64) -> bool {
        self.position(address).and_then(|at| self.code.get(at)).is_some_and(CodeMapping::is_of_file)
    }

    /// Whether an address is in code with a name, as files and the vdso have it. Memory for generated code has none.
    pub(super) fn is_in_named_code(&self, address: u64) -> bool {
        self.position(address).and_then(|at| self.code.get(at)).is_some_and(|mapping| !mapping.path.is_empty())
    }

    fn mapping(&mut self, address: u64, now: u64) -> Option<&CodeMapping> {
        if self.position(address).is_none() && now.saturating_sub(self.code_time) >= CODE_LIFE {
            // A plugin may have been loaded.
            self.code = CodeMapping::list(self.pid);
            self.code_time = now;
        }
        self.code.get(self.position(address)?)
    }

    fn position(&self, address: u64) -> Option<usize> {
        let next = self.code.partition_point(|mapping| mapping.range.end <= address);
        self.code.get(next).filter(|mapping| mapping.range.contains(&address)).map(|_| next)
    }

    /// The run-time address of a link-time address.
    pub(super) fn run_time_address(&self, address: u64) -> u64 {
        address.wrapping_add(self.bias)
    }

    /// The descriptors in the list of all goroutines (`[]*runtime.g`) at a link-time address: at most `most`, from this
    /// position on, or from 0 if the list ends before.
    pub(super) fn goroutines(&self, list: u64, from: usize, most: usize) -> Option<Vec<u64>> {
        let [array, length, capacity] = self.words(self.run_time_address(list), [0, 8, 16])?;
        let length = usize::try_from(length).ok().filter(|_| length <= capacity)?;
        let from = if from < length { from } else { 0 };
        self.array(array.checked_add(from as u64 * 8)?, (length - from).min(most))
    }

    /// Reads this number of consecutive words.
    pub(super) fn array(&self, address: u64, count: usize) -> Option<Vec<u64>> {
        let bytes = self.bytes(address, count.checked_mul(8)?)?;
        let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk());
        Some(words.map(|word| u64::from_le_bytes(*word)).collect())
    }

    /// Reads this number of bytes.
    pub(super) fn bytes(&self, address: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    /// Reads the words at these offsets from an address with one system call.
    pub(super) fn words<const N: usize>(&self, address: u64, offsets: [usize; N]) -> Option<[u64; N]> {
        let mut bytes = [0; DESCRIPTOR];
        let end = offsets.iter().max()?.checked_add(8)?;
        let bytes = bytes.get_mut(..end)?;
        // A structure ends in the mapping in which it begins.
        self.file.read_exact_at(bytes, address).ok()?;
        let mut words = [0; N];
        for (word, at) in words.iter_mut().zip(offsets) {
            *word = bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))?;
        }
        Some(words)
    }
}
