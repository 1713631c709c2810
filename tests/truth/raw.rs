//! `profile.pb.gz` as `go tool pprof -raw` prints it.
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

/// A place in the code.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) address: u64,
    pub(crate) mapping: u64,
    pub(crate) name: String,
    /// `file:line`; line 0 where it is not known.
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// Equal stacks of one thread.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) count: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
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
        // The names are in the file; left to itself, pprof takes brackets for C++ and drops what is in parentheses:
        // `F[go.shape.interface { M() }]`.
        let printed = text(tool("go").args(["tool", "pprof", "-raw", "-symbolize=none"]).arg(profile));
        let mut raw = Self::default();
        let mut section = "";
        for line in printed.lines() {
            match line {
                "Samples:" | "Locations" | "Mappings" => section = line,
                _ if section == "Samples:" => raw.sample(line),
                _ if section == "Locations" => raw.location(line),
                _ if section == "Mappings" => raw.mapping(line),
                _ => {}
            }
        }
        assert!(!raw.samples.is_empty() && !raw.locations.is_empty(), "go tool pprof -raw printed:\n{printed}");
        raw
    }

    fn sample(&mut self, line: &str) {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}:["))?;
            rest.split(']').next()?.parse::<u32>().ok()
        };
        if let Some((values, stack)) = line.split_once(": ") {
            let count = values.split_whitespace().next().unwrap().parse().unwrap();
            let stack = stack.split_whitespace().map(|id| id.parse().unwrap()).collect();
            self.samples.push(Sample { count, pid: 0, tid: 0, stack });
        } else if let Some(last) = self.samples.last_mut() {
            last.pid = label("pid").unwrap_or(last.pid);
            last.tid = label("thread").unwrap_or(last.tid);
        }
    }

    fn location(&mut self, line: &str) {
        let parse = || {
            let (id, rest) = line.trim_start().split_once(": 0x")?;
            let (address, rest) = rest.split_once(" M=")?;
            let (mapping, rest) = rest.split_once(' ')?;
            let (rest, _start_line) = rest.rsplit_once(" s=")?;
            // A Go name may hold spaces, a file's hardly.
            let (name, place) = rest.rsplit_once(' ')?;
            let mut place = place.rsplitn(3, ':');
            let (_column, number, file) = (place.next()?, place.next()?, place.next()?);
            let location = Location {
                address: u64::from_str_radix(address, 16).ok()?,
                mapping: mapping.parse().ok()?,
                name: name.into(),
                file: file.into(),
                line: number.parse().ok()?,
            };
            Some((id.parse().ok()?, location))
        };
        // Frames at addresses that no file is mapped to have no mapping; they are `[unknown]` and of no use here.
        if let Some((id, location)) = parse() {
            self.locations.insert(id, location);
        } else {
            assert!(line.contains("[unknown]"), "not understood: {line}");
            let id = line.trim_start().split(':').next().unwrap().parse().unwrap();
            let unknown = Location { address: 0, mapping: 0, name: "[unknown]".into(), file: String::new(), line: 0 };
            self.locations.insert(id, unknown);
        }
    }

    fn mapping(&mut self, line: &str) {
        let mut fields = line.split_whitespace();
        let id = fields.next().and_then(|id| id.trim_end_matches(':').parse().ok()).unwrap();
        self.mappings.insert(id, fields.nth(1).unwrap().into());
    }
}
