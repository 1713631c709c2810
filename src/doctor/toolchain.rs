//! Checks of the Go toolchain and related programs.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::Fix;
use super::inputs::{GoFacts, Inputs, Target, Tools};
use crate::build::{GoOffPath, MissingGo, SET_GOCACHE, first_release};
use crate::config::goflags::{StripFlag, split_name_and_value, split_words, stripping_words};
use crate::host::HostFacts;

pub(super) static CHECKS: [Check; 11] = [
    Check {
        id: "go-found",
        group: Group::Toolchain,
        title: "Go toolchain",
        feature: "building",
        why_it_matters: "goflame builds the profiled program with the go command.",
        is_in_run: true,
        judge: Judge::Optional(judge_go_command),
    },
    Check {
        id: "go-pin",
        group: Group::Toolchain,
        title: "pinned Go version",
        feature: "comparable runs",
        why_it_matters: "Two Go versions compile the same source differently, so runs are comparable only if all use the pinned one.",
        is_in_run: true,
        judge: Judge::Optional(judge_pinned_go),
    },
    Check {
        id: "go-mod",
        group: Group::Toolchain,
        title: "Go version that go.mod asks for",
        feature: "building",
        why_it_matters: "A Go that is older than go.mod's go line refuses to build the module, or downloads a newer Go first.",
        is_in_run: true,
        judge: Judge::Optional(judge_go_mod_version),
    },
    Check {
        id: "gotoolchain",
        group: Group::Toolchain,
        title: "GOTOOLCHAIN",
        feature: "comparable runs",
        why_it_matters: "It selects the Go version, and whether one may be downloaded during a build.",
        is_in_run: false,
        judge: Judge::Optional(judge_gotoolchain),
    },
    Check {
        id: "goflags",
        group: Group::Toolchain,
        title: "GOFLAGS",
        feature: "names and debug information",
        why_it_matters: "GOFLAGS silently changes every build: -ldflags=-s or -w strips the binary, -race slows it down.",
        is_in_run: true,
        judge: Judge::Optional(judge_goflags),
    },
    Check {
        id: "go-target",
        group: Group::Toolchain,
        title: "machine that the program is built for",
        feature: "starting the program",
        why_it_matters: "goflame runs the program that it builds. This machine cannot run a program for another one.",
        is_in_run: true,
        judge: Judge::Optional(judge_go_target),
    },
    Check {
        id: "c-compiler",
        group: Group::Toolchain,
        title: "C compiler",
        feature: "programs with cgo",
        why_it_matters: "Packages with C code need one. Without it Go turns cgo off, and net and os/user are built from other code.",
        is_in_run: false,
        judge: Judge::Optional(judge_c_compiler),
    },
    Check {
        id: "module-cache",
        group: Group::Toolchain,
        title: "module cache",
        feature: "building with dependencies",
        why_it_matters: "Go unpacks dependencies into GOMODCACHE; if it cannot write there, it cannot add a missing module.",
        is_in_run: false,
        judge: Judge::Optional(judge_module_cache),
    },
    Check {
        id: "delve",
        group: Group::Toolchain,
        title: "Delve",
        feature: "debugging an archived binary",
        why_it_matters: "goflame does not need it; `dlv exec` opens the binary that a run archives.",
        is_in_run: false,
        judge: Judge::Optional(judge_delve),
    },
    Check {
        id: "perf-tool",
        group: Group::Toolchain,
        title: "perf",
        feature: "engine = \"perf\"",
        why_it_matters: "With this engine `perf record` takes the samples; goflame's own sampler does not need perf.",
        is_in_run: true,
        judge: Judge::Optional(judge_perf_tool),
    },
    Check {
        id: "build-directory",
        group: Group::Toolchain,
        title: "directory of builds",
        feature: "starting the program",
        why_it_matters: "No program can be started from a file system that is mounted noexec, not even by root.",
        is_in_run: true,
        judge: Judge::Optional(judge_build_directory),
    },
];

/// The oldest Go version that goflame supports for builds.
const OLDEST_GO: [u32; 3] = [1, 16, 0];

