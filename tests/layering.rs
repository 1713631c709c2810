//! Checks the imports of the crate. A module imports only modules above it in the table below. The files of a module do not
//! import each other in a circle. No file is longer than [`MAX_FILE_LINES`].
//!
//! Reads the paths (`crate::x`, `super::x`, `child::x`) from the text of `src`, in `use` and elsewhere.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in dependency order, each with the modules that it is allowed to import.
const LAYERS: &[(&str, &[&str])] = &[
    ("fsio", &[]),
    ("bytes", &[]),
    ("redact", &["bytes"]),
    ("process", &[]),
    ("endpoint", &["redact", "process"]),
    ("profile", &[]),
    ("gobench", &[]),
    ("gotrace", &[]),
    ("loadtool", &["gobench"]),
    ("goname", &["profile"]),
    ("stats", &[]),
    ("views", &["profile", "gobench", "goname", "stats"]),
    ("findings", &["profile", "gotrace", "goname", "stats"]),
    ("pprof", &["bytes", "profile", "views", "goname"]),
    ("stacktext", &["profile", "goname", "pprof"]),
    (
        "render",
        &[
            "bytes",
            "endpoint",
            "profile",
            "gobench",
            "gotrace",
            "loadtool",
            "views",
            "findings",
            "goname",
            "pprof",
            "stacktext",
        ],
    ),
    ("config", &["fsio", "redact", "process", "endpoint", "render"]),
    ("host", &["fsio"]),
    ("perfevent", &[]),
    ("perfdata", &["bytes"]),
    ("gobin", &["bytes"]),
    ("jit", &["bytes"]),
    ("sources", &["fsio", "bytes", "process", "perfevent", "perfdata", "pprof", "stacktext"]),
    ("build", &["fsio", "bytes", "redact", "process", "config", "gobin"]),
    ("doctor", &["fsio", "bytes", "process", "config", "host", "perfevent", "gobin", "build"]),
    ("workload", &["fsio", "process", "endpoint", "profile", "gotrace", "config", "perfevent"]),
    ("record", &["fsio", "process", "gotrace", "config", "sources", "workload", "perfevent", "perfdata", "gobin"]),
    ("analyse", &["bytes", "perfdata", "gobin", "jit", "profile", "goname", "sources"]),
    ("archive", &["fsio", "bytes"]),
    (
        "pipeline",
        &[
            "fsio",
            "bytes",
            "redact",
            "process",
            "endpoint",
            "config",
            "host",
            "perfevent",
            "perfdata",
            "gobin",
            "profile",
            "goname",
            "stats",
            "gobench",
            "gotrace",
            "loadtool",
            "pprof",
            "stacktext",
            "sources",
            "views",
            "findings",
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
            "fsio", "redact", "process", "endpoint", "config", "profile", "views", "build", "doctor", "workload",
            "record", "render", "archive", "pipeline",
        ],
    ),
];

/// Allowed circles of imports between files of one module, each with its reason.
const ALLOWED_CIRCLES: &[(&[&str], &str)] = &[
    (
        &["gobin::function", "gobin::inline", "gobin::pclntab", "gobin::unwind"],
        "the function table returns functions, and a function reads its data from the table",
    ),
    (&["analyse::unwind", "analyse::unwind::walk"], "`walk` takes types of the step that uses it"),
];

/// Maximum number of lines of a file, without its tests.
const MAX_FILE_LINES: usize = 500;

#[test]
fn modules_import_only_from_layers_above() {
    let mut check = LayerCheck::default();
    check.visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), None);
    for (index, (module, allowed)) in LAYERS.iter().enumerate() {
        for import in *allowed {
            if !LAYERS[..index].iter().any(|(above, _)| above == import) {
                check.problems.push(format!("LAYERS: `{module}` lists `{import}`, which is not above it"));
            }
        }
        if !check.modules.iter().any(|seen| seen == module) {
            check.problems.push(format!("LAYERS: `{module}` does not exist"));
        }
    }
    assert!(check.problems.is_empty(), "forbidden imports:\n  {}", check.problems.join("\n  "));
}

