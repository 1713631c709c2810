//! `goflame build --verify`: checks that a build gives the same bytes each time and everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::build::{FinishedBuild, ReusedProgram, build_privately};
use super::manifest::{mask_pairs, to_json};
use super::settle::{ContainerBuild, SettledBuild, plan_containers, settle};
use super::{BuildOptions, ContainerFacts, Error, Observer};
use crate::archive::Store;
use crate::build::{self, ComparedProgram, ProjectCopy, compare_programs};
use crate::config::Config;
use crate::fsio;

/// Version of the record's format.
const PROVENANCE_SCHEMA: u32 = 1;

/// Pair of builds to compare. The command line shows the comment of each value as its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BuildPair {
    /// Both in the configured way, in two directories
    Twice,
    /// One on this machine and one in a container
    #[value(name = "docker")]
    NativeAndDocker,
}

/// Result of two builds with identical bytes.
#[derive(Debug)]
pub struct VerifiedBuild {
    /// The build whose program is kept.
    pub built: FinishedBuild,
    /// Description of the comparison.
    pub comparison: &'static str,
    /// Path of the record, beside the program.
    pub record_path: PathBuf,
}

/// Builds twice without caches and compares the bytes. If the programs differ, the error says where and why.
pub fn verify(
    config: &Config,
    verify: BuildPair,
    options: BuildOptions,
    observer: &dyn Observer,
) -> Result<VerifiedBuild, Error> {
    let mut config = config.clone();
    if verify == BuildPair::NativeAndDocker {
        config.build.docker = true;
    }
    let settled = settle(&config, options, observer)?;
    let go = settled.go.clone();
    let container = settled.container.as_ref().map(ContainerBuild::facts);
    let copy = ProjectCopy::new(&config)?;
    let (first, second, how, names, elsewhere) = match verify {
        BuildPair::Twice => {
            let second = settle_in_copy(&copy, &settled, options)?;
            let how = if settled.container.is_some() { "Docker twice" } else { "native twice" };
            (settled, second, how, ["in the project", "in the copy"], &copy.config)
        }
        // Uses the same directory as the container, so that only the machine differs.
        BuildPair::NativeAndDocker => {
            let native = settle_natively(&config, &go, observer)?;
            let mut container = settled;
            // Go enables cgo depending on the tools that it finds. Both builds use the same choice here, so that only
            // the rest is compared.
            let cgo = u8::from(native.go.cgo_enabled).to_string();
            add_variable(&mut container, "CGO_ENABLED", &cgo);
            (native, container, "native and Docker", ["natively", "in the container"], &config)
        }
    };
    let built = build_without_cache(&config, first, &copy.cache_dir("cache-1"), observer)?;
    let bytes = fsio::read(&built.artifact.path).map_err(Error::Input)?;
    let other = build_without_cache(elsewhere, second, &copy.cache_dir("cache-2"), observer)?;
    let other_bytes = fsio::read(&other.artifact.path).map_err(Error::Input)?;
    if verify == BuildPair::NativeAndDocker {
        // Both builds wrote to the same path: the program of the first build is put back.
        write_build_file(&config, &built.artifact.path, &bytes)?;
    }
    let a = ComparedProgram { bytes: &bytes, dir: &config.root, name: names[0] };
    let b = ComparedProgram { bytes: &other_bytes, dir: &elsewhere.root, name: names[1] };
    if let Some(difference) = compare_programs(&a, &b) {
        return Err(build::Error::Differs { how, difference }.into());
    }
    let record = record_path(&built.artifact.path);
    let text = format!("{:#}\n", provenance_json(&config, &built, how, container.as_ref()));
    write_build_file(&config, &record, text.as_bytes())?;
    Ok(VerifiedBuild { built, comparison: how, record_path: record })
}

/// Writes a file in the directory that the variant is built in.
fn write_build_file(config: &Config, path: &Path, contents: &[u8]) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Store::open(&config.archive.dir)?.write_build_file(&config.build.variant, &name, contents)?)
}

/// Returns the record that [`verify`] wrote for a program, if the program has not changed since.
pub(super) fn verification_record(built: &FinishedBuild) -> Option<Value> {
    let bytes = fs::read(record_path(&built.artifact.path)).ok()?;
    let record: Value = serde_json::from_slice(&bytes).ok()?;
    (record.pointer("/program/sha256")?.as_str()? == built.artifact.sha256).then_some(record)
}

