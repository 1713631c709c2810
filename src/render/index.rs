//! `index.html`: a page about all runs of an archive, in one file without scripts and without any request to a network.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::name::{escape, sanitize};
use super::page::{self, STYLE};

const PAGE: &str = include_str!("../../templates/index/page.html");
const INDEX_STYLE: &str = include_str!("../../templates/index/page.css");

/// Size of a trend's picture, in units of its view box.
const PICTURE_WIDTH: f64 = 600.0;
const PICTURE_HEIGHT: f64 = 120.0;
const PICTURE_MARGIN: f64 = 10.0;

/// The content of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// The headline.
    pub title: String,
    /// The runs, newest first.
    pub runs: Vec<IndexedRun>,
    /// The trends. Those with changes come first.
    pub trends: Vec<Trend>,
    /// Trends of fewer runs are not searched for changes.
    pub min_series: usize,
}

/// A run in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedRun {
    /// Id of the run. It has only letters, digits, `-` and `_`.
    pub id: String,
    /// The shortest name by which goflame finds the run.
    pub name: String,
    /// Start time of the run.
    pub time: String,
    /// Name of the app.
    pub app: String,
    /// Variant of the build.
    pub variant: String,
    /// Commit, shortened.
    pub commit: String,
    /// CPU time of the workload.
    pub cpu: String,
    /// Function with the largest self weight.
    pub hottest_function: String,
    /// Grade of quality, or why the run failed.
    pub result: String,
    /// Whether the workload failed.
    pub has_failed: bool,
    /// Size of the run's files.
    pub size: String,
    /// Tags of the run.
    pub tags: String,
    /// Names of the reports, and their paths relative to the page.
    pub reports: Vec<(&'static str, String)>,
    /// Arguments of the workload.
    pub arguments: String,
}

/// A figure of comparable runs, in the order of the runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// App, variant and arguments, which all runs of the trend share.
    pub shared_settings: String,
    /// Name of the figure.
    pub figure: String,
    /// Unit of the figure.
    pub unit: String,
    /// The ids of the runs and their figures, oldest first. Never empty.
    pub points: Vec<(String, f64)>,
    /// The levels between change points: position of the first point, and median.
    pub levels: Vec<(usize, f64)>,
}

/// Writes the page.
pub fn write(index: &Index, out: &mut dyn Write) -> io::Result<()> {
    let style = format!("{STYLE}{INDEX_STYLE}");
    let policy = page::content_security_policy(&style, None);
    let title = escape_html(&index.title);
    let runs = index.runs.len();
    let changed = index.trends.iter().filter(|trend| trend.levels.len() > 1).count();
    let summary = if runs == 1 { "1 run.".to_owned() } else { format!("{runs} runs.") };
    let summary = match changed {
        0 => summary,
        changed => format!("{summary} <a href=\"#trends-heading\">Figures that may have changed: {changed}</a>."),
    };
    let rows: String = index.runs.iter().map(table_row).collect();
    let trends: String = index.trends.iter().map(|trend| trend_item(trend, index.min_series)).collect();
    let trends = if trends.is_empty() {
        "    <p>A trend needs at least two runs of one app with the same variant and arguments.</p>\n".to_owned()
    } else {
        format!("    <ul id=\"trends\">\n{trends}    </ul>\n")
    };
    let method = format!(
        "Runs of the same app, variant and arguments, in the order in which they were made; failed ones are left out. A dashed line is a hint that a figure moved to \
         another level: chance alone shows one in 1 of 100 series (Pettitt's test, on shuffled series). Nothing is looked for in fewer than {} runs. A busy machine can \
         move figures too.",
        index.min_series
    );
    let value = |name: &str| match name {
        "policy" => policy.as_str(),
        "title" => &title,
        "style" => &style,
        "summary" => &summary,
        "rows" => &rows,
        "method" => &method,
        _ => &trends,
    };
    page::write(PAGE, value, out)
}

/// Returns a text as the content of an HTML element.
fn escape_html(text: &str) -> String {
    escape(&sanitize(text))
}

fn table_row(run: &IndexedRun) -> String {
    let IndexedRun { id, reports, has_failed, result, .. } = run;
    let mut links = String::new();
    for (name, path) in reports {
        let _ = write!(links, "<a href=\"{path}\" aria-label=\"{name} of {id}\">{name}</a>");
    }
    let class = if *has_failed { "failed" } else { result };
    let class = if ["good", "fair", "poor", "failed"].contains(&class) { class } else { "" };
    let IndexedRun { time, app, variant, cpu, hottest_function, tags, commit, size, name, arguments, .. } = run;
    let cells = [time, app, variant, cpu, hottest_function, result, tags, commit, size, name, arguments]
        .map(|cell| escape_html(cell));
    let [time, app, variant, cpu, hottest_function, result, tags, commit, size, name, arguments] = cells;
    format!(
        "        <tr id=\"{id}\"><th scope=\"row\">{time}</th><td>{links}</td><td>{app}</td><td>{variant}</td>\
         <td class=\"number\">{cpu}</td><td class=\"wide\">{hottest_function}</td><td class=\"{class}\">{result}</td><td>{tags}</td>\
         <td>{commit}</td><td class=\"number\">{size}</td><td>{name}</td><td class=\"wide\">{arguments}</td></tr>\n"
    )
}

