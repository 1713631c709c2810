//! The complete life cycle of runs, in temporary directories.

#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tempfile::TempDir;

use super::{Damage, Draft, Error, Problem, Program, PrunePlan, Run, RunId, Store, Substitution, tree};

/// 2026-11-23 06:50:01 UTC plus this number of seconds.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_416_601 + seconds)
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join(".goflame")).unwrap();
    (dir, store)
}

fn draft(store: &Store, id: &RunId) -> Draft {
    let draft = store.begin(id).unwrap();
    fs::write(draft.path("perf.data"), b"PERFILE2").unwrap();
    draft
}

fn add(store: &Store, seconds: u64) -> Run {
    draft(store, &RunId::new(at(seconds), "server")).commit(&json!({"command": "run"})).unwrap()
}

/// Stores a program in the same way as a build.
fn stored(store: &Store, source: &Path, name: &str) -> Result<Program, Error> {
    let entry = tree::digest_file(source)?;
    store.add_program(source, name, &entry)
}

/// Adds a run of this program.
fn add_with(store: &Store, seconds: u64, source: &Path) -> Run {
    let draft = draft(store, &RunId::new(at(seconds), "server"));
    draft.add_program(&stored(store, source, "server").unwrap()).unwrap();
    draft.commit(&json!({})).unwrap()
}

