//! `goflame toolchain`: lists the Go versions, installs one, and pins one for the project.

use super::{Error, load_lock};
use crate::build::{self, InstalledGo, SearchPaths, list_installed};
use crate::config::{Config, with_pinned_go};
use crate::fsio;

/// Lists the Go toolchains of this machine.
pub fn list_toolchains() -> Vec<InstalledGo> {
    list_installed(&SearchPaths::from_environment())
}

/// Returns the Go version of the project's next native build and the file that pins it. `None` if no file pins one: the
/// build then uses the version that the go command selects.
pub fn pinned_go_version(config: &Config) -> Result<Option<(String, &'static str)>, Error> {
    if !config.toolchain.go.is_empty() {
        return Ok(Some((config.toolchain.go.clone(), "goflame.toml")));
    }
    Ok(load_lock(config)?.and_then(|lock| lock.native_go).map(|go| (go, "goflame.lock")))
}

/// Installs a version through the go command. Returns the facts that the new toolchain reports.
pub fn install_toolchain(version: &str) -> Result<build::GoTool, Error> {
    Ok(build::install_go(version)?)
}

/// Pins a Go version in the settings file.
pub fn pin_toolchain(config: &Config, version: &str) -> Result<(), Error> {
    // Never absent here: without a file, loading the settings has already failed.
    let Some(file) = &config.file else { return Ok(()) };
    // The text has been loaded, so it is valid TOML, and `toolchain` is a table if it is present.
    let text = with_pinned_go(config.file_text(), version).unwrap_or_else(|| config.file_text().to_owned());
    fsio::replace(file, text.as_bytes()).map_err(Error::Output)
}
