//! Files in the repository that are made from others: a test fails when one is out of date, and writes it on request.

use std::fs;
use std::path::Path;

/// Compares a file below the repository's root with the text that it should hold; with `GOFLAME_BLESS=1` writes it.
#[track_caller]
pub(crate) fn assert_current(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("GOFLAME_BLESS").is_some() {
        fs::write(&file, text).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let line = found.lines().zip(text.lines()).take_while(|(found, made)| found == made).count() + 1;
    assert!(found == text, "{path} is out of date from line {line} on; `GOFLAME_BLESS=1 make lint` writes it anew");
}
