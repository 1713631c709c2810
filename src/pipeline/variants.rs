//! `goflame diff --variants`: compares the runs of the release and the debug build of one project.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::diff::{ComparedProfiles, DiffOptions, diff};
use super::manifest::{Manifest, WorkloadResult};
use super::report::ReportSource;
use super::{Error, Observer};
use crate::archive::{Run, Store};
use crate::fsio::MappedFile;
use crate::gobench::BenchmarkResult;
use crate::gobin::Binary;
use crate::goname::display;
use crate::process::quote_command;
use crate::profile::PhaseName;
use crate::redact::MASK;
use crate::stats::median;
use crate::views::{DebugHotSpot, Diff, Normalize, Scale, View, find_debug_hot_spots};

/// The variants that are compared, the optimised one first.
const VARIANTS: [&str; 2] = ["release", "debug"];

/// The flags of `goflame run` that choose the variant.
const VARIANT_FLAGS: [&str; 2] = ["--release", "--variant"];

/// Number of digits of a commit that are compared and shown.
const COMMIT_DIGITS: usize = 12;

/// The unit of a benchmark's time.
const TIME_PER_OPERATION_UNIT: &str = "ns/op";

/// A run of one of the variants.
struct VariantRun {
    run: Run,
    manifest: Manifest,
}

/// Compares a release and a debug run: the latest run of either, and the latest run of the other with the same app,
/// commit, arguments and environment.
pub fn diff_variants(
    archive: &Path,
    options: &DiffOptions<'_>,
    observer: &dyn Observer,
) -> Result<ComparedProfiles, Error> {
    let pair = find_run_pair(&Store::open_existing(archive)?)?;
    let sources =
        pair.each_ref().map(|side| ReportSource::Run { archive: archive.to_owned(), query: side.run.id().to_string() });
    let mut compared = diff(sources.each_ref(), options, observer)?;
    compared.labels = VARIANTS;
    compared.work = Some(work_comparison_text(pair.each_ref().map(|side| &side.manifest)));
    compared.notes.extend(reasons_for_doubt(pair.each_ref().map(|side| &side.manifest)));
    // Always compares shares, because all code takes longer without optimisation.
    let views = compared.sides.each_ref().map(|side| &side.view);
    let shares = Diff::new(views, Scale::new(views.map(View::profile), Normalize::Share, None));
    compared.debug_only = find_debug_hot_spots(&shares, views[0]);
    find_inlined_hot_spots(&pair[0], &compared.diff, &mut compared.debug_only);
    Ok(compared)
}

/// Returns the runs, in the order of [`VARIANTS`].
fn find_run_pair(store: &Store) -> Result<[VariantRun; 2], Error> {
    // The archive lists the newest run first.
    let runs = store.list()?.into_iter().filter_map(|entry| {
        let run = entry.run.ok().filter(|run| !run.has_failed())?;
        let manifest: Manifest = run.manifest().ok()?;
        let is_variant = manifest.build.is_some() && VARIANTS.contains(&manifest.variant.as_str());
        is_variant.then_some(VariantRun { run, manifest })
    });
    let (runs, unfinished): (Vec<_>, Vec<_>) = runs.partition(|one| !is_unfinished(&one.manifest.workload));
    let first_unfinished = |variants: &[&str]| {
        let mut of_variants = unfinished.iter().filter(|one| variants.contains(&one.manifest.variant.as_str()));
        let text = |one: &VariantRun| format!("{} does not count: it was stopped before its end", one.run.id());
        of_variants.next().map(text)
    };
    let mut runs = runs.into_iter();
    let Some(latest) = runs.next() else {
        let commands = VARIANTS.map(|variant| quote_command(&["goflame", "run", "--variant", variant]));
        let missing = VARIANTS.join(" or the ");
        let differs = first_unfinished(&VARIANTS);
        return Err(Error::NoVariant { missing, run: None, differs, commands: commands.to_vec() });
    };
    let mut nearest = None;
    let mut others = runs.filter(|other| {
        other.manifest.variant != latest.manifest.variant && other.manifest.app.name == latest.manifest.app.name
    });
    let partner = others.find(|other| {
        let difference = why_not_comparable(&other.manifest, &latest.manifest);
        if let Some(difference) = &difference {
            nearest.get_or_insert_with(|| format!("{} differs: {difference}", other.run.id()));
        }
        difference.is_none()
    });
    let is_debug = latest.manifest.variant == VARIANTS[1];
    let Some(partner) = partner else {
        let missing = VARIANTS[usize::from(!is_debug)];
        return Err(Error::NoVariant {
            missing: missing.to_owned(),
            run: Some(format!("{} ({})", latest.run.id(), latest.manifest.variant)),
            differs: nearest.or_else(|| first_unfinished(&[missing])),
            commands: vec![command_for_variant(&latest.manifest.command, missing)],
        });
    };
    Ok(if is_debug { [partner, latest] } else { [latest, partner] })
}

/// Whether the user or the timeout stopped the program, so that it did only a part of its work.
fn is_unfinished(workload: &WorkloadResult) -> bool {
    matches!(workload.ending.as_str(), "interrupted" | "timed-out")
}

