//! Every check in each of its states, with temporary directories in place of `/`. One file for each group of checks.

#![allow(clippy::unwrap_used)]

mod binary;
mod fixture;
mod kernel;
mod repair;
mod sampling;
mod steadiness;
mod toolchain;

use std::collections::BTreeSet;
use std::path::Path;

use fixture::{Machine, ROOT, USER, complete_trial, judge, opened_probe, tools};
pub(super) use fixture::{docker, judged};

use super::{
    BuildDirectory, ExaminedBinary, Group, Purpose, Status, Strictness, Target, catalogue, is_ready, summary_line,
    unknown_checks,
};
use crate::host::probe;

/// Checks that have a finding only if a binary differs from the requested build.
const ONLY_DIFFERENCES: [&str; 5] =
    ["binary-debug-flags", "binary-cgo-enabled", "binary-tags", "binary-pgo", "binary-trimpath"];

#[test]
fn a_program_for_another_machine_is_a_failure() {
    let machine = Machine::new(ROOT);
    machine.write_file("proc/cpuinfo", "flags\t: lm cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3\n");
    let arch = std::env::consts::ARCH;
    let (own, other) = if arch == "x86_64" { ("amd64", "arm64") } else { ("arm64", "amd64") };
    let status = |goos: &str, goarch: &str, goamd64: &str| {
        let target = Target { goos: goos.into(), goarch: goarch.into(), goamd64: goamd64.into() };
        machine.finding("go-target", |inputs| inputs.target = Some(Box::leak(Box::new(target)))).status
    };
    for (goos, goarch, goamd64) in [("linux", own, ""), ("", "", ""), ("linux", own, "v1"), ("linux", own, "v2")] {
        assert_eq!(status(goos, goarch, goamd64), Status::Ok, "{goos} {goarch} {goamd64}");
    }
    assert_eq!(status("windows", own, ""), Status::Failure);
    assert_eq!(status("linux", other, ""), Status::Failure);
    if own == "amd64" {
        assert_eq!(status("linux", own, "v3"), Status::Failure);
        assert_eq!(status("linux", "386", "v3"), Status::Ok, "GOAMD64 has no effect on other machines");
    }
}

#[test]
fn a_machine_without_problems_is_all_ok() {
    let (tools, binary) = (tools(), binary::binary());
    let docker = docker();
    let target = Target::default();
    let directory = BuildDirectory { path: "/p/.goflame".into(), is_noexec: false };
    let findings = Machine::new(ROOT).findings(|inputs| {
        inputs.probe = Some(opened_probe("cycles", true));
        inputs.trial = Some(Ok(complete_trial()));
        inputs.confined = Some(Ok(()));
        inputs.tools = Some(&tools);
        inputs.docker = Some(&docker);
        inputs.build_directory = Some(&directory);
        inputs.target = Some(&target);
        inputs.binary = Some(ExaminedBinary { path: "app".into(), facts: Ok(&binary), mismatches: Some(&[]) });
    });
    let bad: Vec<_> = findings.iter().filter(|it| it.status != Status::Ok || it.fix.is_some()).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    let expected: Vec<_> = catalogue().map(|check| check.id).filter(|id| !ONLY_DIFFERENCES.contains(id)).collect();
    assert_eq!(ids, expected, "every check has a finding, in the catalogue's order");
    assert!(is_ready(&findings, Strictness { fails_on_warnings: true, fails_on_unsteadiness: false }));
}

#[test]
fn checks_without_their_input_have_no_findings() {
    let findings = judged(|_| {});
    let groups: BTreeSet<_> = findings.iter().map(|finding| finding.group).collect();
    assert_eq!(groups, [Group::Settings, Group::Kernel, Group::Sampling, Group::Steadiness].into());
    assert!(!findings.iter().any(|finding| finding.id == "live-probe"));
}

#[test]
fn a_run_makes_the_checks_that_a_profile_depends_on() {
    let ids: Vec<_> = judged(|inputs| inputs.purpose = Purpose::Run).iter().map(|finding| finding.id).collect();
    let expected = [
        "ignore-list",
        "perf-event-paranoid",
        "perf-mlock-budget",
        "sample-rate",
        "perf-max-stack",
        "open-files",
        "kptr-restrict",
        "pmu",
    ];
    assert_eq!(ids, expected);
}

