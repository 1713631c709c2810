//! The processed profile format of the Firefox Profiler, version 61 (docs-developer/CHANGELOG-formats.md and
//! src/types/profile.ts of firefox-devtools/profiler). The profiler reads this version and all older versions.
//!
//! Each thread has its samples, in the order of time if times are known. A stack is a call path, and a frame is a function,
//! inlined or not. The category of a function is its origin, and its resource is its mapped file.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::document::Document;
use super::name;
use crate::profile::{FunctionId, Interner, MappingId, Origin, Profile, Unit};
use crate::views::{CallPaths, Moment, ThreadMoments};

/// Version of the processed format.
const FORMAT_VERSION: u32 = 61;

/// Version of the Gecko format, which the profiler expects too.
const GECKO_VERSION: u32 = 31;

/// The resource type of libraries and programs.
const LIBRARY_RESOURCE: u32 = 1;

/// Writes the profile.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let profile = document.view.profile();
    let paths = CallPaths::new(profile);
    let threads = document.view.moments_of_threads(&paths);
    let threads: Vec<Value> = threads.iter().map(|thread| thread_json(profile, thread)).collect();
    let mut tables = SharedTables::new(profile);
    let stacks = tables.stacks(&paths);
    let file = json!({
        "meta": metadata(document, threads.len()),
        "libs": tables.libs_json(),
        "shared": tables.shared_json(&stacks),
        "threads": threads,
    });
    let mut out = BufWriter::new(out);
    serde_json::to_writer(&mut out, &file)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn metadata(document: &Document<'_>, threads: usize) -> Value {
    let profile = document.view.profile();
    let event = &profile.event;
    let entry =
        |label: &str, value: &str| json!({ "label": label, "format": "string", "value": name::sanitize(value) });
    let mut entries = vec![entry("Profile", &document.subtitle()), entry("Quality", &document.quality.summary())];
    entries.extend(document.facts.iter().map(|(name, value)| entry(name, value)));
    let categories = Origin::ALL.map(|origin| {
        let (name, color) = category_and_colour(origin);
        json!({ "name": name, "color": color, "subcategories": ["Other"] })
    });
    json!({
        "interval": if event.frequency > 0 { 1000.0 / event.frequency as f64 } else { 1.0 },
        "startTime": to_milliseconds(profile.start_time_ns),
        "processType": 0,
        "product": name::clean_name(document.title),
        "importedFrom": concat!("goflame ", env!("CARGO_PKG_VERSION")),
        "stackwalk": 1,
        "debug": false,
        "version": GECKO_VERSION,
        "preprocessedProfileVersion": FORMAT_VERSION,
        "symbolicated": true,
        "categories": categories,
        "markerSchema": [],
        "sampleUnits": { "time": "ms", "eventDelay": "ms", "threadCPUDelta": "ns" },
        "usesOnlyOneStackType": true,
        "sourceCodeIsNotOnSearchfox": true,
        "keepProfileThreadOrder": true,
        "initialVisibleThreads": (0..threads).collect::<Vec<_>>(),
        "extra": [{ "label": "goflame", "entries": entries }],
    })
}

/// Returns the category name and the colour of an origin. The profiler knows these colours, and grey marks its default
/// category.
fn category_and_colour(origin: Origin) -> (&'static str, &'static str) {
    match origin {
        Origin::Main => ("Main module", "orange"),
        Origin::Module => ("Other modules", "yellow"),
        Origin::Std => ("Standard library", "lightblue"),
        Origin::Runtime => ("Runtime and GC", "purple"),
        Origin::Native => ("C and native", "green"),
        Origin::Vdso => ("vdso", "brown"),
        Origin::Kernel => ("Kernel", "red"),
        Origin::Unknown => ("Unknown", "grey"),
    }
}

