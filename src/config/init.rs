//! The text of a new `goflame.toml`.
//!
//! Must not look for packages and must not write files.

use std::fmt::Write as _;
use std::path::Path;

use super::rules;

const TEMPLATE: &str = include_str!("../../templates/goflame.toml");

/// The placeholder in the template for the keys of `[app]`.
const APP_PLACEHOLDER: &str = "{{app}}";

/// Returns the text of a `goflame.toml` for the main packages and the packages with benchmarks, each in order of
/// preference. The first main package is active; without one, the first package with benchmarks. All others are
/// comments. The text always loads. `root` is the directory of the file.
pub fn init_text(root: &Path, mains: &[String], benches: &[String]) -> String {
    let mut app = String::new();
    let mut line = |text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(app, "{text}");
    };
    let key = |package: &str| format!("package = {}", toml_string(package));
    let (mains, benches) = (writable_packages(mains), writable_packages(benches));
    let others: &[&String] = match (mains.split_first(), benches.split_first()) {
        (Some((first, rest)), _) => {
            line(key(first));
            line("kind    = \"binary\"".to_owned());
            line(name_line(root, first));
            if !rest.is_empty() {
                line("# Other main packages here; only one is built at a time:".to_owned());
            }
            for main in rest {
                line(format!("# {}", key(main)));
            }
            &benches
        }
        (None, Some((first, rest))) => {
            line(key(first));
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
        line(format!("# {}", key(package)));
    }
    // One pass, so that a package with the name of the placeholder is not replaced.
    match TEMPLATE.split_once(APP_PLACEHOLDER) {
        Some((head, tail)) => format!("{head}{}{tail}", app.trim_end()),
        None => TEMPLATE.to_owned(),
    }
}

/// Returns the packages that are valid values of `package` in `[app]`.
fn writable_packages(found: &[String]) -> Vec<&String> {
    found.iter().filter(|package| rules::check_package_argument(package).is_ok() && !package.contains('\0')).collect()
}

/// Returns the line for the name. It is a comment unless the name comes from the directory, which may be renamed.
fn name_line(root: &Path, package: &str) -> String {
    let line = format!("name    = {}", toml_string(&rules::derived_name(package, root)));
    if package.ends_with('.') || package.ends_with("./") { line } else { format!("# {line}") }
}

/// Returns a TOML basic string, always on one line.
pub(super) fn toml_string(text: &str) -> String {
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
