//! Finds the programs on this machine and asks for their versions. `doctor` judges them.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs};

use super::with_causes;
use crate::build::docker::OLDEST_API;
use crate::build::{self, GoTool};
use crate::config::{Config, Engine, Lock};
use crate::doctor::{BuildDirectory, Daemon, DockerFacts, Go, GoMod, Tools};
use crate::fsio;
use crate::process::Command;

/// Maximum size of a go.mod in bytes. No go.mod written by a person is longer.
const GO_MOD_LIMIT: u64 = 4 << 20;

/// Gathers facts about the tools. `go` is passed in, because the caller has already looked for it.
pub(super) fn tools(config: &Config, in_project: bool, go: &Result<GoTool, build::Error>) -> Tools {
    let on_path = |program: &str| Command::new(program).program_file().ok();
    Tools {
        c_compiler: go.as_ref().ok().and_then(|go| on_path(go.cc.split_whitespace().next().unwrap_or("gcc"))),
        delve: on_path("dlv"),
        perf: (config.record.engine == Engine::Perf).then(perf_version),
        go: go.as_ref().map(|go| facts_of(config, in_project, go)).map_err(|error| with_causes(error)),
        in_project,
        pin: config.toolchain.go.clone(),
    }
}

/// Gathers facts from the Docker engine. Changes nothing there.
pub(super) fn docker(config: &Config, lock: Option<&Lock>) -> DockerFacts {
    let facts = build::docker::probe(config, lock);
    let daemon =
        facts.engine.map(|engine| Daemon { version: engine.version, api: engine.api, rootless: engine.rootless });
    DockerFacts {
        endpoint: facts.endpoint,
        daemon: daemon.map_err(|error| with_causes(&error)),
        min_api: format!("{}.{}", OLDEST_API.0, OLDEST_API.1),
        image: facts.image,
        local_digest: facts.digest,
        locked_digest: facts.locked,
        locked_present: facts.locked_present,
    }
}

fn facts_of(config: &Config, in_project: bool, go: &GoTool) -> Go {
    let planned = in_project.then(|| build::plan(config, go));
    let (refused, warnings) = match planned {
        Some(Ok(plan)) => (None, plan.warnings),
        Some(Err(
            error @ (build::Error::Strips { .. } | build::Error::GoFlags { .. } | build::Error::NoProgram { .. }),
        )) => (Some(error.to_string()), Vec::new()),
        // This is an error of the settings, not of the machine.
        Some(Err(_)) | None => (None, Vec::new()),
    };
    let variant = config.variants.get(&config.build.variant).filter(|_| in_project);
    Go {
        version: go.version.clone(),
        goflags: go.goflags.clone(),
        gotoolchain: go.gotoolchain.clone(),
        cgo_enabled: go.cgo_enabled,
        cc: go.cc.clone(),
        module_cache: module_cache(&go.gomodcache),
        go_mod: go.gomod.as_deref().and_then(go_mod),
        flags_refused: refused,
        absent: go.absent.clone(),
        variant_path: variant.is_some_and(|variant| variant.env.contains_key("PATH")),
        flag_warnings: warnings,
    }
}

/// Directory of the builds. Programs are started from there.
pub(super) fn build_directory(config: &Config) -> BuildDirectory {
    let path = existing(&config.archive.dir).to_owned();
    let noexec = statvfs(&path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC));
    BuildDirectory { path, noexec }
}

/// Returns the directory, or its nearest ancestor that exists.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir)
}

/// Returns the directory and whether this user may write to it. If it does not exist, its nearest existing ancestor is
/// checked.
fn module_cache(dir: &Path) -> (PathBuf, bool) {
    let existing = existing(dir);
    let writable = accessat(CWD, existing, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    (dir.to_owned(), writable)
}

fn go_mod(path: &Path) -> Option<GoMod> {
    let bytes = fsio::read_bounded(path, GO_MOD_LIMIT).ok()?;
    Some(read_go_mod(&String::from_utf8_lossy(&bytes)))
}

/// Parses the two version lines of a go.mod (`go help go.mod`). Each is on its own line, outside any block.
fn read_go_mod(text: &str) -> GoMod {
    let line = |keyword: &str| {
        let of = |line: &str| {
            let mut words = line.split("//").next().unwrap_or_default().split_whitespace();
            (words.next() == Some(keyword)).then(|| words.next().map(str::to_owned)).flatten()
        };
        text.lines().find_map(of).unwrap_or_default()
    };
    GoMod { go: line("go"), toolchain: line("toolchain") }
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
    fn the_lines_of_a_go_mod() {
        let text =
            "module example.com/go\n\ngo 1.21 // the oldest\n\ntoolchain go1.27.3\n\nrequire (\n\tgo.dev/x v1.0.0\n)\n";
        assert_eq!(read_go_mod(text), GoMod { go: "1.21".into(), toolchain: "go1.27.3".into() });
        assert_eq!(read_go_mod("module m\n"), GoMod::default());
        assert_eq!(read_go_mod("go\n"), GoMod::default());
    }

    #[test]
    fn a_cache_that_is_not_there_yet_is_judged_by_what_is() {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let cache = dir.path().join("pkg/mod");
        assert_eq!(module_cache(&cache), (cache, true));
    }
}
