//! The whole life of runs, in temporary directories.

#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tempfile::TempDir;

use super::{Damage, Draft, Error, Owner, Problem, Run, RunId, Store};

/// 2026-11-23 06:50:01 UTC, and so many seconds later.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_416_601 + seconds)
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join(".goflame"), None).unwrap();
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

/// Why the only run of a store cannot be loaded.
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

/// A caller's view of its own manifest.
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
    assert_eq!(fs::read_dir(store.dir().join("partial")).unwrap().count(), 0, "the lock file is gone too");
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
    assert_eq!(text("format"), "1\n");
    assert!(text("CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    fs::write(store.dir().join(".gitignore"), "changed\n").unwrap();
    Store::open(store.dir(), None).unwrap();
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
fn runs_of_one_second_are_listed_in_the_order_of_completion() {
    let (_dir, store) = store();
    let first = add(&store, 0);
    let second = add(&store, 0);
    let third = add(&store, 0);
    // File times tick with the kernel's clock; these are told apart without waiting for it.
    for (run, seconds) in [(&first, 1), (&second, 2), (&third, 3)] {
        fs::File::open(run.dir().join("manifest.json")).unwrap().set_modified(at(seconds)).unwrap();
    }
    assert_eq!(ids(&store), [third.id().clone(), second.id().clone(), first.id().clone()]);
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
    // A directory that became a link: its files are reached through it, and must not be.
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
fn a_binary_is_kept_once() {
    let (dir, store) = store();
    let source = dir.path().join("server");
    fs::write(&source, b"\x7fELF one").unwrap();
    let with_binary = |seconds| {
        let draft = draft(&store, &RunId::new(at(seconds), "server"));
        draft.add_binary(&source, "server").unwrap();
        draft.commit(&json!({})).unwrap()
    };
    let (first, second) = (with_binary(0), with_binary(60));
    let inode = |run: &Run| fs::metadata(run.file("bin/server").unwrap()).unwrap().ino();
    assert_eq!(inode(&first), inode(&second), "the same file");
    let stored = store.dir().join("bin").join(&first.files()["bin/server"].sha256);
    let meta = fs::metadata(&stored).unwrap();
    assert_eq!((meta.ino(), meta.nlink(), meta.permissions().mode() & 0o777), (inode(&first), 3, 0o555));
    assert_eq!(store.verify(&second).unwrap(), []);

    fs::write(&source, b"\x7fELF two").unwrap();
    let third = with_binary(120);
    assert_ne!(inode(&third), inode(&first));
    assert_eq!(fs::read_dir(store.dir().join("bin")).unwrap().count(), 2);
    for name in ["", "..", "a/b", "/etc/x"] {
        let draft = store.begin(&RunId::new(at(180), "server")).unwrap();
        assert!(matches!(draft.add_binary(&source, name), Err(Error::BadName { .. })), "{name:?}");
    }
}

#[test]
fn a_spoilt_stored_binary_is_not_handed_out_again() {
    let (dir, store) = store();
    let source = dir.path().join("server");
    fs::write(&source, b"\x7fELF one").unwrap();
    let with_binary = |seconds| {
        let draft = draft(&store, &RunId::new(at(seconds), "server"));
        draft.add_binary(&source, "server").unwrap();
        draft.commit(&json!({})).unwrap()
    };
    let first = with_binary(0);
    let stored = store.dir().join("bin").join(&first.files()["bin/server"].sha256);
    fs::set_permissions(&stored, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&stored, b"spoilt!!!").unwrap();
    let second = with_binary(60);
    assert_eq!(store.verify(&second).unwrap(), []);
    assert_eq!(store.verify(&first).unwrap().len(), 1, "and the spoilt one is told");
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
                // Each also races to create the store.
                let store = Store::open(place, None).unwrap();
                for run in 0..3 {
                    let draft = draft(&store, &RunId::new(at(thread * 10 + run), "server"));
                    draft.add_binary(source, "server").unwrap();
                    draft.commit(&json!({})).unwrap();
                }
            });
        }
    });
    let store = Store::open_existing(&place, None).unwrap();
    let runs = store.list().unwrap();
    assert_eq!(runs.len(), 12);
    for entry in runs {
        assert_eq!(store.verify(&entry.run.unwrap()).unwrap(), []);
    }
    assert_eq!(fs::read_dir(place.join("bin")).unwrap().count(), 1);
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
    let source = dir.path().join("server");
    for seconds in 0..5 {
        fs::write(&source, format!("binary {seconds}")).unwrap();
        let draft = draft(&store, &RunId::new(at(seconds), "server"));
        draft.add_binary(&source, "server").unwrap();
        draft.commit(&json!({})).unwrap();
    }
    let all = ids(&store);
    assert!(store.plan_prune(5).unwrap().is_empty());
    let plan = store.plan_prune(2).unwrap();
    assert_eq!(plan.runs, all[2..]);
    assert_eq!(ids(&store), all, "a plan changes nothing");
    store.prune(&plan).unwrap();
    assert_eq!(ids(&store), all[..2]);
    assert_eq!(fs::read_dir(store.dir().join("bin")).unwrap().count(), 2, "their binaries stay, the others go");
    assert_eq!(fs::read_dir(store.dir().join("trash")).unwrap().count(), 0);
    for entry in store.list().unwrap() {
        assert_eq!(store.verify(&entry.run.unwrap()).unwrap(), []);
    }
    store.prune(&plan).unwrap();
    assert_eq!(ids(&store), all[..2], "an outdated plan does no harm");
    store.prune(&store.plan_prune(0).unwrap()).unwrap();
    assert!(ids(&store).is_empty());
}