/// The runs that pruning removes when all runs belong to one app.
fn outdated(store: &Store, keep: usize) -> PrunePlan {
    let runs = store.outdated(keep, |_| Some(())).unwrap();
    PrunePlan { runs: runs.iter().map(|run| run.id().clone()).collect(), partials: Vec::new() }
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn ids(store: &Store) -> Vec<RunId> {
    store.list().unwrap().into_iter().map(|entry| entry.id).collect()
}

/// The error and all its causes, as the printer joins them.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The reason why the only run of a store cannot be loaded.
fn damage(store: &Store) -> Damage {
    let entry = store.list().unwrap().remove(0);
    match entry.run {
        Err(Error::Damaged { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_have_one_form() {
    let id = RunId::new(at(0), "server");
    assert!(id.as_str().starts_with("20261123-065001-server-"), "{id}");
    assert_eq!(id.stamp(), "20261123-065001");
    assert_eq!(id.as_str().len(), "20261123-065001-server-8f2c".len());
    for name in ["", "---", "../../etc", "a/b", "x.test", "日本", &"n".repeat(500), "a b\n", "latest", "-"] {
        let id = RunId::new(at(0), name);
        assert_eq!(id.as_str().parse::<RunId>().unwrap(), id, "{name:?}");
    }
    for early in [SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 40), SystemTime::UNIX_EPOCH] {
        assert_eq!(RunId::new(early, "x").stamp(), "19700101-000000");
    }
}

#[test]
fn what_is_not_an_id_is_refused() {
    for text in [
        "",
        "latest",
        "20261123-065001-server",
        "20261123-065001--8f2c",
        "20261123-065001-server-8F2C",
        "20261123-065001-server-8f2",
        "20261323-065001-server-8f2c",
        "20260229-065001-server-8f2c",
        "20261123-256001-server-8f2c",
        "20261123-065001-../..-8f2c",
        "20261123-065001-a.b-8f2c",
        "20261123-065001-a\0b-8f2c",
        "20261123-065001-日本-8f2c",
        "2026+123-065001-server-8f2c",
        "../20261123-065001-server-8f2c",
    ] {
        assert!(matches!(text.parse::<RunId>(), Err(Error::BadId { .. })), "{text:?}");
        assert!(serde_json::from_value::<RunId>(json!(text)).is_err(), "{text:?}");
    }
}

/// Part of the manifest, as a caller deserializes it.
#[derive(serde::Deserialize)]
struct Mine {
    command: String,
}

#[test]
fn a_run_is_begun_committed_listed_found_and_verified() {
    let (_dir, store) = store();
    let id = RunId::new(at(0), "server");
    let draft = draft(&store, &id);
    fs::create_dir(draft.path("logs")).unwrap();
    fs::write(draft.path("logs/stdout.log"), b"").unwrap();
    assert!(store.list().unwrap().is_empty(), "not a run yet");
    let run = draft.commit(&json!({"command": "run", "schema": "mine", "id": 7})).unwrap();

    assert_eq!(ids(&store), std::slice::from_ref(&id));
    assert_eq!(store.partials().unwrap(), []);
    assert_eq!(count(&store.dir().join("partial")), 0, "the lock file is gone too");
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
    assert_eq!(found.manifest::<Mine>().unwrap().command, "run");
    assert!(matches!(found.manifest::<Vec<u8>>(), Err(Error::Decode { .. })));
}

#[test]
fn hashes_are_those_of_sha256sum() {
    let (_dir, store) = store();
    let id = RunId::new(at(0), "server");
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
fn names_that_users_give() {
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

/// Rewrites a manifest as another program could do it.
fn edit(run: &Run, change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) {
    let path = run.dir().join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn runs_of_older_programs_come_before_all_others_by_their_stamp() {
    let (_dir, store) = store();
    let [late, early, same] = [300, 200, 200].map(|seconds| add(&store, seconds));
    for run in [&late, &early, &same] {
        edit(run, |manifest| drop(manifest.remove("sequence")));
    }
    // File times have the resolution of the kernel's clock tick. Setting them makes them differ without waiting.
    for (run, seconds) in [(&same, 1), (&early, 2)] {
        fs::File::open(run.dir().join("manifest.json")).unwrap().set_modified(at(seconds)).unwrap();
    }
    let new = add(&store, 0);
    assert_eq!(ids(&store), [&new, &late, &early, &same].map(|run| run.id().clone()));
    assert_eq!(new.manifest_json()["sequence"], 1);
    // The largest number is valid.
    edit(&late, |manifest| drop(manifest.insert("sequence".into(), u64::MAX.into())));
    assert_eq!(add(&store, 400).manifest_json()["sequence"], u64::MAX);
}

#[test]
fn verification_finds_each_kind_of_damage_at_once() {
    let (dir, store) = store();
    let id = RunId::new(at(0), "server");
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
                Problem::Missing => "missing",
                Problem::Changed { .. } => "changed",
                Problem::Extra => "extra",
                Problem::Link => "link",
                Problem::NotAFile => "not a file",
                Problem::Unreadable(_) => "unreadable",
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
    let draft = draft(&store, &RunId::new(at(0), "server"));
    symlink("/etc/passwd", draft.path("passwd")).unwrap();
    let error = draft.commit(&json!({})).unwrap_err();
    assert!(chain(&error).contains("passwd is not a plain file"), "{}", chain(&error));
    assert_eq!(store.partials().unwrap().len(), 1);
}

#[test]
fn a_manifest_must_be_an_object() {
    let (_dir, store) = store();
    let error = draft(&store, &RunId::new(at(0), "server")).commit(&json!([1])).unwrap_err();
    assert!(matches!(&error, Error::Commit { source, .. } if matches!(**source, Error::NotAnObject)));
    assert!(error.hints()[0].starts_with("what was written is kept in "), "{:?}", error.hints());
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
        let reason = damage(&store).to_string();
        assert!(reason.contains(expected), "{text}: {reason}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(damage(&store), Damage::Unreadable(error) if error.is_missing()));
    symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(damage(&store), Damage::NotAFile { .. }));
    fs::remove_dir_all(run.dir()).unwrap();
    symlink("/etc", run.dir()).unwrap();
    assert!(matches!(damage(&store), Damage::NotADirectory { .. }));
    assert!(matches!(store.find("latest"), Err(Error::Damaged { .. })));
}

#[test]
fn what_has_no_runs_name_is_passed_over() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    fs::create_dir(store.dir().join("runs/notes")).unwrap();
    fs::write(store.dir().join("runs/.DS_Store"), "").unwrap();
    assert_eq!(ids(&store), [run.id().clone()]);
}

#[test]
fn a_program_is_kept_once_and_is_the_one_that_runs_link_to() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let (first, second) = (add_with(&store, 0, &source), add_with(&store, 60, &source));
    let inode = |run: &Run| fs::metadata(run.file("bin/server").unwrap()).unwrap().ino();
    assert_eq!(inode(&first), inode(&second), "the same file");
    let place = store.dir().join("bin").join(&first.files()["bin/server"].sha256).join("server");
    let meta = fs::metadata(&place).unwrap();
    assert_eq!((meta.ino(), meta.nlink(), meta.permissions().mode() & 0o777), (inode(&first), 3, 0o555));
    assert_eq!(stored(&store, &source, "server").unwrap().path(), fs::canonicalize(&place).unwrap());
    assert_eq!(store.verify(&second).unwrap(), []);

    fs::write(&source, b"\x7fELF two").unwrap();
    let third = add_with(&store, 120, &source);
    assert_ne!(inode(&third), inode(&first));
    assert_eq!(count(&store.dir().join("bin")), 2);
    for name in ["", "..", "a/b", "/etc/x"] {
        assert!(matches!(stored(&store, &source, name), Err(Error::BadName { .. })), "{name:?}");
    }
}

#[test]
fn a_spoilt_stored_program_is_not_handed_out_again() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let first = add_with(&store, 0, &source);
    let place = store.dir().join("bin").join(&first.files()["bin/server"].sha256).join("server");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    for spoilt in [&b"spoilt!!!"[..], b"short"] {
        fs::write(&place, spoilt).unwrap();
        let next = add_with(&store, 60, &source);
        assert_eq!(store.verify(&next).unwrap(), []);
    }
    assert_eq!(store.verify(&first).unwrap().len(), 1, "and the spoilt one is told");
}

#[test]
fn a_program_that_was_replaced_or_changed_while_it_ran_is_told() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let check = |change: &dyn Fn(&Path)| {
        let mut draft = draft(&store, &RunId::new(at(0), "server"));
        let program = stored(&store, &source, "server").unwrap();
        draft.add_program(&program).unwrap();
        change(program.path());
        let found = draft.check_program(&program).unwrap();
        let run = draft.commit(&json!({})).unwrap();
        assert_eq!(store.verify(&run).unwrap(), [], "the manifest says what the run holds");
        found
    };
    assert_eq!(check(&|_| {}), None);
    assert_eq!(check(&|path| fs::remove_file(path).unwrap()), None, "a program that removes itself did run");
    let replaced = check(&|path| {
        fs::remove_file(path).unwrap();
        fs::write(path, b"\x7fELF two").unwrap();
    });
    assert!(matches!(replaced, Some(Substitution::Replaced(_))), "{replaced:?}");
    let changed = check(&|path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path, b"\x7fELF two").unwrap();
    });
    assert!(matches!(changed, Some(Substitution::Changed(_))), "{changed:?}");
}

/// Converts a store without programs to format 1: `bin/<sha256>` is a plain file that a run links to.
fn older_format(store: &Store, contents: &[u8], run: Option<&Run>) -> std::path::PathBuf {
    let temporary = store.dir().join("program");
    fs::write(&temporary, contents).unwrap();
    let place = store.dir().join("bin").join(tree::digest_file(&temporary).unwrap().sha256);
    fs::rename(&temporary, &place).unwrap();
    if let Some(run) = run {
        fs::create_dir(run.dir().join("bin")).unwrap();
        fs::hard_link(&place, run.dir().join("bin/server")).unwrap();
    }
    fs::write(store.dir().join("format"), "1\n").unwrap();
    place
}

#[test]
fn a_store_of_the_older_format_is_read_pruned_and_upgraded() {
    let (dir, store) = store();
    let run = add(&store, 0);
    let used = older_format(&store, b"\x7fELF one", Some(&run));
    let unused = older_format(&store, b"\x7fELF two", None);
    let store = Store::open_existing(store.dir()).unwrap();
    assert_eq!(ids(&store), [run.id().clone()]);
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!((used.exists(), unused.exists()), (true, false));
    let format = || fs::read_to_string(store.dir().join("format")).unwrap();
    assert_eq!(format(), "1\n", "nothing in it is of the newer format yet");

    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let inode = fs::metadata(&used).unwrap().ino();
    add_with(&store, 60, &source);
    assert_eq!(format(), "2\n");
    assert_eq!(fs::metadata(used.join("server")).unwrap().ino(), inode, "the same file in its new place");
}

#[test]
fn drafts_of_many_threads_do_not_disturb_each_other() {
    let (dir, _) = store();
    let (place, source) = (dir.path().join("fresh"), dir.path().join("server"));
    fs::write(&source, b"\x7fELF").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (place, source) = (&place, &source);
            scope.spawn(move || {
                // The threads also race to create the store.
                let store = Store::open(place).unwrap();
                for run in 0..3 {
                    let draft = draft(&store, &RunId::new(at(thread * 10 + run), "server"));
                    draft.add_program(&stored(&store, source, "server").unwrap()).unwrap();
                    draft.commit(&json!({})).unwrap();
                }
            });
        }
    });
    let store = Store::open_existing(&place).unwrap();
    let runs = store.list().unwrap();
    assert_eq!(runs.len(), 12);
    for entry in runs {
        assert_eq!(store.verify(&entry.run.unwrap()).unwrap(), []);
    }
    assert_eq!(count(&place.join("bin")), 1);
}

