//! `goflame runs index`: collects what the page about all runs shows.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Error;
use super::manifest::Manifest;
use crate::archive::{Run, RunId, Store};
use crate::config::{Kind, name_of};
use crate::fsio;
use crate::process::quote_command;
use crate::render::Format;
use crate::render::index::{Index, IndexedRun, Trend, write};
use crate::stats::{MIN_SERIES, change_points, median};

/// Reports that the page links to.
const LINKED_REPORTS: [(&str, Format); 2] = [("report", Format::Html), ("flame graph", Format::Svg)];

/// Number of digits of a commit that the page shows.
const SHORT_COMMIT_DIGITS: usize = 8;

/// Key of a series: app, variant and arguments of its runs; name and unit of its figure.
type SeriesKey = ([String; 3], [String; 2]);

/// Writes the page about all runs that can be loaded, and returns its path.
pub fn write_index(store: &Store) -> Result<PathBuf, Error> {
    let mut runs: Vec<(Run, Manifest)> = store
        .list()?
        .into_iter()
        .filter_map(|entry| entry.run.ok())
        .filter_map(|run| run.manifest().ok().map(|manifest| (run, manifest)))
        .collect();
    // Sorts by time, because an imported run can be older than the runs before it.
    runs.sort_by_cached_key(|(_, manifest)| Reverse(start_time(manifest)));
    let tags = store.tags()?;
    let ids: Vec<&RunId> = runs.iter().map(|(run, _)| run.id()).collect();
    let index = Index {
        title: page_title(store),
        runs: runs.iter().map(|(run, manifest)| index_run(run, manifest, &ids, &tags)).collect(),
        trends: find_trends(&runs),
        min_series: MIN_SERIES,
    };
    let mut page = Vec::new();
    let path = store.dir().join("index.html");
    write(&index, &mut page).map_err(|error| Error::Output(fsio::FileError::new("render", &path, error)))?;
    Ok(store.write_index(&page).map(|()| path)?)
}

/// Returns the heading of the page. A hidden archive, such as `.goflame`, is named after its parent directory.
fn page_title(store: &Store) -> String {
    let dir = std::path::absolute(store.dir()).unwrap_or_else(|_| store.dir().to_owned());
    let name = |dir: &std::path::Path| dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = name(&dir).filter(|name| !name.starts_with('.'));
    format!("Runs of {}", own.or_else(|| name(dir.parent()?)).unwrap_or_else(|| dir.display().to_string()))
}

fn index_run(run: &Run, manifest: &Manifest, ids: &[&RunId], tags: &BTreeMap<String, RunId>) -> IndexedRun {
    let Manifest { app, variant, workload, quality, .. } = manifest;
    let name = run.id().short_name(ids, tags).to_owned();
    let tags: Vec<&str> = tags.iter().filter(|(_, id)| *id == run.id()).map(|(tag, _)| tag.as_str()).collect();
    let link = |(name, format): (&'static str, Format)| {
        let file = format.file_name();
        run.files().contains_key(file).then(|| (name, format!("runs/{}/{file}", run.id())))
    };
    IndexedRun {
        id: run.id().to_string(),
        name,
        time: start_time(manifest).map_or_else(String::new, |created| created.strftime("%Y-%m-%d %H:%M").to_string()),
        app: app.name.clone(),
        variant: variant.clone(),
        commit: manifest.short_commit(SHORT_COMMIT_DIGITS),
        cpu: format!("{:.2} s", cpu_seconds(manifest)),
        hottest_function: manifest.hottest.clone().unwrap_or_default(),
        result: if run.has_failed() { workload.status.clone() } else { quality.assess().grade.to_string() },
        has_failed: run.has_failed(),
        size: format!("{:.1} MB", run.size() as f64 / 1e6),
        tags: tags.join(" "),
        reports: LINKED_REPORTS.into_iter().filter_map(link).collect(),
        arguments: workload_arguments(manifest),
    }
}

fn start_time(manifest: &Manifest) -> Option<jiff::Timestamp> {
    manifest.created.parse().ok()
}

fn cpu_seconds(manifest: &Manifest) -> f64 {
    manifest.workload.user_seconds + manifest.workload.system_seconds
}

fn workload_arguments(manifest: &Manifest) -> String {
    quote_command(manifest.workload.argv.get(1..).unwrap_or_default())
}

/// Returns the figures that at least two comparable runs have. Figures that changed come first.
fn find_trends(runs: &[(Run, Manifest)]) -> Vec<Trend> {
    let mut series: BTreeMap<SeriesKey, Vec<(String, f64)>> = BTreeMap::new();
    for (run, manifest) in runs.iter().rev().filter(|(run, _)| !run.has_failed()) {
        for (figure, value) in run_figures(manifest).into_iter().filter(|(_, value)| value.is_finite()) {
            let runs_of = [manifest.app.name.clone(), manifest.variant.clone(), workload_arguments(manifest)];
            series.entry((runs_of, figure)).or_default().push((run.id().to_string(), value));
        }
    }
    series.retain(|_, points| points.len() > 1);
    let mut trends: Vec<Trend> = series
        .into_iter()
        .map(|(([app, variant, arguments], [figure, unit]), points)| Trend {
            shared_settings: format!("{app} [{variant}] {arguments}").trim_end().to_owned(),
            figure,
            unit,
            levels: find_levels(&points),
            points,
        })
        .collect();
    trends.sort_by_key(|trend| trend.levels.len() < 2);
    trends
}

/// Returns name, unit and value of each figure of a run. Leaves out the CPU time of benchmarks: Go repeats a benchmark
/// for a fixed time.
fn run_figures(manifest: &Manifest) -> Vec<([String; 2], f64)> {
    let mut figures = Vec::new();
    if manifest.app.kind != name_of(&Kind::Bench) {
        figures.push((["CPU time".to_owned(), "s".to_owned()], cpu_seconds(manifest)));
    }
    for benchmark in &manifest.benchmarks {
        let metrics = benchmark.metrics.iter().filter(|metric| metric.unit == "ns/op" || metric.unit.ends_with("/s"));
        figures.extend(metrics.map(|metric| ([benchmark.name.clone(), metric.unit.clone()], metric.value)));
    }
    figures
}

/// Splits a series at its change points. Returns the first position and the median of each part.
fn find_levels(points: &[(String, f64)]) -> Vec<(usize, f64)> {
    let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    let starts: Vec<usize> = [0].into_iter().chain(change_points(&values)).collect();
    let ends = starts.iter().skip(1).copied().chain([values.len()]);
    let part = |(start, end)| values.get(start..end).and_then(median).map(|median| (start, median));
    starts.iter().copied().zip(ends).filter_map(part).collect()
}
