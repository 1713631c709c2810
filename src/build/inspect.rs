//! Inspection: compares the requested build with the built binary.

use crate::config::{Toolchain, Variant};
use crate::gobin::{BinaryFacts, BuildInfo, Optimisation};

use super::goflags::{self, PackageFlags};
use super::toolchain::{bare_version, pinned_version};

/// One difference between the requested build and the binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Stable name in kebab-case.
    pub id: &'static str,
    /// Value that the settings request.
    pub requested: String,
    /// Value found in the binary.
    pub found: String,
    /// Effect on a profile.
    pub why_it_matters: &'static str,
    /// Advice: how to fix it.
    pub advice: &'static str,
}

/// Compares a binary with the variant and the pin that it was built for. Returns an empty list if the binary matches,
/// as far as a binary can show. Unknown facts are not a mismatch: an unknown optimisation state or an empty pin.
pub fn find_mismatches(facts: &BinaryFacts, variant: &Variant, pin: &Toolchain) -> Vec<Mismatch> {
    let mut found = section_mismatches(facts, variant);
    found.extend(compilation_mismatches(facts, variant));
    match &facts.go {
        Ok(info) => found.extend(build_info_mismatches(info, variant, pin)),
        Err(absence) => found.push(Mismatch {
            id: "build-info",
            requested: "Go build info".to_owned(),
            found: absence.to_string(),
            why_it_matters: "without it neither the Go version nor the flags of this binary can be checked",
            advice: "build with `go build` or `go test -c`, and do not change the binary",
        }),
    }
    found
}

/// Checks names and debug information.
fn section_mismatches(facts: &BinaryFacts, variant: &Variant) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if let Err(reason) = &facts.pclntab {
        found.push(Mismatch {
            id: "pclntab",
            requested: "Go's function table".to_owned(),
            found: reason.to_string(),
            why_it_matters: "it names the functions, lines and inlined calls of Go code",
            advice: "use a Go version that goflame knows, and no tool that rewrites the binary",
        });
    }
    if !facts.has_symtab {
        found.push(Mismatch {
            id: "symbol-table",
            requested: "a symbol table".to_owned(),
            found: "none".to_owned(),
            why_it_matters: "functions of C and assembly outside of Go's own table have no names",
            advice: "build without -s, also in GOFLAGS and -extldflags, and do not strip the binary",
        });
    }
    let ldflags = PackageFlags::parse(&variant.ldflags);
    if !facts.dwarf.is_present {
        found.push(Mismatch {
            id: "dwarf",
            requested: "DWARF debug information".to_owned(),
            found: "none".to_owned(),
            why_it_matters: "C functions have no lines and no inlined calls, and the binary cannot be debugged",
            advice: "build without -w and -s, also in GOFLAGS and -extldflags, and do not strip the binary",
        });
    } else if facts.dwarf.is_compressed && goflags::last_value(&ldflags.words, "compressdwarf") == Some("false") {
        found.push(Mismatch {
            id: "dwarf-compression",
            requested: "uncompressed DWARF (-compressdwarf=false)".to_owned(),
            found: "compressed DWARF".to_owned(),
            why_it_matters: "tools that cannot decompress it show no lines",
            advice: "look for an external linker (-extldflags) or a tool that compresses it again",
        });
    }
    found
}

