//! The profiles that Go's runtime collects.

use clap::ValueEnum;

/// A profile of Go's runtime. The comment of a value is its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ProfileKind {
    /// CPU time, by signals in the program
    Cpu,
    /// Memory in use
    Heap,
    /// All memory that was ever allocated
    Allocs,
    /// Waiting time that holders of mutexes caused
    Mutex,
    /// Time that goroutines waited for each other
    Block,
    /// All goroutines
    Goroutine,
    /// Goroutines that wait for an event that can no longer happen (Go 1.27)
    Goroutineleak,
    /// Stacks that led to new threads
    Threadcreate,
    /// An execution trace, which `go tool trace` shows
    Trace,
}

impl ProfileKind {
    /// Returns the name in `goflame.toml` and in flags.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Returns the last part of the path of the profile's URL.
    pub(super) fn url_path(self) -> String {
        if self == Self::Cpu { "profile".to_owned() } else { self.name() }
    }

    /// Whether the profile covers a span of time that begins with the request. Other profiles show the state at one
    /// moment.
    pub fn covers_a_period(self) -> bool {
        matches!(self, Self::Cpu | Self::Trace)
    }

    /// Returns the name of the profile's file in a run.
    pub fn file_name(self) -> String {
        match self {
            Self::Trace => "pprof/trace.out".to_owned(),
            kind => format!("pprof/{}.pb.gz", kind.name()),
        }
    }

    /// Returns the call without which the profile is empty. `None` if the program need not call anything.
    pub fn needed_call(self) -> Option<&'static str> {
        match self {
            Self::Mutex => Some("runtime.SetMutexProfileFraction(100)"),
            Self::Block => Some("runtime.SetBlockProfileRate(10000)"),
            _ => None,
        }
    }
}
