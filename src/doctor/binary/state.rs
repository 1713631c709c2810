//! What a binary shows of itself, whoever built it.

use crate::doctor::check::Check;
use crate::doctor::finding::{Finding, Status};
use crate::doctor::inputs::Inputs;
use crate::doctor::toolchain::numbers;
use crate::gobin::{Facts, Optimisation};

/// The facts; without them there is nothing to judge but the file.
fn facts<'a>(inputs: &Inputs<'a>) -> Option<&'a Facts> {
    let facts = inputs.binary.as_ref()?.facts.as_ref().ok()?;
    is_go(facts).then_some(*facts)
}

/// Build info and function table survive stripping: a file without both is not Go's.
fn is_go(facts: &Facts) -> bool {
    facts.go.is_ok() || facts.pclntab.is_ok()
}

/// Whether the build was asked for something, and the binary is as asked.
fn is_asked_for(inputs: &Inputs) -> bool {
    inputs.binary.as_ref().is_some_and(|binary| binary.mismatches.is_some())
}

pub(super) fn file(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let binary = inputs.binary.as_ref()?;
    let needed = "an ELF file that Go's linker wrote";
    Some(match &binary.facts {
        Err(why) => check.finds(Status::Failure, format!("{}: {why}", binary.path), needed),
        Ok(facts) if !is_go(facts) => {
            let why = "It has neither Go's function table nor Go's build info: it can be sampled, but its stacks are not \
                       Go's.";
            let found = format!("{}: a program for {}, not of Go", binary.path, facts.machine);
            check.finds(Status::Failure, found, needed).because(why)
        }
        Ok(facts) => check.finds(Status::Ok, format!("{}: a Go program for {}", binary.path, facts.machine), needed),
    })
}

pub(super) fn go_version(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "a Go whose function table is read (1.16 and newer)";
    Some(match &facts(inputs)?.go {
        Ok(info) => check.finds(Status::Ok, &info.go_version, needed),
        Err(_) => check.finds(Status::Info, "not recorded", needed),
    })
}

pub(super) fn build_info(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "what `go build` writes into the binary";
    Some(match &facts(inputs)?.go {
        Ok(info) if info.path.is_empty() => check.finds(Status::Info, "the Go version alone", needed),
        Ok(info) => check.finds(Status::Ok, format!("of {}", info.path), needed),
        Err(why) => check.finds(Status::Warning, why.to_string(), needed),
    })
}

pub(super) fn flags(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let info = facts(inputs)?.go.as_ref().ok()?;
    let needed = "none that strips or slows down";
    let flags: Vec<String> = info
        .settings
        .iter()
        .filter(|(key, _)| key.starts_with('-') && key != "-compiler" && key != "-buildmode")
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let found = if flags.is_empty() { "none recorded".to_owned() } else { flags.join(" ") };
    Some(check.finds(Status::Ok, found, needed))
}

pub(super) fn pclntab(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let facts = facts(inputs)?;
    let needed = "a function table of a Go that goflame knows";
    Some(match &facts.pclntab {
        Ok(layout) => check.finds(Status::Ok, layout, needed),
        Err(why) if facts.symtab => {
            let less = "Names come from the symbol table instead: without lines and inlined calls.";
            check.finds(Status::Warning, why, needed).because(less)
        }
        Err(why) => {
            let none = "There is no symbol table either: no function would have a name.";
            check.finds(Status::Failure, why, needed).because(none)
        }
    })
}

pub(super) fn symbol_table(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let facts = facts(inputs)?;
    let needed = "nothing for Go code; a symbol table for C code";
    Some(match (facts.symtab, facts.cgo) {
        (true, _) => check.finds(Status::Ok, "there", needed),
        (false, false) => {
            let why = "The binary is stripped. Go's function table names its functions all the same.";
            check.finds(Status::Info, "none: stripped", needed).because(why)
        }
        (false, true) => {
            let why = "The binary is stripped: its C functions will have no names, its Go functions have.";
            check.finds(Status::Warning, "none: stripped, with C code inside", needed).because(why)
        }
    })
}