#[test]
fn files_of_a_module_do_not_import_each_other_in_a_circle() {
    let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let circles = sources.circles();
    let mut wrong = Vec::new();
    for circle in &circles {
        if !ALLOWED_CIRCLES.iter().any(|(allowed, _)| allowed == circle) {
            wrong.push(format!("{}\n    {}", circle.join(", "), sources.edges_within(circle).join("\n    ")));
        }
    }
    for (allowed, _) in ALLOWED_CIRCLES {
        if !circles.iter().any(|circle| circle == allowed) {
            wrong.push(format!("ALLOWED_CIRCLES: there is no circle of {}", allowed.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{} circles:\n  {}", wrong.len(), wrong.join("\n  "));
}

#[test]
fn imports_are_found_in_every_spelling() {
    assert_eq!(imports("use crate::cli::main;"), ["cli"]);
    assert_eq!(imports("use crate::{render, cli::{a, b}, profile};"), ["render", "cli", "cli", "profile"]);
    assert_eq!(imports("use crate::{\n    fsio,\n    bytes,\n};"), ["fsio", "bytes"]);
    assert_eq!(imports("let x = crate :: host::probe();"), ["host"]);
    assert_eq!(imports("// crate::cli is not used here"), [""; 0]);
    assert_eq!(imports("pub(in crate::cli) fn f() {}"), ["cli"]);
}

#[test]
fn circles_are_found_through_groups_and_re_exports() {
    let circles = |files: &[(&str, &str)]| Sources::parse(files).circles();
    let direct = [("m", "mod a; mod b;"), ("m::a", "use super::b::B;"), ("m::b", "fn f() { super::a::f() }")];
    assert_eq!(circles(&direct), [["m::a", "m::b"]]);
    let module = [("m", ""), ("m::a", "use super::{b};\nfn f() { b::f() }"), ("m::b", "use super::a::A;")];
    assert_eq!(circles(&module), [["m::a", "m::b"]]);
    let groups = [("m", ""), ("m::a", "use super::{c, b::{B, C}};"), ("m::b", "use crate::m::{\n    a::A,\n};")];
    assert_eq!(circles(&groups), [["m::a", "m::b"]]);
    let re_exported =
        [("m", "pub use a::A;\npub(crate) use b::Real as B;"), ("m::a", "use super::B;"), ("m::b", "use super::A;")];
    assert_eq!(circles(&re_exported), [["m::a", "m::b"]]);
    let parent = [("m", "use a::A;\nfn f(a: A) {}"), ("m::a", "use super::f;")];
    assert_eq!(circles(&parent), [["m", "m::a"]]);
    let only_re_exports = [("m", "pub use a::A;\npub struct B;"), ("m::a", "use super::B;")];
    assert_eq!(circles(&only_re_exports), [[""; 0]; 0]);
    let in_tests =
        [("m", ""), ("m::a", "use super::b::B;"), ("m::b", "#[cfg(test)]\nmod tests {\n    use super::super::a;\n}")];
    assert_eq!(circles(&in_tests), [[""; 0]; 0]);
}

#[derive(Default)]
struct LayerCheck {
    modules: Vec<String>,
    problems: Vec<String>,
}

impl LayerCheck {
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
        if lines > MAX_FILE_LINES && !is_test {
            self.problems.push(format!("{}: {lines} lines (at most {MAX_FILE_LINES})", path.display()));
        }
        self.modules.push(module.to_owned());
        let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == module) else {
            self.problems.push(format!("{}: module `{module}` is not in LAYERS", path.display()));
            return;
        };
        for import in imports(&text) {
            if import != module && !allowed.contains(&import.as_str()) {
                self.problems.push(format!("{}: `{module}` must not import `{import}`", path.display()));
            }
        }
    }
}

/// Lists the first path segment after every `crate::`.
fn imports(text: &str) -> Vec<String> {
    let Code { imported, re_exported, words, .. } = Code::parse(text);
    let paths = imported.into_iter().chain(re_exported).map(|import| import.path).chain(words);
    paths.filter_map(|path| Some(path.strip_prefix("crate::")?.split("::").next()?.to_owned())).collect()
}

/// The paths and names in the code of a file.
#[derive(Default)]
struct Code {
    imported: Vec<Import>,
    /// The re-exports (`pub use`).
    re_exported: Vec<Import>,
    /// Names and paths in statements other than `use`.
    words: Vec<String>,
    /// Child modules with `#[cfg(test)]`.
    test_modules: Vec<String>,
}

struct Import {
    path: String,
    /// The name by which the file uses the import.
    name: String,
}

impl Code {
    fn parse(text: &str) -> Self {
        let mut code = Self::default();
        let mut statement = String::new();
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or("").trim();
            let is_use = line.starts_with("use ") || (line.starts_with("pub") && line.contains(" use "));
            if statement.is_empty() && line.ends_with(';') && line.contains("mod ") {
                continue;
            }
            if statement.is_empty() && !is_use {
                let separated =
                    line.replace(" :: ", "::").replace(|c: char| !(c.is_alphanumeric() || "_:".contains(c)), " ");
                code.words.extend(separated.split_whitespace().map(str::to_owned));
                continue;
            }
            statement.push_str(line);
            if line.ends_with(';') {
                let (visibility, tree) = statement.trim_end_matches(';').split_once("use ").unwrap();
                let imports = if visibility.is_empty() { &mut code.imported } else { &mut code.re_exported };
                expand_use(tree, "", imports);
                statement.clear();
            }
        }
        code
    }

    /// Like [`Code::parse`], but without the tests at the end of the text.
    fn parse_without_tests(text: &str) -> Self {
        let mut kept = String::new();
        let mut test_modules = Vec::new();
        let mut in_test = false;
        for line in text.lines() {
            match (in_test, line.split_once("mod ")) {
                (true, Some((_, name))) if line.ends_with(';') => {
                    test_modules.push(name.trim_end_matches(';').to_owned());
                }
                (true, Some(_)) if line.ends_with('{') => break,
                _ => {}
            }
            in_test = line == "#[cfg(test)]" || (in_test && line.starts_with("#["));
            // A path in `pub(in …)` imports nothing.
            let restricted = line.split_once("pub(in ").and_then(|(_, rest)| rest.split_once(") "));
            kept.push_str(restricted.map_or(line, |(_, item)| item));
            kept.push('\n');
        }
        Self { test_modules, ..Self::parse(&kept) }
    }

    /// The paths that the code itself uses. A re-export counts only if the file uses its name, too.
    fn used_paths(&self) -> impl Iterator<Item = String> {
        let names: BTreeSet<&str> = self.words.iter().filter_map(|word| word.split("::").next()).collect();
        let re_exported = self.re_exported.iter().filter(move |import| names.contains(&*import.name));
        let imported = self.imported.iter().chain(re_exported).map(|import| import.path.clone());
        let words = self.words.iter().filter_map(|word| {
            let (first, rest) = word.split_once("::")?;
            let import = self.imported.iter().chain(&self.re_exported).find(|import| import.name == first);
            Some(import.map_or_else(|| word.clone(), |import| format!("{}::{rest}", import.path)))
        });
        imported.chain(words)
    }
}

/// Adds the paths of a `use` tree, such as `a::{b, c::{d, e as f}}`, to `imports`.
fn expand_use(tree: &str, prefix: &str, imports: &mut Vec<Import>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let (prefix, group) = (format!("{prefix}{head}"), group.rsplit_once('}').unwrap().0);
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand_use(&group[start..at], &prefix, imports);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if !tree.is_empty() {
        let full = format!("{prefix}{tree}");
        let (path, alias) = full.split_once(" as ").unwrap_or((&full, ""));
        let path = path.trim_end_matches("::self");
        let name = if alias.is_empty() { path.rsplit("::").next().unwrap() } else { alias };
        imports.push(Import { path: path.to_owned(), name: name.to_owned() });
    }
}

/// The files of the crate by module path (`build::docker::plan`), without tests.
struct Sources(BTreeMap<String, Code>);

impl Sources {
    fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        let mut dirs = vec![src.to_owned()];
        while let Some(dir) = dirs.pop() {
            for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.push((module_path(src, &path), fs::read_to_string(path).unwrap()));
                }
            }
        }
        let files: Vec<_> = files.iter().map(|(module, text)| (&**module, &**text)).collect();
        Self::parse(&files)
    }

    fn parse(files: &[(&str, &str)]) -> Self {
        let mut files: BTreeMap<String, Code> =
            files.iter().map(|(module, text)| ((*module).to_owned(), Code::parse_without_tests(text))).collect();
        let tests: Vec<String> = files
            .iter()
            .flat_map(|(module, code)| code.test_modules.iter().map(move |test| format!("{module}::{test}")))
            .collect();
        files.retain(|module, _| !tests.iter().any(|test| module == test || module.starts_with(&format!("{test}::"))));
        Self(files)
    }

    /// The file that defines the item of a path in the file `from`. Follows re-exports.
    fn resolve(&self, from: &str, path: &str) -> Option<String> {
        let mut segments = path.split("::").peekable();
        let mut module: Vec<&str> = from.split("::").collect();
        match *segments.peek()? {
            "crate" => module.clear(),
            "self" | "super" => {}
            child if self.0.contains_key(&format!("{from}::{child}")) => {}
            _ => return None,
        }
        while let Some(segment) = segments.next_if(|segment| matches!(*segment, "crate" | "self" | "super")) {
            if segment == "super" {
                module.pop();
            }
        }
        while let Some(child) = segments.next_if(|next| self.0.contains_key(&[&*module, &[*next]].concat().join("::")))
        {
            module.push(child);
        }
        let file = module.join("::");
        let code = self.0.get(&file)?;
        // `use crate::m` alone imports nothing from the file of `m`. Paths such as `m::f` do.
        let item = segments.next()?;
        let mut imports = code.imported.iter().chain(&code.re_exported);
        match imports.find(|import| import.name == item && file != from) {
            Some(import) => self.resolve(&file, &import.path).or(Some(file)),
            None => Some(file),
        }
    }

    /// For each file: the other files of the same module that it imports, with one path of the import.
    fn edges(&self) -> BTreeMap<&str, BTreeMap<String, String>> {
        let top = |module: &str| module.split("::").next().map(str::to_owned);
        let edges = self.0.iter().map(|(file, code)| {
            let targets = code.used_paths().filter_map(|path| Some((self.resolve(file, &path)?, path)));
            (&**file, targets.filter(|(target, _)| target != file && top(target) == top(file)).collect())
        });
        edges.collect()
    }

    /// Groups of files that all import each other, directly or through others.
    fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let reached = |from: &str| {
            let mut reached = BTreeSet::new();
            let mut next = vec![from.to_owned()];
            while let Some(file) = next.pop() {
                next.extend(edges[&*file].keys().filter(|target| reached.insert((*target).clone())).cloned());
            }
            reached
        };
        let reached: BTreeMap<&str, BTreeSet<String>> = edges.keys().map(|file| (*file, reached(file))).collect();
        let circle = |file: &str| {
            let members = reached[file].iter().filter(|other| reached[&***other].contains(file));
            members.cloned().collect::<Vec<_>>()
        };
        let circles: BTreeSet<Vec<String>> = reached.keys().map(|file| circle(file)).collect();
        circles.into_iter().filter(|circle| !circle.is_empty()).collect()
    }

    fn edges_within(&self, circle: &[String]) -> Vec<String> {
        let edges = self.edges();
        let within =
            circle.iter().flat_map(|file| edges[&**file].iter().map(move |(target, path)| (file, target, path)));
        within
            .filter(|(_, target, _)| circle.contains(target))
            .map(|(file, target, path)| format!("{file} -> {target} by `{path}`"))
            .collect()
    }
}

fn module_path(src: &Path, file: &Path) -> String {
    let path: PathBuf = file.strip_prefix(src).unwrap().with_extension("");
    let mut parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    parts.join("::")
}