#[test]
fn pruning_spares_what_is_being_written_and_what_is_still_young() {
    let (_dir, store) = store();
    let [abandoned, writing, young] = [0, 1, 100].map(|seconds| RunId::new(at(seconds), "server"));
    drop(draft(&store, &abandoned));
    let live = draft(&store, &writing);
    let kept = [10, 20].map(|seconds| add(&store, seconds).id().clone());
    drop(draft(&store, &young));
    let damaged = add(&store, 15);
    fs::write(damaged.dir().join("manifest.json"), "").unwrap();

    let plan = store.plan_prune(2).unwrap();
    assert_eq!((plan.runs.as_slice(), plan.partials.as_slice()), (&[][..], &[abandoned.clone()][..]));
    store.prune(&plan).unwrap();
    let left: Vec<RunId> = store.partials().unwrap().into_iter().map(|partial| partial.id).collect();
    assert_eq!(left, [young, writing]);
    assert_eq!(ids(&store), [kept[1].clone(), damaged.id().clone(), kept[0].clone()], "the damaged one is not counted");
    live.commit(&json!({})).unwrap();
    assert_eq!(fs::read_dir(store.dir().join("partial")).unwrap().count(), 2, "one run and its lock");

    // A plan made before the writing began does not touch it either.
    let late = RunId::new(at(2), "server");
    drop(draft(&store, &late));
    let plan = store.plan_prune(1).unwrap();
    assert!(plan.partials.contains(&late));
    fs::remove_dir_all(store.dir().join("partial").join(late.as_str())).unwrap();
    let live = draft(&store, &late);
    store.prune(&plan).unwrap();
    assert!(live.path("perf.data").exists());
    live.commit(&json!({})).unwrap();
}

#[test]
fn an_interrupted_removal_is_finished_by_the_next() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    fs::rename(run.dir(), store.dir().join("trash").join(run.id().as_str())).unwrap();
    assert!(store.list().unwrap().is_empty());
    store.prune(&store.plan_prune(20).unwrap()).unwrap();
    assert_eq!(fs::read_dir(store.dir().join("trash")).unwrap().count(), 0);
}

#[test]
fn a_newer_or_nonsensical_format_is_refused() {
    let (_dir, store) = store();
    add(&store, 0);
    let open = |text: &str| {
        fs::write(store.dir().join("format"), text).unwrap();
        let existing = Store::open_existing(store.dir(), None).unwrap_err();
        let error = Store::open(store.dir(), None).unwrap_err();
        assert_eq!(existing.to_string(), error.to_string());
        error
    };
    assert!(matches!(open("2\n"), Error::NewerFormat { found: 2, known: 1, .. }));
    for text in ["", "one", "-1", "0"] {
        assert!(matches!(open(text), Error::BadFormat { .. }), "{text:?}");
    }
}

#[test]
fn only_an_archive_or_room_for_one_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_existing(dir.path(), None), Err(Error::NoStore { .. })));
    assert!(matches!(Store::open_existing(&dir.path().join("none"), None), Err(Error::NoStore { .. })));
    fs::write(dir.path().join("go.mod"), "module x\n").unwrap();
    let error = Store::open(dir.path(), None).unwrap_err();
    assert!(matches!(&error, Error::Foreign { entry, .. } if entry == "go.mod"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written into it");
    let file = Store::open(&dir.path().join("go.mod"), None).unwrap_err();
    assert!(matches!(file, Error::File(_)), "{file}");
    // The build came first.
    let built = dir.path().join("built");
    fs::create_dir_all(built.join("build/debug")).unwrap();
    Store::open(&built, None).unwrap();
}

#[test]
fn everything_belongs_to_the_calling_user() {
    assert!(rustix::process::geteuid().is_root(), "this test gives files away, for which it needs root");
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a/b");
    let store = Store::open(&place, Some(Owner { uid: 12345, gid: 54321 })).unwrap();
    let draft = draft(&store, &RunId::new(at(0), "server"));
    draft.add_binary(Path::new("/bin/true"), "true").unwrap();
    let run = draft.commit(&json!({})).unwrap();
    drop(store.begin(&RunId::new(at(60), "server")).unwrap());
    let output = Command::new("find")
        .arg(dir.path().join("a"))
        .args(["(", "-not", "-uid", "12345", "-o", "-not", "-gid", "54321", ")"])
        .output()
        .expect("find is needed");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(fs::metadata(run.file("perf.data").unwrap()).unwrap().uid(), 12345);
}

/// Unmounts when dropped; lazily, for a child that another test is just starting may still share a file in it.
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
    let store = Store::open(&disk.0.path().join(".goflame"), None).unwrap();
    let id = RunId::new(at(0), "server");
    let draft = draft(&store, &id);
    // The recorder fills the disk. First, for the space of a binary that did not fit comes free only when no child that
    // another test is just starting shares its descriptor any more.
    let mut filler = vec![0_u8; 1 << 20];
    filler[..8].copy_from_slice(b"PERFILE2");
    let full = fs::write(draft.path("perf.data"), filler).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let error = draft.add_binary(Path::new("/proc/self/exe"), "server").unwrap_err();
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
