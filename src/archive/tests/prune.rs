//! Removal of runs and programs.

use super::*;

#[test]
fn pruning_keeps_the_newest() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    for seconds in 0..5 {
        fs::write(&source, format!("binary {seconds}")).unwrap();
        add_run_with(&store, seconds, &source);
    }
    let all = ids(&store);
    assert!(outdated_runs(&store, 5).is_empty());
    let plan = outdated_runs(&store, 2);
    assert_eq!(plan.runs, all[2..]);
    assert_eq!(ids(&store), all, "a plan changes nothing");
    store.prune(&plan).unwrap();
    assert_eq!(ids(&store), all[..2]);
    assert_eq!(count_entries(&store.dir().join("bin")), 2, "their programs stay, the others go");
    assert_eq!(count_entries(&store.dir().join("trash")), 0);
    for entry in store.list().unwrap() {
        assert_eq!(store.verify(&entry.run.unwrap()).unwrap(), []);
    }
    store.prune(&plan).unwrap();
    assert_eq!(ids(&store), all[..2], "an outdated plan does no harm");
    store.prune(&outdated_runs(&store, 0)).unwrap();
    assert!(ids(&store).is_empty());
}

#[test]
fn the_newest_runs_stay_within_their_size_and_share_programs() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, vec![1; 1000]).unwrap();
    for seconds in 0..4 {
        let draft = draft(&store, &RunId::new(start_time(seconds), "server"));
        draft.add_program(&store_program(&store, &source, "server").unwrap()).unwrap();
        fs::write(draft.path("perf.data"), vec![u8::try_from(seconds).unwrap(); 100]).unwrap();
        draft.commit(&json!({})).unwrap();
    }
    let all = ids(&store);
    let outdated_runs = |runs, bytes| -> Vec<RunId> {
        let runs = store.outdated_runs(KeepLimits { run_count: runs, total_bytes: Some(bytes) }, |_| Some(())).unwrap();
        runs.iter().map(|run| run.id().clone()).collect()
    };
    for (bytes, kept) in [(0, 1), (1100, 1), (1199, 1), (1200, 2), (1399, 3), (1400, 4), (u64::MAX, 4)] {
        assert_eq!(outdated_runs(9, bytes), all[kept..], "{bytes} bytes");
    }
    assert_eq!(outdated_runs(2, u64::MAX), all[2..]);
    assert_eq!(outdated_runs(0, u64::MAX), all);
}

#[test]
fn each_series_is_counted_alone_and_unreadable_runs_stay() {
    let (_dir, store) = store();
    let add = |seconds, app: Option<&str>| {
        let manifest = app.map_or_else(|| json!({}), |app| json!({ "app": app }));
        draft(&store, &RunId::new(start_time(seconds), "server")).commit(&manifest).unwrap().id().clone()
    };
    let [a1, _, b1, a2] = [(0, Some("a")), (1, None), (2, Some("b")), (3, Some("a"))].map(|(at, app)| add(at, app));
    let damaged = add(4, Some("a"));
    fs::write(store.dir().join("runs").join(damaged.as_str()).join("manifest.json"), "").unwrap();
    let app = |run: &Run| run.manifest_json()["app"].as_str().map(str::to_owned);
    let outdated_runs = |keep| -> Vec<RunId> {
        store.outdated_runs(keep_newest(keep), app).unwrap().iter().map(|run| run.id().clone()).collect()
    };
    assert_eq!(outdated_runs(2), []);
    assert_eq!(outdated_runs(1), std::slice::from_ref(&a1));
    assert_eq!(outdated_runs(0), [a2, b1, a1]);
}

#[test]
fn pruning_keeps_runs_that_are_being_written() {
    let (_dir, store) = store();
    let [abandoned, writing] = [0, 1].map(|seconds| RunId::new(start_time(seconds), "server"));
    drop(draft(&store, &abandoned));
    let live = draft(&store, &writing);
    store.prune(&PrunePlan { runs: Vec::new(), partial_runs: vec![abandoned, writing.clone()] }).unwrap();
    let left: Vec<RunId> = store.partial_runs().unwrap().into_iter().map(|partial| partial.id).collect();
    assert_eq!(left, [writing]);
    live.commit(&json!({})).unwrap();
    assert_eq!(count_entries(&store.dir().join("partial")), 0);
}

#[test]
fn a_program_that_is_about_to_run_is_not_removed() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let program = store_program(&store, &source, "server").unwrap();
    store.prune(&PrunePlan::default()).unwrap();
    assert!(program.path().exists());
    drop(program);
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!(count_entries(&store.dir().join("bin")), 0);
}

#[test]
fn a_program_stays_for_runs_that_have_copies() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let run = add_run_with(&store, 0, &source);
    // Simulates a file system without hard links.
    let archived = run.file("bin/server").unwrap();
    fs::remove_file(&archived).unwrap();
    fs::copy(&source, &archived).unwrap();
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!(count_entries(&store.dir().join("bin")), 1);
    store.prune(&outdated_runs(&store, 0)).unwrap();
    assert_eq!(count_entries(&store.dir().join("bin")), 0);
}

#[test]
fn only_names_that_goflame_writes_are_removed() {
    let (dir, store) = store();
    let run = add(&store, 0);
    let victim = dir.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("notes"), "").unwrap();
    // Regression: pruning emptied `trash`, and removed from `bin` every file with only one hard link.
    let theirs = ["bin/tool", "bin/notes.d/x", "trash/notes", "trash/notes.d/x", "partial/notes.lock", "runs/notes"];
    for name in theirs {
        let path = store.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    // A link with the name of a goflame file is removed itself; its target is kept.
    let id = RunId::new(start_time(60), "server");
    symlink(&victim, store.dir().join("trash").join(id.as_str())).unwrap();
    fs::create_dir(store.dir().join("trash").join(run.id().as_str())).unwrap();
    symlink(&victim, store.dir().join("trash").join(run.id().as_str()).join("inner")).unwrap();
    store.prune(&outdated_runs(&store, 0)).unwrap();
    for name in theirs {
        assert!(store.dir().join(name).exists(), "{name}");
    }
    assert_eq!(count_entries(&store.dir().join("trash")), 2);
    assert_eq!(fs::read(victim.join("notes")).unwrap(), b"");
}
