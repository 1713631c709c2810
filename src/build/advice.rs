//! Advice for projects that Go refuses to build.

use crate::process;

/// Shell command that lets Go build if the home directory cannot hold its cache.
pub const SET_GOCACHE: &str = "export GOCACHE=/var/tmp/go-build";

/// Returns advice for the error of a go command.
pub(super) fn hints_for_error(error: &process::Error) -> Vec<String> {
    hints_for_messages(&stderr_message(error))
}

/// Returns advice for messages of Go (`cmd/go/internal/modload`).
pub(super) fn hints_for_messages(messages: &str) -> Vec<String> {
    let mut advice = Vec::new();
    if messages.contains("go.mod file not found") {
        advice.push("Go builds packages of a module: `go mod init NAME` makes this directory one".to_owned());
    }
    let unlisted = ["not one of the workspace modules listed in go.work", "does not contain modules listed in go.work"];
    if unlisted.iter().any(|message| messages.contains(message)) {
        advice.push("`go work use DIRECTORY` adds a module to go.work".to_owned());
        advice.push("or leave go.work aside: set GOWORK=off in the environment, or in `env` of the variant".to_owned());
    }
    if lacks_cache(messages) {
        advice.push(format!(
            "Go keeps what it builds in a directory of your home, unless GOCACHE names one: `{SET_GOCACHE}`"
        ));
    }
    let newer = messages.split("requires go >= ").nth(1).and_then(|rest| rest.split([' ', '\n', ';']).next());
    if let Some(version) = newer.filter(|version| !version.is_empty()).map(first_release) {
        advice.push(format!("`goflame toolchain install {version}` fetches this Go"));
        advice.push(format!(
            "`goflame toolchain use {version}` pins it in goflame.toml; GOTOOLCHAIN=go{version} selects it without one"
        ));
    }
    advice
}

/// Whether a message of Go says that Go cannot find or create its build cache (`cmd/go/internal/cache`).
pub(super) fn lacks_cache(message: &str) -> bool {
    message.contains("build cache")
}

/// Returns the first release with the version of a go line: 1.27.0 for `1.27`.
pub fn first_release(go_line: &str) -> String {
    let first = format!("{go_line}.0");
    if crate::config::is_go_release(go_line) || !crate::config::is_go_release(&first) {
        go_line.to_owned()
    } else {
        first
    }
}

/// Returns the message of a go command that failed.
pub(super) fn stderr_message(error: &process::Error) -> String {
    match error {
        process::Error::Failed { stderr_tail: Some(tail), .. } => tail.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::first_release;

    #[test]
    fn the_version_of_a_go_line_becomes_a_release() {
        for (line, release) in [("1.27", "1.27.0"), ("1.27.3", "1.27.3"), ("1.20", "1.20"), ("1.27rc1", "1.27rc1")] {
            assert_eq!(first_release(line), release);
        }
    }
}
