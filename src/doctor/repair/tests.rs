//! Tests of repairs, with a temporary directory instead of the machine's root.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::doctor::{Bound, Setting};

struct Fake {
    root: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        let fake = Self { root: tempfile::tempdir().unwrap() };
        for setting in Sysctl::ALL {
            fake.set(setting, "2");
        }
        fake
    }

    fn machine(&self) -> Machine {
        Machine { root: self.root.path().to_owned() }
    }

    fn set(&self, setting: Sysctl, value: &str) {
        let file = setting.file(self.root.path());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{value}\n")).unwrap();
    }

    fn get(&self, setting: Sysctl) -> String {
        fs::read_to_string(setting.file(self.root.path())).unwrap().trim().to_owned()
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.path().join(file)).ok()
    }
}

const PARANOID: Sysctl = Sysctl::PerfEventParanoid;
const MLOCK: Sysctl = Sysctl::PerfEventMlockKb;

fn plan(changes: &[(Sysctl, i64, i64)]) -> RepairPlan {
    RepairPlan {
        changes: changes.iter().map(|&(setting, before, after)| Change { setting, before, after }).collect(),
        settings: changes
            .iter()
            .map(|&(sysctl, before, value)| Setting {
                sysctl,
                value,
                bound: if value < before { Bound::AtMost } else { Bound::AtLeast },
            })
            .collect(),
        ..RepairPlan::default()
    }
}

fn problems(steps: &[RepairStep]) -> Vec<&str> {
    steps.iter().filter_map(|step| step.problem.as_deref()).collect()
}

#[test]
fn undo_restores_all_changes() {
    let fake = Fake::new();
    let steps = fake.machine().repair(&plan(&[(PARANOID, 2, 1), (MLOCK, 2, 4100)]), false).unwrap();
    assert_eq!(steps[0], RepairStep::done_step("kernel.perf_event_paranoid: 2 -> 1"));
    assert_eq!((fake.get(PARANOID), fake.get(MLOCK)), ("1".into(), "4100".into()));
    assert_eq!(fake.text(PERSIST_FILE), None);
    assert_eq!(fake.machine().undoable_changes().unwrap().unwrap().changes.len(), 2);
    let steps = fake.machine().undo().unwrap();
    assert_eq!(problems(&steps), [""; 0]);
    assert_eq!((fake.get(PARANOID), fake.get(MLOCK)), ("2".into(), "2".into()));
    assert_eq!(fake.text(STATE_FILE), None);
    assert_eq!(fake.machine().undo().unwrap(), []);
}

#[test]
fn undo_restores_the_state_before_the_first_of_two_repairs() {
    let fake = Fake::new();
    fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), false).unwrap();
    fake.machine().repair(&plan(&[(PARANOID, 1, 0)]), false).unwrap();
    fake.machine().undo().unwrap();
    assert_eq!(fake.get(PARANOID), "2");
}

#[test]
fn undo_keeps_values_that_others_have_changed_since() {
    let fake = Fake::new();
    fake.machine().repair(&plan(&[(PARANOID, 2, 1), (MLOCK, 2, 4100)]), false).unwrap();
    fake.set(PARANOID, "-1");
    fake.set(MLOCK, "2");
    let steps = fake.machine().undo().unwrap();
    assert_eq!(problems(&steps), ["somebody has changed it since; it was 2"]);
    assert_eq!((fake.get(PARANOID), fake.get(MLOCK)), ("-1".into(), "2".into()));
}

#[test]
fn a_setting_that_changed_after_the_plan_is_not_written() {
    let fake = Fake::new();
    fake.set(PARANOID, "3");
    let steps = fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), false).unwrap();
    assert_eq!(problems(&steps), ["it has become 3 meanwhile"]);
    fake.set(PARANOID, "/usr/lib/debug");
    let steps = fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), false).unwrap();
    assert_eq!(problems(&steps), ["it was not understood: \"/usr/lib/debug\""]);
    assert_eq!(fake.get(PARANOID), "/usr/lib/debug");
    assert_eq!(fake.text(STATE_FILE), None, "nothing was changed, so nothing is stored");
}

#[test]
fn a_refused_setting_does_not_stop_the_others() {
    let fake = Fake::new();
    let file = MLOCK.file(fake.root.path());
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let steps = fake.machine().repair(&plan(&[(MLOCK, 2, 4100), (PARANOID, 2, 1)]), false).unwrap();
    assert_eq!(problems(&steps).len(), 1);
    assert_eq!(fake.get(PARANOID), "1");
    assert_eq!(fake.machine().undoable_changes().unwrap().unwrap().changes.len(), 1);
}

#[test]
fn the_file_for_the_next_boot_is_written_and_removed() {
    let fake = Fake::new();
    fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), true).unwrap();
    assert!(fake.text(PERSIST_FILE).unwrap().ends_with("\nkernel.perf_event_paranoid = 1\n"));
    fake.machine().repair(&plan(&[(MLOCK, 2, 4100)]), true).unwrap();
    let text = fake.text(PERSIST_FILE).unwrap();
    assert!(text.contains("perf_event_paranoid = 1\n") && text.contains("mlock_kb = 4100\n"), "{text}");
    fake.machine().undo().unwrap();
    assert_eq!(fake.text(PERSIST_FILE), None);
    assert_eq!(fake.get(PARANOID), "2");
}

