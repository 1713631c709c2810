//! The documents: links have targets, generated parts are current, and lists are complete.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod english;
#[path = "../generated/mod.rs"]
mod generated;
mod links;
mod listed;
mod pages;

use std::fs;
use std::path::Path;

/// Reads a file. `path` starts at the root of the repository.
#[track_caller]
pub(crate) fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Sorted paths of the Markdown files in a directory. Paths start at the root of the repository.
pub(crate) fn documents(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut paths: Vec<_> = names
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
        .map(|name| if dir == "." { name } else { format!("{dir}/{name}") })
        .collect();
    paths.sort();
    paths
}
