//! Parses throughput and latency from the output of load tools: wrk, hey, vegeta, k6, ghz, and Go's benchmarks.
//!
//! Must not open files and must not know how the figures are shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gobench::read_results;

/// Figures that a load tool printed. `None` for a figure that the tool did not print.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadFigures {
    /// Name of the tool, recognised by the form of its output.
    pub tool: String,
    /// Requests or operations per second.
    pub per_second: f64,
    /// Number of requests or operations.
    pub requests: Option<u64>,
    /// Number of requests or operations that failed or had a status of 400 or more.
    pub errors: Option<u64>,
    /// Times from request to answer, in seconds.
    pub latency: Latency,
}

/// Times from request to answer, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Arithmetic mean of all times.
    pub mean: Option<f64>,
    /// 50 % of the requests took less than this time.
    pub p50: Option<f64>,
    /// 90 % of the requests took less than this time.
    pub p90: Option<f64>,
    /// 99 % of the requests took less than this time.
    pub p99: Option<f64>,
}

impl Latency {
    fn set_percentile(&mut self, percent: f64, seconds: Option<f64>) {
        let percentile = match percent {
            50.0 => &mut self.p50,
            90.0 => &mut self.p90,
            99.0 => &mut self.p99,
            _ => return,
        };
        *percentile = seconds.or(*percentile);
    }
}

impl fmt::Display for LoadFigures {
    /// Writes throughput, latency and errors in one line. The mean is written only without a p50.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} requests/s by {}", self.per_second, self.tool)?;
        let Latency { mean, p50, p90, p99 } = self.latency;
        let named = [("mean", mean.filter(|_| p50.is_none())), ("p50", p50), ("p90", p90), ("p99", p99)];
        let mut named = named.into_iter().filter_map(|(name, seconds)| Some((name, seconds?))).peekable();
        if named.peek().is_some() {
            f.write_str("; latency")?;
        }
        for (name, seconds) in named {
            write!(f, " {name} {:.3} ms", seconds * 1e3)?;
        }
        match self.errors {
            Some(errors @ 1..) => write!(f, "; {errors} errors"),
            _ => Ok(()),
        }
    }
}

/// Finds the figures in the output of a load tool. `None` if the tool is unknown or the output is incomplete.
pub fn parse_load_output(output: &[u8]) -> Option<LoadFigures> {
    let text = String::from_utf8_lossy(output);
    let parsers = [parse_vegeta, parse_k6, parse_ghz, parse_hey, parse_wrk, parse_benchmarks];
    let figures = parsers.into_iter().find_map(|parse| parse(&text))?;
    figures.per_second.is_finite().then_some(figures)
}

/// Parses the output of wrk and wrk2.
fn parse_wrk(text: &str) -> Option<LoadFigures> {
    let per_second = parse_number(text.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?)?;
    let (mut latency, mut requests, mut errors) = (Latency::default(), None, 0_u64);
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            // The other columns are deviation, maximum, and the share of values near the average.
            ["Latency", mean, _, _, _] => latency.mean = parse_seconds(mean),
            [percent, value] if percent.ends_with('%') => {
                latency
                    .set_percentile(parse_number(percent.trim_end_matches('%')).unwrap_or(0.0), parse_seconds(value));
            }
            [count, "requests", "in", ..] => requests = count.parse().ok(),
            ["Non-2xx", "or", "3xx", "responses:", count] => errors = errors.saturating_add(count.parse().unwrap_or(0)),
            ["Socket", "errors:", ref kinds @ ..] => {
                let counts = kinds.iter().filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok());
                errors = counts.fold(errors, u64::saturating_add);
            }
            _ => {}
        }
    }
    Some(LoadFigures { tool: "wrk".into(), per_second, requests, errors: Some(errors), latency })
}

/// Parses the output of hey.
fn parse_hey(text: &str) -> Option<LoadFigures> {
    parse_indented_summary(text, "hey", |words| match words {
        // `50%% in 0.0006 secs`, and without the second sign in other versions.
        [percent, "in", value, "secs"] => Some((
            parse_number(percent.trim_end_matches('%')).filter(|_| percent.ends_with('%'))?,
            parse_number(value)?,
        )),
        _ => None,
    })
}

/// Parses the output of ghz.
fn parse_ghz(text: &str) -> Option<LoadFigures> {
    text.lines().any(|line| line.trim_start().starts_with("Count:")).then_some(())?;
    parse_indented_summary(text, "ghz", |words| match words {
        // `50 % in 0.24 ms`
        [percent, "%", "in", value, unit] => Some((parse_number(percent)?, parse_seconds(&[*value, *unit].concat())?)),
        _ => None,
    })
}