/// `go-found`: a failure only in a project or a Go module, and only if the user names no binary. An existing binary can be
/// profiled without Go.
fn judge_go_command(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let tools = inputs.tools?;
    let needed = "a go command on PATH that answers, Go 1.16 or newer";
    Some(match &tools.go {
        Ok(go) => match &go.missing_version {
            None if version_numbers(&go.version).is_some_and(|version| version < OLDEST_GO) => {
                let found = format!("{}, older than any Go that goflame builds with", go.version);
                check.finding(Status::Warning, found, needed).with_fix(go_fix(inputs.facts))
            }
            None if go.variant_sets_path => {
                let found = format!("{}; builds of this variant use another PATH", go.version);
                check.finding(Status::Info, found, needed)
            }
            None => check.finding(Status::Ok, &go.version, needed),
            Some(missing) => missing_go_finding(check, go, missing),
        },
        Err(why) => {
            let status = if tools.in_module && inputs.binary.is_none() { Status::Failure } else { Status::Warning };
            match &tools.go_elsewhere {
                Some(GoOffPath { dir, command }) => check
                    .finding(status, format!("{why}, but it is in {}", dir.display()), needed)
                    .with_fix(Fix::user_command(command)),
                None if tools.go_lacks_cache => {
                    check.finding(status, why, needed).with_fix(Fix::user_command(SET_GOCACHE))
                }
                None => check.finding(status, why, needed).with_fix(go_fix(inputs.facts)),
            }
        }
    })
}

/// The finding for a version that is not on this machine. A failure only if the build is not allowed to download it.
fn missing_go_finding(check: &'static Check, go: &GoFacts, missing: &MissingGo) -> Finding {
    let asked = missing.version.as_deref().unwrap_or("the version that go.mod or go.work asks for");
    let (status, then) = if missing.is_downloadable {
        (Status::Warning, "the next build downloads it")
    } else {
        (Status::Failure, "GOPROXY=off forbids the download")
    };
    let fix = missing
        .version
        .as_deref()
        .map(|version| Fix::user_command(format!("goflame toolchain install {}", release_number(version))));
    check.finding(status, format!("{}, but not {asked}: {then}", go.version), asked).with_fix(fix)
}

/// The programs of this machine, and the facts about the go command. `None` if the go command does not answer.
fn go_facts<'a>(inputs: &Inputs<'a>) -> Option<(&'a Tools, &'a GoFacts)> {
    let tools = inputs.tools?;
    Some((tools, tools.go.as_ref().ok()?))
}

fn judge_pinned_go(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let tools = inputs.tools?;
    let pin = release_number(&tools.pinned_version);
    let needed = format!("go{pin} exactly");
    Some(match &tools.go {
        Err(_) => check.finding(Status::Skipped, "no Go toolchain to compare", "a go command that answers"),
        Ok(_) if pin.is_empty() => check.finding(Status::Ok, "no pinned version", "a pinned version to compare runs"),
        Ok(go) if go.missing_version.is_some() => {
            check.finding(Status::Skipped, "not on this machine: see go-found", needed)
        }
        Ok(go) if release_number(&go.version) == pin => check.finding(Status::Ok, &go.version, needed),
        Ok(go) => {
            let fix = Fix::user_command(format!("GOTOOLCHAIN=go{pin} go version"));
            check.finding(Status::Failure, &go.version, needed).with_fix(fix)
        }
    })
}

/// The release in a version text: `1.27.3` for `go1.27.3 X:nodwarf5`, `go1.27.3` and `1.27.3`.
fn release_number(version: &str) -> &str {
    let first = version.split_whitespace().next().unwrap_or_default();
    first.strip_prefix("go").unwrap_or(first)
}

/// The numbers of a version: 1, 27, 3 for `1.27.3`, and 1, 27, 0 for `1.27rc1`. `None` for other versions, such as
/// `devel`.
pub(super) fn version_numbers(version: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = release_number(version).split('.');
    for (index, number) in numbers.iter_mut().enumerate() {
        let Some(part) = parts.next() else { break };
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        match part.get(..digits)?.parse() {
            Ok(parsed) => *number = parsed,
            Err(_) if index > 0 => break,
            Err(_) => return None,
        }
    }
    Some(numbers)
}

