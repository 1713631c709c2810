//! Checks of the Go toolchain and the programs beside it.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::Fix;
use super::inputs::{Go, Inputs, Tools};
use crate::config::goflags::{StripFlag, strips, words};
use crate::host::Facts;

pub(super) static CHECKS: [Check; 9] = [
    Check {
        id: "go-found",
        group: Group::Toolchain,
        title: "Go toolchain",
        feature: "building",
        why: "goflame builds the program that it profiles with the go command.",
        in_run: true,
        judge: Judge::Asked(go_found),
    },
    Check {
        id: "go-pin",
        group: Group::Toolchain,
        title: "pinned Go version",
        feature: "comparable runs",
        why: "Two Go versions compile the same source differently, so runs compare only when both use the pinned one.",
        in_run: true,
        judge: Judge::Asked(go_pin),
    },
    Check {
        id: "go-mod",
        group: Group::Toolchain,
        title: "Go version that go.mod asks for",
        feature: "building",
        why: "A Go older than go.mod's go line refuses to build the module, or fetches a newer one first.",
        in_run: true,
        judge: Judge::Asked(go_mod),
    },
    Check {
        id: "gotoolchain",
        group: Group::Toolchain,
        title: "GOTOOLCHAIN",
        feature: "comparable runs",
        why: "It decides which Go answers, and whether one may be fetched while building.",
        in_run: false,
        judge: Judge::Asked(gotoolchain),
    },
    Check {
        id: "goflags",
        group: Group::Toolchain,
        title: "GOFLAGS",
        feature: "names and debug information",
        why: "GOFLAGS changes every build without being seen: -ldflags=-s or -w strips the binary, -race slows it down.",
        in_run: true,
        judge: Judge::Asked(goflags),
    },
    Check {
        id: "c-compiler",
        group: Group::Toolchain,
        title: "C compiler",
        feature: "programs with cgo",
        why: "Packages with C code need one; without it Go turns cgo off by itself, and net and os/user become other \
              code.",
        in_run: false,
        judge: Judge::Asked(c_compiler),
    },
    Check {
        id: "module-cache",
        group: Group::Toolchain,
        title: "module cache",
        feature: "building with dependencies",
        why: "Go unpacks dependencies into GOMODCACHE; where it may not write, a module that is missing stays missing.",
        in_run: false,
        judge: Judge::Asked(module_cache),
    },
    Check {
        id: "delve",
        group: Group::Toolchain,
        title: "Delve",
        feature: "debugging an archived binary",
        why: "goflame does not need it; `dlv exec` opens the debug binary that a run keeps.",
        in_run: false,
        judge: Judge::Asked(delve),
    },
    Check {
        id: "perf-tool",
        group: Group::Toolchain,
        title: "perf",
        feature: "engine = \"perf\"",
        why: "With that engine perf record samples in goflame's place; the own sampler needs no perf.",
        in_run: true,
        judge: Judge::Asked(perf_tool),
    },
];

/// A failure where there is something to build; elsewhere a binary that is there can still be profiled.
fn go_found(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let tools = inputs.tools?;
    let needed = "a go command on PATH that answers";
    Some(match &tools.go {
        Ok(go) => check.finds(Status::Ok, &go.version, needed),
        Err(why) => {
            let status = if tools.in_project { Status::Failure } else { Status::Warning };
            check.finds(status, why, needed).repaired_by(install(inputs.facts))
        }
    })
}

/// The go command, once it is known to answer.
fn go<'a>(inputs: &Inputs<'a>) -> Option<(&'a Tools, &'a Go)> {
    let tools = inputs.tools?;
    Some((tools, tools.go.as_ref().ok()?))
}

fn go_pin(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let tools = inputs.tools?;
    let pin = plain(&tools.pin);
    let needed = format!("go{pin} exactly");
    Some(match &tools.go {
        Err(_) => check.finds(Status::Skipped, "no Go toolchain to compare", "a go command that answers"),
        Ok(_) if pin.is_empty() => check.finds(Status::Ok, "no pin", "a pin, where runs are to be compared"),
        Ok(go) if plain(&go.version) == pin => check.finds(Status::Ok, &go.version, needed),
        Ok(go) => {
            let fix = Fix::command(format!("GOTOOLCHAIN=go{pin} go version"));
            check.finds(Status::Failure, &go.version, needed).repaired_by(fix)
        }
    })
}

/// `go1.27.3 X:nodwarf5`, `go1.27.3` and `1.27.3` name the same release.
fn plain(version: &str) -> &str {
    let first = version.split_whitespace().next().unwrap_or_default();
    first.strip_prefix("go").unwrap_or(first)
}

/// The numbers of a version: `1.27.3` and `1.27rc1` as 1.27.3 and 1.27.0; `None` for `devel` and the like.
pub(super) fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = plain(version).split('.');
    for (at, number) in numbers.iter_mut().enumerate() {
        let Some(part) = parts.next() else { break };
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        match part.get(..digits)?.parse() {
            Ok(parsed) => *number = parsed,
            Err(_) if at > 0 => break,
            Err(_) => return None,
        }
    }
    Some(numbers)
}

fn go_mod(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (_, go) = go(inputs)?;
    let asked = go.go_mod.as_ref()?;
    if asked.go.is_empty() {
        let needed = "a go line in go.mod";
        let why = "Without a go line, Go takes the module for one of Go 1.16.";
        return Some(check.finds(Status::Info, "go.mod names no version", needed).because(why));
    }
    let found = match asked.toolchain.as_str() {
        "" | "default" => format!("go.mod asks for {}, {} answers", asked.go, go.version),
        toolchain => format!("go.mod asks for {} and {toolchain}, {} answers", asked.go, go.version),
    };
    let needed = format!("go{} or newer", asked.go);
    Some(match (numbers(&asked.go), numbers(&go.version)) {
        (Some(asked), Some(have)) if have < asked => check.finds(Status::Failure, found, needed),
        (Some(_), Some(_)) => check.finds(Status::Ok, found, needed),
        _ => check.finds(Status::Info, found, needed),
    })
}

