//! Findings about properties of a binary, without comparing it to a requested build.

use crate::doctor::check::Check;
use crate::doctor::finding::{Finding, Status};
use crate::doctor::inputs::Inputs;
use crate::doctor::toolchain::version_numbers;
use crate::gobin::{BinaryFacts, Optimisation};

/// The facts, if the binary is a Go program. For other files, only `binary-file` has a finding.
fn go_binary_facts<'a>(inputs: &Inputs<'a>) -> Option<&'a BinaryFacts> {
    let facts = inputs.binary.as_ref()?.facts.as_ref().ok()?;
    is_go_program(facts).then_some(*facts)
}

/// Whether the binary is a Go program. Even a stripped Go program has build info and a function table.
fn is_go_program(facts: &BinaryFacts) -> bool {
    facts.go.is_ok() || facts.pclntab.is_ok()
}

/// Whether goflame built the binary. Differences from the requested build then have separate findings.
fn is_own_build(inputs: &Inputs) -> bool {
    inputs.binary.as_ref().is_some_and(|binary| binary.mismatches.is_some())
}

pub(super) fn judge_file_type(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let binary = inputs.binary.as_ref()?;
    let needed = "an ELF file that Go's linker wrote";
    Some(match &binary.facts {
        Err(why) => check.finding(Status::Failure, format!("{}: {why}", binary.path), needed),
        Ok(facts) if !is_go_program(facts) => {
            let why = "It has neither Go's function table nor Go's build info: it can be sampled, but its stacks are not \
                       Go stacks.";
            let found = format!("{}: a program for {}, but not a Go program", binary.path, facts.machine);
            check.finding(Status::Failure, found, needed).with_reason(why)
        }
        Ok(facts) => check.finding(Status::Ok, format!("{}: a Go program for {}", binary.path, facts.machine), needed),
    })
}

pub(super) fn judge_go_version(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "Go 1.2 or newer, whose function table goflame reads";
    Some(match &go_binary_facts(inputs)?.go {
        Ok(info) => check.finding(Status::Ok, &info.go_version, needed),
        Err(_) => check.finding(Status::Info, "not recorded", needed),
    })
}

pub(super) fn judge_build_info(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "the build info that `go build` writes into the binary";
    Some(match &go_binary_facts(inputs)?.go {
        Ok(info) if info.path.is_empty() => check.finding(Status::Info, "only the Go version", needed),
        Ok(info) => check.finding(Status::Ok, format!("package {}", info.path), needed),
        Err(why) => check.finding(Status::Warning, why.to_string(), needed),
    })
}

pub(super) fn judge_build_flags(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let info = go_binary_facts(inputs)?.go.as_ref().ok()?;
    let needed = "none that strips or slows down";
    let flags: Vec<String> = info
        .settings
        .iter()
        .filter(|(key, _)| key.starts_with('-') && key != "-compiler" && key != "-buildmode")
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let found = if flags.is_empty() { "none recorded".to_owned() } else { flags.join(" ") };
    Some(check.finding(Status::Ok, found, needed))
}

pub(super) fn judge_pclntab(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let facts = go_binary_facts(inputs)?;
    let needed = "a function table of a supported Go version";
    Some(match &facts.pclntab {
        Ok(layout) => check.finding(Status::Ok, layout.to_string(), needed),
        Err(why) if facts.has_symtab => {
            let effect = "Names come from the symbol table instead, without lines and inlined calls.";
            check.finding(Status::Warning, why.to_string(), needed).with_reason(effect)
        }
        Err(why) => {
            let effect = "There is no symbol table either: functions would have no names.";
            check.finding(Status::Failure, why.to_string(), needed).with_reason(effect)
        }
    })
}

pub(super) fn judge_symbol_table(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let facts = go_binary_facts(inputs)?;
    let needed = "nothing for Go code; a symbol table for C code";
    Some(match (facts.has_symtab, facts.uses_cgo) {
        (true, _) => check.finding(Status::Ok, "present", needed),
        (false, false) => {
            let why = "The binary is stripped, but Go's function table still has the names of its functions.";
            check.finding(Status::Info, "none: stripped", needed).with_reason(why)
        }
        (false, true) => {
            let why = "The binary is stripped: Go functions have names, C functions have none.";
            check.finding(Status::Warning, "none: stripped, with C code", needed).with_reason(why)
        }
    })
}

