#![allow(clippy::unwrap_used)]

use super::super::fixture::variant;
use super::*;
use crate::gobin::{BuildInfoAbsence, DwarfFacts, Layout, PclntabAbsence};

/// Facts of a debug build by Go 1.26.8.
fn facts() -> BinaryFacts {
    let settings = [("-gcflags", "all=-N -l"), ("-trimpath", "true"), ("CGO_ENABLED", "1"), ("-tags", "a,b")];
    BinaryFacts {
        machine: "amd64".to_owned(),
        is_pie: false,
        build_id: None,
        go: Ok(BuildInfo {
            go_version: "go1.26.8 X:nodwarf5".to_owned(),
            settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..BuildInfo::default()
        }),
        has_symtab: true,
        pclntab: Ok(Layout::Go120),
        dwarf: DwarfFacts { is_present: true, version: Some(5), is_compressed: false },
        optimisation: Optimisation::Debug,
        inlining: None,
        uses_cgo: false,
    }
}

fn ids(facts: &BinaryFacts, variant: &Variant, pin: &str) -> Vec<&'static str> {
    find_mismatches(facts, variant, &Toolchain { go: pin.to_owned(), ..Toolchain::default() })
        .iter()
        .map(|mismatch| mismatch.id)
        .collect()
}

#[test]
fn a_binary_as_requested_has_no_mismatch() {
    assert_eq!(ids(&facts(), &variant("all=-N -l"), "1.26.8"), [""; 0]);
}

#[test]
fn each_difference_has_its_own_id() {
    type Change = (fn(&mut BinaryFacts), fn(&mut Variant), &'static str);
    let changes: [Change; 19] = [
        (|facts| facts.go = Err(BuildInfoAbsence::NotFound), |_| (), "build-info"),
        (|facts| facts.go.as_mut().unwrap().go_version = "go1.26.80".to_owned(), |_| (), "go-version"),
        (|facts| facts.pclntab = Err(PclntabAbsence::NotGo), |_| (), "pclntab"),
        (|facts| facts.has_symtab = false, |_| (), "symbol-table"),
        (|facts| facts.dwarf.is_present = false, |_| (), "dwarf"),
        (|facts| facts.dwarf.is_compressed = true, |_| (), "dwarf-compression"),
        (|facts| facts.optimisation = Optimisation::Optimised { why: "x".to_owned() }, |_| (), "debug-flags"),
        (|_| (), |variant| variant.gcflags.clear(), "optimised"),
        (|_| (), |variant| variant.buildmode = "pie".to_owned(), "build-mode"),
        (|facts| facts.is_pie = true, |variant| variant.buildmode = "exe".to_owned(), "build-mode"),
        (|_| (), |variant| variant.trimpath = false, "trimpath"),
        (|_| (), |variant| variant.race = true, "race"),
        (|facts| set(facts, "-race", "true"), |_| (), "race"),
        (|_| (), |variant| variant.buildvcs = true, "vcs"),
        (|facts| set(facts, "vcs.revision", "f00"), |_| (), "vcs"),
        (|_| (), |variant| variant.cgo = Some(false), "cgo-enabled"),
        (|_| (), |variant| variant.tags = vec!["b".to_owned()], "tags"),
        (|_| (), |variant| variant.pgo = "cpu.pprof".to_owned(), "pgo"),
        (|facts| set(facts, "-pgo", "default.pgo"), |variant| variant.pgo = "off".to_owned(), "pgo"),
    ];
    for (change_facts, change_variant, id) in changes {
        let (mut facts, mut variant) = (facts(), variant("all=-N -l"));
        change_facts(&mut facts);
        change_variant(&mut variant);
        assert_eq!(ids(&facts, &variant, "1.26.8"), [id]);
    }
}

#[test]
fn build_info_of_go_before_1_18_shows_only_the_version() {
    let mut facts = facts();
    let info = facts.go.as_mut().unwrap();
    info.settings.clear();
    info.go_version = "go1.17.13".to_owned();
    assert_eq!(ids(&facts, &variant("all=-N -l"), "1.17.13"), [""; 0]);
    assert_eq!(ids(&facts, &variant("all=-N -l"), "1.26.8"), ["go-version"]);
}

fn set(facts: &mut BinaryFacts, key: &str, value: &str) {
    facts.go.as_mut().unwrap().settings.push((key.to_owned(), value.to_owned()));
}

#[test]
fn c_code_in_a_program_without_cgo_is_a_mismatch() {
    let mut facts = facts();
    facts.uses_cgo = true;
    set(&mut facts, "CGO_ENABLED", "0");
    let variant = Variant { cgo: Some(false), ..variant("all=-N -l") };
    assert_eq!(ids(&facts, &variant, ""), ["cgo", "cgo-enabled"]);
}

#[test]
fn unset_and_unknown_properties_are_not_mismatches() {
    let mut facts = facts();
    facts.dwarf.is_compressed = true;
    facts.optimisation = Optimisation::Unknown { why: "no table".to_owned() };
    let unasked = Variant { ldflags: String::new(), ..variant("all=-N -l") };
    assert_eq!(ids(&facts, &unasked, ""), [""; 0]);
    // `-N -l` for the main package alone leaves the other packages optimised.
    facts.optimisation = Optimisation::Optimised { why: "x".to_owned() };
    assert_eq!(ids(&facts, &Variant { gcflags: "-N -l".to_owned(), ..unasked }, ""), [""; 0]);
}

#[test]
fn a_mismatch_names_the_requested_and_the_found_value() {
    let found = find_mismatches(
        &facts(),
        &variant("all=-N -l"),
        &Toolchain { go: "1.27.3".to_owned(), ..Toolchain::default() },
    );
    let mismatch = found.first().unwrap();
    assert_eq!((mismatch.requested.as_str(), mismatch.found.as_str()), ("go1.27.3", "go1.26.8"));
}