/// Parses the form of output that hey and ghz share. `percentile` reads a percentage, and the time in seconds.
fn parse_indented_summary(
    text: &str,
    tool: &str,
    percentile: impl Fn(&[&str]) -> Option<(f64, f64)>,
) -> Option<LoadFigures> {
    text.lines().find(|line| *line == "Summary:")?;
    let (mut per_second, mut latency, mut answers, mut errors) = (None, Latency::default(), 0_u64, 0_u64);
    let mut in_errors = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Requests/sec:", value] => per_second = parse_number(value),
            ["Average:", value, "secs"] => latency.mean = parse_number(value),
            ["Average:", value, unit] => latency.mean = parse_seconds(&[value, unit].concat()),
            ["Error", "distribution:"] => in_errors = true,
            // `[200] 17748 responses`, `[OK] 23498 responses`
            [code, count, "responses"] if !in_errors => {
                let code = code.trim_matches(['[', ']']);
                let count = count.parse().unwrap_or(0);
                answers = answers.saturating_add(count);
                if !(code == "OK" || code.starts_with(['1', '2', '3'])) {
                    errors = errors.saturating_add(count);
                }
            }
            // hey: `[50] Get "http://…": …`. For ghz, such answers were counted above.
            [count, ..] if in_errors && tool == "hey" => {
                let count = count.strip_prefix('[').and_then(|count| count.strip_suffix(']')?.parse().ok());
                let count: u64 = count.unwrap_or(0);
                (answers, errors) = (answers.saturating_add(count), errors.saturating_add(count));
            }
            _ => {
                if let Some((percent, seconds)) = percentile(&words) {
                    latency.set_percentile(percent, Some(seconds));
                }
            }
        }
    }
    let (requests, errors) = (Some(answers), Some(errors));
    Some(LoadFigures { tool: tool.into(), per_second: per_second?, requests, errors, latency })
}

/// Parses the output of `vegeta report`.
fn parse_vegeta(text: &str) -> Option<LoadFigures> {
    let (mut per_second, mut requests, mut failed, mut latency) = (None, None, None, Latency::default());
    for line in text.lines() {
        let Some((name, names, values)) = split_vegeta_row(line) else { continue };
        for (of, value) in names.split(", ").zip(values.split(", ")) {
            match (name, of) {
                ("Requests", "total") => requests = value.parse().ok(),
                // The throughput counts only successful requests, and replaces the rate. Older versions print only the
                // rate.
                ("Requests", "rate" | "throughput") => per_second = parse_number(value),
                ("Latencies", "mean") => latency.mean = parse_seconds(value),
                ("Latencies", percent) => {
                    if let Some(percent) = parse_number(percent) {
                        latency.set_percentile(percent, parse_seconds(value));
                    }
                }
                ("Success", _) => {
                    failed = value.strip_suffix('%').and_then(parse_number).map(|ratio| 1.0 - ratio / 100.0);
                }
                _ => {}
            }
        }
    }
    let errors = requests.zip(failed).map(|(requests, failed): (u64, f64)| (requests as f64 * failed).round());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let errors = errors.map(|errors| errors as u64);
    Some(LoadFigures { tool: "vegeta".into(), per_second: per_second?, requests, errors, latency })
}

/// Splits `Latencies     [min, mean, 50]  1ms, 2ms, 3ms`.
fn split_vegeta_row(line: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = line.split_once('[')?;
    let (names, values) = rest.split_once(']')?;
    Some((name.trim_end(), names, values.trim()))
}

/// Parses the output of k6.
fn parse_k6(text: &str) -> Option<LoadFigures> {
    let row = |name: &str| {
        text.lines().find_map(|line| {
            let rest = line.trim_start().strip_prefix(name)?.trim_start_matches('.');
            rest.strip_prefix(':').map(str::trim)
        })
    };
    // `http_reqs....: 15205  7586.290139/s`
    let is_http = row("http_reqs").is_some();
    let mut counts = row(if is_http { "http_reqs" } else { "iterations" })?.split_whitespace();
    let requests = counts.next()?.parse().ok();
    let per_second = parse_number(counts.next()?.strip_suffix("/s")?)?;
    let mut latency = Latency::default();
    // `http_req_duration....: avg=1.01ms min=57.69µs med=772.19µs max=13.28ms p(90)=1.71ms`
    for word in row(if is_http { "http_req_duration" } else { "iteration_duration" }).unwrap_or("").split_whitespace() {
        match word.split_once('=') {
            Some(("avg", value)) => latency.mean = parse_seconds(value),
            Some(("med", value)) => latency.p50 = parse_seconds(value),
            Some((name, value)) => {
                let percent = name.strip_prefix("p(").and_then(|name| parse_number(name.strip_suffix(')')?));
                latency.set_percentile(percent.unwrap_or(0.0), parse_seconds(value));
            }
            None => {}
        }
    }
    // `http_req_failed....: 0.00%  0 out of 15205`
    let errors = row("http_req_failed").and_then(|failed| failed.split_whitespace().nth(1)?.parse().ok());
    Some(LoadFigures { tool: "k6".into(), per_second, requests, errors, latency })
}

