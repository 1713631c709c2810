//! Runs: committed, listed, found, verified, damaged.

use super::*;

/// Part of the manifest, as a caller deserializes it.
#[derive(serde::Deserialize)]
struct CallerManifest {
    command: String,
}

#[test]
fn a_run_is_begun_committed_listed_found_and_verified() {
    let (_dir, store) = store();
    let id = RunId::new(start_time(0), "server");
    let draft = draft(&store, &id);
    fs::create_dir(draft.path("logs")).unwrap();
    fs::write(draft.path("logs/stdout.log"), b"").unwrap();
    assert!(store.list().unwrap().is_empty(), "not a run yet");
    let run = draft.commit(&json!({"command": "run", "schema": "mine", "id": 7})).unwrap();

    assert_eq!(ids(&store), std::slice::from_ref(&id));
    assert_eq!(store.partial_runs().unwrap(), []);
    assert_eq!(count_entries(&store.dir().join("partial")), 0, "the lock file is gone too");
    let found = store.find(id.as_str()).unwrap();
    assert_eq!((found.id(), found.dir()), (&id, run.dir()));
    assert_eq!(store.verify(&found).unwrap(), []);

    let manifest = found.manifest_json();
    assert_eq!((&manifest["schema"], &manifest["id"]), (&json!(1), &json!(id.as_str())));
    assert_eq!(manifest["command"], "run");
    assert_eq!(manifest["files"]["perf.data"]["size"], 8);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(manifest["files"]["logs/stdout.log"]["sha256"], empty);
    assert_eq!(found.files().keys().collect::<Vec<_>>(), ["logs/stdout.log", "perf.data"]);

    assert_eq!(fs::read(found.file("perf.data").unwrap()).unwrap(), b"PERFILE2");
    assert!(matches!(found.file("manifest.json"), Err(Error::NoFile { .. })));
    assert!(matches!(found.file("../../format"), Err(Error::NoFile { .. })));
    assert_eq!(found.manifest::<CallerManifest>().unwrap().command, "run");
    assert!(matches!(found.manifest::<Vec<u8>>(), Err(Error::Decode { .. })));
}

#[test]
fn hashes_equal_those_of_sha256sum() {
    let (_dir, store) = store();
    let id = RunId::new(start_time(0), "server");
    let draft = store.begin(&id).unwrap();
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|number| number.to_le_bytes()[1]).collect();
    fs::write(draft.path("perf.data"), bytes).unwrap();
    let run = draft.commit(&json!({})).unwrap();
    let output = Command::new("sha256sum").arg(run.file("perf.data").unwrap()).output().expect("sha256sum is needed");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.split(' ').next().unwrap(), run.files()["perf.data"].sha256);
}