#[test]
fn settings_that_were_fixed_before_can_be_persisted_later() {
    let fake = Fake::new();
    fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), false).unwrap();
    fake.machine().repair(&RepairPlan::default(), true).unwrap();
    assert!(fake.text(PERSIST_FILE).unwrap().ends_with("\nkernel.perf_event_paranoid = 1\n"));
}

#[test]
fn undo_restores_an_earlier_file_and_keeps_a_changed_file() {
    let fake = Fake::new();
    let file = fake.root.path().join(PERSIST_FILE);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "# mine\nkernel.kptr_restrict=1\n").unwrap();
    fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), true).unwrap();
    let text = fake.text(PERSIST_FILE).unwrap();
    assert!(text.contains("kptr_restrict = 1\n") && text.contains("paranoid = 1\n"), "{text}");
    fake.machine().undo().unwrap();
    assert_eq!(fake.text(PERSIST_FILE).unwrap(), "# mine\nkernel.kptr_restrict=1\n");
    fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), true).unwrap();
    fs::write(&file, "# edited\n").unwrap();
    assert_eq!(problems(&fake.machine().undo().unwrap()), ["somebody has changed it since"]);
    assert_eq!(fake.text(PERSIST_FILE).unwrap(), "# edited\n");
}

#[test]
fn a_damaged_state_file_is_refused_and_nothing_is_changed() {
    let fake = Fake::new();
    fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), false).unwrap();
    let file = fake.root.path().join(STATE_FILE);
    let good = fs::read_to_string(&file).unwrap();
    let cut = &good[..good.len() / 2];
    let forged = good.replace("\"before\": 2", "\"before\": 0");
    let foreign = good.replace("perf_event_paranoid", "core_pattern");
    let newer = good.replace("\"schema\": 1", "\"schema\": 2");
    for damaged in ["", "{}", cut, &forged, &foreign, &newer] {
        fs::write(&file, damaged).unwrap();
        assert!(matches!(fake.machine().undo(), Err(RepairError::Damaged { .. })), "{damaged}");
        assert!(matches!(fake.machine().repair(&plan(&[(PARANOID, 1, 0)]), false), Err(RepairError::Damaged { .. })));
        assert_eq!(fake.get(PARANOID), "1");
    }
    fs::write(&file, &good).unwrap();
    fake.machine().undo().unwrap();
    assert_eq!(fake.get(PARANOID), "2");
}

#[test]
fn an_impossible_value_is_refused_even_with_a_correct_digest() {
    let change = Change { setting: PARANOID, before: 1_000_000, after: 1 };
    let text = state::seal(&State { changes: vec![change], persisted: None });
    assert!(state::open(&text).unwrap_err().to_string().contains("cannot have the value"));
}

#[test]
fn undo_includes_the_record_of_the_script() {
    let fake = Fake::new();
    fake.machine().repair(&plan(&[(PARANOID, 2, 1)]), true).unwrap();
    let ours = fake.text(PERSIST_FILE).unwrap();
    let write =
        |name: &str, text: &str| write_public_file(&fake.root.path().join(SCRIPT_DIR).join(name), text).unwrap();
    // The script ran later.
    write("changes", "kernel.perf_event_mlock_kb 2 516\nkernel.perf_event_paranoid 1 0\n");
    write("conf-before", &ours);
    write("conf-after", "new\n");
    write_public_file(&fake.root.path().join(PERSIST_FILE), "new\n").unwrap();
    fake.set(MLOCK, "516");
    fake.set(PARANOID, "0");
    // Another repair moves the script's record into the state file.
    fake.set(Sysctl::KptrRestrict, "1");
    fake.machine().repair(&plan(&[(Sysctl::KptrRestrict, 1, 0)]), false).unwrap();
    assert_eq!(fake.text(&format!("{SCRIPT_DIR}/changes")), None);
    assert_eq!(problems(&fake.machine().undo().unwrap()), [""; 0]);
    assert_eq!([PARANOID, MLOCK, Sysctl::KptrRestrict].map(|setting| fake.get(setting)), ["2", "2", "1"]);
    assert_eq!([fake.text(PERSIST_FILE), fake.text(STATE_FILE)], [None, None]);
}

#[test]
fn a_damaged_record_of_the_script_is_refused() {
    let fake = Fake::new();
    for (text, why) in [
        ("kernel.perf_event_paranoid 2 1", "is not a change of a kernel setting"),
        ("kernel.perf_event_paranoid 2\n", "is not a change of a kernel setting"),
        ("kernel.panic 0 1\n", "is not a change of a kernel setting"),
        ("kernel.perf_event_paranoid 2 999\n", "cannot have the value"),
    ] {
        write_public_file(&fake.root.path().join(SCRIPT_DIR).join("changes"), text).unwrap();
        let error = fake.machine().undo().unwrap_err().to_string();
        assert!(error.contains("script/changes is damaged: ") && error.contains(why), "{error}");
        assert_eq!(fake.get(PARANOID), "2");
    }
}