pub(super) fn dwarf(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let dwarf = facts(inputs)?.dwarf;
    let needed = "nothing for profiles of Go code; DWARF for debuggers";
    Some(match (dwarf.present, dwarf.version) {
        (true, Some(version)) => check.finds(Status::Ok, format!("version {version}"), needed),
        (true, None) => check.finds(Status::Info, "of a version that cannot be read", needed),
        (false, _) => check.finds(Status::Info, "none", needed),
    })
}

pub(super) fn compression(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let dwarf = facts(inputs)?.dwarf;
    if !dwarf.present {
        return None;
    }
    let needed = "nothing; -ldflags=-compressdwarf=false for tools that cannot decompress";
    let (status, found) = if dwarf.compressed { (Status::Info, "compressed") } else { (Status::Ok, "uncompressed") };
    Some(check.finds(status, found, needed))
}

pub(super) fn frame_pointers(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let facts = facts(inputs)?;
    let needed = "amd64 with Go 1.7, or arm64 with Go 1.21, or newer";
    let version = facts.go.as_ref().ok().and_then(|info| numbers(&info.go_version));
    let least = match facts.machine.as_str() {
        "amd64" => [1, 7, 0],
        "arm64" => [1, 21, 0],
        machine => {
            let found = format!("Go keeps none on {machine}");
            return Some(check.finds(Status::Failure, found, needed));
        }
    };
    Some(match version {
        Some(version) if version >= least => check.finds(Status::Ok, "kept by this Go", needed),
        Some(_) => check.finds(Status::Warning, "not reliable in this Go", needed),
        None => check.finds(Status::Info, "unknown, as the Go version is", needed),
    })
}

pub(super) fn optimised(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let asked = if is_asked_for(inputs) { ", as asked" } else { "" };
    let needed = "optimised code to rank hot spots, -N -l to see every call";
    Some(match &facts(inputs)?.optimisation {
        Optimisation::Optimised { .. } => check.finds(Status::Ok, format!("optimised{asked}"), needed),
        Optimisation::Debug => check.finds(Status::Info, format!("-N -l{asked}"), needed),
        Optimisation::Unknown { why } => check.finds(Status::Info, format!("unknown: {why}"), needed),
    })
}

pub(super) fn inlining(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let inlining = facts(inputs)?.inlining.as_ref()?;
    Some(check.finds(Status::Ok, inlining.to_string(), "nothing; -gcflags=all=-l for none"))
}

pub(super) fn build_mode(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let found = if facts(inputs)?.pie { "pie: at addresses that the kernel chooses" } else { "at fixed addresses" };
    Some(check.finds(Status::Ok, found, "either"))
}

pub(super) fn cgo(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "nothing; pure Go for the simplest stacks";
    Some(if facts(inputs)?.cgo {
        let why = "C compilers use the frame pointer's register for other things: C stacks may end where Go called C.";
        check.finds(Status::Info, "C code is linked in", needed).because(why)
    } else {
        check.finds(Status::Ok, "pure Go", needed)
    })
}

pub(super) fn race(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let info = facts(inputs)?.go.as_ref().ok()?;
    let on = info.setting("-race") == Some("true");
    let (status, found) = match (on, is_asked_for(inputs)) {
        (false, _) => (Status::Ok, "off"),
        (true, true) => (Status::Info, "on, as asked"),
        (true, false) => (Status::Warning, "on"),
    };
    Some(check.finds(status, found, "off"))
}

pub(super) fn vcs(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let info = facts(inputs)?.go.as_ref().ok()?;
    let needed = "nothing; goflame keeps the git state in the manifest";
    let Some(revision) = info.setting("vcs.revision") else {
        return Some(check.finds(Status::Ok, "no stamp", needed));
    };
    let revision: String = revision.chars().take(12).collect();
    let changed = if info.setting("vcs.modified") == Some("true") { ", with changes" } else { "" };
    Some(check.finds(Status::Ok, format!("{revision}{changed}"), needed))
}

pub(super) fn build_id(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "a GNU build id, else path and time of the file have to do";
    Some(match &facts(inputs)?.build_id {
        Some(id) => check.finds(Status::Ok, id, needed),
        None => check.finds(Status::Info, "none", needed),
    })
}