fn judge_go_mod_version(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (_, go) = go_facts(inputs)?;
    let asked = go.go_mod.as_ref()?;
    if asked.go.is_empty() {
        let needed = "a go line in go.mod";
        let why = "Without a go line, Go assumes Go 1.16 for the module.";
        return Some(check.finding(Status::Info, "go.mod names no version", needed).with_reason(why));
    }
    let found = match asked.toolchain.as_str() {
        "" | "default" => format!("go.mod asks for {}, the go command is {}", asked.go, go.version),
        toolchain => format!("go.mod asks for {} and {toolchain}, the go command is {}", asked.go, go.version),
    };
    let needed = format!("go{} or newer", asked.go);
    Some(match (version_numbers(&asked.go), version_numbers(&go.version)) {
        // The check `go-found` already reports the missing version.
        (Some(asked), Some(have)) if have < asked && go.missing_version.is_some() => {
            check.finding(Status::Info, found, needed)
        }
        (Some(wanted), Some(have)) if have < wanted => {
            let release = first_release(&asked.go);
            let command = format!("goflame toolchain install {release} && goflame toolchain use {release}");
            check.finding(Status::Failure, found, needed).with_fix(Fix::user_command(command))
        }
        (Some(_), Some(_)) => check.finding(Status::Ok, found, needed),
        _ => check.finding(Status::Info, found, needed),
    })
}

fn judge_gotoolchain(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (tools, go) = go_facts(inputs)?;
    let needed = "local or a named version, or a version pinned in goflame.toml";
    let value = go.gotoolchain.as_str();
    let (status, found) = match value {
        "" => (Status::Ok, "not supported by this Go (before 1.21)".to_owned()),
        _ if !tools.pinned_version.is_empty() => (Status::Ok, format!("{value}, but the pinned version is used")),
        _ if value == "auto" || value.ends_with("+auto") => {
            (Status::Info, format!("{value}: a newer Go may be downloaded if go.mod asks for it"))
        }
        _ => (Status::Ok, value.to_owned()),
    };
    Some(check.finding(status, found, needed))
}

/// `goflags`: in a project, judges the flags of the build plan, because flags of goflame.toml override GOFLAGS. Outside of a
/// project, judges the value of GOFLAGS.
fn judge_goflags(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (tools, go) = go_facts(inputs)?;
    let needed = "no flag that strips the binary or slows it down";
    let value = if go.goflags.is_empty() { "empty" } else { go.goflags.as_str() };
    let fix = Fix::user_command("go env -u GOFLAGS; unset GOFLAGS");
    if let Some(why) = &go.flags_refusal {
        let fix = (!go.goflags.is_empty()).then_some(fix);
        return Some(check.finding(Status::Failure, format!("{value}: {why}"), needed).with_fix(fix));
    }
    let mut problems = go.flag_warnings.clone();
    if !tools.in_project {
        problems.extend(stripping_flag(&go.goflags).map(|flag| format!("{flag} strips the output of `go build`")));
    }
    if problems.is_empty() {
        return Some(check.finding(Status::Ok, value, needed));
    }
    Some(check.finding(Status::Warning, format!("{value}: {}", problems.join("; ")), needed).with_fix(fix))
}

/// Finds the flag in GOFLAGS that strips binaries.
fn stripping_flag(goflags: &str) -> Option<StripFlag> {
    let words = split_words(goflags).ok()?;
    let flags = words.iter().rev().filter_map(|word| split_name_and_value(word.text));
    let value = flags.filter(|(name, _)| *name == "ldflags").find_map(|(_, value)| value)?;
    Some(stripping_words(value).ok()?.first()?.flag)
}

fn judge_go_target(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let Target { goos, goarch, goamd64 } = inputs.target?;
    let own: &[&str] = match inputs.facts.arch.as_str() {
        // An x86-64 kernel also runs programs for 386.
        "x86_64" => &["amd64", "386"],
        "aarch64" => &["arm64"],
        "powerpc64" => &["ppc64", "ppc64le"],
        other => &[other],
    };
    let needed = format!("GOOS=linux and GOARCH={}", own.first().copied().unwrap_or_default());
    if !matches!(goos.as_str(), "" | "linux") {
        return Some(check.finding(Status::Failure, format!("GOOS={goos}"), needed));
    }
    if !goarch.is_empty() && !own.contains(&goarch.as_str()) {
        return Some(check.finding(Status::Failure, format!("GOARCH={goarch}"), needed));
    }
    let asked = goamd64.strip_prefix('v').and_then(|level| level.parse::<u32>().ok());
    let asked = asked.filter(|_| own.contains(&"amd64") && goarch != "386");
    if let (Some(asked), Some(level)) = (asked, inputs.facts.amd64_level.value())
        && asked > *level
    {
        let needed = format!("GOAMD64=v{level} or lower, because the CPU lacks instructions of {goamd64}");
        return Some(check.finding(Status::Failure, format!("GOAMD64={goamd64}"), needed));
    }
    let found = [goos, goarch, goamd64].map(String::as_str).join(" ");
    Some(check.finding(Status::Ok, if found.trim().is_empty() { "this machine" } else { found.trim() }, needed))
}

