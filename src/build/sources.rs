//! Directories of a program's source files on this machine, by the names that `-trimpath` gives to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::toolchain::TEMPORARY_DIR_VARIABLES;
use super::{BuildPlan, GoTool};
use crate::process::Command;

/// Template for `go list`: a line for each package outside of the standard library.
const LIST_TEMPLATE: &str =
    "{{if not .Standard}}{{.ImportPath}}\t{{.Dir}}\t{{with .Module}}{{.Path}}\t{{.Version}}{{end}}{{end}}";

/// Lists the directories of the modules that a plan builds. The standard library has the empty name. With
/// `-trimpath`, Go names a module's directory by its path, and by its version if it has one (`cmd/go/internal/work/gc.go`).
///
/// Best effort: downloads nothing, and lists only the standard library if Go fails.
pub fn source_dirs(plan: &BuildPlan, go: &GoTool) -> BTreeMap<String, PathBuf> {
    let mut dirs = BTreeMap::from([(String::new(), go.goroot.join("src"))]);
    let tags = plan.argv.iter().filter(|arg| arg.starts_with("-tags="));
    let test = (plan.kind == crate::config::Kind::Bench).then_some("-test");
    let list = Command::new("go")
        .with_program_file(&go.path)
        .args(["list", "-e", "-deps", "-f", LIST_TEMPLATE])
        .args(tags)
        .args(test);
    let list = list
        .args([&plan.package])
        .envs(plan.env.clone())
        .env("GOPROXY", "off")
        .dir(&plan.dir)
        .with_private_temporary_dirs(TEMPORARY_DIR_VARIABLES);
    let Ok(answer) = list.capture() else { return dirs };
    dirs.extend(answer.text().lines().filter_map(module_dir));
    dirs
}

/// Returns the name and directory of the module in a line of [`LIST_TEMPLATE`].
fn module_dir(line: &str) -> Option<(String, PathBuf)> {
    let mut fields = line.split('\t');
    let (import_path, dir) = (fields.next()?, Path::new(fields.next().filter(|dir| !dir.is_empty())?));
    let (Some(path), Some(version)) = (fields.next().filter(|path| !path.is_empty()), fields.next()) else {
        return Some((import_path.to_owned(), dir.to_owned()));
    };
    // `example.com/m/lib [example.com/m/lib.test]` is a package that was built for a test.
    let import_path = import_path.split(' ').next().unwrap_or_default();
    // Go reports no directory for a vendored module, so the module's directory is derived from the directory of the
    // package.
    let below = import_path.strip_prefix(path)?.trim_start_matches('/');
    let module = if below.is_empty() { Some(dir) } else { dir.ancestors().nth(Path::new(below).components().count()) };
    let name = if version.is_empty() { path.to_owned() } else { format!("{path}@{version}") };
    Some((name, module?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modules_directory_is_found_from_any_of_its_packages() {
        for (line, name, dir) in [
            ("example.com/m\t/p\texample.com/m\t", "example.com/m", "/p"),
            ("example.com/m/a/b\t/p/a/b\texample.com/m\t", "example.com/m", "/p"),
            ("example.com/m/a [example.com/m/a.test]\t/p/a\texample.com/m\t", "example.com/m", "/p"),
            ("x.org/l/v2/in\t/c/x.org/l/v2@v2.1.0/in\tx.org/l/v2\tv2.1.0", "x.org/l/v2@v2.1.0", "/c/x.org/l/v2@v2.1.0"),
            ("x.org/l/in\t/p/vendor/x.org/l/in\tx.org/l\tv1.0.0", "x.org/l@v1.0.0", "/p/vendor/x.org/l"),
            ("command-line-arguments\t/p\t", "command-line-arguments", "/p"),
        ] {
            assert_eq!(module_dir(line), Some((name.to_owned(), dir.into())), "{line}");
        }
        for line in ["", "example.com/m.test\t\texample.com/m\t", "other\t/p\texample.com/m\t"] {
            assert_eq!(module_dir(line), None, "{line}");
        }
    }
}
