//! Chooses the packages of a command: from the command line, or by a search if there is no `goflame.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use super::settle::{find_go, find_go_offline, load_lock};
use super::{BuildOptions, Error, Observer};
use crate::build::{self, FoundPackage, GoTool};
use crate::config::{Config, Kind};

/// Request for packages.
#[derive(Debug, Clone, Copy)]
pub struct PackageRequest<'a> {
    /// Directory that PACKAGE is relative to.
    pub dir: &'a Path,
    /// PACKAGE of the command line.
    pub package: Option<&'a str>,
    /// Whether the benchmarks of the packages are requested.
    pub benchmarks: bool,
    /// Whether the build may use the network and change the lock file.
    pub build: BuildOptions,
    /// Whether the command only prints a plan, and downloads no Go version.
    pub plan_only: bool,
}

/// Packages that a command works on, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenPackages {
    /// Arguments for Go, relative to the directory of the request, and their kinds. Never empty.
    pub packages: Vec<(String, Kind)>,
    /// Packages that match, but have no benchmarks.
    pub skipped: Vec<String>,
}

/// Chooses the packages that PACKAGE names, or searches for packages. `config` has PACKAGE as its main package.
pub fn choose_packages(
    config: &Config,
    request: &PackageRequest<'_>,
    observer: &dyn Observer,
) -> Result<ChosenPackages, Error> {
    let PackageRequest { package, benchmarks, .. } = *request;
    match package {
        Some(package) if package.contains("...") => {
            if !benchmarks {
                let reason = build::NotOnePackage::Pattern;
                return Err(build::Error::Package { package: package.to_owned(), reason }.into());
            }
            let found = find_packages(config, request, observer)?;
            let (chosen, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|package| package.has_benchmarks);
            if chosen.is_empty() {
                return Err(build::Error::NoBenchmarks { pattern: package.to_owned() }.into());
            }
            let packages = chosen.into_iter().map(|package| (package.argument, Kind::Bench)).collect();
            Ok(ChosenPackages { packages, skipped: others.into_iter().map(|package| package.argument).collect() })
        }
        Some(package) => {
            let kind = if benchmarks { Kind::Bench } else { package_kind(config, request, observer) };
            Ok(ChosenPackages { packages: vec![(package.to_owned(), kind)], skipped: Vec::new() })
        }
        None => {
            let found = find_packages(config, request, observer)?;
            let mains = || found.iter().filter(|package| package.is_main);
            let kind = if benchmarks || mains().next().is_none() { Kind::Bench } else { Kind::Binary };
            let fitting: Vec<&FoundPackage> = match kind {
                Kind::Binary => mains().collect(),
                Kind::Bench => found.iter().filter(|package| package.has_benchmarks).collect(),
            };
            // As for `go build`, the package of the directory itself comes first.
            let chosen = match fitting[..] {
                [] => return Err(build::Error::NothingToRun { dir: config.root.clone(), benchmarks }.into()),
                [only] => only,
                [first, ..] if first.argument == "." => first,
                _ => {
                    let packages = fitting.into_iter().map(|package| package.argument.clone()).collect();
                    return Err(build::Error::SeveralPackages { dir: config.root.clone(), kind, packages }.into());
                }
            };
            Ok(ChosenPackages { packages: vec![(chosen.argument.clone(), kind)], skipped: Vec::new() })
        }
    }
}

/// Lists the packages that match PACKAGE, or all packages below the directory.
fn find_packages(
    config: &Config,
    request: &PackageRequest<'_>,
    observer: &dyn Observer,
) -> Result<Vec<FoundPackage>, Error> {
    let (go, env) = find_go_and_env(config, request, observer)?;
    Ok(match request.package {
        Some(pattern) if pattern != "./..." => build::list_packages(request.dir, &go, &env, &[pattern.to_owned()])?,
        _ => build::discover_packages(request.dir, &go, &env)?,
    })
}

/// Returns the kind of PACKAGE. If Go cannot read PACKAGE, returns [`Kind::Binary`]: the build then reports the reason.
fn package_kind(config: &Config, request: &PackageRequest<'_>, observer: &dyn Observer) -> Kind {
    let listed = find_go_and_env(config, request, observer)
        .and_then(|(go, env)| Ok(build::list_packages(&config.go_dir, &go, &env, &[config.go_package()])?));
    match listed.as_deref() {
        Ok([package]) if !package.is_main && package.has_benchmarks => Kind::Bench,
        _ => Kind::Binary,
    }
}

fn find_go_and_env(
    config: &Config,
    request: &PackageRequest<'_>,
    observer: &dyn Observer,
) -> Result<(GoTool, BTreeMap<String, String>), Error> {
    let lock = load_lock(config)?.filter(|_| !request.build.update_lock);
    let go = if request.plan_only {
        find_go_offline(config, lock.as_ref())?
    } else {
        find_go(config, lock.as_ref(), observer)?
    };
    let mut env = config.variants.get(&config.build.variant).map(|variant| variant.env.clone()).unwrap_or_default();
    if request.plan_only || request.build.offline {
        env.insert("GOPROXY".to_owned(), "off".to_owned());
    }
    Ok((go, env))
}
