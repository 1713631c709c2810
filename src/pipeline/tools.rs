//! Finds the programs on this machine and asks for their versions. `doctor` judges them.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs};

use super::describe_with_causes;
use crate::build::{self, GoMod, GoOffPath, GoTool};
use crate::config::{Config, Engine};
use crate::doctor::{BuildDirectory, GoFacts, Target, Tools};
use crate::process::Command;

/// Gathers facts about the tools. `go` is passed in, because the caller has already looked for it.
pub(super) fn tools(config: &Config, in_project: bool, go: &Result<GoTool, build::Error>) -> Tools {
    let on_path = |program: &str| Command::new(program).program_file().ok();
    Tools {
        c_compiler: go.as_ref().ok().and_then(|go| on_path(go.cc.split_whitespace().next().unwrap_or("gcc"))),
        delve: on_path("dlv"),
        perf: (config.record.engine == Engine::Perf).then(perf_version),
        go_elsewhere: match go {
            Err(build::Error::NoGo { elsewhere: Some(go), .. }) => Some(GoOffPath::clone(go)),
            _ => None,
        },
        go_lacks_cache: go.as_ref().is_err_and(build::Error::is_missing_cache_error),
        go: go
            .as_ref()
            .map(|go| go_facts(config, in_project, go))
            .map_err(|error| error.go_failure_reason().unwrap_or_else(|| describe_with_causes(error))),
        in_project,
        in_module: in_project || is_in_module(&config.root),
        pinned_version: config.toolchain.go.clone(),
    }
}

/// Whether a directory belongs to a Go module or workspace, so that `goflame run` builds something there.
fn is_in_module(dir: &Path) -> bool {
    dir.ancestors().any(|dir| ["go.mod", "go.work"].iter().any(|file| dir.join(file).is_file()))
}

fn go_facts(config: &Config, in_project: bool, go: &GoTool) -> GoFacts {
    let planned = in_project.then(|| build::plan_build(config, Some(go)));
    let (refused, warnings) = match planned {
        Some(Ok(plan)) => (None, plan.warnings),
        Some(Err(
            error @ (build::Error::Strips { .. } | build::Error::GoFlags { .. } | build::Error::NoProgram { .. }),
        )) => (Some(error.to_string()), Vec::new()),
        // This is an error of the settings, not of the machine.
        Some(Err(_)) | None => (None, Vec::new()),
    };
    let variant = config.variants.get(&config.build.variant).filter(|_| in_project);
    GoFacts {
        version: go.version.clone(),
        goflags: go.goflags.clone(),
        gotoolchain: go.gotoolchain.clone(),
        cgo_enabled: go.cgo_enabled,
        cc: go.cc.clone(),
        module_cache: (go.gomodcache.clone(), is_writable(&go.gomodcache)),
        go_mod: go.gomod.as_deref().and_then(GoMod::read),
        flags_refusal: refused,
        missing_version: go.missing.clone(),
        variant_sets_path: variant.is_some_and(|variant| variant.env.contains_key("PATH")),
        flag_warnings: warnings,
    }
}

/// Machine that the selected variant is built for. `go` is `None` for a build in a container: values that the variant
/// does not set are then empty. Go treats an empty variable as unset.
pub(super) fn build_target(config: &Config, go: Option<&GoTool>) -> Target {
    let env = config.variants.get(&config.build.variant).map(|variant| &variant.env);
    let set = |name: &str, of_go: fn(&GoTool) -> &String| {
        let own = env.and_then(|env| env.get(name)).filter(|value| !value.is_empty());
        own.or_else(|| go.map(of_go)).cloned().unwrap_or_default()
    };
    Target {
        goos: set("GOOS", |go| &go.goos),
        goarch: set("GOARCH", |go| &go.goarch),
        goamd64: set("GOAMD64", |go| &go.goamd64),
    }
}

/// Returns facts about the archive's directory, in which programs are built and from which they are started.
pub(super) fn build_directory(config: &Config) -> BuildDirectory {
    let path = nearest_existing_dir(&config.archive.dir).to_owned();
    let noexec = statvfs(&path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC));
    BuildDirectory { path, is_noexec: noexec }
}

/// Returns the directory, or its nearest ancestor that exists.
fn nearest_existing_dir(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir)
}

/// Whether this user may write to the directory. If it does not exist, its nearest existing ancestor is checked.
fn is_writable(dir: &Path) -> bool {
    accessat(CWD, nearest_existing_dir(dir), Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

fn perf_version() -> Result<String, String> {
    match Command::new("perf").args(["--version"]).capture() {
        Ok(answer) => Ok(answer.text().trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_cache_is_judged_by_its_nearest_existing_ancestor() {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let cache = dir.path().join("pkg/mod");
        assert!(is_writable(&cache));
    }
}