/// Parses the output of Go benchmarks that send requests. Adds up the operations of all benchmarks.
fn parse_benchmarks(text: &str) -> Option<LoadFigures> {
    let results = read_results(text.as_bytes()).ok()?;
    let (mut operations, mut seconds) = (0_u64, 0.0);
    for result in &results {
        if let Some(metric) = result.metrics.iter().find(|metric| metric.unit == "ns/op") {
            operations = operations.saturating_add(result.iterations);
            seconds += result.iterations as f64 * metric.value * 1e-9;
        }
    }
    let mean = Some(seconds / operations as f64).filter(|mean| mean.is_finite() && *mean > 0.0)?;
    let latency = Latency { mean: Some(mean), ..Latency::default() };
    let requests = Some(operations);
    Some(LoadFigures { tool: "go test -bench".into(), per_second: 1.0 / mean, requests, errors: None, latency })
}

/// Parses a number. `None` if it is negative or not finite.
fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// Parses a duration as Go and wrk print it (`1m2.5s`, `312.617µs`, `593.00us`), in seconds.
fn parse_seconds(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut sum = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (value, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum = Some(sum.unwrap_or(0.0) + parse_number(value)? * seconds);
        rest = after;
    }
    sum.filter(|sum| sum.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUTS: [(&str, &str); 11] = [
        ("wrk", include_str!("loadtool/testdata/wrk.txt")),
        ("wrk-latency", include_str!("loadtool/testdata/wrk-latency.txt")),
        ("wrk-errors", include_str!("loadtool/testdata/wrk-errors.txt")),
        ("hey", include_str!("loadtool/testdata/hey.txt")),
        ("hey-refused", include_str!("loadtool/testdata/hey-refused.txt")),
        ("vegeta", include_str!("loadtool/testdata/vegeta.txt")),
        ("k6", include_str!("loadtool/testdata/k6.txt")),
        ("k6-p99", include_str!("loadtool/testdata/k6-p99.txt")),
        ("k6-legacy", include_str!("loadtool/testdata/k6-legacy.txt")),
        ("ghz", include_str!("loadtool/testdata/ghz.txt")),
        ("ghz-errors", include_str!("loadtool/testdata/ghz-errors.txt")),
    ];

    #[test]
    fn the_figures_of_real_tools_are_read() {
        let lines = OUTPUTS.map(|(_, output)| {
            let figures = parse_load_output(output.as_bytes()).expect("figures");
            format!("{figures}, {} in all", figures.requests.expect("a count"))
        });
        assert_eq!(
            lines,
            [
                "13919.5 requests/s by wrk; latency mean 1.460 ms, 28279 in all",
                "9238.3 requests/s by wrk; latency p50 0.593 ms p90 4.970 ms p99 14.930 ms, 18541 in all",
                "31274.5 requests/s by wrk; latency p50 0.163 ms p90 2.690 ms p99 8.700 ms; 34371 errors, 34371 in all",
                "8868.4 requests/s by hey; latency p50 0.600 ms p90 1.400 ms p99 5.800 ms, 17748 in all",
                "12227.7 requests/s by hey; 50 errors, 50 in all",
                "500.3 requests/s by vegeta; latency p50 0.313 ms p90 0.420 ms p99 0.684 ms, 1000 in all",
                "7586.3 requests/s by k6; latency p50 0.772 ms p90 1.710 ms, 15205 in all",
                "7449.5 requests/s by k6; latency p50 0.747 ms p90 1.950 ms p99 6.310 ms, 14912 in all",
                "6212.9 requests/s by k6; latency p50 0.836 ms p90 2.320 ms, 12441 in all",
                "11732.6 requests/s by ghz; latency p50 0.240 ms p90 0.450 ms p99 1.200 ms, 23498 in all",
                "51863.2 requests/s by ghz; latency mean 0.009 ms; 103789 errors, 103789 in all",
            ]
        );
    }

    #[test]
    fn benchmarks_count_together() {
        let output = b"BenchmarkGet-2 \t 1000\t 2000 ns/op\t 3 B/op\nBenchmarkPost-2 \t 1000\t 6000 ns/op\nPASS\n";
        let figures = parse_load_output(output).expect("figures");
        assert_eq!(figures.to_string(), "250000.0 requests/s by go test -bench; latency mean 0.004 ms");
        assert_eq!(parse_load_output(b"BenchmarkNone 0 0 ns/op\n"), None);
    }

    #[test]
    fn durations_of_go_and_wrk_are_read() {
        for (text, seconds) in [("1m2.5s", 62.5), ("2h0m1s", 7201.0), ("250.5ms", 0.2505), ("0s", 0.0), ("1.50m", 90.0)]
        {
            assert_eq!(parse_seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "1", "s", "1x", "1.2.3s", "-1s", "NaNs", "1 s 2"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn output_that_ends_anywhere_gives_whole_figures_or_none() {
        for (name, output) in OUTPUTS {
            let whole = parse_load_output(output.as_bytes()).expect("figures");
            for end in 0..output.len() {
                if let Some(figures) = parse_load_output(&output.as_bytes()[..end]) {
                    assert!(figures.per_second.is_finite(), "{name} {end}");
                    assert_eq!(figures.tool, whole.tool, "{name} {end}");
                }
            }
        }
        for other in [&b""[..], b"\xff\xfe", b"Requests/sec: inf\n", b"Requests/sec: NaN\n", b"hello\n"] {
            assert_eq!(parse_load_output(other), None);
        }
    }
}