/// Returns why two runs do not belong together.
fn why_not_comparable(other: &Manifest, latest: &Manifest) -> Option<String> {
    // The short commit also marks uncommitted changes.
    let [other_commit, latest_commit] = [other, latest].map(|manifest| manifest.short_commit(COMMIT_DIGITS));
    if other_commit != latest_commit {
        let text = |commit: String| if commit.is_empty() { "unknown".to_owned() } else { commit };
        return Some(format!("its commit is {}, not {}", text(other_commit), text(latest_commit)));
    }
    let [other_arguments, latest_arguments] = [other, latest].map(|manifest| workload_arguments(&manifest.workload));
    if other_arguments != latest_arguments {
        let text =
            |arguments: &[String]| if arguments.is_empty() { "none".to_owned() } else { quote_command(arguments) };
        return Some(format!("its arguments are {}, not {}", text(other_arguments), text(latest_arguments)));
    }
    if other.app.package != latest.app.package {
        return Some(format!("its package is {}, not {}", other.app.package, latest.app.package));
    }
    let differs = |(name, value): &(&String, &String)| latest.workload.env.get(*name) != Some(*value);
    let added = latest.workload.env.keys().find(|name| !other.workload.env.contains_key(*name));
    let name = other.workload.env.iter().find(differs).map(|(name, _)| name).or(added)?;
    Some(format!("the variable {name} has another value"))
}

fn workload_arguments(workload: &WorkloadResult) -> &[String] {
    // Leaves out the path of the program, which differs between builds.
    workload.argv.get(1..).unwrap_or_default()
}

