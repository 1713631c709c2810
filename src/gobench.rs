//! Output of Go's benchmarks → their results. The format is described in `golang.org/design/14313-benchmark-format`.
//!
//! Must not open files and must not know how the results are shown.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

/// Result of one benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkResult {
    /// Name as Go prints it, with sub-benchmarks and the number of CPUs: `BenchmarkSort/size=10-8`.
    pub name: String,
    /// Number of iterations.
    pub iterations: u64,
    /// Measured values, in the order of the output: ns/op, B/op, allocs/op, and metrics of `b.ReportMetric`.
    pub metrics: Vec<Metric>,
}

/// Measured value of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Unit, such as `ns/op`.
    pub unit: String,
    /// Value in this unit.
    pub value: f64,
}

/// Finds the results in the output of a test binary. Other lines are skipped.
pub fn read_results(mut output: impl BufRead) -> io::Result<Vec<BenchmarkResult>> {
    let mut results = Vec::new();
    // Go prints the name before the benchmark runs and the figures afterwards. Output of the program can be between them.
    let mut name_without_figures = None;
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let mut words = text.split_whitespace().peekable();
        if let Some(name) = words.next_if(|word| is_benchmark(word)) {
            name_without_figures = Some(name.to_owned());
        }
        if name_without_figures.is_some()
            && let Some((iterations, metrics)) = parse_iterations_and_metrics(words)
            && let Some(name) = name_without_figures.take()
        {
            results.push(BenchmarkResult { name, iterations, metrics });
        }
        line.clear();
    }
    Ok(results)
}

/// Whether a word is the name of a benchmark: `Benchmark`, not followed by a lower-case letter (`go help testfunc`).
pub fn is_benchmark(word: &str) -> bool {
    word.strip_prefix("Benchmark").is_some_and(|rest| !rest.starts_with(char::is_lowercase))
}

/// Parses the number of iterations, and pairs of value and unit.
fn parse_iterations_and_metrics<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<(u64, Vec<Metric>)> {
    let iterations = words.next()?.parse().ok()?;
    let mut metrics = Vec::new();
    while let Some(value) = words.next() {
        let (Ok(value), Some(unit)) = (value.parse::<f64>(), words.next()) else { break };
        // JSON has no infinite numbers.
        if value.is_finite() {
            metrics.push(Metric { unit: unit.to_owned(), value });
        }
    }
    (!metrics.is_empty()).then_some((iterations, metrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_between_other_lines() {
        let output = "goos: linux\ngoarch: amd64\npkg: example.com/m\ncpu: Some CPU @ 2.10GHz\r\n\
             BenchmarkPlus-2   \t   12345\t     98765 ns/op\t  12.50 MB/s\t      16 B/op\t       1 allocs/op\r\n\
             BenchmarkSort\n\
             BenchmarkSort/size=10-2 \t1000000000\t         0.5000 ns/op\n\
             BenchmarkLoud-2  \tloading 5 files\n 12 of them\n      10\t  7 ns/op\t 3.5 files/op\n\
             BenchmarkFailed-2 \t--- FAIL: BenchmarkFailed-2\n    x_test.go:9: no\n\
             Benchmarking is fun 10 5 ns/op\nPASS\n";
        let metric = |value, unit: &str| Metric { unit: unit.to_owned(), value };
        let result = |name: &str, iterations, metrics| BenchmarkResult { name: name.to_owned(), iterations, metrics };
        let expected = [
            result(
                "BenchmarkPlus-2",
                12345,
                vec![metric(98765.0, "ns/op"), metric(12.5, "MB/s"), metric(16.0, "B/op"), metric(1.0, "allocs/op")],
            ),
            result("BenchmarkSort/size=10-2", 1_000_000_000, vec![metric(0.5, "ns/op")]),
            result("BenchmarkLoud-2", 10, vec![metric(7.0, "ns/op"), metric(3.5, "files/op")]),
        ];
        assert_eq!(read_results(output.as_bytes()).expect("bytes in memory can be read"), expected);
    }
}