#[test]
fn one_id_is_begun_once() {
    let (_dir, store) = store();
    let id = RunId::new(at(0), "server");
    let results: Vec<Result<Draft, Error>> = std::thread::scope(|scope| {
        let begin = || scope.spawn(|| store.begin(&id));
        [begin(), begin()].map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results.iter().filter_map(|result| result.as_ref().err()).all(|error| matches!(error, Error::Exists { .. }))
    );
    results.into_iter().find_map(Result::ok).unwrap().commit(&json!({})).unwrap();
    assert!(matches!(store.begin(&id), Err(Error::Exists { .. })));
}

#[test]
fn a_dropped_draft_is_listed_and_lost_to_nobody() {
    let (_dir, store) = store();
    let id = RunId::new(at(0), "server");
    let draft = draft(&store, &id);
    let partials = store.partials().unwrap();
    assert_eq!((partials.len(), partials[0].in_progress), (1, true));
    drop(draft);
    let partials = store.partials().unwrap();
    assert_eq!((&partials[0].id, partials[0].in_progress), (&id, false));
    assert_eq!(fs::read(partials[0].dir.join("perf.data")).unwrap(), b"PERFILE2");
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn pruning_keeps_the_newest() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    for seconds in 0..5 {
        fs::write(&source, format!("binary {seconds}")).unwrap();
        add_with(&store, seconds, &source);
    }
    let all = ids(&store);
    assert!(outdated(&store, 5).is_empty());
    let plan = outdated(&store, 2);
    assert_eq!(plan.runs, all[2..]);
    assert_eq!(ids(&store), all, "a plan changes nothing");
    store.prune(&plan).unwrap();
    assert_eq!(ids(&store), all[..2]);
    assert_eq!(count(&store.dir().join("bin")), 2, "their programs stay, the others go");
    assert_eq!(count(&store.dir().join("trash")), 0);
    for entry in store.list().unwrap() {
        assert_eq!(store.verify(&entry.run.unwrap()).unwrap(), []);
    }
    store.prune(&plan).unwrap();
    assert_eq!(ids(&store), all[..2], "an outdated plan does no harm");
    store.prune(&outdated(&store, 0)).unwrap();
    assert!(ids(&store).is_empty());
}

#[test]
fn each_series_is_counted_by_itself_and_what_cannot_be_read_is_left_alone() {
    let (_dir, store) = store();
    let add = |seconds, app: Option<&str>| {
        let manifest = app.map_or_else(|| json!({}), |app| json!({ "app": app }));
        draft(&store, &RunId::new(at(seconds), "server")).commit(&manifest).unwrap().id().clone()
    };
    let [a1, _, b1, a2] = [(0, Some("a")), (1, None), (2, Some("b")), (3, Some("a"))].map(|(at, app)| add(at, app));
    let damaged = add(4, Some("a"));
    fs::write(store.dir().join("runs").join(damaged.as_str()).join("manifest.json"), "").unwrap();
    let app = |run: &Run| run.manifest_json()["app"].as_str().map(str::to_owned);
    let outdated =
        |keep| -> Vec<RunId> { store.outdated(keep, app).unwrap().iter().map(|run| run.id().clone()).collect() };
    assert_eq!(outdated(2), []);
    assert_eq!(outdated(1), std::slice::from_ref(&a1));
    assert_eq!(outdated(0), [a2, b1, a1]);
}

#[test]
fn pruning_spares_what_is_being_written() {
    let (_dir, store) = store();
    let [abandoned, writing] = [0, 1].map(|seconds| RunId::new(at(seconds), "server"));
    drop(draft(&store, &abandoned));
    let live = draft(&store, &writing);
    store.prune(&PrunePlan { runs: Vec::new(), partials: vec![abandoned, writing.clone()] }).unwrap();
    let left: Vec<RunId> = store.partials().unwrap().into_iter().map(|partial| partial.id).collect();
    assert_eq!(left, [writing]);
    live.commit(&json!({})).unwrap();
    assert_eq!(count(&store.dir().join("partial")), 0);
}

#[test]
fn a_program_that_is_about_to_run_is_not_swept() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let program = stored(&store, &source, "server").unwrap();
    store.prune(&PrunePlan::default()).unwrap();
    assert!(program.path().exists());
    drop(program);
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!(count(&store.dir().join("bin")), 0);
}

