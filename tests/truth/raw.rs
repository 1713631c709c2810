//! Reads `profile.pb.gz` from the output of `go tool pprof -raw`.
//!
//! ```text
//! Samples:
//! samples/count cpu/nanoseconds[dflt]
//!           1    1003009: 1 2 3
//!                 process:[compile]
//!                 pid:[30545] thread:[30545]
//! Locations
//!      1: 0x41c080 M=1 runtime.sigaction runtime/cgo_sigaction.go:23:0 s=23
//! Mappings
//! 1: 0x400000/0xf4b2b1/0x0 /tmp/compile  [FN][FL][LN][IN]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::{text, tool};

/// A location of the profile.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) address: u64,
    pub(crate) mapping: u64,
    /// Name of the outermost function.
    pub(crate) name: String,
    pub(crate) file: String,
    /// Source line in the outermost function. 0 if it is unknown.
    pub(crate) line: u32,
    /// The inlined calls, innermost first, as `name file:line`.
    pub(crate) inlined: Vec<String>,
}

/// A sample: equal stacks of one thread and goroutine.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) count: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) goroutine: Option<u64>,
    /// Ids of locations, leaf first.
    pub(crate) stack: Vec<u64>,
}

/// The whole profile.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) samples: Vec<Sample>,
    pub(crate) locations: BTreeMap<u64, Location>,
    /// Files by id.
    pub(crate) mappings: BTreeMap<u64, String>,
}

impl Raw {
    pub(crate) fn read(profile: &Path) -> Self {
        // The names are in the file. Without -symbolize=none, pprof reads names with brackets as C++ names and drops
        // the text in parentheses: `F[go.shape.interface { M() }]`.
        let printed = text(tool("go").args(["tool", "pprof", "-raw", "-symbolize=none"]).arg(profile));
        let mut raw = Self::default();
        let mut section = "";
        for line in printed.lines() {
            match line {
                "Samples:" | "Locations" | "Mappings" => section = line,
                _ if section == "Samples:" => raw.parse_sample(line),
                _ if section == "Locations" => raw.parse_location(line),
                _ if section == "Mappings" => raw.parse_mapping(line),
                _ => {}
            }
        }
        assert!(!raw.samples.is_empty() && !raw.locations.is_empty(), "go tool pprof -raw printed:\n{printed}");
        raw
    }

    fn parse_sample(&mut self, line: &str) {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}:["))?;
            rest.split(']').next()?.parse::<u32>().ok()
        };
        if let Some((values, stack)) = line.split_once(": ") {
            let count = values.split_whitespace().next().unwrap().parse().unwrap();
            let stack = stack.split_whitespace().map(|id| id.parse().unwrap()).collect();
            self.samples.push(Sample { count, pid: 0, tid: 0, goroutine: None, stack });
        } else if let Some(last) = self.samples.last_mut() {
            last.pid = label("pid").unwrap_or(last.pid);
            last.tid = label("thread").unwrap_or(last.tid);
            last.goroutine = label("goroutine").map(u64::from).or(last.goroutine);
        }
    }

    fn parse_location(&mut self, line: &str) {
        // The first line of a location has the id and the innermost inlined call. Each further line is the caller of the
        // line before.
        let Some((id, rest)) = line.trim_start().split_once(": 0x") else {
            let (name, file, number) =
                parse_line(line.trim_start()).unwrap_or_else(|| panic!("not understood: {line}"));
            let mut last = self.locations.last_entry().unwrap();
            let last = last.get_mut();
            last.inlined.push(format!("{} {}:{}", last.name, last.file, last.line));
            (last.name, last.file, last.line) = (name, file, number);
            return;
        };
        let parse = || {
            let (address, rest) = rest.split_once(" M=")?;
            let (mapping, rest) = rest.split_once(' ')?;
            let (name, file, line) = parse_line(rest)?;
            let (address, mapping) = (u64::from_str_radix(address, 16).ok()?, mapping.parse().ok()?);
            Some(Location { address, mapping, name, file, line, inlined: Vec::new() })
        };
        // Locations at unmapped addresses have no mapping. Their name is `[unknown]`. The tests do not use them.
        let location = parse().unwrap_or_else(|| {
            assert!(line.contains("[unknown]"), "not understood: {line}");
            let (name, file) = ("[unknown]".into(), String::new());
            Location { address: 0, mapping: 0, name, file, line: 0, inlined: Vec::new() }
        });
        self.locations.insert(id.parse().unwrap(), location);
    }

    fn parse_mapping(&mut self, line: &str) {
        let mut fields = line.split_whitespace();
        let id = fields.next().and_then(|id| id.trim_end_matches(':').parse().ok()).unwrap();
        self.mappings.insert(id, fields.nth(1).unwrap().into());
    }
}

/// Parses `name file:line:column s=start`. Returns name, file and line.
fn parse_line(text: &str) -> Option<(String, String, u32)> {
    let (rest, _start_line) = text.rsplit_once(" s=")?;
    // A Go name can contain spaces. File names in these tests contain none.
    let (name, position) = rest.rsplit_once(' ')?;
    let mut position = position.rsplitn(3, ':');
    let (_column, number, file) = (position.next()?, position.next()?, position.next()?);
    Some((name.into(), file.into(), number.parse().ok()?))
}
