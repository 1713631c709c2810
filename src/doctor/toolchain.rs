//! Checks of the Go toolchain.

use super::catalogue::{GO_FOUND, GO_PIN};
use super::finding::{Finding, Fix, Status};
use super::inputs::Inputs;
use crate::host::{Facts, Reading};

/// `go-found`: whether there is a go command that answers.
pub(super) fn go_found(inputs: &Inputs, go: Result<&str, &String>) -> Finding {
    let needed = "a go command on PATH";
    match go {
        Ok(version) => Finding::new(&GO_FOUND, Status::Ok, version, needed),
        Err(why) => Finding::new(&GO_FOUND, Status::Failure, why, needed).repaired_by(install(inputs.facts)),
    }
}

/// `go-pin`: whether the version in force is the pinned one.
pub(super) fn go_pin(inputs: &Inputs, go: Result<&str, &String>) -> Finding {
    let pin = plain(inputs.go_pin);
    let needed = if pin.is_empty() { "no pin is set".to_owned() } else { format!("go{pin} exactly") };
    match go {
        Err(_) => Finding::new(&GO_PIN, Status::Skipped, "no Go toolchain to compare", needed),
        Ok(version) if pin.is_empty() || plain(version) == pin => Finding::new(&GO_PIN, Status::Ok, version, needed),
        Ok(version) => {
            let fix = Fix { now: format!("GOTOOLCHAIN=go{pin} go version"), persist: None };
            Finding::new(&GO_PIN, Status::Failure, version, needed).repaired_by(Some(fix))
        }
    }
}

/// `go1.27.3 X:nodwarf5`, `go1.27.3` and `1.27.3` name the same release.
fn plain(version: &str) -> &str {
    let first = version.split_whitespace().next().unwrap_or_default();
    first.strip_prefix("go").unwrap_or(first)
}

/// The distribution's own package, where its name is known.
fn install(facts: &Facts) -> Option<Fix> {
    let command = match facts.distribution.value()?.as_str() {
        "debian" | "ubuntu" => "apt-get install golang-go",
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => "dnf install golang",
        "arch" => "pacman -S go",
        "alpine" => "apk add go",
        "opensuse-leap" | "opensuse-tumbleweed" => "zypper install go",
        _ => return None,
    };
    let sudo = if facts.effective_uid == Reading::Value(0) { "" } else { "sudo " };
    Some(Fix { now: format!("{sudo}{command}"), persist: None })
}