fn record_path(program: &Path) -> PathBuf {
    let mut name = program.file_name().unwrap_or_default().to_owned();
    name.push(".provenance.json");
    program.with_file_name(name)
}

/// Settles the same build in the copy of the project.
fn settle_in_copy(copy: &ProjectCopy, settled: &SettledBuild, options: BuildOptions) -> Result<SettledBuild, Error> {
    let config = &copy.config;
    let mut pinned = config.clone();
    if let Some((_, go)) = settled.plan.env.iter().find(|(name, _)| name == "GOTOOLCHAIN") {
        go.trim_start_matches("go").clone_into(&mut pinned.toolchain.go);
    }
    let plan = build::plan_build(&pinned, Some(&settled.go))?;
    let container = match &settled.container {
        None => None,
        Some(first) => Some(ContainerBuild {
            engine: build::docker::DockerEngine::connect().map_err(build::Error::Docker)?,
            plan: plan_containers(config, &plan, &first.plan.image, first.plan.user, options)?
                .with_caches_of(&first.plan),
            image: first.image.clone(),
        }),
    };
    Ok(SettledBuild { plan, go: settled.go.clone(), container, lock: settled.lock.clone() })
}

/// Settles a build on this machine with the Go version of the container.
fn settle_natively(config: &Config, go: &build::GoTool, observer: &dyn Observer) -> Result<SettledBuild, Error> {
    let mut config = config.clone();
    if let Some(version) = build::release_number(&go.version) {
        config.toolchain.go = version;
    }
    let go = super::settle::find_go(&config, None, observer)?;
    let mut plan = build::plan_build(&config, Some(&go))?;
    set_variable(&mut plan.env, "CGO_ENABLED", &u8::from(go.cgo_enabled).to_string());
    Ok(SettledBuild { plan, go, container: None, lock: String::new() })
}

fn build_without_cache(
    config: &Config,
    mut settled: SettledBuild,
    cache: &Path,
    observer: &dyn Observer,
) -> Result<FinishedBuild, Error> {
    match &mut settled.container {
        Some(container) => container.plan.disable_compile_cache(),
        None => set_variable(&mut settled.plan.env, "GOCACHE", &cache.to_string_lossy()),
    }
    build_privately(config, settled, &Store::open(&config.archive.dir)?, ReusedProgram::Nothing, observer)?.publish()
}

fn add_variable(settled: &mut SettledBuild, name: &str, value: &str) {
    set_variable(&mut settled.plan.env, name, value);
    if let Some(container) = &mut settled.container {
        container.plan.set_env(name, value);
    }
}

fn set_variable(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    env.retain(|(other, _)| other != name);
    env.push((name.to_owned(), value.to_owned()));
    env.sort();
}

/// Lists everything that went into the program.
fn provenance_json(config: &Config, built: &FinishedBuild, how: &str, container: Option<&ContainerFacts>) -> Value {
    let go = &built.go;
    let info = built.artifact.facts.go.as_ref().ok();
    let modules = info.map(|info| {
        let versions = info.deps.iter().map(|module| format!("{}@{}", module.path, module.version));
        versions.collect::<Vec<_>>()
    });
    let secrets = &built.plan.secrets;
    let settings = info.map(|info| mask_pairs(&info.settings, secrets));
    let mut env = mask_pairs(&built.plan.env, secrets);
    env.remove("GOCACHE");
    let digest = |name: &str| build::digest_beside_go_mod(&config.go_dir, name);
    json!({
        "schema": PROVENANCE_SCHEMA,
        "program": {
            "name": config.app.name,
            "sha256": built.artifact.sha256,
            "size": built.artifact.size,
            "build_id": built.artifact.facts.build_id,
        },
        "verified": { "how": how, "at": jiff::Timestamp::now().to_string(), "goflame": env!("CARGO_PKG_VERSION") },
        "inputs": {
            "package": config.app.package,
            "variant": config.build.variant,
            "arguments": secrets.mask_args(&built.plan.argv),
            "environment": env,
            "go": {
                "version": go.version, "goos": go.goos, "goarch": go.goarch, "goamd64": go.goamd64,
                "goexperiment": go.goexperiment, "goflags": secrets.mask_text(&go.goflags), "cgo_enabled": go.cgo_enabled, "cc": go.cc,
            },
            "image": container.map(|container| &container.image),
            "digest": container.map(|container| &container.digest),
            "go_mod": digest("go.mod"),
            "go_sum": digest("go.sum"),
            "modules": modules,
            "settings": settings,
            "git": to_json(&build::git_state(&config.root)),
        },
    })
}
