//! `goflame runs export` and `import`: decides which data of a run can be shared.
//!
//! Without further options, an export holds names and figures only. Files that goflame does not know are left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::ValueEnum as _;
use serde_json::{Map, Value};

use super::manifest::{LeftOutFile, Manifest, to_json};
use super::off_cpu::{OFF_CPU_FILE, OFF_CPU_PPROF, RunProfile};
use super::report::{GOROUTINES_FILE, PERF_DATA_FILE, ReportOptions, SYMBOLS_DIR, report_run_with_manifest};
use super::runtime_record::RUNTIME_FILE;
use super::{Error, Observer};
use crate::archive::{self, ExportContent, Run, Store, check_export, write_export};
use crate::fsio;
use crate::process::quote_command;
use crate::redact::{MASK, Secrets};
use crate::render::{Document, Format};

/// The file in an export that says what was left out.
const LEFT_OUT_FILE: &str = "LEFT-OUT.txt";

/// The parts of a run that an export contains in addition to names and figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Whether the export contains the programs, the other sampled files, and the symbols.
    pub with_binary: bool,
    /// Whether the export contains all files, unchanged.
    pub with_all_files: bool,
}

/// A finished export.
#[derive(Debug)]
pub struct FinishedExport {
    /// Number of files of the run in the export.
    pub file_count: usize,
    /// Files that were left out, by this export or by an earlier one.
    pub left_out: Vec<LeftOutFile>,
    /// Number of environment variables whose values were left out.
    pub masked_variables: usize,
}

/// Writes a run to one file.
pub fn export(
    run: &Run,
    store: &Store,
    secrets: &Secrets,
    options: ExportOptions,
    output: &Path,
    observer: &dyn Observer,
) -> Result<FinishedExport, Error> {
    let problems = store.verify(run)?;
    if !problems.is_empty() {
        return Err(archive::Error::Changed { id: run.id().clone(), count: problems.len() }.into());
    }
    let SelectedContent { manifest, files, left_out, masked_variables } =
        select_content(run, secrets, options, observer)?;
    let write = |out: &mut dyn std::io::Write| write_export(run.id(), manifest, &files, out);
    fsio::replace_with(output, write).map_err(Error::Output)?;
    Ok(FinishedExport { file_count: files.len(), left_out, masked_variables })
}

/// Adds the run of an export to the archive in `dir`, which is made if it does not exist. Returns the run and the files
/// that the export left out.
pub fn import(dir: &Path, file: &Path) -> Result<(Run, Vec<LeftOutFile>), Error> {
    let export = check_export(file)?;
    let manifest: Manifest = export.manifest()?;
    let run = Store::open(dir)?.import(&export)?;
    Ok((run, manifest.left_out))
}

/// Files and manifest that an export will contain.
struct SelectedContent {
    manifest: Map<String, Value>,
    files: BTreeMap<String, ExportContent>,
    left_out: Vec<LeftOutFile>,
    masked_variables: usize,
}

fn select_content(
    run: &Run,
    secrets: &Secrets,
    options: ExportOptions,
    observer: &dyn Observer,
) -> Result<SelectedContent, Error> {
    let own: Manifest = run.manifest()?;
    let mut files = BTreeMap::new();
    if options.with_all_files {
        for (name, entry) in run.files() {
            files.insert(name.clone(), ExportContent::File(run.file(name)?, entry.clone()));
        }
        let manifest = run.manifest_json().as_object().cloned().unwrap_or_default();
        return Ok(SelectedContent { manifest, files, left_out: own.left_out, masked_variables: 0 });
    }
    let mut json = run.manifest_json().clone();
    let masked_variables = mask_environment(&mut json);
    mask_json(&mut json, secrets);
    let manifest: Manifest = serde_json::from_value(json.clone())
        .map_err(|source| archive::Error::Decode { id: run.id().clone(), source })?;
    // Runs of older versions lack this field, and always kept the stack copies.
    let is_raw = own.sampler.raw != Some(false);
    // The files that an earlier export left out are still missing.
    let mut left_out = own.left_out;
    // An imported run already has the reports that its export made.
    let is_exported = run.files().contains_key(LEFT_OUT_FILE);
    let mut formats = vec![Format::Pprof];
    for (name, entry) in run.files() {
        let format = Format::value_variants().iter().find(|format| format.file_name() == name);
        let reason = match format {
            Some(format) if !is_exported => {
                formats.push(*format);
                continue;
            }
            Some(_) => None,
            None if name == LEFT_OUT_FILE => continue,
            None => reason_to_leave_out(name, is_raw, options),
        };
        if let Some(reason) = reason {
            left_out.push(LeftOutFile { file: name.clone(), size: entry.size, reason: reason.to_owned() });
        } else {
            files.insert(name.clone(), ExportContent::File(run.file(name)?, entry.clone()));
        }
    }
    if !is_exported {
        if manifest.off_cpu.is_some() {
            let waits = ReportOptions { profile: Some(RunProfile::OffCpu), ..ReportOptions::default() };
            let reported = report_run_with_manifest(run, manifest.clone(), &waits, observer)?;
            let content = render_format(&reported.document(), Format::Pprof)?;
            files.insert(OFF_CPU_PPROF.to_owned(), content);
        }
        render_reports(run, manifest, formats, &mut files, observer)?;
    }
    left_out.sort_by(|a, b| a.file.cmp(&b.file));
    let text = left_out_text(run, &left_out, masked_variables);
    files.insert(LEFT_OUT_FILE.to_owned(), ExportContent::Bytes(text.into_bytes()));
    let mut manifest = json.as_object().cloned().unwrap_or_default();
    manifest.insert("left_out".to_owned(), to_json(&left_out));
    Ok(SelectedContent { manifest, files, left_out, masked_variables })
}