fn gotoolchain(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (tools, go) = go(inputs)?;
    let needed = "local or a named version, or a pin in goflame.toml";
    let value = go.gotoolchain.as_str();
    let (status, found) = match value {
        "" => (Status::Ok, "not known to this Go (before 1.21)".to_owned()),
        _ if !tools.pin.is_empty() => (Status::Ok, format!("{value}; the pin decides")),
        _ if value == "auto" || value.ends_with("+auto") => {
            (Status::Info, format!("{value}: a newer Go may be fetched when go.mod asks for it"))
        }
        _ => (Status::Ok, value.to_owned()),
    };
    Some(check.finds(status, found, needed))
}

/// In a project the build's own plan judges, since flags on the command line win; elsewhere the value alone does.
fn goflags(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (tools, go) = go(inputs)?;
    let needed = "no flag that strips the binary or slows it down";
    let value = if go.goflags.is_empty() { "empty" } else { go.goflags.as_str() };
    let fix = Fix::command("go env -u GOFLAGS; unset GOFLAGS");
    if let Some(why) = &go.flags_refused {
        let fix = (!go.goflags.is_empty()).then_some(fix);
        return Some(check.finds(Status::Failure, format!("{value}: {why}"), needed).repaired_by(fix));
    }
    let mut spoils = go.flag_warnings.clone();
    if !tools.in_project {
        spoils.extend(stripping(&go.goflags).map(|flag| format!("{flag} strips what `go build` makes")));
    }
    if spoils.is_empty() {
        return Some(check.finds(Status::Ok, value, needed));
    }
    Some(check.finds(Status::Warning, format!("{value}: {}", spoils.join("; ")), needed).repaired_by(fix))
}

/// The flag in GOFLAGS that strips.
fn stripping(goflags: &str) -> Option<&'static str> {
    let words = words(goflags).ok()?;
    let value = words
        .iter()
        .rev()
        .find_map(|word| word.text.strip_prefix("--ldflags=").or_else(|| word.text.strip_prefix("-ldflags=")))?;
    match strips(value).ok()?.first()?.flag {
        StripFlag::Symbols => Some("-s"),
        StripFlag::Dwarf => Some("-w"),
    }
}

fn c_compiler(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (tools, go) = go(inputs)?;
    let needed = "nothing for pure Go; a C compiler for cgo";
    Some(match (&tools.c_compiler, go.cgo_enabled) {
        (Some(compiler), true) => check.finds(Status::Ok, format!("{}, cgo is on", compiler.display()), needed),
        (Some(compiler), false) => check.finds(Status::Info, format!("{}, cgo is off", compiler.display()), needed),
        (None, false) => check.finds(Status::Info, "none, cgo is off", needed),
        (None, true) => check
            .finds(Status::Warning, format!("no `{}`, and cgo is on", go.cc), "a C compiler, or CGO_ENABLED=0")
            .repaired_by(install_c(inputs.facts)),
    })
}

fn module_cache(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (_, go) = go(inputs)?;
    let (dir, writable) = &go.module_cache;
    let (status, state) = if *writable { (Status::Ok, "writable") } else { (Status::Warning, "not writable") };
    Some(check.finds(status, format!("{} is {state}", dir.display()), "a directory that this user may write to"))
}

fn delve(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "nothing; dlv on PATH for debugging";
    Some(match &inputs.tools?.delve {
        Some(dlv) => check.finds(Status::Ok, dlv.display().to_string(), needed),
        None => check.finds(Status::Info, "not on PATH", needed),
    })
}

fn perf_tool(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "perf on PATH";
    Some(match inputs.tools?.perf.as_ref()? {
        Ok(version) => check.finds(Status::Ok, version, needed),
        Err(why) => check.finds(Status::Failure, why, needed).repaired_by(install_perf(inputs.facts)),
    })
}

/// The distribution's own package, where its name is known: Debian's, Ubuntu's, Fedora's, Arch's, Alpine's, SUSE's.
fn package(facts: &Facts, names: [&str; 6]) -> Option<Fix> {
    let [debian, ubuntu, fedora, arch, alpine, suse] = names;
    let command = match facts.distribution.value()?.as_str() {
        "debian" => format!("apt-get install -y {debian}"),
        "ubuntu" => format!("apt-get install -y {ubuntu}"),
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => format!("dnf install -y {fedora}"),
        "arch" => format!("pacman -S --noconfirm {arch}"),
        "alpine" => format!("apk add {alpine}"),
        "opensuse-leap" | "opensuse-tumbleweed" => format!("zypper install -y {suse}"),
        _ => return None,
    };
    Some(Fix::as_root(facts, command))
}

fn install(facts: &Facts) -> Option<Fix> {
    package(facts, ["golang-go", "golang-go", "golang", "go", "go", "go"])
}

fn install_c(facts: &Facts) -> Option<Fix> {
    package(facts, ["gcc libc6-dev", "gcc libc6-dev", "gcc", "gcc", "gcc musl-dev", "gcc"])
}

fn install_perf(facts: &Facts) -> Option<Fix> {
    package(facts, ["linux-perf", "linux-tools-generic", "perf", "perf", "perf", "perf"])
}
