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
}