#[test]
fn the_directory_is_laid_out_as_documented() {
    let (_dir, store) = store();
    let text = |name: &str| fs::read_to_string(store.dir().join(name)).unwrap();
    assert_eq!(text(".gitignore"), "*\n");
    assert_eq!(text("format"), "2\n");
    assert!(text("CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    fs::write(store.dir().join(".gitignore"), "changed\n").unwrap();
    Store::open(store.dir()).unwrap();
    assert_eq!(text(".gitignore"), "changed\n", "the user's change stays");
}

#[test]
fn runs_are_found_by_all_names_that_users_give() {
    let (_dir, store) = store();
    assert!(matches!(store.find("latest"), Err(Error::NotFound { .. })));
    let [old, middle, new] = [0, 60, 120].map(|seconds| add(&store, seconds).id().clone());
    assert_eq!(ids(&store), [new.clone(), middle.clone(), old.clone()]);
    let find = |query: &str| store.find(query).map(|run| run.id().clone());
    assert_eq!(find("latest").unwrap(), new);
    assert_eq!(find("@0").unwrap(), new);
    assert_eq!(find("@1").unwrap(), middle);
    assert_eq!(find("@2").unwrap(), old);
    assert_eq!(find("20261123-0651").unwrap(), middle);
    assert_eq!(find(old.as_str()).unwrap(), old);
    let Err(Error::Ambiguous { candidates, .. }) = find("20261123") else { panic!("ambiguous") };
    assert_eq!(candidates, [new.clone(), middle, old]);
    for query in ["", "@", "@3", "@-1", "@99999999999999999999", "2025", "..", "/", "../runs", "server", "*"] {
        assert!(matches!(find(query), Err(Error::NotFound { .. })), "{query:?}");
    }
}

#[test]
fn runs_are_ordered_by_completion_whatever_the_clock_says() {
    let (_dir, store) = store();
    // Regression: runs were ordered by timestamp alone, so `latest` was the first of these.
    let runs = [200, 100, 100, 0].map(|seconds| add(&store, seconds).id().clone());
    let newest_first: Vec<RunId> = runs.iter().rev().cloned().collect();
    assert_eq!(ids(&store), newest_first);
    assert_eq!(store.find("latest").unwrap().id(), &runs[3]);
    assert_eq!(store.find("@3").unwrap().id(), &runs[0]);
    assert_eq!(store.find("latest").unwrap().manifest_json()["sequence"], 4);
}

#[test]
fn numbers_in_a_manifest_are_read_back_exactly() {
    let (_dir, store) = store();
    let seconds: Vec<f64> = (0..2_000).map(|count| f64::from(count) * 0.001_003_009).collect();
    let run = draft(&store, &RunId::new(start_time(1), "server")).commit(&json!({ "seconds": seconds })).unwrap();
    assert_eq!(store.find(run.id().as_str()).unwrap().manifest_json()["seconds"], json!(seconds));
}

/// Rewrites a manifest as another program could do it.
fn edit_manifest(run: &Run, change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) {
    let path = run.dir().join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn runs_of_older_versions_are_listed_last_by_their_timestamp() {
    let (_dir, store) = store();
    let [late, early, same] = [300, 200, 200].map(|seconds| add(&store, seconds));
    for run in [&late, &early, &same] {
        edit_manifest(run, |manifest| drop(manifest.remove("sequence")));
    }
    // File times have the resolution of the kernel's clock tick. Setting them makes them differ without waiting.
    for (run, seconds) in [(&same, 1), (&early, 2)] {
        fs::File::open(run.dir().join("manifest.json")).unwrap().set_modified(start_time(seconds)).unwrap();
    }
    let new = add(&store, 0);
    assert_eq!(ids(&store), [&new, &late, &early, &same].map(|run| run.id().clone()));
    assert_eq!(new.manifest_json()["sequence"], 1);
    // The largest sequence number is valid. The next run then gets the same number.
    edit_manifest(&late, |manifest| drop(manifest.insert("sequence".into(), u64::MAX.into())));
    assert_eq!(add(&store, 400).manifest_json()["sequence"], u64::MAX);
}

#[test]
fn verification_finds_each_kind_of_damage_at_once() {
    let (dir, store) = store();
    let id = RunId::new(start_time(0), "server");
    let draft = draft(&store, &id);
    fs::create_dir(draft.path("out")).unwrap();
    for name in ["changed", "grown", "gone", "linked", "piped", "out/inner"] {
        fs::write(draft.path(name), name).unwrap();
    }
    let run = draft.commit(&json!({})).unwrap();
    let path = |name: &str| run.dir().join(name);
    fs::write(path("changed"), "CHANGED").unwrap();
    fs::write(path("grown"), "grown and more").unwrap();
    fs::remove_file(path("gone")).unwrap();
    fs::remove_file(path("linked")).unwrap();
    fs::write(dir.path().join("outside"), "linked").unwrap();
    symlink(dir.path().join("outside"), path("linked")).unwrap();
    fs::remove_file(path("piped")).unwrap();
    assert!(Command::new("mkfifo").arg(path("piped")).status().expect("mkfifo is needed").success());
    // The directory became a link. Its files are reachable through the link, which must be refused.
    fs::rename(path("out"), dir.path().join("out")).unwrap();
    symlink(dir.path().join("out"), path("out")).unwrap();
    fs::write(path("extra"), "").unwrap();

    let run = store.find("latest").unwrap();
    let problems = store.verify(&run).unwrap();
    let kinds: Vec<(&str, &str)> = problems
        .iter()
        .map(|found| {
            let kind = match &found.problem {
                Discrepancy::Missing => "missing",
                Discrepancy::Changed { .. } => "changed",
                Discrepancy::Extra => "extra",
                Discrepancy::Link => "link",
                Discrepancy::NotAFile => "not a file",
                Discrepancy::Unreadable(_) => "unreadable",
            };
            (found.file.as_str(), kind)
        })
        .collect();
    let expected = [
        ("changed", "changed"),
        ("extra", "extra"),
        ("gone", "missing"),
        ("grown", "changed"),
        ("linked", "link"),
        ("out", "link"),
        ("out/inner", "missing"),
        ("piped", "not a file"),
    ];
    assert_eq!(kinds, expected);
    assert!(problems[0].to_string().starts_with("changed: changed: SHA-256 "), "{}", problems[0]);
    assert_eq!(problems[3].to_string(), "grown: changed: 14 bytes instead of 5");
    for name in ["linked", "out/inner"] {
        assert!(matches!(run.file(name), Err(Error::NotStorable { .. })), "{name}: out of the run");
    }
}

#[test]
fn a_draft_with_a_link_in_it_is_not_committed() {
    let (_dir, store) = store();
    let draft = draft(&store, &RunId::new(start_time(0), "server"));
    symlink("/etc/passwd", draft.path("passwd")).unwrap();
    let error = draft.commit(&json!({})).unwrap_err();
    assert!(error_chain(&error).contains("passwd is not a plain file"), "{}", error_chain(&error));
    assert_eq!(store.partial_runs().unwrap().len(), 1);
}

#[test]
fn a_manifest_must_be_an_object() {
    let (_dir, store) = store();
    let error = draft(&store, &RunId::new(start_time(0), "server")).commit(&json!([1])).unwrap_err();
    assert!(matches!(&error, Error::Commit { source, .. } if matches!(**source, Error::NotAnObject)));
    assert!(error.hints()[0].starts_with("the files so far are kept in "), "{:?}", error.hints());
}

#[test]
fn damaged_runs_are_listed_with_their_reason() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    let path = run.dir().join("manifest.json");
    let whole = fs::read_to_string(&path).unwrap();
    for (text, expected) in [
        ("", "is not a manifest"),
        ("{}", "is not a manifest"),
        ("[]", "is not a manifest"),
        ("{\"schema\": \"1\"}", "is not a manifest"),
        ("{\"schema\": 2, \"files\": 7}", "schema 2"),
        (&whole[..whole.len() / 2], "is not a manifest"),
        (&whole.replace(run.id().as_str(), "another"), "\"another\""),
        (&whole.replace("\"perf.data\"", "\"../perf.data\""), "\"../perf.data\""),
        (&whole.replace("\"perf.data\"", "\"/etc/passwd\""), "\"/etc/passwd\""),
        (&whole.replace("\"perf.data\"", "\"a//b\""), "\"a//b\""),
        (&whole.replace("\"perf.data\"", "\"\""), "\"\""),
        (&whole.replace("\"perf.data\"", "\"manifest.json\""), "\"manifest.json\""),
    ] {
        fs::write(&path, text).unwrap();
        let reason = damage_of_only_run(&store).to_string();
        assert!(reason.contains(expected), "{text}: {reason}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(damage_of_only_run(&store), Damage::Unreadable(error) if error.is_missing()));
    symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(damage_of_only_run(&store), Damage::NotAFile { .. }));
    fs::remove_dir_all(run.dir()).unwrap();
    symlink("/etc", run.dir()).unwrap();
    assert!(matches!(damage_of_only_run(&store), Damage::NotADirectory { .. }));
    assert!(matches!(store.find("latest"), Err(Error::Damaged { .. })));
}

#[test]
fn entries_without_a_run_id_are_skipped() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    fs::create_dir(store.dir().join("runs/notes")).unwrap();
    fs::write(store.dir().join("runs/.DS_Store"), "").unwrap();
    assert_eq!(ids(&store), [run.id().clone()]);
}