fn thread_json(profile: &Profile, thread: &ThreadMoments) -> Value {
    let (task, event) = (profile.task(thread.task), &profile.event);
    let process = name::clean_name(profile.str(task.process));
    let name = if task.tid > 0 { format!("{process} {}", task.tid) } else { process.to_string() };
    let is_timed = profile.timed_samples().is_some();
    let value = |moment: &Moment| match event.unit {
        _ if event.is_sampled() || profile.total_weight() == 0 => json!(moment.count),
        Unit::Nanoseconds => json!(to_milliseconds(moment.weight)),
        Unit::Bytes | Unit::Events => json!(moment.weight),
    };
    let kind = match event.unit {
        _ if event.is_sampled() => "samples",
        Unit::Nanoseconds => "tracing-ms",
        Unit::Bytes => "bytes",
        Unit::Events => "samples",
    };
    // Samples without times follow one another.
    let mut end = 0.0;
    let time = |moment: &Moment| {
        let start = moment.time.map_or(end, to_milliseconds);
        end = start + if event.unit == Unit::Nanoseconds { to_milliseconds(moment.weight) } else { 1.0 };
        start
    };
    let moments = &thread.moments;
    let mut samples = json!({
        "length": moments.len(),
        "stack": moments.iter().map(|moment| moment.path).collect::<Vec<_>>(),
        "time": moments.iter().map(time).collect::<Vec<_>>(),
        "weight": moments.iter().map(value).collect::<Vec<_>>(),
        "weightType": kind,
    });
    if is_timed && event.unit == Unit::Nanoseconds {
        samples["threadCPUDelta"] = moments.iter().map(|moment| moment.weight).collect();
    }
    json!({
        "processType": "default",
        "processStartupTime": 0,
        "processShutdownTime": null,
        "registerTime": 0,
        "unregisterTime": null,
        "pausedRanges": [],
        "name": name,
        "isMainThread": thread.tid == thread.pid,
        "processName": process,
        "pid": thread.pid.to_string(),
        "tid": thread.tid,
        "samples": samples,
        "markers": {
            "length": 0, "data": [], "name": [], "startTime": [], "endTime": [], "phase": [], "category": [],
        },
    })
}

