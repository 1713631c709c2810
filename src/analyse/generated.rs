//! Functions of generated code, from perf maps and jitdumps. Each function has an id that is unique in the recording.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::range_map::RangeMap;
use crate::jit::{JitCode, JitFunction, JitLine, parse_jitdump, parse_perf_map};
use crate::profile::position;
use crate::sources::{CodeFile, CodeFileKind};

/// Id of a function of generated code: its position among all such functions of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GeneratedId(pub(super) u32);

/// Maximum number of functions of generated code in a recording.
pub(super) const MAX_GENERATED: u32 = 1 << 24;

/// The functions of generated code in all programs of a recording.
#[derive(Debug, Default)]
pub(super) struct GeneratedCode<'b> {
    /// All functions, indexed by [`GeneratedId`].
    functions: Vec<GeneratedFunction<'b>>,
    lines: Vec<JitLine<'b>>,
    /// Functions without a known time, by process.
    untimed_functions: HashMap<u32, Arc<RangeMap<GeneratedId>>>,
    /// Functions with a known time, in time order.
    pub(super) timed_functions: Vec<TimedFunction>,
    /// Path of each file with malformed entries, and the number of these entries.
    malformed_entries: Vec<(String, u64)>,
}

#[derive(Debug)]
pub(super) struct GeneratedFunction<'b> {
    pub(super) name: &'b [u8],
    start: u64,
    /// Range of the function's source lines in [`GeneratedCode::lines`].
    lines: Range<usize>,
}

/// A function that a process made at a known time.
#[derive(Debug, Clone)]
pub(super) struct TimedFunction {
    pub(super) time: u64,
    pub(super) pid: u32,
    pub(super) range: Range<u64>,
    pub(super) id: GeneratedId,
}

impl<'b> GeneratedCode<'b> {
    /// Parses code files. `monotonic` says whether the recording has the clock of jitdumps, `CLOCK_MONOTONIC`.
    pub(super) fn new(files: &'b [CodeFile], monotonic: bool) -> Self {
        let mut all = Self::default();
        for file in files {
            let code = match file.kind {
                CodeFileKind::PerfMap => parse_perf_map(&file.bytes),
                CodeFileKind::Jitdump => parse_jitdump(&file.bytes).unwrap_or_default(),
            };
            if code.malformed_entries > 0 {
                all.malformed_entries.push((file.path.clone(), code.malformed_entries));
            }
            all.add(file.pid, code, monotonic);
        }
        all.timed_functions.sort_by_key(|function| function.time);
        all
    }

    fn add(&mut self, pid: u32, code: JitCode<'b>, monotonic: bool) {
        let JitCode { functions, lines, has_times, .. } = code;
        let first_line = self.lines.len();
        self.lines.extend(lines);
        for JitFunction { time, start, size, name, lines: own } in functions {
            let id = GeneratedId(position(self.functions.len()));
            if id.0 == MAX_GENERATED {
                return;
            }
            let range = start..start.saturating_add(size);
            if has_times && monotonic {
                self.timed_functions.push(TimedFunction { time, pid, range, id });
            } else {
                Arc::make_mut(self.untimed_functions.entry(pid).or_default()).insert(range, id);
            }
            let lines = first_line + own.start..first_line + own.end;
            self.functions.push(GeneratedFunction { name, start, lines });
        }
    }

    /// The functions without a known time that a process made. `None` if there are none.
    pub(super) fn untimed_functions(&self, pid: u32) -> Option<Arc<RangeMap<GeneratedId>>> {
        self.untimed_functions.get(&pid).cloned()
    }

