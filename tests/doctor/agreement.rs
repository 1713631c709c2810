//! Compares the findings of `goflame doctor` with the result of `goflame run`. Any difference is a bug in one of the two.

use crate::harness::{Caller, Doctor, Machine, Project, ROOT, Ran, USER, print_figure};

/// Runs doctor and a run of the project, and compares their results. `goflame` runs goflame in the project's directory,
/// which has another path in a container.
#[track_caller]
pub(crate) fn compare_doctor_and_run(what: &str, project: &Project, goflame: &dyn Fn(&[&str]) -> Ran) -> Doctor {
    let doctor = Doctor::parse(&goflame(&["doctor", "--json"]));
    let ran = goflame(&["run", "--json"]);
    let failures = doctor.with_status("failure");
    print_figure(&format!(
        "{what}: doctor {} (failures {failures:?}, warnings {:?}), run ends with {}",
        doctor.code,
        doctor.with_status("warning"),
        ran.code
    ));
    assert_eq!(ran.code, doctor.code, "{what}: {:#}\n{}", doctor.json, ran.stderr);
    if ran.code != 0 {
        for id in failures {
            assert!(ran.stderr.contains(&format!("not ready: {id}: ")), "{what}: {id}\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("Building"), "{what}: it stops before it builds\n{}", ran.stderr);
        return doctor;
    }
    let manifest = project.manifest(&ran);
    let (sampler, quality) = (&manifest["sampler"], &manifest["quality"]);
    assert!(quality["samples"].as_u64().unwrap() > 20, "{what}: user stacks were promised: {quality:#}");
    let kernel = doctor.status("kernel-stacks") == "ok";
    assert_eq!(sampler["kernel"], kernel, "{what}: {sampler:#}");
    assert_eq!(quality["kernel_frames"].as_u64().unwrap() > 0, kernel, "{what}: {quality:#}");
    if kernel {
        let named = doctor.status("kptr-restrict") == "ok";
        assert_eq!(sampler["kernel_symbols_absent"].is_null(), named, "{what}: {sampler:#}");
        let unnamed = quality["unnamed_kernel_frames"].as_u64().unwrap();
        assert_eq!(unnamed < quality["kernel_frames"].as_u64().unwrap(), named, "{what}: {quality:#}");
    }
    let shrunk = sampler["ring_bytes"].as_u64().unwrap() < 4 << 20;
    assert_eq!(doctor.status("perf-mlock-budget") == "warning", shrunk, "{what}: {sampler:#}");
    let checks = manifest["checks"].as_array().unwrap().iter();
    for check in checks.filter(|check| check["group"] != "binary") {
        assert_eq!(check["status"], doctor.status(check["id"].as_str().unwrap()), "{what}: {check:#}");
    }
    doctor
}

/// Calls [`compare_doctor_and_run`] on this machine as the user `who`.
#[track_caller]
fn compare_on_this_machine(what: &str, project: &Project, who: Caller) -> Doctor {
    compare_doctor_and_run(what, project, &|args| project.goflame(who, args))
}

#[test]
fn doctor_and_run_agree_for_root_at_every_level() {
    let mut machine = Machine::lock();
    let project = Project::busy("");
    machine.set("kptr_restrict", "0").set("perf_event_paranoid", "2");
    let doctor = compare_on_this_machine("root", &project, ROOT);
    for id in ["user-stacks", "kernel-stacks", "user-registers", "stack-copy", "context-switches"] {
        assert_eq!(doctor.status(id), "ok", "{:#}", doctor.json);
    }
    machine.set("kptr_restrict", "2");
    assert_eq!(compare_on_this_machine("root, kptr_restrict 2", &project, ROOT).status("kptr-restrict"), "warning");
}

#[test]
fn doctor_and_run_agree_for_a_user_at_every_level() {
    let mut machine = Machine::lock();
    let project = Project::busy("");
    machine.set("kptr_restrict", "0");
    let mut at = |level: &str| {
        machine.set("perf_event_paranoid", level);
        compare_on_this_machine(&format!("user, level {level}"), &project, USER)
    };
    assert_eq!(at("1").status("kernel-stacks"), "ok");
    // At level 3, a mainline kernel permits the same as at 2, and the kernels of Debian and Ubuntu refuse everything.
    // The run shows which kernel this is.
    at("3");
    assert_eq!(at("2").status("kernel-stacks"), "info");
}

#[test]
fn doctor_and_run_agree_on_memory_for_ring_buffers() {
    let mut machine = Machine::lock();
    let project = Project::busy("");
    machine.set("perf_event_paranoid", "2").set("perf_event_mlock_kb", "516");
    let small =
        compare_on_this_machine("user, RLIMIT_MEMLOCK 16 KiB", &project, Caller { memlock: Some(16 << 10), ..USER });
    assert_eq!(small.status("perf-mlock-budget"), "warning");
    let enough = Caller { memlock: Some(8 << 20), ..USER };
    let other = Project::endless();
    let sampling = other.sampling(enough);
    let shared = compare_on_this_machine("user, at the same time as another sampler", &project, enough);
    assert!(
        shared.finding("perf-mlock-budget")["why"].as_str().unwrap().contains("another sampler"),
        "{:#}",
        shared.json
    );
    drop(sampling);
    machine.set("perf_event_mlock_kb", "64");
    let none = compare_on_this_machine("user, no budget", &project, Caller { memlock: Some(0), ..USER });
    assert_eq!(none.with_status("failure"), ["perf-mlock-budget"]);
    assert_eq!(none.finding("live-probe")["found"], "no event opens: see perf-mlock-budget");
}

#[test]
fn a_frequency_above_the_limit_is_refused_to_root_too() {
    let mut machine = Machine::lock();
    let project = Project::busy("record.frequency = 9000\n");
    machine.set("perf_event_max_sample_rate", "8000");
    let doctor = compare_on_this_machine("root, 9000 Hz of 8000", &project, ROOT);
    assert_eq!(doctor.with_status("failure"), ["sample-rate"]);
    assert_eq!(doctor.finding("live-probe")["found"], "no event opens: see sample-rate");
}

#[test]
fn doctor_and_run_agree_on_the_limit_of_open_files() {
    let _machine = Machine::lock();
    let project = Project::busy("");
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    let limited = |open_files| {
        let who = Caller { open_files: Some(open_files), ..USER };
        compare_on_this_machine(&format!("user, {open_files} open files on {cpus} CPUs"), &project, who)
    };
    assert_eq!(limited(cpus + 24).with_status("failure"), ["open-files"]);
    assert_eq!(limited(cpus + 28).status("open-files"), "ok");
}

#[test]
fn doctor_and_run_agree_on_demanded_kernel_stacks() {
    let mut machine = Machine::lock();
    let project = Project::busy("record.kernel = 'yes'\n");
    machine.set("perf_event_paranoid", "2");
    let refused = compare_on_this_machine("user, kernel = \"yes\" at level 2", &project, USER);
    assert_eq!(refused.with_status("failure"), ["perf-event-paranoid"], "{:#}", refused.json);
    machine.set("perf_event_paranoid", "1");
    compare_on_this_machine("user, kernel = \"yes\" at level 1", &project, USER);
}
