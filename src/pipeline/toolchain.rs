//! `goflame toolchain`: which Go versions there are, one more, and which one the project takes.

use super::{Error, load_lock};
use crate::build::{self, Installed, Places, installed};
use crate::config::{Config, with_pinned_go};
use crate::fsio;

/// The toolchains of this machine.
pub fn toolchains() -> Vec<Installed> {
    installed(&Places::of_process())
}

/// The version that the project's next native build takes, and the file that says so; `None`: whatever answers.
pub fn wanted(config: &Config) -> Result<Option<(String, &'static str)>, Error> {
    if !config.toolchain.go.is_empty() {
        return Ok(Some((config.toolchain.go.clone(), "goflame.toml")));
    }
    Ok(load_lock(config)?.and_then(|lock| lock.native_go).map(|go| (go, "goflame.lock")))
}

/// Gets a version through the go command. Returns what it says of itself.
pub fn install_toolchain(version: &str) -> Result<build::GoTool, Error> {
    Ok(build::install(version)?)
}

/// Pins a version in the settings file.
pub fn use_toolchain(config: &Config, version: &str) -> Result<(), Error> {
    // Without a file, loading has failed before.
    let Some(file) = &config.file else { return Ok(()) };
    // It has been loaded, so it is TOML with a [toolchain] that is a table, if it has one.
    let text = with_pinned_go(config.source(), version).unwrap_or_else(|| config.source().to_owned());
    fsio::replace(file, text.as_bytes()).map_err(Error::Output)
}
