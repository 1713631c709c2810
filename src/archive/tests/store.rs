//! Opening of archives, foreign directories, and file systems that refuse.

use super::*;

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
            refused(store.create_private_build_dir("debug").map(drop));
        } else {
            refused(Store::open(store.dir()).map(drop));
        }
        match name {
            "lock" => refused(store.prune(&PrunePlan::default())),
            "build" | "format" => {}
            _ => refused(Store::open_existing(store.dir()).map(drop)),
        }
        match name {
            "bin" => refused(store_program(&store, source, "true").map(drop)),
            "runs" | "partial" => refused(store.begin(&RunId::new(start_time(0), "x")).map(drop)),
            "trash" => refused(store.prune(&PrunePlan::default())),
            _ => {}
        }
        assert_eq!(count_entries(&victim), 2, "{name}");
    }
}

#[test]
fn the_archive_can_be_a_link_to_a_directory() {
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
fn private_build_directories_are_removed_even_after_a_crash() {
    let (_dir, store) = store();
    let builds = store.dir().join("build/debug");
    let place = store.create_private_build_dir("debug").unwrap();
    fs::write(place.path("server"), b"\x7fELF one").unwrap();
    let leftover = builds.join(".tmp-0a1b2c");
    fs::create_dir(&leftover).unwrap();
    fs::create_dir(builds.join(".tmp-their-own")).unwrap();
    let other = store.create_private_build_dir("debug").unwrap();
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
fn a_run_without_read_permission_is_not_reported_as_damaged() {
    let (dir, store) = store();
    let run = add(&store, 0);
    // Root can read everything, so a thread with the permissions of `nobody` lists the runs.
    fs::set_permissions(run.dir(), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let listed = as_nobody(|| store.list().unwrap().remove(0).run);
    assert!(matches!(listed, Err(Error::NotReadable { .. })), "{listed:?}");
    assert!(as_nobody(|| store.outdated_runs(keep_newest(0), |_| Some(())).unwrap()).is_empty());
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
fn a_run_that_is_removed_during_its_verification_is_not_reported_as_damaged() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    let loaded = store.find("latest").unwrap();
    // Regression: each file of the run was reported as "missing".
    store.prune(&outdated_runs(&store, 0)).unwrap();
    assert!(matches!(store.verify(&loaded), Err(Error::Gone { id }) if id == *run.id()));
}

#[test]
fn incomplete_runs_are_found_by_name() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    let id = RunId::new(start_time(60), "server");
    drop(draft(&store, &id));
    assert_eq!(store.find_id(id.as_str()).unwrap(), id);
    assert_eq!(store.find_id("20261123-0651").unwrap(), id);
    assert_eq!(store.find_id("latest").unwrap(), *run.id());
    assert!(matches!(store.find_id("2026"), Err(Error::Ambiguous { candidates, .. }) if candidates.len() == 2));
    assert!(matches!(store.find(id.as_str()), Err(Error::Incomplete { .. })));
    assert_eq!(store.find("2026").unwrap().id(), run.id());
}

#[test]
fn an_interrupted_removal_is_finished_by_the_next_pruning() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    fs::rename(run.dir(), store.dir().join("trash").join(run.id().as_str())).unwrap();
    assert!(store.list().unwrap().is_empty());
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!(count_entries(&store.dir().join("trash")), 0);
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
fn only_an_archive_or_an_empty_directory_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_existing(dir.path()), Err(Error::NoStore { .. })));
    assert!(matches!(Store::open_existing(&dir.path().join("none")), Err(Error::NoStore { .. })));
    fs::write(dir.path().join("go.mod"), "module x\n").unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Foreign { entry, .. } if entry == "go.mod"), "{error}");
    assert_eq!(count_entries(dir.path()), 1, "nothing was written into it");
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
        assert_eq!(count_entries(dir.path()), 1, "nothing was written into it");
    }
}

#[test]
fn an_interrupted_creation_is_finished() {
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
struct MountedFileSystem(TempDir);

impl Drop for MountedFileSystem {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

#[test]
fn a_full_disk_is_reported_and_loses_no_file() {
    let disk = MountedFileSystem(tempfile::tempdir().unwrap());
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(disk.0.path()).status();
    let mounted = status.is_ok_and(|status| status.success());
    assert!(mounted, "this test mounts a small tmpfs, for which it needs `mount` and root");
    let store = Store::open(&disk.0.path().join(".goflame")).unwrap();
    let id = RunId::new(start_time(0), "server");
    let draft = draft(&store, &id);
    // Fills the disk with the recording, as the recorder can do. The test fills the disk before it stores a program:
    // the space of a program that did not fit becomes free late, if a child that another test is just starting shares
    // the descriptor.
    let mut filler = vec![0_u8; 1 << 20];
    filler[..8].copy_from_slice(b"PERFILE2");
    let full = fs::write(draft.path("perf.data"), filler).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let error = store_program(&store, Path::new("/bin/bash"), "server").unwrap_err();
    assert!(error_chain(&error).contains("No space left on device"), "{}", error_chain(&error));
    let error = draft.commit(&json!({"command": "run"})).unwrap_err();
    assert!(error_chain(&error).contains("No space left on device"), "{}", error_chain(&error));
    let partials = store.partial_runs().unwrap();
    assert_eq!((partials.len(), &partials[0].id, partials[0].in_progress), (1, &id, false));
    assert_eq!(error.hints()[0], format!("the files so far are kept in {}", partials[0].dir.display()));
    let kept = fs::read(partials[0].dir.join("perf.data")).unwrap();
    assert!(kept.len() > 100_000 && kept.starts_with(b"PERFILE2"), "{} bytes", kept.len());
    assert!(store.list().unwrap().is_empty());
}