fn judge_c_compiler(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (tools, go) = go_facts(inputs)?;
    let needed = "nothing for pure Go; a C compiler for cgo";
    Some(match (&tools.c_compiler, go.cgo_enabled) {
        (Some(compiler), true) => check.finding(Status::Ok, format!("{}, cgo is on", compiler.display()), needed),
        (Some(compiler), false) => check.finding(Status::Info, format!("{}, cgo is off", compiler.display()), needed),
        (None, false) => check.finding(Status::Info, "none, cgo is off", needed),
        (None, true) => check
            .finding(Status::Warning, format!("no `{}`, and cgo is on", go.cc), "a C compiler, or CGO_ENABLED=0")
            .with_fix(c_compiler_fix(inputs.facts)),
    })
}

fn judge_module_cache(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (_, go) = go_facts(inputs)?;
    let (dir, writable) = &go.module_cache;
    let (status, state) = if *writable { (Status::Ok, "writable") } else { (Status::Warning, "not writable") };
    Some(check.finding(status, format!("{} is {state}", dir.display()), "a directory that this user may write to"))
}

fn judge_delve(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "nothing; dlv on PATH for debugging";
    Some(match &inputs.tools?.delve {
        Some(dlv) => check.finding(Status::Ok, dlv.display().to_string(), needed),
        None => check.finding(Status::Info, "not on PATH", needed),
    })
}

fn judge_perf_tool(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "perf on PATH";
    Some(match inputs.tools?.perf.as_ref()? {
        Ok(version) => check.finding(Status::Ok, version, needed),
        Err(why) => check.finding(Status::Failure, why, needed).with_fix(perf_fix(inputs.facts)),
    })
}

fn judge_build_directory(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let directory = inputs.build_directory?;
    let path = directory.path.display();
    let needed = "[archive] dir on a file system from which programs can be started";
    Some(if directory.is_noexec {
        check.finding(Status::Failure, format!("{path} is on a file system that is mounted noexec"), needed)
    } else {
        check.finding(Status::Ok, path.to_string(), needed)
    })
}

/// The repair that installs a package of the distribution. `packages` are the names in Debian, Ubuntu, Fedora, Arch,
/// Alpine and SUSE. `None` for another distribution.
fn package_fix(facts: &HostFacts, packages: [&str; 6]) -> Option<Fix> {
    let [debian, ubuntu, fedora, arch, alpine, suse] = packages;
    let command = match facts.distribution.value()?.as_str() {
        "debian" => format!("apt-get install -y {debian}"),
        "ubuntu" => format!("apt-get install -y {ubuntu}"),
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => format!("dnf install -y {fedora}"),
        "arch" => format!("pacman -S --noconfirm {arch}"),
        "alpine" => format!("apk add {alpine}"),
        "opensuse-leap" | "opensuse-tumbleweed" => format!("zypper install -y {suse}"),
        _ => return None,
    };
    Some(Fix::root_command(facts, command))
}

fn go_fix(facts: &HostFacts) -> Option<Fix> {
    package_fix(facts, ["golang-go", "golang-go", "golang", "go", "go", "go"])
}

fn c_compiler_fix(facts: &HostFacts) -> Option<Fix> {
    package_fix(facts, ["gcc libc6-dev", "gcc libc6-dev", "gcc", "gcc", "gcc musl-dev", "gcc"])
}

fn perf_fix(facts: &HostFacts) -> Option<Fix> {
    package_fix(facts, ["linux-perf", "linux-tools-generic", "perf", "perf", "perf", "perf"])
}