#[test]
fn a_program_stays_for_runs_that_have_copies() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let run = add_with(&store, 0, &source);
    // Simulates a file system without hard links.
    let archived = run.file("bin/server").unwrap();
    fs::remove_file(&archived).unwrap();
    fs::copy(&source, &archived).unwrap();
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!(count(&store.dir().join("bin")), 1);
    store.prune(&outdated(&store, 0)).unwrap();
    assert_eq!(count(&store.dir().join("bin")), 0);
}

#[test]
fn only_names_that_goflame_writes_are_removed() {
    let (dir, store) = store();
    let run = add(&store, 0);
    let victim = dir.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("notes"), "").unwrap();
    // Regression: pruning emptied `trash` and removed every file with one name from `bin`.
    let theirs = ["bin/tool", "bin/notes.d/x", "trash/notes", "trash/notes.d/x", "partial/notes.lock", "runs/notes"];
    for name in theirs {
        let path = store.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    // A link with the name of a goflame file is removed itself; its target is kept.
    let id = RunId::new(at(60), "server");
    symlink(&victim, store.dir().join("trash").join(id.as_str())).unwrap();
    fs::create_dir(store.dir().join("trash").join(run.id().as_str())).unwrap();
    symlink(&victim, store.dir().join("trash").join(run.id().as_str()).join("inner")).unwrap();
    store.prune(&outdated(&store, 0)).unwrap();
    for name in theirs {
        assert!(store.dir().join(name).exists(), "{name}");
    }
    assert_eq!(count(&store.dir().join("trash")), 2);
    assert_eq!(fs::read(victim.join("notes")).unwrap(), b"");
}

