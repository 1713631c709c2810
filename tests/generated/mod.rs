//! Files that are generated from other files of the repository. A test fails if such a file is out of date, and writes the
//! file on request.

use std::fs;
use std::path::Path;

/// Compares a file of the repository with the expected text. With `GOFLAME_BLESS=1`, writes the expected text first.
#[track_caller]
pub(crate) fn assert_current(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("GOFLAME_BLESS").is_some() {
        fs::write(&file, text).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let line = found.lines().zip(text.lines()).take_while(|(found, made)| found == made).count() + 1;
    assert!(found == text, "{path} is out of date from line {line} on; `GOFLAME_BLESS=1 make lint` updates the file");
}
