//! Keeps the module graph one-way: a module imports only modules that stand above it.
//!
//! Reads every `crate::x` in `src`, holds it against the table below, and names each one that goes the wrong
//! way, each module that the table does not know, and each file that has grown too long.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

/// In dependency order: a module, and what it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("fsio", &[]),
    ("bytes", &[]),
    ("memory", &[]),
    ("redact", &[]),
    ("process", &[]),
    ("config", &["fsio", "redact", "process"]),
    ("host", &["fsio"]),
    ("perfevent", &[]),
    ("perfdata", &["bytes"]),
    ("gobin", &["bytes"]),
    ("profile", &[]),
    ("views", &["profile"]),
    ("goname", &["profile"]),
    ("pprof", &["bytes", "profile", "goname"]),
    ("build", &["fsio", "redact", "process", "config", "perfevent", "gobin"]),
    ("doctor", &["config", "host", "perfevent", "gobin", "build"]),
    ("workload", &["fsio", "process"]),
    ("record", &["fsio", "workload", "perfevent", "perfdata"]),
    ("analyse", &["memory", "perfdata", "gobin", "profile", "goname"]),
    ("render", &["profile", "views"]),
    ("archive", &["fsio"]),
    (
        "pipeline",
        &[
            "fsio",
            "memory",
            "redact",
            "process",
            "config",
            "host",
            "perfevent",
            "perfdata",
            "gobin",
            "profile",
            "pprof",
            "views",
            "build",
            "doctor",
            "workload",
            "record",
            "analyse",
            "render",
            "archive",
        ],
    ),
    (
        "cli",
        &[
            "fsio", "redact", "process", "config", "profile", "views", "build", "doctor", "workload", "record",
            "render", "archive", "pipeline",
        ],
    ),
];

/// Lines of a file outside its tests.
const LONGEST: usize = 500;

#[test]
fn modules_import_only_from_layers_above() {
    let mut found = Found::default();
    found.visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), None);
    for (at, (module, allowed)) in LAYERS.iter().enumerate() {
        for import in *allowed {
            if !LAYERS[..at].iter().any(|(above, _)| above == import) {
                found.wrong.push(format!("LAYERS: `{module}` lists `{import}`, which does not stand above it"));
            }
        }
        if !found.modules.iter().any(|seen| seen == module) {
            found.wrong.push(format!("LAYERS: `{module}` does not exist"));
        }
    }
    assert!(found.wrong.is_empty(), "the wrong way:\n  {}", found.wrong.join("\n  "));
}

#[test]
fn wrong_imports_are_seen_in_every_spelling() {
    let of = |text| imports(text);
    assert_eq!(of("use crate::cli::main;"), ["cli"]);
    assert_eq!(of("use crate::{render, cli::{a, b}, profile};"), ["render", "cli", "profile"]);
    assert_eq!(of("use crate::{\n    fsio,\n    bytes,\n};"), ["fsio", "bytes"]);
    assert_eq!(of("let x = crate :: host::probe();"), ["host"]);
    assert_eq!(of("// crate::cli is not used here"), [""; 0]);
    assert_eq!(of("pub(in crate::cli) fn f() {}"), ["cli"]);
}

#[derive(Default)]
struct Found {
    modules: Vec<String>,
    wrong: Vec<String>,
}

impl Found {
    fn visit(&mut self, dir: &Path, module: Option<&str>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let module = module.unwrap_or(&stem);
            if path.is_dir() {
                self.visit(&path, Some(module));
            } else if !matches!(module, "lib" | "main") {
                self.read(&path, module);
            }
        }
    }

    fn read(&mut self, path: &Path, module: &str) {
        let text = fs::read_to_string(path).unwrap();
        let is_test = path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > LONGEST && !is_test {
            self.wrong.push(format!("{}: {lines} lines (at most {LONGEST})", path.display()));
        }
        self.modules.push(module.to_owned());
        let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == module) else {
            self.wrong.push(format!("{}: module `{module}` is not in LAYERS", path.display()));
            return;
        };
        for import in imports(&text) {
            if import != module && !allowed.contains(&import.as_str()) {
                self.wrong.push(format!("{}: `{module}` must not import `{import}`", path.display()));
            }
        }
    }
}

/// The first path segment after every `crate::`, groups included; comments are left out.
fn imports(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()).chain([' ']))
        .collect();
    let code = code.replace("{ ", "{").replace(", ", ",");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(identifier(rest));
            continue;
        };
        let (mut depth, mut item) = (1_u32, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                found.push(identifier(&item));
                item.clear();
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
