//! Checks of the Go toolchain and related programs.

use super::binary::binary;
use super::fixture::{Machine, USER, tools};
use crate::build::GoMod;
use crate::doctor::{ExaminedBinary, Finding, GoFacts, Status, Tools};

fn finding_for(id: &str, tools: &Tools) -> Finding {
    Machine::new(USER).finding(id, |inputs| inputs.tools = Some(tools))
}

fn with_go(change: impl FnOnce(&mut GoFacts)) -> Tools {
    let mut tools = tools();
    change(tools.go.as_mut().unwrap());
    tools
}

#[test]
fn a_missing_go_command_is_a_failure_in_a_project() {
    let machine = Machine::new(USER);
    let missing = Tools { go: Err("no `go` on PATH".into()), ..tools() };
    let finding = finding_for("go-found", &missing);
    assert_eq!((finding.status, finding.found.as_str()), (Status::Failure, "no `go` on PATH"));
    assert_eq!(finding.fix.unwrap().command_now(), "sudo apt-get install -y golang-go");
    let without_settings = Tools { in_project: false, ..missing.clone() };
    assert_eq!(finding_for("go-found", &without_settings).status, Status::Failure, "`goflame run` builds the module");
    let outside = Tools { in_module: false, ..without_settings };
    assert_eq!(finding_for("go-found", &outside).status, Status::Warning, "there is nothing to build");
    let facts = binary();
    let named = machine.finding("go-found", |inputs| {
        inputs.tools = Some(&missing);
        inputs.binary = Some(ExaminedBinary { path: "app".into(), facts: Ok(&facts), mismatches: None });
    });
    assert_eq!(named.status, Status::Warning, "`goflame doctor ./app` needs no build");
    assert_eq!(finding_for("go-pin", &missing).status, Status::Skipped);
    let judged = machine.findings(|inputs| inputs.tools = Some(&missing));
    let about_go = ["go-mod", "gotoolchain", "goflags", "c-compiler", "module-cache"];
    assert!(!judged.iter().any(|finding| about_go.contains(&finding.id)), "{judged:#?}");
    machine.write_file("etc/os-release", "ID=plan9\n");
    assert_eq!(machine.finding("go-found", |inputs| inputs.tools = Some(&missing)).fix, None);
}

#[test]
fn the_oldest_go_is_1_16() {
    let status = |version: &str| finding_for("go-found", &with_go(|go| go.version = version.into())).status;
    assert_eq!(["go1.16", "go1.17.13", "go1.27.3", "devel +abc"].map(status), [Status::Ok; 4]);
    assert_eq!(["go1.9", "go1.15.15"].map(status), [Status::Warning; 2]);
}

#[test]
fn a_version_other_than_the_pinned_version_is_a_failure() {
    let pinned = |pin: &str, version: &str| {
        let tools = Tools { pinned_version: pin.into(), ..with_go(|go| go.version = version.into()) };
        finding_for("go-pin", &tools)
    };
    assert_eq!(pinned("", "go1.27.3").status, Status::Ok);
    assert_eq!(pinned("go1.27.3", "go1.27.3 X:nodwarf5").status, Status::Ok);
    let other = pinned("1.27.3", "go1.26.6");
    assert_eq!((other.status, other.found.as_str()), (Status::Failure, "go1.26.6"));
    assert_eq!(other.needed, "go1.27.3 exactly");
}

#[test]
fn an_older_version_than_in_go_mod_is_a_failure() {
    let asked = |go_mod: Option<GoMod>, version: &str| {
        let tools = with_go(|go| (go.go_mod, go.version) = (go_mod, version.into()));
        let findings = Machine::new(USER).findings(|inputs| inputs.tools = Some(&tools));
        findings.iter().find(|finding| finding.id == "go-mod").map(|finding| finding.status)
    };
    let go_mod = |go: &str| Some(GoMod { go: go.into(), toolchain: "go1.27.3".into(), ..GoMod::default() });
    assert_eq!(asked(go_mod("1.21"), "go1.27.3"), Some(Status::Ok));
    assert_eq!(asked(go_mod("1.27rc1"), "go1.27.3"), Some(Status::Ok));
    assert_eq!(asked(go_mod("1.27.4"), "go1.27.3"), Some(Status::Failure));
    assert_eq!(asked(go_mod("1.9"), "go1.19.8"), Some(Status::Ok), "9 is less than 19");
    assert_eq!(asked(go_mod("1.21"), "devel +abc"), Some(Status::Info));
    assert_eq!(asked(go_mod(""), "go1.27.3"), Some(Status::Info));
    assert_eq!(asked(None, "go1.27.3"), None);
}