#[test]
fn links_in_the_place_of_directories_and_files_are_refused() {
    let source = Path::new("/bin/true");
    for name in ["runs", "partial", "bin", "trash", "build", "lock", "format"] {
        let (dir, store) = store();
        let victim = dir.path().join("victim");
        fs::create_dir_all(victim.join("debug")).unwrap();
        fs::write(victim.join("notes"), "").unwrap();
        let place = store.dir().join(name);
        fs::remove_dir(&place).or_else(|_| fs::remove_file(&place)).ok();
        symlink(&victim, &place).unwrap();
        let refused = |result: Result<(), Error>| {
            assert!(matches!(&result, Err(Error::Link { path }) if *path == place), "{name}: {result:?}");
        };
        if name == "build" {
            refused(store.build_place("debug").map(drop));
        } else {
            refused(Store::open(store.dir()).map(drop));
        }
        match name {
            "lock" => refused(store.prune(&PrunePlan::default())),
            "build" | "format" => {}
            _ => refused(Store::open_existing(store.dir()).map(drop)),
        }
        match name {
            "bin" => refused(stored(&store, source, "true").map(drop)),
            "runs" | "partial" => refused(store.begin(&RunId::new(at(0), "x")).map(drop)),
            "trash" => refused(store.prune(&PrunePlan::default())),
            _ => {}
        }
        assert_eq!(count(&victim), 2, "{name}");
    }
}