fn trend_item(trend: &Trend, min_series: usize) -> String {
    let Trend { shared_settings, figure, unit, points, levels } = trend;
    let amount = |value: f64| escape_html(&format!("{} {unit}", format_significant(value)));
    let figures = || points.iter().map(|(_, value)| *value);
    let (low, high) = (figures().fold(f64::INFINITY, f64::min), figures().fold(f64::NEG_INFINITY, f64::max));
    let range = format!("{} runs, from {} to {}", points.len(), amount(low), amount(high));
    let mut hints = String::new();
    for pair in levels.windows(2) {
        let [(_, before), (at, after)] = pair else { continue };
        let Some((id, _)) = points.get(*at) else { continue };
        let change =
            if *before == 0.0 { String::new() } else { format!(" ({:+.1} %)", (after / before - 1.0) * 100.0) };
        let _ = write!(
            hints,
            "<li>From <a href=\"#{id}\">{id}</a> on: median {} instead of {}{change}.</li>",
            amount(*after),
            amount(*before)
        );
    }
    let verdict = match levels.len() {
        _ if points.len() < min_series => "<p>Too few runs to look for a change.</p>".to_owned(),
        ..=1 => "<p>No change beyond chance.</p>".to_owned(),
        _ => format!("<ul>{hints}</ul>"),
    };
    let label = escape_html(&format!("{figure} of {shared_settings}")).replace('"', "&quot;");
    format!(
        "      <li><h3>{} · {}</h3><p>{range}</p><svg viewBox=\"0 0 {PICTURE_WIDTH} {PICTURE_HEIGHT}\" role=\"img\" aria-label=\"{label}: {range}\">{}</svg>{verdict}</li>\n",
        escape_html(shared_settings),
        escape_html(figure),
        svg_elements(points, levels, low, high)
    )
}

/// Returns the SVG elements of a trend's picture. The bottom is 0, or the lowest figure if it is negative, so that a
/// small change looks small.
fn svg_elements(points: &[(String, f64)], levels: &[(usize, f64)], low: f64, high: f64) -> String {
    let (bottom, top) = (low.min(0.0), high.max(low.min(0.0) + f64::MIN_POSITIVE));
    let step = (PICTURE_WIDTH - 2.0 * PICTURE_MARGIN) / points.len().saturating_sub(1).max(1) as f64;
    let x = |at: f64| PICTURE_MARGIN + at * step;
    let y = |value: f64| {
        PICTURE_HEIGHT - PICTURE_MARGIN - (value - bottom) / (top - bottom) * (PICTURE_HEIGHT - 2.0 * PICTURE_MARGIN)
    };
    let mut picture = String::new();
    let ends = levels.iter().skip(1).map(|(start, _)| *start).chain([points.len()]);
    for ((start, median), end) in levels.iter().zip(ends) {
        let (start, end) = (*start as f64, end as f64);
        let height = y(*median);
        if start > 0.0 {
            let at = x(start - 0.5);
            let _ = write!(picture, "<path class=\"change\" d=\"M{at:.1} 0V{PICTURE_HEIGHT}\"/>");
        }
        let _ = write!(picture, "<path class=\"level\" d=\"M{:.1} {height:.1}H{:.1}\"/>", x(start), x(end - 1.0));
    }
    for (at, (id, value)) in points.iter().enumerate() {
        let (cx, cy) = (x(at as f64), y(*value));
        let title = format_significant(*value);
        let _ =
            write!(picture, "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3.5\"><title>{id}: {title}</title></circle>");
    }
    picture
}

/// Formats a figure with four significant digits.
fn format_significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    // In `1.2345e2`, the digits before the point are one more than the exponent.
    let exponent =
        format!("{value:e}").rsplit('e').next().and_then(|exponent| exponent.parse::<i32>().ok()).unwrap_or(0);
    let decimals = usize::try_from((3 - exponent).clamp(0, 12)).unwrap_or_default();
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_four_significant_digits() {
        for (value, expected) in
            [(0.0, "0"), (1.0, "1.000"), (0.012_345, "0.01235"), (123.456, "123.5"), (99_999.5, "100000")]
        {
            assert_eq!(format_significant(value), expected);
        }
    }

    #[test]
    fn hostile_names_stay_plain_text() {
        let evil = "</script>\"'><img src=x onerror=alert(1)>\u{202e}]]>";
        let run = IndexedRun {
            id: "20260101-000000-a-0000".into(),
            name: evil.into(),
            time: evil.into(),
            app: evil.into(),
            variant: evil.into(),
            commit: evil.into(),
            cpu: evil.into(),
            hottest_function: evil.into(),
            result: evil.into(),
            has_failed: false,
            size: evil.into(),
            tags: evil.into(),
            reports: vec![("report", "runs/20260101-000000-a-0000/report.html".into())],
            arguments: evil.into(),
        };
        let trend = Trend {
            shared_settings: evil.into(),
            figure: evil.into(),
            unit: evil.into(),
            points: vec![(run.id.clone(), 1.0), (run.id.clone(), 2.0)],
            levels: vec![(0, 1.0), (1, 2.0)],
        };
        let index = Index { title: evil.into(), runs: vec![run], trends: vec![trend], min_series: 2 };
        let mut page = Vec::new();
        write(&index, &mut page).unwrap_or_default();
        let page = String::from_utf8(page).unwrap_or_default();
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
        for forbidden in ["<img", "</script", "\u{202e}", "\"'&gt;<"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        // A quote in an attribute would end the attribute.
        let label = page.split("aria-label=\"&lt;").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        assert!(label.contains("&quot;"), "{label}");
    }
}