/// Converts to milliseconds, the format's unit of time.
fn to_milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// The tables that all threads share. They contain only entries that are in use.
struct SharedTables<'p> {
    profile: &'p Profile,
    /// Indexed by function: the mapping of its first location that has a mapping.
    mappings: Vec<Option<MappingId>>,
    strings: Interner<Box<str>>,
    libs: Interner<MappingId>,
    sources: Interner<u32>,
    functions: Interner<FirefoxFunction>,
    frames: Interner<FirefoxFrame>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct FirefoxFunction {
    name: u32,
    /// Position in [`SharedTables::libs_json`], which has the same order as the resources.
    resource: Option<u32>,
    source: Option<u32>,
    line: u32,
    origin: Origin,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct FirefoxFrame {
    function: u32,
    inlined: bool,
}

#[derive(Serialize)]
struct StackColumns {
    length: usize,
    frame: Vec<u32>,
    prefix: Vec<Option<u32>>,
}

impl<'p> SharedTables<'p> {
    fn new(profile: &'p Profile) -> Self {
        let mut mappings = vec![None; profile.functions().len()];
        for (id, location) in profile.locations() {
            for frame in profile.frames(id) {
                mappings[frame.function.index()] = mappings[frame.function.index()].or(location.mapping);
            }
        }
        Self {
            profile,
            mappings,
            strings: Interner::default(),
            libs: Interner::default(),
            sources: Interner::default(),
            functions: Interner::default(),
            frames: Interner::default(),
        }
    }

    /// Returns the table of stacks, in the order of the call paths.
    fn stacks(&mut self, paths: &CallPaths) -> StackColumns {
        let profile = self.profile;
        let frame = |(id, inlined): (&FunctionId, &bool)| {
            let function = profile.function(*id);
            let name = self.strings.intern_str(&name::clean_name(profile.str(function.display)));
            let file = profile.str(function.file);
            let source = (!file.is_empty()).then(|| self.strings.intern_str(&name::sanitize(file)));
            let function = FirefoxFunction {
                name,
                resource: self.mappings[id.index()].map(|mapping| self.libs.intern(mapping)),
                source: source.map(|source| self.sources.intern(source)),
                line: function.start_line,
                origin: function.origin,
            };
            let function = self.functions.intern(function);
            self.frames.intern(FirefoxFrame { function, inlined: *inlined })
        };
        let frame = paths.functions.iter().zip(&paths.inlined).map(frame).collect();
        StackColumns { length: paths.depths.len(), frame, prefix: paths.callers() }
    }

    fn libs_json(&self) -> Vec<Value> {
        let lib = |id: &MappingId| {
            let mapping = self.profile.mapping(*id);
            let (path, build_id) = (name::sanitize(self.profile.str(mapping.file)), self.profile.str(mapping.build_id));
            let name = path.rsplit('/').next().unwrap_or_default();
            json!({
                "arch": "", "name": name, "path": path, "debugName": name, "debugPath": path,
                "breakpadId": breakpad_id(build_id), "codeId": (!build_id.is_empty()).then_some(build_id),
            })
        };
        self.libs.items().iter().map(lib).collect()
    }

    fn shared_json(&mut self, stacks: &StackColumns) -> Value {
        let names: Vec<Value> = self.libs_json().iter().map(|lib| lib["name"].clone()).collect();
        let resource_names: Vec<u32> =
            names.iter().map(|name| self.strings.intern_str(name.as_str().unwrap_or_default())).collect();
        let (functions, frames) = (self.functions.items(), self.frames.items());
        let nulls = |count: usize| vec![Value::Null; count];
        let (function_count, frame_count) = (functions.len(), frames.len());
        let resources = resource_names.len();
        let sources = self.sources.items();
        json!({
            "stackTable": stacks,
            "frameTable": {
                "length": frame_count,
                "address": vec![-1; frame_count],
                "inlineDepth": frames.iter().map(|frame| u8::from(frame.inlined)).collect::<Vec<_>>(),
                "category": frames.iter().map(|frame| functions[frame.function as usize].origin as u8).collect::<Vec<_>>(),
                "subcategory": vec![0; frame_count],
                "func": frames.iter().map(|frame| frame.function).collect::<Vec<_>>(),
                "nativeSymbol": nulls(frame_count),
                "innerWindowID": nulls(frame_count),
                "line": nulls(frame_count),
                "column": nulls(frame_count),
            },
            "funcTable": {
                "length": function_count,
                "name": functions.iter().map(|function| function.name).collect::<Vec<_>>(),
                "isJS": vec![false; function_count],
                "relevantForJS": vec![false; function_count],
                "resource": functions.iter().map(|one| one.resource.map_or(-1, i64::from)).collect::<Vec<_>>(),
                "source": functions.iter().map(|function| function.source).collect::<Vec<_>>(),
                "lineNumber": functions.iter().map(|one| (one.line > 0).then_some(one.line)).collect::<Vec<_>>(),
                "columnNumber": nulls(function_count),
            },
            "resourceTable": {
                "length": resources,
                "lib": (0..resources).collect::<Vec<_>>(),
                "name": resource_names,
                "host": nulls(resources),
                "type": vec![LIBRARY_RESOURCE; resources],
            },
            "nativeSymbols": { "length": 0, "libIndex": [], "address": [], "name": [], "functionSize": [] },
            "sources": {
                "length": sources.len(),
                "id": nulls(sources.len()),
                "filename": sources,
                "startLine": vec![1; sources.len()],
                "startColumn": vec![1; sources.len()],
                "sourceMapURL": nulls(sources.len()),
            },
            "stringArray": self.strings.items(),
        })
    }
}

/// Returns a build id in Breakpad's form: a GUID of its first 16 bytes, and the age 0. The first three fields of a GUID are
/// little-endian in ELF notes.
fn breakpad_id(build_id: &str) -> String {
    let hex: String = build_id.chars().filter(char::is_ascii_hexdigit).chain("0".repeat(32).chars()).take(32).collect();
    let byte = |at: usize| &hex[2 * at..2 * at + 2];
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let guid: String = order.into_iter().map(byte).collect();
    format!("{}0", guid.to_uppercase())
}
