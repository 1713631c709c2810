//! Shows long output with the user's pager.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{find_program, ignore_interrupts};

/// Environment variables that can hold the command of a pager. The first that is set wins.
const PAGER_VARIABLES: [&str; 2] = ["GOFLAME_PAGER", "PAGER"];

/// Pager of users who have set none of [`PAGER_VARIABLES`].
const DEFAULT_PAGER: &str = "less";

/// Options of less for users who have set none: end at once if the text fits on the screen, show colours, and do not clear
/// the screen at the end.
const LESS_OPTIONS: &str = "FRX";

/// Shows a text with the pager. Returns whether there is a pager that showed it.
///
/// A pager that ends before the text does is not an error. Ctrl-C reaches only the pager.
pub(super) fn show_in_pager(text: &[u8]) -> bool {
    let set = PAGER_VARIABLES.iter().find_map(|name| env::var(name).ok());
    let command = match set.as_deref().map(str::trim) {
        None if find_program(OsStr::new(DEFAULT_PAGER), env::var_os("PATH").as_deref(), Path::new(".")).is_err() => {
            return false;
        }
        None => DEFAULT_PAGER,
        Some("" | "cat") => return false,
        Some(command) => command,
    };
    if ignore_interrupts().is_err() {
        return false;
    }
    let mut pager = Command::new("sh");
    pager.args(["-c", command]).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        pager.env("LESS", LESS_OPTIONS);
    }
    let Ok(mut pager) = pager.spawn() else { return false };
    if let Some(mut stdin) = pager.stdin.take() {
        // Writing fails if the user leaves the pager before it has read everything. This is not an error.
        let _ = stdin.write_all(text);
    }
    // The shell ends with 126 or 127 if it cannot start the command.
    pager.wait().is_ok_and(|status| !matches!(status.code(), Some(126 | 127)))
}
