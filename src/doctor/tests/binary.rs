//! Checks of binaries: their properties, and their differences from the requested build.

use super::fixture::{Machine, USER};
use crate::build::Mismatch;
use crate::doctor::{ExaminedBinary, Finding, Status, Strictness, is_ready};
use crate::gobin::{
    BinaryFacts, BuildInfo, BuildInfoAbsence, DwarfFacts, InliningEvidence, Layout, Optimisation, PclntabAbsence,
};

/// A binary without problems.
pub(super) fn binary() -> BinaryFacts {
    BinaryFacts {
        machine: "amd64".into(),
        is_pie: false,
        build_id: Some("abcd".into()),
        go: Ok(BuildInfo { go_version: "go1.27.3".into(), path: "example.com/app".into(), ..BuildInfo::default() }),
        has_symtab: true,
        pclntab: Ok(Layout::Go120),
        dwarf: DwarfFacts { is_present: true, version: Some(5), is_compressed: false },
        optimisation: Optimisation::Optimised { why: "inlined calls".into() },
        inlining: Some(InliningEvidence::default()),
        uses_cgo: false,
    }
}

fn findings(facts: Result<&BinaryFacts, String>, mismatches: Option<&[Mismatch]>) -> Vec<Finding> {
    let all = Machine::new(USER).findings(|inputs| {
        inputs.binary = Some(ExaminedBinary { path: "app".into(), facts, mismatches });
    });
    all.into_iter().filter(|finding| finding.id.starts_with("binary-")).collect()
}

fn finding_for(id: &str, change: impl FnOnce(&mut BinaryFacts)) -> Finding {
    let mut facts = binary();
    change(&mut facts);
    findings(Ok(&facts), None).into_iter().find(|finding| finding.id == id).unwrap()
}

#[test]
fn a_binary_without_problems_is_all_ok() {
    let all = findings(Ok(&binary()), None);
    assert!(all.iter().all(|finding| finding.status == Status::Ok), "{all:#?}");
    assert!(!all.iter().any(|finding| finding.id == "binary-as-asked"), "goflame did not build it");
}

#[test]
fn files_that_are_not_go_programs_are_a_failure() {
    let text = findings(Err("not an ELF file".into()), None);
    assert_eq!(text.len(), 1, "{text:#?}");
    assert_eq!((text[0].status, text[0].found.as_str()), (Status::Failure, "app: not an ELF file"));
    let mut other = binary();
    (other.go, other.pclntab) = (Err(BuildInfoAbsence::NotFound), Err(PclntabAbsence::NotGo));
    let other = findings(Ok(&other), None);
    assert_eq!((other.len(), other[0].status), (1, Status::Failure), "{other:#?}");
    assert!(other[0].found.contains("not a Go program"), "{other:#?}");
}

#[test]
fn a_stripped_go_binary_is_only_a_note() {
    let strip = |facts: &mut BinaryFacts| {
        facts.has_symtab = false;
        facts.dwarf = DwarfFacts { is_present: false, version: None, is_compressed: false };
    };
    assert_eq!(finding_for("binary-symbol-table", strip).status, Status::Info);
    assert_eq!(finding_for("binary-dwarf", strip).status, Status::Info);
    assert_eq!(finding_for("binary-pclntab", strip).status, Status::Ok);
    let with_c = |facts: &mut BinaryFacts| {
        strip(facts);
        facts.uses_cgo = true;
    };
    assert_eq!(finding_for("binary-symbol-table", with_c).status, Status::Warning);
    assert_eq!(finding_for("binary-cgo", with_c).status, Status::Info);
}

#[test]
fn a_missing_function_table_is_a_failure_without_a_symbol_table() {
    assert_eq!(
        finding_for("binary-pclntab", |facts| facts.pclntab = Err(PclntabAbsence::NotGo)).status,
        Status::Warning
    );
    let nameless = |facts: &mut BinaryFacts| (facts.pclntab, facts.has_symtab) = (Err(PclntabAbsence::NotGo), false);
    assert_eq!(finding_for("binary-pclntab", nameless).status, Status::Failure);
}

#[test]
fn compressed_dwarf_is_a_note() {
    let compressed = |facts: &mut BinaryFacts| facts.dwarf.is_compressed = true;
    assert_eq!(finding_for("binary-dwarf-compression", compressed).status, Status::Info);
    assert_eq!(finding_for("binary-dwarf", compressed).found, "version 5");
    assert_eq!(finding_for("binary-dwarf", |facts| facts.dwarf.version = None).status, Status::Info);
}