#[test]
fn only_selected_checks_are_made() {
    let only = ["sample-rate".to_owned(), "swap".to_owned(), "binary-dwarf".to_owned()];
    let found: Vec<_> = judged(|inputs| inputs.selected_ids = &only).iter().map(|it| (it.id, it.status)).collect();
    let nothing = ("binary-dwarf", Status::Skipped);
    assert_eq!(found, [("sample-rate", Status::Ok), nothing, ("swap", Status::Ok)], "there is no binary to check");
}

#[test]
fn ignored_checks_are_skipped_but_report_what_they_found() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_max_sample_rate", "10");
    let ignore = ["sample-rate".to_owned()];
    let finding = machine.finding("sample-rate", |inputs| inputs.ignored_ids = &ignore);
    assert_eq!((finding.status, finding.found.as_str()), (Status::Skipped, "10 Hz (ignored on request)"));
    assert_eq!(finding.fix, None);
}

#[test]
fn an_unknown_id_is_reported_with_the_nearest() {
    let machine = Machine::new(USER);
    let ignore = ["perf-paranoid".to_owned(), "binary-dwarv".to_owned(), "zzz".to_owned()];
    let finding = machine.finding("ignore-list", |inputs| inputs.ignored_ids = &ignore);
    assert_eq!(finding.status, Status::Warning);
    let expected = "there is no check `perf-paranoid`; did you mean `perf-event-paranoid`?, \
                    there is no check `binary-dwarv`; did you mean `binary-dwarf`?, there is no check `zzz`";
    assert_eq!(finding.found, expected);
    assert_eq!(unknown_checks(&ignore).len(), 3);
    assert_eq!(unknown_checks(&["swap".to_owned()]), []);
}

#[test]
fn warnings_count_as_failures_in_strict_mode_only() {
    let machine = Machine::new(USER);
    let number = machine.findings(|_| {}).len();
    let capable = machine.findings(|inputs| inputs.purpose = Purpose::Run);
    assert!(is_ready(&capable, Strictness { fails_on_warnings: true, fails_on_unsteadiness: false }));
    machine.sysctl("perf_event_paranoid", "2").remove("sys/bus/event_source/devices/cpu");
    let warned = machine.findings(|inputs| inputs.purpose = Purpose::Run);
    assert_eq!(summary_line(&warned), "8 readiness checks: 6 ok, 1 note, 1 warning");
    assert!(
        is_ready(&warned, Strictness { fails_on_warnings: false, fails_on_unsteadiness: false })
            && !is_ready(&warned, Strictness { fails_on_warnings: true, fails_on_unsteadiness: false })
    );
    machine.sysctl("perf_event_max_sample_rate", "10");
    let failed = machine.findings(|inputs| inputs.purpose = Purpose::Run);
    assert_eq!(summary_line(&failed), "8 readiness checks: 5 ok, 1 note, 1 warning, 1 failure");
    assert!(!is_ready(&failed, Strictness { fails_on_warnings: false, fails_on_unsteadiness: false }));
    assert_eq!(machine.findings(|_| {}).len(), number);
}

#[test]
fn an_empty_root_has_all_findings() {
    let root = tempfile::tempdir().unwrap();
    let facts = probe(root.path());
    let findings = judge(&facts, |_| {});
    assert_eq!(findings.len(), judged(|_| {}).len());
    assert!(!is_ready(&findings, Strictness { fails_on_warnings: false, fails_on_unsteadiness: false }));
}

#[test]
fn ids_are_unique_kebab_case_and_serialised_as_such() {
    let ids: BTreeSet<_> = catalogue().map(|check| check.id).collect();
    assert_eq!(ids.len(), catalogue().count());
    assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "2");
    let json = serde_json::to_value(machine.finding("perf-event-paranoid", |_| {})).unwrap();
    assert_eq!(json["id"], "perf-event-paranoid");
    assert_eq!((json["status"].as_str(), json["group"].as_str()), (Some("warning"), Some("kernel")));
    assert_eq!(json["link"], "goflame doctor --explain perf-event-paranoid");
    assert_eq!(json["fix"]["kind"], "sysctl");
    assert_eq!(json["fix"]["now"], "sudo sysctl -w kernel.perf_event_paranoid=1");
    assert_eq!(json["fix"]["persist"], "kernel.perf_event_paranoid = 1");
    assert_eq!(json["fix"]["settings"][0]["name"], "kernel.perf_event_paranoid");
}

#[test]
fn this_machine_has_all_findings() {
    let facts = probe(Path::new("/"));
    let findings = judge(&facts, |_| {});
    assert_eq!(findings.len(), judged(|_| {}).len(), "{findings:#?}");
}