    pub(super) fn function(&self, id: GeneratedId) -> Option<&GeneratedFunction<'b>> {
        self.functions.get(id.0 as usize)
    }

    /// The source file and the first line of a function.
    pub(super) fn definition(&self, function: &GeneratedFunction<'_>) -> Option<(&'b [u8], u32)> {
        self.lines_of(function).first().map(|first| (first.file, first.line))
    }

    /// The source line of an address in a function. 0 if it is unknown, or in another file than the function's first line.
    pub(super) fn line(&self, function: &GeneratedFunction<'_>, address: u64) -> u32 {
        let lines = self.lines_of(function);
        let offset = address.saturating_sub(function.start);
        let after = lines.partition_point(|line| line.offset <= offset);
        let line = after.checked_sub(1).and_then(|at| lines.get(at));
        line.filter(|line| lines.first().is_some_and(|first| first.file == line.file)).map_or(0, |line| line.line)
    }

    fn lines_of(&self, function: &GeneratedFunction<'_>) -> &[JitLine<'b>] {
        self.lines.get(function.lines.clone()).unwrap_or_default()
    }

    /// A note for the user on each file with malformed entries.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let notes = self.malformed_entries.iter();
        notes.map(|(path, count)| format!("{count} of the entries of {path} could not be read"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
pub(super) mod tests {
    use super::*;
    use crate::analyse::tests::{TestRecording, context, stacks};
    use crate::analyse::{AnalyseOptions, Analysis, analyse};
    use crate::perfdata::PerfData;

    pub(in crate::analyse) fn perf_map(pid: u32, text: &str) -> CodeFile {
        CodeFile { pid, kind: CodeFileKind::PerfMap, path: "a.map".into(), bytes: text.into() }
    }

    /// A jitdump of a process that loads functions of 16 bytes. `functions` are time, address and name.
    pub(in crate::analyse) fn jitdump(pid: u32, functions: &[(u64, u64, &str)]) -> CodeFile {
        let mut bytes: Vec<u8> = [0x4a69_5444_u32, 1, 40, 62, 0, pid].into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend([0; 16]);
        for (time, start, name) in functions {
            let size = u32::try_from(16 + 40 + name.len() + 1).unwrap();
            bytes.extend([[0; 4], size.to_le_bytes()].concat());
            bytes.extend([*time, 0, *start, *start, 16, 0].into_iter().flat_map(u64::to_le_bytes));
            bytes.extend([name.as_bytes(), b"\0"].concat());
        }
        CodeFile { pid, kind: CodeFileKind::Jitdump, path: "a.dump".into(), bytes }
    }

    fn analysed(recording: TestRecording, files: &[CodeFile]) -> Analysis {
        let bytes = recording.bytes();
        let options = AnalyseOptions { code_files: files, ..AnalyseOptions::default() };
        let images = &crate::analyse::tests::NoFiles;
        analyse(PerfData::parse(&bytes).unwrap(), images, |_| Err(String::new()), &options).unwrap()
    }

    #[test]
    fn a_perf_map_names_code_in_memory_but_not_in_files() {
        let mut recording = TestRecording::new();
        recording.comm(7, true, "app");
        recording.map(7, 0x1000, "/bin/app");
        recording.map(7, 0x2000, "//anon");
        recording.sample(7, &[context::USER, 0x2000, 0x2011, 0x1010, 0x9010]);
        recording.sample(7, &[context::USER, 0x2020]);
        let map = perf_map(7, "1000 100 wrong\n2000 10 leaf\n2010 10 caller\n9000 20 unmapped\nx\n");
        let analysis = analysed(recording, &[map, perf_map(8, "2000 100 of another process\n")]);
        assert_eq!(stacks(&analysis), ["app: [run-time code] 1", "app: unmapped;[app];caller;leaf 1"]);
        let hint = "20 % of user frames are in code that was made at run time without names";
        assert!(analysis.notes.iter().any(|note| note.starts_with(hint)), "{:?}", analysis.notes);
        assert!(analysis.notes.contains(&"1 of the entries of a.map could not be read".to_owned()));
    }

    #[test]
    fn a_child_has_the_functions_of_its_parent_unless_it_has_its_own() {
        let mut recording = TestRecording::new();
        recording.comm(7, true, "app");
        recording.map(7, 0x2000, "//anon");
        for (child, name) in [(8, "heir"), (9, "owner"), (10, "other")] {
            recording.fork(7, child);
            recording.comm(child, child == 10, name);
            if child == 10 {
                recording.map(child, 0x2000, "//anon");
            }
            recording.sample(child, &[context::USER, 0x2000]);
        }
        let files = [perf_map(7, "2000 10 parents\n"), perf_map(9, "2000 10 own\n")];
        let expected = ["heir: parents 1", "other: [run-time code] 1", "owner: own 1"];
        assert_eq!(stacks(&analysed(recording, &files)), expected);
    }

    #[test]
    fn a_jitdump_names_code_by_time_if_the_recording_has_its_clock() {
        for (monotonic, expected) in [
            (true, ["app: [run-time code] 1", "app: one 1", "app: two 1"].as_slice()),
            // Without times, the last function names all three samples.
            (false, &["app: two 3"]),
        ] {
            let mut recording = if monotonic { TestRecording::monotonic() } else { TestRecording::new() };
            recording.comm(7, true, "app");
            recording.map(7, 0x2000, "//anon");
            // Samples at the times 3, 4 and 5.
            for _ in 0..3 {
                recording.sample(7, &[context::USER, 0x2008]);
            }
            let dump = jitdump(7, &[(4, 0x2000, "one"), (5, 0x2000, "two")]);
            assert_eq!(stacks(&analysed(recording, &[dump])), expected);
        }
    }
}
