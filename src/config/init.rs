//! The text of a new `goflame.toml`.
//!
//! Must not look for packages and must not write files.

use std::fmt::Write as _;
use std::path::Path;

use super::rules;

const TEMPLATE: &str = include_str!("../../templates/goflame.toml");

/// Where the template has the keys of `[app]`.
const APP: &str = "{{app}}";

/// A main package that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MainPackage {
    /// What `go build` gets: `./cmd/server`.
    pub package: String,
    /// The name that `go build` would give its binary: `server`.
    pub name: String,
}

/// The text of a `goflame.toml` for the main packages and the packages with benchmarks that were found, each in the
/// order of preference. The first main package is active, without one the first package with benchmarks; the others
/// stand beside it as comments. The text always loads.
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
    // One pass: a package named like the placeholder stays what it is.
    match TEMPLATE.split_once(APP) {
        Some((head, tail)) => format!("{head}{}{tail}", app.trim_end()),
        None => TEMPLATE.to_owned(),
    }
}

/// Those whose package can stand in a file.
fn usable<T>(found: &[T], package: impl Fn(&T) -> &String) -> Vec<&T> {
    let fits = |package: &String| rules::package(package).is_ok() && !package.contains('\0');
    found.iter().filter(|item| fits(package(item))).collect()
}

/// The name, as a comment where it is what goflame derives by itself.
fn name_line(main: &MainPackage) -> String {
    // For `.` that is the name of the directory, which is not known here: say it.
    let from_dir = main.package.ends_with('.') || main.package.ends_with("./");
    let derived = (!from_dir).then(|| rules::derived_name(&main.package, Path::new("/")));
    let line = |name: &str| format!("name    = {}", quoted(name));
    if !main.name.is_empty() && rules::name(&main.name).is_ok() {
        if derived.as_ref() == Some(&main.name) { format!("# {}", line(&main.name)) } else { line(&main.name) }
    } else {
        "# name    = \"\"                    # default: the last element of the package path".to_owned()
    }
}

/// A TOML basic string, always on one line.
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