/// Checks optimisation and build mode, as the machine code shows them.
fn compilation_mismatches(facts: &BinaryFacts, variant: &Variant) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let gcflags = PackageFlags::parse(&variant.gcflags);
    match &facts.optimisation {
        Optimisation::Optimised { why } if gcflags.is_debug() && gcflags.applies_to_all_packages() => {
            found.push(Mismatch {
                id: "debug-flags",
                requested: "no optimisation (-gcflags=all=-N -l)".to_owned(),
                found: format!("optimised code: {why}"),
                why_it_matters: "functions are inlined and do not have frames of their own",
                advice: "look for a wrapper around go or a -toolexec in GOFLAGS that drops -gcflags",
            });
        }
        Optimisation::Debug if !gcflags.is_debug() => found.push(Mismatch {
            id: "optimised",
            requested: "optimised code".to_owned(),
            found: "code built with -N -l".to_owned(),
            why_it_matters: "-N -l costs CPU unevenly, so this profile does not rank hot spots as the shipped program does",
            advice: "take -N -l out of GOFLAGS (`go env GOFLAGS`)",
        }),
        _ => {}
    }
    if let ("pie", false) | ("exe", true) = (variant.buildmode.as_str(), facts.is_pie) {
        found.push(Mismatch {
            id: "build-mode",
            requested: format!("-buildmode={}", variant.buildmode),
            found: if facts.is_pie { "a position-independent executable" } else { "an executable at fixed addresses" }
                .to_owned(),
            why_it_matters: "addresses and relocations differ from the program that is shipped",
            advice: "look for -ldflags or -extldflags that choose another kind of executable",
        });
    }
    if variant.cgo == Some(false) && facts.uses_cgo {
        found.push(Mismatch {
            id: "cgo",
            requested: "no cgo".to_owned(),
            found: "C code linked in".to_owned(),
            why_it_matters: "stacks that pass through C are harder to follow, and the C library becomes part of the build",
            advice: "look for CGO_ENABLED in a wrapper around go",
        });
    }
    found
}

/// Checks the build information that the go command wrote into the binary.
fn build_info_mismatches(info: &BuildInfo, variant: &Variant, pin: &Toolchain) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let mut compare = |id, requested: String, shown: String, why, fix| {
        if requested != shown {
            found.push(Mismatch { id, requested, found: shown, why_it_matters: why, advice: fix });
        }
    };
    if let Some(pinned) = pinned_version(pin) {
        compare(
            "go-version",
            pinned,
            bare_version(&info.go_version).to_owned(),
            "another Go compiles to other code: the run cannot be compared with those of the pinned version",
            "build again with goflame, and look for a wrapper around go that sets GOTOOLCHAIN",
        );
    }
    // Before Go 1.18, build info has no settings.
    if info.settings.is_empty() {
        return found;
    }
    let switch = |flag: &str, on: bool| format!("{flag}={on}");
    compare(
        "trimpath",
        switch("-trimpath", variant.trimpath),
        switch("-trimpath", info.setting("-trimpath") == Some("true")),
        "absolute paths make the binary depend on the directory that it was built in",
        "look for -trimpath in GOFLAGS",
    );
    compare(
        "race",
        switch("-race", variant.race),
        switch("-race", info.setting("-race") == Some("true")),
        "the race detector makes the program several times slower and adds its own functions",
        "look for -race in GOFLAGS",
    );
    compare(
        "vcs",
        switch("-buildvcs", variant.buildvcs),
        switch("-buildvcs", info.setting("vcs.revision").is_some()),
        "version control state in the binary changes its bytes with every commit and every stray file",
        "-buildvcs=true needs a git commit around the main package",
    );
    if let Some(cgo) = variant.cgo {
        compare(
            "cgo-enabled",
            format!("CGO_ENABLED={}", u8::from(cgo)),
            format!("CGO_ENABLED={}", info.setting("CGO_ENABLED").unwrap_or_default()),
            "with and without cgo, packages such as net and os/user are different code",
            "look for CGO_ENABLED in a wrapper around go",
        );
    }
    if !variant.tags.is_empty() {
        compare(
            "tags",
            format!("-tags={}", variant.tags.join(",")),
            format!("-tags={}", info.setting("-tags").unwrap_or_default()),
            "build tags choose which files are compiled",
            "look for a wrapper around go that sets -tags",
        );
    }
    if let "off" | "auto" | "" = variant.pgo.as_str() {
        if variant.pgo == "off" {
            compare(
                "pgo",
                "no -pgo".to_owned(),
                info.setting("-pgo").map_or("no -pgo".to_owned(), |profile| format!("-pgo={profile}")),
                "a profile changes what is inlined",
                "look for a wrapper around go that sets -pgo",
            );
        }
    } else if info.setting("-pgo").is_none() {
        compare(
            "pgo",
            format!("-pgo={}", variant.pgo),
            "no -pgo".to_owned(),
            "the binary is not optimised by the profile",
            "look for a wrapper around go that drops -pgo",
        );
    }
    found
}

#[cfg(test)]
mod tests;
