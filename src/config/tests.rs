//! Tests of the settings as a whole. Tests of single parts are next to those parts.
#![allow(clippy::unwrap_used)]

mod defaults;
mod init;
mod loading;
mod rejected;
mod rendered;

use std::path::{Path, PathBuf};

use super::{Config, Error, Overrides, SourceFile};
use crate::process::describe_with_causes;

/// A project directory that does not exist on disk.
const ROOT: &str = "/nonexistent/goflame/hello";

fn resolve(text: &str) -> Result<Config, Error> {
    let file = SourceFile { path: Path::new(ROOT).join("goflame.toml"), text: text.to_owned() };
    Config::resolve(Path::new(ROOT), Some(file), &Overrides::default())
}

fn accepted(text: &str) -> Config {
    resolve(text).unwrap_or_else(|error| panic!("{text}\n{}", shown(&error)))
}

/// Returns the drawn problems of a file, or the message, its causes and the hints.
fn shown(error: &Error) -> String {
    let lines = || [vec![describe_with_causes(error)], error.hints()].concat().join("\n");
    error.render(false).unwrap_or_else(lines)
}

/// Returns the drawn problems of a text, as if it were `goflame.toml` in the working directory.
fn rendered(text: &str) -> String {
    let file = SourceFile { path: PathBuf::from("goflame.toml"), text: text.to_owned() };
    match Config::resolve(Path::new("."), Some(file), &Overrides::default()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => shown(&error),
    }
}
