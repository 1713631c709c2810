//! Opens a file in the user's browser.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::output::Terminal;
use crate::process::{Command, ExitStatus};

/// Time to wait for an error of the browser. Most programs that cannot open a file end within this time, but a browser can
/// run for hours.
const ERROR_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a file with the first command of `$BROWSER`, else with xdg-open. If that fails, only warns, because the file
/// is complete. `what` names the file in the warning.
pub(super) fn open_in_browser(file: &Path, what: &str, terminal: &Terminal) {
    let command = browser_command(env::var("BROWSER").ok().as_deref(), file);
    let problem = match command.launch_unguarded(ERROR_TIMEOUT) {
        Ok(None | Some(ExitStatus::Code(0))) => return,
        Ok(Some(status)) => format!("`{}` ended with {status}", command.quoted()),
        Err(error) => error.to_string(),
    };
    terminal.warn(&format!("cannot open {what}: {problem}; set BROWSER to the command of a browser"));
}

/// `browser` is the value of `$BROWSER`: commands with colons between them, in which `%s` stands for the file.
fn browser_command(browser: Option<&str>, file: &Path) -> Command {
    let first = browser.and_then(|browsers| browsers.split(':').find(|command| !command.trim().is_empty()));
    let mut words = first.unwrap_or("xdg-open").split_whitespace();
    let program = words.next().unwrap_or_default();
    let file = || file.as_os_str().to_owned();
    let mut args: Vec<OsString> = words.map(|word| if word == "%s" { file() } else { OsString::from(word) }).collect();
    if first.is_none_or(|command| !command.split_whitespace().any(|word| word == "%s")) {
        args.push(file());
    }
    Command::new(program).args(args)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::browser_command;

    #[test]
    fn the_first_browser_gets_the_file() {
        let line = |browser| browser_command(browser, Path::new("/tmp/a b.svg")).quoted();
        assert_eq!(line(None), "xdg-open '/tmp/a b.svg'");
        assert_eq!(line(Some("")), "xdg-open '/tmp/a b.svg'");
        assert_eq!(line(Some("firefox:chromium")), "firefox '/tmp/a b.svg'");
        assert_eq!(line(Some("chromium --app %s --incognito")), "chromium --app '/tmp/a b.svg' --incognito");
    }
}