/// Renders the reports of the run again, with the current rules for secrets and without source text.
fn render_reports(
    run: &Run,
    manifest: Manifest,
    mut formats: Vec<Format>,
    files: &mut BTreeMap<String, ExportContent>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    formats.sort_unstable();
    formats.dedup();
    let notes = manifest.notes.clone();
    let options =
        ReportOptions { keep_times: formats.iter().any(|format| format.has_times()), ..ReportOptions::default() };
    let reported = report_run_with_manifest(run, manifest, &options, observer)?;
    let document = Document { notes: &notes, ..reported.document() };
    for format in formats {
        files.insert(format.file_name().to_owned(), render_format(&document, format)?);
    }
    Ok(())
}

fn render_format(document: &Document<'_>, format: Format) -> Result<ExportContent, Error> {
    let mut bytes = Vec::new();
    let written = format.write(document, &mut bytes);
    written.map_err(|source| Error::Output(fsio::FileError::new("render", format.file_name(), source)))?;
    Ok(ExportContent::Bytes(bytes))
}

/// Returns why an export leaves a file out. `None` if the export contains the file.
fn reason_to_leave_out(name: &str, is_raw: bool, options: ExportOptions) -> Option<&'static str> {
    let folder = name.split_once('/').map_or("", |(folder, _)| folder);
    match (name, folder) {
        (PERF_DATA_FILE | OFF_CPU_FILE | GOROUTINES_FILE, _) if is_raw => Some("pieces of the program's memory"),
        (PERF_DATA_FILE | OFF_CPU_FILE | OFF_CPU_PPROF | RUNTIME_FILE, _) => None,
        (_, "bin" | "mapped") if !options.with_binary => {
            Some("code of programs, with what is built into it; --with-binary adds it")
        }
        (_, SYMBOLS_DIR) if !options.with_binary => Some("useful only with the programs; --with-binary adds it"),
        (_, "bin" | "mapped" | SYMBOLS_DIR) => None,
        ("stdout.log" | "stderr.log", _) => Some("what the program printed"),
        ("goflame.toml" | "goflame.lock", _) => Some("settings, which may hold values of the environment"),
        _ => Some("goflame does not know whether secrets are in it"),
    }
}

/// Masks all values of environment variables that the settings set, and returns their number. Go's own variables of the
/// build stay: the code depends on them.
fn mask_environment(manifest: &mut Value) -> usize {
    let mut masked = 0;
    let mut command = manifest.pointer("/build/command").and_then(Value::as_str).unwrap_or_default().to_owned();
    for pointer in ["/workload/env", "/build/env"] {
        let Some(Value::Object(env)) = manifest.pointer_mut(pointer) else { continue };
        for (name, value) in env {
            if pointer == "/build/env" && (name.starts_with("GO") || name == "CGO_ENABLED") {
                continue;
            }
            let old = value.as_str().unwrap_or_default();
            let forms = [format!("{name}={}", quote_command(&[old])), quote_command(&[format!("{name}={old}")])];
            for form in forms {
                command = command.replace(&form, &format!("{name}='{MASK}'"));
            }
            *value = MASK.into();
            masked += 1;
        }
    }
    if let Some(recorded) = manifest.pointer_mut("/build/command") {
        *recorded = command.into();
    }
    masked
}

/// Masks the secrets in all strings of a JSON value.
fn mask_json(value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) => *text = secrets.mask_text(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            *items = secrets.mask_args(&texts).into_iter().map(Value::from).collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask_json(item, secrets)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) => *text = secrets.mask_value(name, text),
                    field => mask_json(field, secrets),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the text of [`LEFT_OUT_FILE`].
fn left_out_text(run: &Run, left_out: &[LeftOutFile], masked_variables: usize) -> String {
    let mut text = format!(
        "Run {} of goflame, exported to be shared: names of functions, files and machines, and figures.\n\nLeft out:\n\n",
        run.id()
    );
    // Writing to a string cannot fail.
    for LeftOutFile { file, size, reason } in left_out {
        let _ = writeln!(text, "  {file} ({size} bytes): {reason}");
    }
    let _ = writeln!(text, "  the text of the sources");
    let _ = writeln!(text, "  the values of {masked_variables} environment variables");
    let _ = writeln!(text, "  values that look like secrets: {MASK} stands in their place");
    text
}
