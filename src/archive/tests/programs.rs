//! Stored programs.

use super::*;

#[test]
fn a_program_is_stored_once_and_runs_link_to_it() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let (first, second) = (add_run_with(&store, 0, &source), add_run_with(&store, 60, &source));
    let inode = |run: &Run| fs::metadata(run.file("bin/server").unwrap()).unwrap().ino();
    assert_eq!(inode(&first), inode(&second), "the same file");
    let place = store.dir().join("bin").join(&first.files()["bin/server"].sha256).join("server");
    let meta = fs::metadata(&place).unwrap();
    assert_eq!((meta.ino(), meta.nlink(), meta.permissions().mode() & 0o777), (inode(&first), 3, 0o555));
    assert_eq!(store_program(&store, &source, "server").unwrap().path(), fs::canonicalize(&place).unwrap());
    assert_eq!(store.verify(&second).unwrap(), []);

    fs::write(&source, b"\x7fELF two").unwrap();
    let third = add_run_with(&store, 120, &source);
    assert_ne!(inode(&third), inode(&first));
    assert_eq!(count_entries(&store.dir().join("bin")), 2);
    for name in ["", "..", "a/b", "/etc/x"] {
        assert!(matches!(store_program(&store, &source, name), Err(Error::BadName { .. })), "{name:?}");
    }
}

#[test]
fn a_damaged_stored_program_is_replaced() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let first = add_run_with(&store, 0, &source);
    let place = store.dir().join("bin").join(&first.files()["bin/server"].sha256).join("server");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    for spoilt in [&b"spoilt!!!"[..], b"short"] {
        fs::write(&place, spoilt).unwrap();
        let next = add_run_with(&store, 60, &source);
        assert_eq!(store.verify(&next).unwrap(), []);
    }
    assert_eq!(store.verify(&first).unwrap().len(), 1, "and the spoilt one is told");
}

#[test]
fn a_program_that_was_replaced_or_changed_while_it_ran_is_reported() {
    let (dir, store) = store();
    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let check = |change: &dyn Fn(&Path)| {
        let mut draft = draft(&store, &RunId::new(start_time(0), "server"));
        let program = store_program(&store, &source, "server").unwrap();
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
fn add_program_in_format_1(store: &Store, contents: &[u8], run: Option<&Run>) -> std::path::PathBuf {
    let temporary = store.dir().join("program");
    fs::write(&temporary, contents).unwrap();
    let place = store.dir().join("bin").join(tree::hash_file(&temporary).unwrap().sha256);
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
    let used = add_program_in_format_1(&store, b"\x7fELF one", Some(&run));
    let unused = add_program_in_format_1(&store, b"\x7fELF two", None);
    let store = Store::open_existing(store.dir()).unwrap();
    assert_eq!(ids(&store), [run.id().clone()]);
    store.prune(&PrunePlan::default()).unwrap();
    assert_eq!((used.exists(), unused.exists()), (true, false));
    let format = || fs::read_to_string(store.dir().join("format")).unwrap();
    assert_eq!(format(), "1\n", "nothing in it is of the newer format yet");

    let source = dir.path().join("built");
    fs::write(&source, b"\x7fELF one").unwrap();
    let inode = fs::metadata(&used).unwrap().ino();
    add_run_with(&store, 60, &source);
    assert_eq!(format(), "2\n");
    assert_eq!(fs::metadata(used.join("server")).unwrap().ino(), inode, "the same file in its new place");
}

#[test]
fn runs_share_mapped_files_which_are_removed_with_the_last_run() {
    let (_dir, store) = store();
    let keep = |seconds: u64, name: &str| {
        let mut draft = draft(&store, &RunId::new(start_time(seconds), "server"));
        let stored = draft.add_mapped_file(name, b"\x7fELF library").unwrap();
        (draft.commit(&json!({})).unwrap(), stored)
    };
    let ((first, stored), (second, again)) = (keep(0, "lib.so"), keep(1, "lib.so"));
    assert_eq!(stored, again);
    let (path, other) = (first.file(&stored.file).unwrap(), second.file(&again.file).unwrap());
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.ino(), metadata.mode() & 0o777), (fs::metadata(other).unwrap().ino(), 0o400));
    assert!(store.verify(&first).unwrap().is_empty());
    store.prune(&outdated_runs(&store, 1)).unwrap();
    assert!(store.verify(&second).unwrap().is_empty());
    assert_eq!(count_entries(&store.dir().join("bin")), 1);
    store.prune(&outdated_runs(&store, 0)).unwrap();
    assert_eq!(count_entries(&store.dir().join("bin")), 0);
}

#[test]
fn a_stored_mapped_file_that_was_changed_is_written_again() {
    let (_dir, store) = store();
    let bytes = b"\x7fELF library";
    let keep = |seconds: u64| {
        let mut draft = draft(&store, &RunId::new(start_time(seconds), "server"));
        let stored = draft.add_mapped_file("lib.so", bytes).unwrap();
        draft.commit(&json!({})).unwrap().file(&stored.file).unwrap()
    };
    for (seconds, damage) in [(0, &b"\x7fELF"[..]), (1, b"\x7fELF Library"), (2, b"\x7fELF library and more")] {
        let path = keep(seconds * 2);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, damage).unwrap();
        assert_eq!(fs::read(keep(seconds * 2 + 1)).unwrap(), bytes);
    }
}

#[test]
fn any_name_of_a_mapped_file_stays_inside_the_run() {
    let (_dir, store) = store();
    let mut draft = draft(&store, &RunId::new(start_time(0), "server"));
    let long = "\u{e9}".repeat(300);
    let names = ["", ".", "..", "a/../../b", "memfd:\u{1b}[31m", ".tmp-abcdef", &long];
    let stored = names.map(|name| draft.add_mapped_file(name, name.as_bytes()).unwrap().file);
    let run = draft.commit(&json!({})).unwrap();
    for (name, file) in names.iter().zip(stored) {
        assert!(file.split('/').count() == 3 && file.len() < 255, "{file:?}");
        assert_eq!(fs::read(run.file(&file).unwrap()).unwrap(), name.as_bytes());
    }
    assert!(store.verify(&run).unwrap().is_empty());
}

#[test]
fn a_program_that_is_stored_as_a_mapped_file_can_be_started() {
    let (_dir, store) = store();
    let source = Path::new("/bin/true");
    let mut draft = draft(&store, &RunId::new(start_time(0), "server"));
    let mapped = draft.add_mapped_file("true", &fs::read(source).unwrap()).unwrap();
    let run = draft.commit(&json!({})).unwrap();
    let program = store_program(&store, source, "true").unwrap();
    assert!(Command::new(program.path()).status().unwrap().success());
    assert!(run.file(&mapped.file).is_ok() && store.verify(&run).unwrap().is_empty());
}
