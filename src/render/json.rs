//! The call tree, hot paths, callers and callees, and annotated source, for programs.
//!
//! ```text
//! {
//!   "schema": 1, "event": "cpu-clock", "unit": "nanoseconds",
//!   "total": 20194583206,                  sum of all weights
//!   "tree": [{                             a caller comes before its callees, and these are sorted by weight
//!     "depth": 0,                          number of callers, plus 1 if the row is below a group
//!     "name": "main.Map[go.shape.int]", "display": "main.Map[...]", "file": "/src/main.go", "line": 12,
//!     "origin": "main",                    a group of samples has only "depth", "group", "self" and "cumulative"
//!     "inlined": false,                    true: the compiler inlined all calls that the row stands for
//!     "self": 0, "cumulative": 0
//!   }],
//!   "left_out": 57,                        with "tree": number of groups, roots and calls below `--min-share`
//!   "paths": [{ "weight": 0, "path": [{ "name": "main.main", … }] }],        the root first
//!   "functions": [{                        of --peek and --list, the heaviest first
//!     "name": "main.main", …, "self": 0, "cumulative": 0,
//!     "as_root": 0,                        weight of the samples whose root is the function
//!     "callers": [{ "name": "main.main", …, "weight": 0 }], "callees": […],
//!     "source": "/src/main.go",            path of the file on this machine; null: it is not there
//!     "note": null,                        why there is no source, or why it may not be the one that was compiled
//!     "lines": [{ "line": 12, "text": "func main() {", "self": 0, "cumulative": 0 }]        line 0: unknown lines
//!   }],
//!   "others": ["main.other"]               more functions that match
//! }
//! ```
//!
//! Each view has only its own fields.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::source::{AnnotatedFunction, SourceText, wanted_lines};
use crate::profile::{FunctionId, Origin, Profile};
use crate::views::{HotPath, Neighbours, Outline, OutlineNode, OutlineRow, View};

/// Version of this format.
const SCHEMA_VERSION: u32 = 1;

/// Names and source place of a function.
#[derive(Serialize)]
struct FunctionName<'p> {
    name: &'p str,
    display: &'p str,
    file: &'p str,
    line: u32,
    origin: Origin,
}

#[derive(Serialize)]
struct WeightedFunction<'p> {
    #[serde(flatten)]
    function: FunctionName<'p>,
    weight: u64,
}

#[derive(Serialize)]
struct TreeRow<'p> {
    depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'p str>,
    #[serde(flatten)]
    function: Option<FunctionName<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inlined: Option<bool>,
    #[serde(rename = "self")]
    self_weight: u64,
    cumulative: u64,
}

#[derive(Serialize)]
struct LineRow<'s> {
    line: u32,
    text: Option<&'s str>,
    #[serde(rename = "self")]
    self_weight: u64,
    cumulative: u64,
}

/// Writes the call tree.
pub fn write_tree(view: &View, outline: &Outline, out: &mut dyn Write) -> io::Result<()> {
    let profile = view.profile();
    let groups: Vec<&str> = view.grouping().names().collect();
    let row = |row: &OutlineRow| {
        let (group, function) = match row.node {
            OutlineNode::Group(at) => (groups.get(at).copied(), None),
            OutlineNode::Function(id) => (None, Some(function_name(profile, id))),
        };
        let (inlined, OutlineRow { depth, self_weight, cumulative, .. }) =
            (function.is_some().then_some(row.is_inlined), *row);
        TreeRow { depth, group, function, inlined, self_weight, cumulative }
    };
    let rows: Vec<TreeRow<'_>> = outline.rows.iter().map(row).collect();
    write(view, &json!({ "tree": rows, "left_out": outline.left_out_rows }), out)
}

/// Writes call paths.
pub fn write_paths(view: &View, paths: &[HotPath], out: &mut dyn Write) -> io::Result<()> {
    let path = |path: &HotPath| {
        let functions: Vec<_> = path.functions.iter().map(|id| function_name(view.profile(), *id)).collect();
        json!({ "weight": path.weight, "path": functions })
    };
    write(view, &json!({ "paths": paths.iter().map(path).collect::<Vec<_>>() }), out)
}

/// Writes the callers and callees of functions. `others` are the names of more functions that match.
pub fn write_neighbours(
    view: &View,
    functions: &[Neighbours],
    others: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    let profile = view.profile();
    let weighted = |rows: &[(FunctionId, u64)]| -> Vec<WeightedFunction<'_>> {
        rows.iter()
            .map(|(id, weight)| WeightedFunction { function: function_name(profile, *id), weight: *weight })
            .collect()
    };
    let function = |one: &Neighbours| {
        let fields = json!({
            "self": one.self_weight,
            "cumulative": one.cumulative,
            "as_root": one.root_weight,
            "callers": weighted(&one.callers),
            "callees": weighted(&one.callees),
        });
        merge_objects(json!(function_name(profile, one.function)), fields)
    };
    write(view, &json!({ "functions": functions.iter().map(function).collect::<Vec<_>>(), "others": others }), out)
}

/// Writes annotated functions. `others` are the names of more functions that match.
pub fn write_source(
    view: &View,
    functions: &[AnnotatedFunction],
    others: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    let profile = view.profile();
    let function = |one: &AnnotatedFunction| {
        let weights = &one.weights;
        let start = profile.function(weights.function).start_line;
        let (path, note) = match &one.source {
            SourceText::Found { path, doubt, .. } => (Some(path), doubt.as_ref()),
            SourceText::Absent { reason } => (None, Some(reason)),
        };
        let mut numbers = wanted_lines(weights, start);
        numbers.extend(weights.lines.keys());
        let line = |line: u32| {
            let of_line = weights.lines.get(&line).copied().unwrap_or_default();
            let text = one.source.line_text(line);
            LineRow { line, text, self_weight: of_line.self_weight, cumulative: of_line.cumulative }
        };
        let lines = numbers.into_iter().map(line).filter(|row| row.text.is_some() || row.cumulative > 0);
        let fields = json!({
            "self": weights.self_weight,
            "cumulative": weights.cumulative,
            "source": path,
            "note": note,
            "lines": lines.collect::<Vec<_>>(),
        });
        merge_objects(json!(function_name(profile, weights.function)), fields)
    };
    write(view, &json!({ "functions": functions.iter().map(function).collect::<Vec<_>>(), "others": others }), out)
}

/// Writes the fields that all views have, followed by the fields of this view.
fn write(view: &View, fields: &Value, out: &mut dyn Write) -> io::Result<()> {
    let event = &view.profile().event;
    let head = json!({
        "schema": SCHEMA_VERSION,
        "event": event.name,
        "unit": event.unit,
        "total": view.top().total,
    });
    serde_json::to_writer_pretty(&mut *out, &merge_objects(head, fields.clone()))?;
    out.write_all(b"\n")?;
    out.flush()
}

fn merge_objects(head: Value, fields: Value) -> Value {
    let mut all = Map::new();
    for part in [head, fields] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

fn function_name(profile: &Profile, id: FunctionId) -> FunctionName<'_> {
    let function = profile.function(id);
    FunctionName {
        name: profile.str(function.name),
        display: profile.str(function.display),
        file: profile.str(function.file),
        line: function.start_line,
        origin: function.origin,
    }
}