#[test]
fn frame_pointers_depend_on_machine_and_go_version() {
    let status = |machine: &'static str, version: &'static str| {
        finding_for("binary-frame-pointers", move |facts| {
            facts.machine = machine.into();
            facts.go = match version {
                "" => Err(BuildInfoAbsence::Damaged),
                version => Ok(BuildInfo { go_version: version.into(), ..BuildInfo::default() }),
            };
        })
        .status
    };
    assert_eq!(status("amd64", "go1.6.4"), Status::Warning);
    assert_eq!(status("amd64", "go1.7"), Status::Ok);
    assert_eq!(status("arm64", "go1.20.14"), Status::Warning);
    assert_eq!(status("arm64", "go1.21.0"), Status::Ok);
    assert_eq!(status("riscv64", "go1.27.3"), Status::Failure);
    assert_eq!(status("amd64", ""), Status::Info);
}

#[test]
fn build_settings_are_reported() {
    let settings = |pairs: &'static [(&'static str, &'static str)]| {
        move |facts: &mut BinaryFacts| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            facts.go.as_mut().unwrap().settings = pairs.collect();
        }
    };
    let debug = |facts: &mut BinaryFacts| facts.optimisation = Optimisation::Debug;
    assert_eq!(finding_for("binary-optimised", debug).status, Status::Info);
    let unknown = |facts: &mut BinaryFacts| facts.optimisation = Optimisation::Unknown { why: "no table".into() };
    assert_eq!(finding_for("binary-optimised", unknown).status, Status::Info);
    assert_eq!(finding_for("binary-race", settings(&[("-race", "true")])).status, Status::Warning);
    assert_eq!(
        finding_for("binary-build-mode", |facts| facts.is_pie = true).found,
        "pie: the kernel chooses the addresses"
    );
    let stamp = settings(&[("vcs.revision", "0123456789abcdef"), ("vcs.modified", "true")]);
    assert_eq!(finding_for("binary-vcs", stamp).found, "0123456789ab, with changes");
    let flags = settings(&[("-compiler", "gc"), ("-gcflags", "all=-N -l"), ("GOARCH", "amd64")]);
    assert_eq!(finding_for("binary-flags", flags).found, "-gcflags=all=-N -l");
    assert_eq!(finding_for("binary-build-id", |facts| facts.build_id = None).status, Status::Info);
    let bare = |facts: &mut BinaryFacts| facts.go.as_mut().unwrap().path.clear();
    assert_eq!(finding_for("binary-build-info", bare).status, Status::Info);
    let old = |facts: &mut BinaryFacts| facts.go = Err(BuildInfoAbsence::Damaged);
    assert_eq!(finding_for("binary-build-info", old).status, Status::Warning);
    assert_eq!(finding_for("binary-go-version", old).status, Status::Info);
}

fn mismatch(id: &'static str) -> Mismatch {
    let (asked, found) = ("this".to_owned(), "that".to_owned());
    Mismatch { id, requested: asked, found, why_it_matters: "it matters", advice: "do something" }
}

#[test]
fn each_difference_has_its_finding() {
    let facts = binary();
    let differences = ["debug-flags", "vcs", "never-seen"].map(mismatch);
    let all = findings(Ok(&facts), Some(&differences));
    let status = |id: &str| all.iter().find(|finding| finding.id == id).unwrap();
    assert_eq!(status("binary-debug-flags").status, Status::Failure);
    assert_eq!(status("binary-vcs").status, Status::Warning);
    let unknown = status("binary-as-asked");
    assert_eq!((unknown.status, unknown.found.as_str()), (Status::Failure, "that"), "no check has its id");
    let flags = status("binary-debug-flags");
    assert_eq!((flags.needed.as_str(), flags.found.as_str()), ("this", "that"));
    assert_eq!(flags.why, "It matters. Do something.");

    let single = findings(Ok(&facts), Some(&differences[..1]));
    let asked = single.iter().find(|finding| finding.id == "binary-as-asked").unwrap();
    assert_eq!((asked.status, asked.found.as_str()), (Status::Info, "differs: see binary-debug-flags"));
    let ignore = ["binary-debug-flags".to_owned()];
    let ignored = Machine::new(USER).findings(|inputs| {
        inputs.binary =
            Some(ExaminedBinary { path: "app".into(), facts: Ok(&facts), mismatches: Some(&differences[..1]) });
        inputs.ignored_ids = &ignore;
    });
    assert!(is_ready(&ignored, Strictness { fails_on_warnings: true, fails_on_unsteadiness: false }), "{ignored:#?}");
}

#[test]
fn requested_properties_are_not_warnings() {
    let mut facts = binary();
    facts.optimisation = Optimisation::Debug;
    facts.go.as_mut().unwrap().settings = vec![("-race".into(), "true".into())];
    let all = findings(Ok(&facts), Some(&[]));
    assert!(all.iter().all(|finding| !finding.is_bad()), "{all:#?}");
    assert_eq!(all.iter().find(|finding| finding.id == "binary-optimised").unwrap().found, "-N -l, as asked");
}