#[test]
fn a_link_to_a_directory_of_the_users_own_may_be_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let (link, target) = (dir.path().join(".goflame"), dir.path().join("big/disk"));
    symlink(&target, &link).unwrap();
    let error = Store::open(&link).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} is a symbolic link to {}, which does not exist", link.display(), target.display())
    );
    fs::create_dir_all(&target).unwrap();
    let store = Store::open(&link).unwrap();
    let run = add(&store, 0);
    assert!(target.join("runs").join(run.id().as_str()).join("perf.data").exists());
    assert_eq!(ids(&Store::open_existing(&link).unwrap()), [run.id().clone()]);
    fs::remove_dir_all(&target).unwrap();
    fs::create_dir_all(&target).unwrap();
    fs::write(target.join("notes"), "").unwrap();
    assert!(matches!(Store::open(&link), Err(Error::Foreign { .. })));
}

#[test]
fn a_private_build_directory_vanishes_and_leftovers_of_others_too() {
    let (_dir, store) = store();
    let builds = store.dir().join("build/debug");
    let place = store.build_place("debug").unwrap();
    fs::write(place.path("server"), b"\x7fELF one").unwrap();
    let leftover = builds.join(".tmp-0a1b2c");
    fs::create_dir(&leftover).unwrap();
    fs::create_dir(builds.join(".tmp-their-own")).unwrap();
    let other = store.build_place("debug").unwrap();
    assert!(place.path("server").exists(), "another build that goes on is left alone");
    assert!(!leftover.exists());
    place.publish("server").unwrap();
    drop(place);
    other.reuse("server").unwrap();
    assert_eq!(fs::read(other.path("server")).unwrap(), b"\x7fELF one");
    drop(other);
    let mut names: Vec<_> = fs::read_dir(&builds).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".tmp-their-own", "server"]);
}

#[test]
fn a_run_that_this_user_may_not_read_is_not_called_damaged() {
    let (dir, store) = store();
    let run = add(&store, 0);
    // Root may read everything, so the test binary itself reports what another user sees.
    fs::set_permissions(run.dir(), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let listed = as_nobody(|| store.list().unwrap().remove(0).run);
    assert!(matches!(listed, Err(Error::NotReadable { .. })), "{listed:?}");
    assert!(as_nobody(|| store.outdated(0, |_| Some(())).unwrap()).is_empty());
}

/// Runs `work` with the file permissions of `nobody`, on a separate thread.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    assert!(rustix::process::geteuid().is_root(), "this test takes root's rights away, for which it needs root");
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_run_that_vanishes_while_it_is_verified_is_not_called_damaged() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    let loaded = store.find("latest").unwrap();
    // Regression: each file of the run was reported as "missing".
    store.prune(&outdated(&store, 0)).unwrap();
    assert!(matches!(store.verify(&loaded), Err(Error::Gone { id }) if id == *run.id()));
}

#[test]
fn runs_that_were_not_completed_have_names_too() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    let id = RunId::new(at(60), "server");
    drop(draft(&store, &id));
    assert_eq!(store.find_id(id.as_str()).unwrap(), id);
    assert_eq!(store.find_id("20261123-0651").unwrap(), id);
    assert_eq!(store.find_id("latest").unwrap(), *run.id());
    assert!(matches!(store.find_id("2026"), Err(Error::Ambiguous { candidates, .. }) if candidates.len() == 2));
    assert!(matches!(store.find(id.as_str()), Err(Error::Incomplete { .. })));
    assert_eq!(store.find("2026").unwrap().id(), run.id());
}

#[test]
fn an_interrupted_removal_is_finished_by_the_next() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    fs::rename(run.dir(), store.dir().join("trash").join(run.id().as_str())).unwrap();
    assert!(store.list().unwrap().is_empty());
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!(count(&store.dir().join("trash")), 0);
}

#[test]
fn a_newer_or_nonsensical_format_is_refused() {
    let (_dir, store) = store();
    add(&store, 0);
    let open = |text: &str| {
        fs::write(store.dir().join("format"), text).unwrap();
        let existing = Store::open_existing(store.dir()).unwrap_err();
        let error = Store::open(store.dir()).unwrap_err();
        assert_eq!(existing.to_string(), error.to_string());
        error
    };
    assert!(matches!(open("3\n"), Error::NewerFormat { found: 3, known: 2, .. }));
    for text in ["", "one", "-1", "0"] {
        assert!(matches!(open(text), Error::BadFormat { .. }), "{text:?}");
    }
}

