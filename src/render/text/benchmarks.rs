//! Table of benchmark results.

use std::io::{self, Write};

use super::report::{Layout, MIN_COLUMNS, MIN_NAME_WIDTH};
use super::style::Styles;
use crate::gobench::BenchmarkResult;
use crate::profile::format_number;
use crate::render::columns::{self, GAP};
use crate::render::name;

/// Units of the first columns, in their order. All other units follow: `MB/s`, and units of `b.ReportMetric`.
const GO_UNITS: [&str; 3] = ["ns/op", "B/op", "allocs/op"];

/// Writes a table of the results, in the order in which the benchmarks ran. A benchmark that ran several times has one
/// row, with the median of each value. No results give no output.
pub fn write_benchmarks(results: &[BenchmarkResult], layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    if !results.is_empty() {
        out.write_all(format_table(results, layout).as_bytes())?;
    }
    out.flush()
}

fn format_table(results: &[BenchmarkResult], layout: Layout) -> String {
    let names = remove_repeats(results.iter().map(|result| result.name.as_str()));
    let units = results.iter().flat_map(|result| result.metrics.iter().map(|metric| metric.unit.as_str()));
    let units: Vec<&str> =
        remove_repeats(GO_UNITS.into_iter().filter(|unit| units.clone().any(|own| own == *unit)).chain(units.clone()));
    let is_repeated = names.len() < results.len();
    let mut rows = vec![(heading(&units, is_repeated), "benchmark".to_owned())];
    rows.extend(names.into_iter().map(|name| {
        let runs: Vec<&BenchmarkResult> = results.iter().filter(|result| result.name == name).collect();
        (cells(&runs, &units, is_repeated), name::clean_name(name).into_owned())
    }));

    let columns = layout.columns.max(MIN_COLUMNS);
    let count = rows.first().map_or(0, |(cells, _)| cells.len());
    let mut widths: Vec<usize> =
        (0..count).map(|at| columns::max_width(rows.iter().map(|(cells, _)| &cells[at]))).collect();
    let used = |widths: &[usize]| widths.iter().map(|width| width + GAP.len()).sum::<usize>();
    // If names get too little room, the last columns are dropped.
    while widths.len() > 1 && columns.saturating_sub(used(&widths)) < MIN_NAME_WIDTH {
        widths.pop();
    }
    let room = columns.saturating_sub(used(&widths));
    let styles = Styles::new(layout.has_color);
    let mut text = format!("{}\n", styles.bold("Benchmarks"));
    for (at, (cells, name)) in rows.iter().enumerate() {
        let cells: String =
            cells.iter().zip(&widths).map(|(cell, width)| columns::align_right(cell, *width) + GAP).collect();
        let line = format!("{cells}{}", columns::shorten(name, room));
        text.push_str(&if at == 0 { styles.dim(&line) } else { line });
        text.push('\n');
    }
    text.push('\n');
    text
}

fn remove_repeats<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut once = Vec::new();
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once
}

fn heading(units: &[&str], is_repeated: bool) -> Vec<String> {
    let mut cells: Vec<String> = units.iter().map(|unit| name::clean_name(unit).into_owned()).collect();
    if is_repeated {
        cells.insert(1.min(cells.len()), "spread".to_owned());
    }
    cells.push("iterations".to_owned());
    cells
}

/// Returns the cells of one benchmark from all its runs.
fn cells(runs: &[&BenchmarkResult], units: &[&str], is_repeated: bool) -> Vec<String> {
    let values = |unit: &str| -> Vec<f64> {
        let metrics = runs.iter().flat_map(|run| run.metrics.iter().filter(|metric| metric.unit == unit));
        metrics.map(|metric| metric.value).collect()
    };
    let mut cells: Vec<String> =
        units.iter().map(|unit| median(values(unit)).map_or_else(String::new, format_value)).collect();
    if is_repeated {
        let spread = units.first().map(|unit| format_spread(values(unit))).unwrap_or_default();
        cells.insert(1.min(cells.len()), spread);
    }
    cells.push(format_number(runs.iter().fold(0, |sum, run| run.iterations.saturating_add(sum))));
    cells
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => Some(values[middle]),
        _ if values.is_empty() => None,
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Returns the largest distance of a value from the median, as a share of the median.
fn format_spread(values: Vec<f64>) -> String {
    let Some(median) = median(values.clone()).filter(|median| *median > 0.0) else { return String::new() };
    let largest = values.into_iter().map(|value| (value - median).abs()).fold(0.0, f64::max);
    format!("±{:.0} %", 100.0 * largest / median)
}

/// Formats a value with at least four digits, and with decimals only to reach four. Whole numbers have no decimals.
fn format_value(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        999.95.. => format!("{value:.0}"),
        99.995.. => format!("{value:.1}"),
        9.9995.. => format!("{value:.2}"),
        0.99995.. => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gobench::Metric;
    use crate::render::text::{DEFAULT_ROWS, Sort};

    fn result(name: &str, iterations: u64, metrics: &[(f64, &str)]) -> BenchmarkResult {
        let metrics = metrics.iter().map(|&(value, unit)| Metric { unit: unit.to_owned(), value }).collect();
        BenchmarkResult { name: name.to_owned(), iterations, metrics }
    }

    fn lines(results: &[BenchmarkResult], columns: usize) -> String {
        format_table(results, Layout { columns, has_color: false, rows: DEFAULT_ROWS, sort: Sort::default() })
    }

    #[test]
    fn each_benchmark_has_a_row() {
        let results = [
            result(
                "BenchmarkPlus-2",
                12345,
                &[(98765.4, "ns/op"), (2.5, "files/op"), (16.0, "B/op"), (1.0, "allocs/op")],
            ),
            result("BenchmarkSort/size=10-2", 1_000_000_000, &[(0.512, "ns/op")]),
        ];
        assert_eq!(
            lines(&results, 80),
            "Benchmarks
 ns/op  B/op  allocs/op  files/op     iterations  benchmark
 98765    16          1     2.500         12 345  BenchmarkPlus-2
0.5120                             1 000 000 000  BenchmarkSort/size=10-2

"
        );
        assert_eq!(
            lines(&results, 40),
            "Benchmarks
 ns/op  B/op  benchmark
 98765    16  BenchmarkPlus-2
0.5120        BenchmarkSort/size=10-2

"
        );
    }

    #[test]
    fn repeated_benchmarks_have_a_median_and_a_spread() {
        let results = [110.0, 100.0, 98.0, 101.0].map(|value| result("BenchmarkPlus", 10, &[(value, "ns/op")]));
        assert_eq!(
            lines(&results, 80),
            "Benchmarks
ns/op  spread  iterations  benchmark
100.5    ±9 %          40  BenchmarkPlus

"
        );
    }
}