#[test]
fn an_automatic_gotoolchain_is_a_note_without_a_pinned_version() {
    let status = |value: &str, pin: &str| {
        finding_for("gotoolchain", &Tools { pinned_version: pin.into(), ..with_go(|go| go.gotoolchain = value.into()) })
            .status
    };
    assert_eq!(["", "local", "go1.27.3", "path"].map(|value| status(value, "")), [Status::Ok; 4]);
    assert_eq!(["auto", "go1.27.3+auto"].map(|value| status(value, "")), [Status::Info; 2]);
    assert_eq!(status("auto", "1.27.3"), Status::Ok);
}

#[test]
fn flags_that_strip_or_slow_down_are_reported() {
    let finds_with = |change: &dyn Fn(&mut GoFacts)| finding_for("goflags", &with_go(change));
    assert_eq!(finds_with(&|_| {}).found, "empty");
    assert_eq!(finds_with(&|go| go.goflags = "-mod=vendor -buildvcs=false".into()).status, Status::Ok);
    let goflags = "-race '-ldflags=-s -w'";
    assert_eq!(finds_with(&|go| go.goflags = goflags.into()).status, Status::Ok, "the project's own flags win");
    let outside = Tools { in_project: false, ..with_go(|go| go.goflags = goflags.into()) };
    let stripped = finding_for("goflags", &outside);
    assert_eq!(stripped.status, Status::Warning);
    assert!(stripped.found.contains("-s strips"), "{stripped:?}");
    assert_eq!(finds_with(&|go| go.goflags = "-ldflags=-X=main.v=1".into()).status, Status::Ok);
    assert_eq!(
        finds_with(&|go| go.flag_warnings = vec!["-race in GOFLAGS makes it slow".into()]).status,
        Status::Warning
    );
    let refused = finds_with(&|go| {
        go.goflags = "-ldflags=-s".into();
        go.flags_refusal = Some("`-s` in GOFLAGS strips data that a profile needs".into());
    });
    assert_eq!(refused.status, Status::Failure);
    assert_eq!(refused.fix.unwrap().command_now(), "go env -u GOFLAGS; unset GOFLAGS");
}

#[test]
fn compiler_cache_and_other_tools_have_their_statuses() {
    use Status::{Info, Ok, Warning};
    let compiler = |found: bool, cgo| {
        let c_compiler = found.then(|| "/usr/bin/gcc".into());
        finding_for("c-compiler", &Tools { c_compiler, ..with_go(|go| go.cgo_enabled = cgo) })
    };
    let states = [(true, true), (true, false), (false, false), (false, true)];
    assert_eq!(states.map(|(found, cgo)| compiler(found, cgo).status), [Ok, Info, Info, Warning]);
    assert_eq!(compiler(false, true).fix.unwrap().command_now(), "sudo apt-get install -y gcc libc6-dev");
    assert_eq!(finding_for("module-cache", &tools()).status, Ok);
    assert_eq!(finding_for("module-cache", &with_go(|go| go.module_cache.1 = false)).status, Warning);
    assert_eq!(finding_for("delve", &tools()).status, Ok);
    assert_eq!(finding_for("delve", &Tools { delve: None, ..tools() }).status, Info);
    assert_eq!(finding_for("perf-tool", &tools()).status, Ok);
    let without = finding_for("perf-tool", &Tools { perf: Some(Err("no `perf` on PATH".into())), ..tools() });
    assert_eq!(without.status, Status::Failure);
    assert_eq!(without.fix.unwrap().command_now(), "sudo apt-get install -y linux-perf");
    let not_asked = Tools { perf: None, ..tools() };
    let findings = Machine::new(USER).findings(|inputs| inputs.tools = Some(&not_asked));
    assert!(!findings.iter().any(|finding| finding.id == "perf-tool"));
}