#[test]
fn only_an_archive_or_room_for_one_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_existing(dir.path()), Err(Error::NoStore { .. })));
    assert!(matches!(Store::open_existing(&dir.path().join("none")), Err(Error::NoStore { .. })));
    fs::write(dir.path().join("go.mod"), "module x\n").unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Foreign { entry, .. } if entry == "go.mod"), "{error}");
    assert_eq!(count(dir.path()), 1, "nothing was written into it");
    let file = Store::open(&dir.path().join("go.mod")).unwrap_err();
    assert!(matches!(file, Error::File(_)), "{file}");
}

#[test]
fn a_directory_without_the_marker_is_an_archive_only_if_nothing_else_is_in_it() {
    // Regression: names that an archive also has were treated as the archive's, and `bin` and `trash` were emptied.
    for name in ["bin/tool", "trash/notes", "build/x", "runs/x", "partial/x", "lock/x", ".gitignore", ".tmp-a", "x"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "theirs").unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        let first = name.split('/').next().unwrap();
        assert!(matches!(&error, Error::Foreign { entry, .. } if entry == first), "{name}: {error}");
        assert_eq!(count(dir.path()), 1, "nothing was written into it");
    }
}

#[test]
fn a_set_up_that_was_interrupted_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = |number: usize| {
        let path = dir.path().join(number.to_string());
        fs::create_dir(&path).unwrap();
        path
    };
    // This version writes the marker first, under a temporary name.
    let place = fresh(0);
    fs::write(place.join(".tmp-0a1b2c"), "2").unwrap();
    Store::open(&place).unwrap();
    // The state after each step of an older version, which wrote the marker last.
    let steps = ["lock", "runs", "partial", "bin", "trash", ".gitignore", "CACHEDIR.TAG"];
    for done in 1..=steps.len() {
        let place = fresh(done);
        for step in &steps[..done] {
            match *step {
                "lock" => fs::write(place.join(step), ""),
                ".gitignore" => fs::write(place.join(step), "*\n"),
                "CACHEDIR.TAG" => fs::copy(dir.path().join("0").join(step), place.join(step)).map(drop),
                step => fs::create_dir(place.join(step)),
            }
            .unwrap();
        }
        Store::open(&place).unwrap();
    }
}

/// Unmounts on drop. Unmounts lazily, because a child that another test is just starting may still share a file in it.
struct Mounted(TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let disk = Mounted(tempfile::tempdir().unwrap());
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(disk.0.path()).status();
    let mounted = status.is_ok_and(|status| status.success());
    assert!(mounted, "this test mounts a small tmpfs, for which it needs `mount` and root");
    let store = Store::open(&disk.0.path().join(".goflame")).unwrap();
    let id = RunId::new(at(0), "server");
    let draft = draft(&store, &id);
    // The recorder fills the disk. Fill it here first: the space of a binary that did not fit becomes free only when no
    // child that another test is just starting shares its descriptor.
    let mut filler = vec![0_u8; 1 << 20];
    filler[..8].copy_from_slice(b"PERFILE2");
    let full = fs::write(draft.path("perf.data"), filler).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let error = stored(&store, Path::new("/bin/bash"), "server").unwrap_err();
    assert!(chain(&error).contains("No space left on device"), "{}", chain(&error));
    let error = draft.commit(&json!({"command": "run"})).unwrap_err();
    assert!(chain(&error).contains("No space left on device"), "{}", chain(&error));
    let partials = store.partials().unwrap();
    assert_eq!((partials.len(), &partials[0].id, partials[0].in_progress), (1, &id, false));
    assert_eq!(error.hints()[0], format!("what was written is kept in {}", partials[0].dir.display()));
    let kept = fs::read(partials[0].dir.join("perf.data")).unwrap();
    assert!(kept.len() > 100_000 && kept.starts_with(b"PERFILE2"), "{} bytes", kept.len());
    assert!(store.list().unwrap().is_empty());
}