/// Returns the command that makes the run of another variant, from the command that made a run.
fn command_for_variant(given: &[String], variant: &str) -> String {
    let words: Vec<&str> = given.iter().skip(1).map(String::as_str).collect();
    let (flags, workload) = words.split_at(words.iter().position(|word| *word == "--").unwrap_or(words.len()));
    let mut words = vec!["goflame"];
    let mut flags = flags.iter();
    while let Some(word) = flags.next() {
        let is_flag =
            |flag: &&str| word.strip_prefix(*flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
        if !VARIANT_FLAGS.iter().any(is_flag) {
            words.push(*word);
        } else if *word == VARIANT_FLAGS[1] {
            flags.next();
        }
    }
    words.extend(["--variant", variant]);
    words.extend(workload);
    quote_command(&words)
}

/// Returns why the runs may differ in more than the variant.
fn reasons_for_doubt(manifests: [&Manifest; 2]) -> Vec<String> {
    // Both runs have the same commit, arguments and variables.
    let git = &manifests[0].git;
    let source = match (git.get("commit").and_then(Value::as_str), git.get("dirty").and_then(Value::as_bool)) {
        (None, _) => {
            Some("the commit of both runs is unknown: goflame cannot tell whether they are of the same source".into())
        }
        (Some(_), Some(true)) => {
            Some("there were uncommitted changes: goflame cannot tell whether both runs are of the same source".into())
        }
        _ => None,
    };
    let is_masked = |workload: &WorkloadResult| {
        workload_arguments(workload).iter().chain(workload.env.values()).any(|value| value.contains(MASK))
    };
    let secrets = is_masked(&manifests[0].workload).then(|| {
        format!("the runs hold `{MASK}` in place of secrets: goflame cannot tell whether both had the same ones")
    });
    let [release, debug] = manifests.map(run_conditions);
    let differing = release.into_iter().zip(debug).filter(|(release, debug)| release != debug);
    let texts = differing
        .map(|((name, release), (_, debug))| format!("the {name} differs: {release} in release, {debug} in debug"));
    source.into_iter().chain(secrets).chain(texts).collect()
}

/// Returns names and values of the conditions of a run that change its figures, such as the CPU model.
fn run_conditions(manifest: &Manifest) -> [(&'static str, String); 5] {
    let unknown = || "unknown".to_owned();
    let host = |name: &str| manifest.host.pointer(&format!("/{name}/value"));
    let load = manifest.workload.load.as_ref();
    [
        ("Go version", manifest.build.as_ref().map_or_else(unknown, |build| build.go.clone())),
        ("CPU model", host("cpu_model").and_then(Value::as_str).map_or_else(unknown, str::to_owned)),
        (
            "number of CPUs",
            host("online_cpus").and_then(Value::as_array).map_or_else(unknown, |cpus| cpus.len().to_string()),
        ),
        ("sampling frequency", format!("{} Hz", manifest.sampler.frequency)),
        ("load command", load.map_or_else(|| "none".to_owned(), |load| quote_command(&load.argv))),
    ]
}

/// Searches the inline tables of the release program for hot spots that have no sample in the release run. Adds to each
/// hot spot the functions into which it is inlined.
fn find_inlined_hot_spots(release: &VariantRun, diff: &Diff, spots: &mut [DebugHotSpot]) {
    let without_sample = spots.iter_mut().filter(|spot| !spot.is_called && spot.inlined_into.is_empty());
    let mut wanted: HashMap<&str, &mut DebugHotSpot> =
        without_sample.map(|spot| (diff.matching.functions[spot.function].name.as_str(), spot)).collect();
    let path = release.manifest.build.as_ref().and_then(|build| release.run.file(&build.file).ok());
    let Some(file) = path.filter(|_| !wanted.is_empty()).and_then(|path| MappedFile::open(&path).ok()) else { return };
    let Ok(binary) = Binary::parse(file.as_ref()) else { return };
    for function in binary.pclntab().iter().flat_map(|table| table.functions()) {
        for inlined in function.inlined_names() {
            let Some(spot) = wanted.get_mut(&*display(&String::from_utf8_lossy(inlined))) else { continue };
            let host = String::from_utf8_lossy(function.name().unwrap_or_default());
            let host = display(&host);
            if !spot.inlined_into.iter().any(|known| **known == *host) {
                spot.inlined_into.push(host.into_owned());
            }
        }
    }
}

/// Returns a text with the time of both builds: per unit of work, or in total if the work is unknown.
fn work_comparison_text(manifests: [&Manifest; 2]) -> String {
    if let Some(text) = benchmark_comparison_text(manifests.map(|manifest| &manifest.benchmarks[..])) {
        return text;
    }
    let per_request = manifests.map(seconds_per_request);
    if let [Some(release), Some(debug)] = per_request {
        return time_comparison_text("CPU time of a request", [release, debug]);
    }
    // The runs may have done different amounts of work, so this says nothing about the builds' speed.
    both_times_text(
        "CPU time",
        manifests.map(|manifest| manifest.workload.user_seconds + manifest.workload.system_seconds),
    )
}

/// Compares the benchmarks that both builds ran.
fn benchmark_comparison_text(results: [&[BenchmarkResult]; 2]) -> Option<String> {
    let time = |side: usize, name: &str| {
        let of_name = results[side].iter().filter(|result| result.name == name);
        let metrics =
            of_name.filter_map(|result| result.metrics.iter().find(|metric| metric.unit == TIME_PER_OPERATION_UNIT));
        let values: Vec<f64> = metrics.map(|metric| metric.value).filter(|value| *value > 0.0).collect();
        Some(median(&values)? / 1e9)
    };
    let mut names: Vec<&str> = Vec::new();
    for result in results[0] {
        if !names.contains(&result.name.as_str()) {
            names.push(&result.name);
        }
    }
    let pairs: Vec<(&str, [f64; 2])> =
        names.into_iter().filter_map(|name| Some((name, [time(0, name)?, time(1, name)?]))).collect();
    let ratio = |(_, [release, debug]): &(&str, [f64; 2])| debug / release;
    match &pairs[..] {
        [] => None,
        [(name, times)] => Some(time_comparison_text(&format!("time of an operation of {name}"), *times)),
        pairs => {
            let mean = (pairs.iter().map(|pair| ratio(pair).ln()).sum::<f64>() / pairs.len() as f64).exp();
            let mut sorted: Vec<_> = pairs.iter().collect();
            sorted.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
            let (least, most) = (sorted.first()?, sorted.last()?);
            Some(format!(
                "time of an operation: {mean:.2} times as long in debug (geometric mean of {} benchmarks), from {:.2} ({}) to {:.2} ({})",
                pairs.len(),
                ratio(least),
                least.0,
                ratio(most),
                most.0
            ))
        }
    }
}

/// Returns the CPU seconds of a request: the CPU time of the window per second, divided by the requests per second that
/// the load tool counted. `None` if one of these figures is unknown.
fn seconds_per_request(manifest: &Manifest) -> Option<f64> {
    let figures = manifest.workload.load.as_ref()?.figures.as_ref()?;
    let window = manifest.workload.phases.iter().find(|phase| phase.name == PhaseName::Window)?;
    let per_second = manifest.sampler.used_cpu_seconds? / window.length().as_secs_f64();
    let seconds = per_second / figures.per_second;
    (seconds.is_finite() && seconds > 0.0).then_some(seconds)
}

/// Returns a text that compares two times in seconds.
fn time_comparison_text(figure: &str, [release, debug]: [f64; 2]) -> String {
    let times = both_times_text(figure, [release, debug]);
    if release > 0.0 { format!("{times}, {:.2} times as long", debug / release) } else { times }
}

fn both_times_text(figure: &str, [release, debug]: [f64; 2]) -> String {
    format!("{figure}: {} in release, {} in debug", format_duration(release), format_duration(debug))
}

fn format_duration(seconds: f64) -> String {
    let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")];
    let (unit, symbol) = units.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1e-9, "ns"));
    format!("{:.2} {symbol}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_the_other_build_has_the_variant_before_the_arguments_of_the_program() {
        let made = |line: &str| command_for_variant(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), "debug");
        let cases = [
            ("/bin/goflame -C run run --release", "goflame -C run run --variant debug"),
            ("goflame run -q --variant release -- run --release", "goflame run -q --variant debug -- run --release"),
            ("goflame run --variant=release -F 99 ./cmd", "goflame run -F 99 ./cmd --variant debug"),
        ];
        for (given, expected) in cases {
            assert_eq!(made(given), expected);
        }
    }
}
