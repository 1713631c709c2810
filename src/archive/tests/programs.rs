//! Stored programs.

use super::*;

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
