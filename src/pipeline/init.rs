//! `goflame init`: what is here, as the text of a `goflame.toml`.

use std::path::Path;

use super::Error;
use super::settle::find_go;
use crate::build::discover;
use crate::config::{Config, MainPackage, init_text};

/// A `goflame.toml` to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initial {
    /// The file's text.
    pub text: String,
    /// What was found, in words: main packages first, then packages with benchmarks.
    pub packages: Vec<String>,
}

/// Looks for main packages and benchmarks below `dir`.
pub fn initial_settings(dir: &Path) -> Result<Initial, Error> {
    let go = find_go(&Config::defaults(dir), None)?;
    let found = discover(dir, &go)?;
    let mains: Vec<MainPackage> =
        found.mains.into_iter().map(|main| MainPackage { package: main.package, name: main.name }).collect();
    let mut packages: Vec<String> = mains.iter().map(|main| format!("main package {}", main.package)).collect();
    packages.extend(found.benches.iter().map(|bench| format!("benchmarks in {bench}")));
    Ok(Initial { text: init_text(&mains, &found.benches), packages })
}
