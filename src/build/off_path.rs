//! Finds a Go that is installed in a directory outside of PATH.

use std::env;
use std::path::{Path, PathBuf};

use crate::process::{acting_account, find_program, quote, quote_command};

/// A directory with a `go` command, and how to run goflame with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoOffPath {
    /// The directory, for example `/usr/local/go/bin`.
    pub dir: PathBuf,
    /// Shell command that adds the directory to PATH, ready to paste. Under sudo, it also runs goflame again.
    pub command: String,
}

impl GoOffPath {
    /// Finds the `go` command in the directories of Go's own archive and of package managers. Under sudo, searches the home
    /// directory of the user who called sudo.
    pub fn find() -> Option<Self> {
        let caller = acting_account();
        let home =
            caller.map(|account| account.home.clone()).or_else(|| env::home_dir().filter(|home| home.is_absolute()));
        let in_home = home.iter().flat_map(|home| ["go/bin", ".local/go/bin", ".local/bin"].map(|dir| home.join(dir)));
        let usual = ["/usr/local/go/bin", "/usr/lib/go/bin", "/snap/bin", "/home/linuxbrew/.linuxbrew/bin"];
        let mut dirs = usual.iter().map(PathBuf::from).chain(in_home);
        let dir = dirs.find(|dir| find_program(dir.join("go").as_os_str(), None, dir).is_ok())?;
        Some(Self { command: path_command(&dir, caller.is_some()), dir })
    }
}

/// Returns the shell command that adds a directory to PATH. With `sudo`, the command also runs goflame again.
fn path_command(dir: &Path, sudo: bool) -> String {
    let path = format!("PATH=\"$PATH\":{}", quote(dir.as_os_str()));
    if !sudo {
        return format!("export {path}");
    }
    let args: Vec<_> = env::args_os().skip(1).collect();
    format!("sudo env {path} goflame {}", quote_command(&args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_quoted_for_the_shell() {
        assert_eq!(path_command(Path::new("/usr/local/go/bin"), false), "export PATH=\"$PATH\":/usr/local/go/bin");
        assert_eq!(path_command(Path::new("/home/$a b/go/bin"), false), "export PATH=\"$PATH\":'/home/$a b/go/bin'");
    }
}
