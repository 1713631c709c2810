//! Messages and documents are in plain English.

use std::fs;
use std::path::{Path, PathBuf};

/// Phrases from old messages that readers did not understand at once.
const UNCLEAR_PHRASES: [&str; 12] = [
    "could not be had",
    "is there already",
    "exists already",
    "time is over",
    "not to be told",
    "not to be had",
    "for want of",
    "is no directory",
    "is no version",
    "is no file",
    "is no way",
    "are no more",
];

#[test]
fn messages_and_documents_have_no_unclear_phrases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending: Vec<PathBuf> = ["src", "templates", "docs", "README.md", "goflame.toml.example", "examples"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        // Pictures and built programs are not text.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        for (index, line) in text.lines().enumerate() {
            let phrases = UNCLEAR_PHRASES.iter().filter(|phrase| line.contains(**phrase));
            found.extend(phrases.map(|phrase| format!("{shown}:{}: {phrase}", index + 1)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Earlier, the README had no pictures, and two of the reasons were further down.
#[test]
fn the_first_ten_lines_of_the_readme_say_why_pprof_is_not_enough() {
    let readme = super::read("README.md");
    let first: Vec<_> = readme.lines().take(10).collect();
    let first = first.join("\n");
    for reason in [
        "`go tool pprof`",
        "No change to the code",
        "Kernel and garbage collector",
        "Goroutines",
        "Stripped",
        "archive",
    ] {
        assert!(first.contains(reason), "{reason} is not in\n{first}");
    }
    for picture in ["docs/pictures/slowcli.svg", "docs/pictures/slowcli-cargo-flamegraph.png"] {
        assert!(readme.contains(picture));
        let size = fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join(picture)).unwrap().len();
        assert!(size < 200_000, "{picture} has {size} bytes");
    }
}
