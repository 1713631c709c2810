//! Flags that choose benchmarks.

use clap::Args;

use crate::config::BenchmarkChoice;

/// Selects benchmarks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Benchmark options")]
pub(super) struct BenchmarkArgs {
    /// Profile the benchmarks of the package whose names match; PACKAGE may be ./... here
    #[arg(long, value_name = "REGEX")]
    pub(super) bench: Option<String>,
    /// Run each benchmark for this time or number of iterations: 2s, 100x (implies --bench .)
    #[arg(long, value_name = "T")]
    pub(super) benchtime: Option<String>,
    /// Run each benchmark this often (implies --bench .)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: Option<u32>,
}

impl BenchmarkArgs {
    /// The requested benchmarks.
    pub(super) fn choice(&self) -> BenchmarkChoice {
        BenchmarkChoice { names: self.bench.clone(), time: self.benchtime.clone(), count: self.count }
    }

    /// Returns the first argument after `--` that one of these options replaces.
    pub(super) fn replaced<'a>(&self, typed: &'a [String]) -> Option<&'a str> {
        let given = [("bench", self.bench.is_some()), ("benchtime", self.benchtime.is_some())];
        let given = given.into_iter().chain([("count", self.count.is_some())]).filter(|(_, is_given)| *is_given);
        let given: Vec<&str> = given.map(|(flag, _)| flag).collect();
        let own = typed.iter().take_while(|arg| !matches!(arg.as_str(), "--" | "-args" | "--args"));
        own.map(String::as_str).find(|arg| {
            let name = arg.strip_prefix('-').map(|arg| arg.trim_start_matches('-').trim_start_matches("test."));
            name.is_some_and(|name| given.contains(&name.split('=').next().unwrap_or_default()))
        })
    }
}
