//! The text of a new `goflame.toml`.
//!
//! Must not look for packages and must not write files.

use std::fmt::Write as _;
use std::path::Path;

use super::rules;

const TEMPLATE: &str = include_str!("../../templates/goflame.toml");

/// The placeholder in the template for the keys of `[app]`.
const APP: &str = "{{app}}";

/// A main package that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MainPackage {
    /// The argument for `go build`: `./cmd/server`.
    pub package: String,
    /// The name that `go build` would give its binary: `server`.
    pub name: String,
}

/// Returns the text of a `goflame.toml` for the main packages and the packages with benchmarks, each in order of
/// preference. The first main package is active; without one, the first package with benchmarks. All others are
/// comments. The text always loads.
pub fn init_text(found: &[MainPackage], benches: &[String]) -> String {
    let mut app = String::new();
    let mut line = |text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(app, "{text}");
    };
    let bench = |package: &str| format!("package = {}", quoted(package));
    let (mains, benches) = (usable(found, |main| &main.package), usable(benches, |package| package));
    let others: &[&String] = match (mains.split_first(), benches.split_first()) {
        (Some((first, rest)), _) => {
            line(format!("package = {}", quoted(&first.package)));
            line("kind    = \"binary\"".to_owned());
            line(name_line(first));
            if !rest.is_empty() {
                line("# Other main packages here; only one is built at a time:".to_owned());
            }
            for main in rest {
                line(format!("# package = {}", quoted(&main.package)));
            }
            &benches
        }
        (None, Some((first, rest))) => {
            line(bench(first));
            line(
                "kind    = \"bench\"               # no main package was found: `go test -c`, run with -test.bench"
                    .to_owned(),
            );
            rest
        }
        (None, None) => {
            line("package = \".\"                   # no main package was found here: name one".to_owned());
            line("kind    = \"binary\"              # or \"bench\": `go test -c`, run with -test.bench".to_owned());
            &[]
        }
    };
    if !others.is_empty() {
        line("# Packages with benchmarks; each needs kind = \"bench\":".to_owned());
    }
    for package in others {
        line(format!("# {}", bench(package)));
    }
    // One pass, so that a package with the name of the placeholder is not replaced.
    match TEMPLATE.split_once(APP) {
        Some((head, tail)) => format!("{head}{}{tail}", app.trim_end()),
        None => TEMPLATE.to_owned(),
    }
}

/// Returns those whose package can be written in a file.
fn usable<T>(found: &[T], package: impl Fn(&T) -> &String) -> Vec<&T> {
    let fits = |package: &String| rules::package(package).is_ok() && !package.contains('\0');
    found.iter().filter(|item| fits(package(item))).collect()
}

/// Returns the line for the name. It is a comment if goflame derives the same name by itself.
fn name_line(main: &MainPackage) -> String {
    // For `.` goflame derives the name of the directory, which is unknown here. Therefore write the name.
    let from_dir = main.package.ends_with('.') || main.package.ends_with("./");
    let derived = (!from_dir).then(|| rules::derived_name(&main.package, Path::new("/")));
    let line = |name: &str| format!("name    = {}", quoted(name));
    if !main.name.is_empty() && rules::name(&main.name).is_ok() {
        if derived.as_ref() == Some(&main.name) { format!("# {}", line(&main.name)) } else { line(&main.name) }
    } else {
        "# name    = \"\"                    # default: the last element of the package path".to_owned()
    }
}

/// Returns a TOML basic string, always on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
