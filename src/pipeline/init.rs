//! `goflame init`: creates the text of a `goflame.toml` from the packages in a directory.

use std::collections::BTreeMap;
use std::path::Path;

use super::settle::find_go;
use super::{Error, Observer};
use crate::build::{FoundPackage, discover_packages, utf8_path};
use crate::config::{Config, init_text};

/// Initial `goflame.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialSettings {
    /// Text of the file.
    pub text: String,
    /// Description of the packages found: main packages first, then packages with benchmarks.
    pub packages: Vec<String>,
    /// Description of the package that the text selects.
    pub chosen_package: Option<String>,
}

/// Returns an initial `goflame.toml` for the main packages and benchmarks found below `dir`.
pub fn initial_settings(dir: &Path, observer: &dyn Observer) -> Result<InitialSettings, Error> {
    let config = Config::defaults(dir);
    utf8_path(&config.root)?;
    let go = find_go(&config, None, observer)?;
    let found = discover_packages(dir, &go, &BTreeMap::new())?;
    let arguments = |fits: fn(&FoundPackage) -> bool| -> Vec<String> {
        found.iter().filter(|package| fits(package)).map(|package| package.argument.clone()).collect()
    };
    let mains = arguments(|package| package.is_main);
    let benches = arguments(|package| package.has_benchmarks);
    let mut packages: Vec<String> = mains.iter().map(|main| format!("main package {main}")).collect();
    packages.extend(benches.iter().map(|bench| format!("benchmarks in {bench}")));
    let chosen = mains.first().map(|main| format!("main package {main}"));
    let chosen = chosen.or_else(|| benches.first().map(|bench| format!("benchmarks in {bench}")));
    Ok(InitialSettings { text: init_text(&config.root, &mains, &benches), packages, chosen_package: chosen })
}
