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
    #[arg(long, value_name = "T", value_parser = parse_benchtime)]
    pub(super) benchtime: Option<String>,
    /// Run each benchmark this number of times (implies --bench .)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: Option<u32>,
}

/// Checks a value of `--benchtime` before the build. The test binary would refuse a wrong value only after the build.
fn parse_benchtime(text: &str) -> Result<String, String> {
    let is_count = text.strip_suffix('x').is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count > 0));
    if is_count || is_go_duration(text) {
        return Ok(text.to_owned());
    }
    Err("expected a time such as 2s or 1m30s, or a number of iterations such as 100x".to_owned())
}

/// Whether Go's `time.ParseDuration` accepts the text as a duration above zero.
fn is_go_duration(text: &str) -> bool {
    let (mut rest, mut sum) = (text, 0.0);
    while let Some(unit) = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.') {
        let (number, units) = rest.split_at(unit);
        let end = units.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(units.len());
        let (unit, after) = units.split_at(end);
        match number.parse::<f64>() {
            Ok(number) if ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) => sum += number,
            _ => return false,
        }
        rest = after;
    }
    rest.is_empty() && sum > 0.0
}

impl BenchmarkArgs {
    pub(super) fn benchmark_choice(&self) -> BenchmarkChoice {
        BenchmarkChoice { names: self.bench.clone(), time: self.benchtime.clone(), count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_benchtime;

    #[test]
    fn times_and_counts_of_go_are_accepted() {
        for right in ["2s", "100x", "1m30s", "1.5s", "10ms", "3us", "1h0m"] {
            assert!(parse_benchtime(right).is_ok(), "{right}");
        }
        for wrong in ["", "abc", "2", "0x", "0s", "2 s", "2sec", "-1s", "x", "1.5x", "s", "1.2.3s", "1s2"] {
            assert!(parse_benchtime(wrong).is_err(), "{wrong}");
        }
    }
}
