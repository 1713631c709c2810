//! `goflame init`: creates the text of a `goflame.toml` from the packages in a directory.

use std::path::Path;

use super::Error;
use super::settle::find_go;
use crate::build::{discover, utf8_path};
use crate::config::{Config, init_text};

/// Initial `goflame.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initial {
    /// Text of the file.
    pub text: String,
    /// Description of the packages found: main packages first, then packages with benchmarks.
    pub packages: Vec<String>,
}

/// Returns an initial `goflame.toml` for the main packages and benchmarks found below `dir`.
pub fn initial_settings(dir: &Path) -> Result<Initial, Error> {
    let config = Config::defaults(dir);
    utf8_path(&config.root)?;
    let go = find_go(&config, None)?;
    let found = discover(dir, &go)?;
    let mut packages: Vec<String> = found.mains.iter().map(|main| format!("main package {main}")).collect();
    packages.extend(found.benches.iter().map(|bench| format!("benchmarks in {bench}")));
    Ok(Initial { text: init_text(&config.root, &found.mains, &found.benches), packages })
}