pub(super) fn judge_dwarf(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let dwarf = go_binary_facts(inputs)?.dwarf;
    let needed = "nothing for profiles of Go code; DWARF for debuggers";
    Some(match (dwarf.is_present, dwarf.version) {
        (true, Some(version)) => check.finding(Status::Ok, format!("version {version}"), needed),
        (true, None) => check.finding(Status::Info, "present, but its version cannot be read", needed),
        (false, _) => check.finding(Status::Info, "none", needed),
    })
}

pub(super) fn judge_dwarf_compression(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let dwarf = go_binary_facts(inputs)?.dwarf;
    if !dwarf.is_present {
        return None;
    }
    let needed = "nothing; -ldflags=-compressdwarf=false for tools that cannot decompress";
    let (status, found) = if dwarf.is_compressed { (Status::Info, "compressed") } else { (Status::Ok, "uncompressed") };
    Some(check.finding(status, found, needed))
}

pub(super) fn judge_frame_pointers(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let facts = go_binary_facts(inputs)?;
    let needed = "amd64 with Go 1.7, or arm64 with Go 1.21, or newer";
    let version = facts.go.as_ref().ok().and_then(|info| version_numbers(&info.go_version));
    let min = match facts.machine.as_str() {
        "amd64" => [1, 7, 0],
        "arm64" => [1, 21, 0],
        machine => {
            let found = format!("Go has no frame pointers on {machine}");
            return Some(check.finding(Status::Failure, found, needed));
        }
    };
    Some(match version {
        Some(version) if version >= min => check.finding(Status::Ok, "present in this Go version", needed),
        Some(_) => check.finding(Status::Warning, "not reliable in this Go version", needed),
        None => check.finding(Status::Info, "unknown, because the Go version is unknown", needed),
    })
}

pub(super) fn judge_optimisation(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let asked = if is_own_build(inputs) { ", as asked" } else { "" };
    let needed = "optimised code to rank hot spots, -N -l to see every call";
    Some(match &go_binary_facts(inputs)?.optimisation {
        Optimisation::Optimised { .. } => check.finding(Status::Ok, format!("optimised{asked}"), needed),
        Optimisation::Debug => check.finding(Status::Info, format!("-N -l{asked}"), needed),
        Optimisation::Unknown { why } => check.finding(Status::Info, format!("unknown: {why}"), needed),
    })
}

pub(super) fn judge_inlining(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let inlining = go_binary_facts(inputs)?.inlining.as_ref()?;
    Some(check.finding(Status::Ok, inlining.to_string(), "nothing; -gcflags=all=-l turns inlining off"))
}

pub(super) fn judge_build_mode(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let found =
        if go_binary_facts(inputs)?.is_pie { "pie: the kernel chooses the addresses" } else { "fixed addresses" };
    Some(check.finding(Status::Ok, found, "either"))
}

pub(super) fn judge_c_code(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "nothing; pure Go for the simplest stacks";
    Some(if go_binary_facts(inputs)?.uses_cgo {
        let why = "C compilers use the frame pointer register for other values, so callchains may end in C code. Builds of \
                   goflame compile C code with -fno-omit-frame-pointer; other builds need it in CGO_CFLAGS and CGO_CXXFLAGS.";
        check.finding(Status::Info, "C code is linked in", needed).with_reason(why)
    } else {
        check.finding(Status::Ok, "pure Go", needed)
    })
}

pub(super) fn judge_race_detector(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let info = go_binary_facts(inputs)?.go.as_ref().ok()?;
    let on = info.setting("-race") == Some("true");
    let (status, found) = match (on, is_own_build(inputs)) {
        (false, _) => (Status::Ok, "off"),
        (true, true) => (Status::Info, "on, as asked"),
        (true, false) => (Status::Warning, "on"),
    };
    Some(check.finding(status, found, "off"))
}

pub(super) fn judge_vcs_revision(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let info = go_binary_facts(inputs)?.go.as_ref().ok()?;
    let needed = "nothing; the manifest of a run holds the git state";
    let Some(revision) = info.setting("vcs.revision") else {
        return Some(check.finding(Status::Ok, "no stamp", needed));
    };
    let revision: String = revision.chars().take(12).collect();
    let modified = if info.setting("vcs.modified") == Some("true") { ", with changes" } else { "" };
    Some(check.finding(Status::Ok, format!("{revision}{modified}"), needed))
}

pub(super) fn judge_build_id(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "a GNU build id, else the file's path and time identify the binary";
    Some(match &go_binary_facts(inputs)?.build_id {
        Some(id) => check.finding(Status::Ok, id, needed),
        None => check.finding(Status::Info, "none", needed),
    })
}
