//! THIRD-PARTY: the licences of all crates that are part of a goflame binary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::generated::assert_current;
use crate::metadata::{Package, shipped_crates};

const HEAD: &str = "\
A goflame binary contains goflame, under MIT or Apache-2.0 (LICENSE-MIT, LICENSE-APACHE), and what is listed here.

The Rust standard library, by The Rust Project Contributors, under MIT or Apache-2.0: https://www.rust-lang.org

The crates below, each under the licence beside it. Of a crate that offers MIT among others, MIT is taken. Where a
crate brings no licence text, the text is that of LICENSE-MIT or LICENSE-APACHE here, with its own authors.

inferno is under the Common Development and Distribution License 1.0, which lets its users have its source: that is the
crate inferno of the version below, unmodified, or https://github.com/jonhoo/inferno. Every flame graph that goflame
draws contains inferno's script and style sheet, and says so in a comment.

This file is made from Cargo.lock by `GOFLAME_BLESS=1 make lint`.
";

/// Prefixes of the names of licence files, in lower case.
const LICENCE_FILE_PREFIXES: [&str; 6] = ["license", "licence", "copying", "copyright", "notice", "unlicense"];

/// Parts of file names that indicate a licence other than MIT, in lower case.
const OTHER_LICENCES: [&str; 6] = ["apache", "zlib", "boost", "bsd", "unlicense", "copying"];

#[test]
fn the_file_of_licences_lists_the_crates_of_the_lock_file() {
    let packages = shipped_crates();
    let mut text = format!("{HEAD}\n\nCRATES\n\n");
    for package in &packages {
        let licence = package.license.as_deref().unwrap_or("none");
        let _ = writeln!(text, "{:<28} {:<14} {licence}", package.name, package.version);
        if licence_files(package).is_empty() {
            let _ = writeln!(text, "{:28} by {}", "", package.authors.join(", "));
        }
    }
    text.push_str("\n\nLICENCE TEXTS\n");
    for (licence, names) in texts(&packages) {
        let _ = write!(text, "\n{}\n{}:\n\n{licence}", "-".repeat(80), names.join(", "));
    }
    assert!(text.contains("COMMON DEVELOPMENT AND DISTRIBUTION LICENSE Version 1.0"), "inferno's licence is in it");
    assert_current("THIRD-PARTY", &text);
}

/// Each different text, and the names of the crates that contain it, sorted.
fn texts(packages: &[Package]) -> Vec<(String, Vec<String>)> {
    let mut positions = BTreeMap::new();
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for package in packages {
        for (file, text) in licence_files(package) {
            let position = *positions.entry(text.clone()).or_insert(texts.len());
            if position == texts.len() {
                texts.push((text, Vec::new()));
            }
            texts[position].1.push(format!("{} {} ({file})", package.name, package.version));
        }
    }
    texts
}

/// Name and text of each licence file of a crate, with normalised line ends.
fn licence_files(package: &Package) -> Vec<(String, String)> {
    let dir = package.manifest_path.parent().unwrap_or(Path::new("/"));
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| LICENCE_FILE_PREFIXES.iter().any(|start| name.to_lowercase().starts_with(start)));
    names.sort();
    if names.iter().any(|name| name.to_lowercase().contains("mit")) {
        names.retain(|name| !OTHER_LICENCES.iter().any(|part| name.to_lowercase().contains(part)));
    }
    let read = |name: String| {
        let bytes = fs::read(dir.join(&name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.trim().lines().map(str::trim_end).collect();
        (name, lines.join("\n") + "\n")
    };
    names.into_iter().map(read).collect()
}
