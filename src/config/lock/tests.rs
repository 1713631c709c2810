#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn lock() -> LockFile {
    let flags = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    LockFile {
        native_go: Some("1.26.8".to_owned()),
        docker: Some(LockedImage {
            image: "golang:1.27.3".to_owned(),
            digest: format!("golang@{DIGEST}"),
            go: "1.27.3".to_owned(),
        }),
        go_sum: Some(DIGEST.trim_start_matches("sha256:").to_owned()),
        variants: [
            (
                "debug".to_owned(),
                LockedVariant { flags: flags(&["-trimpath", "-gcflags=all=-N -l"]), ..Default::default() },
            ),
            (
                "with.dot".to_owned(),
                LockedVariant { flags: Vec::new(), env: [("CC".to_owned(), "a \"b\"".to_owned())].into() },
            ),
        ]
        .into(),
    }
}

fn parse(text: &str) -> Result<LockFile, Error> {
    LockFile::parse(Path::new("goflame.lock"), text)
}

/// Returns the message, the label and the marked part of the only problem.
fn problem(text: &str) -> (String, String, String) {
    match parse(text) {
        Err(Error::Invalid(problems)) => match problems.list.as_slice() {
            [problem] => (problem.message.clone(), problem.label.clone(), text[problem.span.clone()].to_owned()),
            many => panic!("{text}: {many:#?}"),
        },
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_text_is_stable_and_can_be_parsed_again() {
    let text = lock().text();
    assert_eq!(
        text,
        format!(
            "{LOCK_HEADER}format = 1

[native]
go = \"1.26.8\"

[docker]
image = \"golang:1.27.3\"
digest = \"golang@{DIGEST}\"
go = \"1.27.3\"

[modules]
go_sum = \"{DIGEST}\"

[variant.debug]
flags = [\"-trimpath\", \"-gcflags=all=-N -l\"]

[variant.\"with.dot\"]
flags = []
env = {{ CC = \"a \\\"b\\\"\" }}
"
        )
    );
    assert_eq!(parse(&text).unwrap(), lock());
    assert_eq!(parse(&LockFile::default().text()).unwrap(), LockFile::default());
}

#[test]
fn a_difference_lists_each_changed_value() {
    let old = lock();
    assert_eq!(old.difference(&old), [""; 0]);
    let mut new = old.clone();
    new.native_go = Some("1.27.3".to_owned());
    new.go_sum = None;
    new.variants.remove("with.dot");
    assert_eq!(
        old.difference(&new),
        [
            format!("- modules.go_sum = \"{DIGEST}\"").as_str(),
            "- native.go = \"1.26.8\"",
            "+ native.go = \"1.27.3\"",
            "- variant.\"with.dot\".env = { CC = \"a \\\"b\\\"\" }",
            "- variant.\"with.dot\".flags = []",
        ]
    );
    assert_eq!(LockFile::default().difference(&new).iter().filter(|line| line.starts_with("- ")).count(), 0);
}

#[test]
fn problems_are_reported_with_their_position() {
    for (text, message, label, place) in [
        ("format = 2\nelse = 1", "invalid value for `format`", "this goflame can read formats up to 1", "2"),
        ("format = 0", "invalid value for `format`", "expected 1", "0"),
        ("", "`format` is missing", "expected `format = 1`", ""),
        (
            "format = 1\n[natif]\ngo = \"1.27.3\"",
            "unknown key `natif` in a lock file",
            "goflame does not write this key",
            "natif",
        ),
        (
            "format = 1\n[native]\ngo = \"1.27\"",
            "invalid value for `native.go`",
            "expected an exact Go release",
            "\"1.27\"",
        ),
        (
            "format = 1\n[native]\nno = 1",
            "unknown key `native.no` in a lock file",
            "goflame does not write this key",
            "no",
        ),
        ("format = 1\nnative = 3", "wrong type for `native`", "expected a table, found an integer", "3"),
        (
            "format = 1\n[docker]\nimage = \"a\"\ndigest = \"sha256:12\"\ngo = \"1.27.3\"",
            "invalid value for `docker.digest`",
            "expected `sha256:` and 64 hex digits",
            "\"sha256:12\"",
        ),
        (
            "format = 1\n[docker]\nimage = \"a\"",
            "`[docker]` is not complete",
            "expected `image`, `digest` and `go`",
            "docker",
        ),
    ] {
        let found = problem(text);
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2.as_str()), (message, label, place), "{text}");
    }
    let conflict = format!("{LOCK_HEADER}format = 1\n\n<<<<<<< HEAD\n[native]\ngo = \"1.26.8\"\n");
    let Err(error) = parse(&conflict) else { panic!("a merge conflict was accepted") };
    let drawn = error.render(false).unwrap();
    assert!(drawn.contains("--> goflame.lock:4:1"), "{drawn}");
}

#[test]
fn a_missing_file_is_not_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(LockFile::load(&dir.path().join("goflame.lock")).unwrap(), None);
    assert!(matches!(LockFile::load(dir.path()), Err(Error::File(_))));
    assert_eq!(lock_path(Path::new("/p/goflame.toml")), Path::new("/p/goflame.lock"));
    assert_eq!(lock_path(Path::new("/p/ci.toml")), Path::new("/p/ci.lock"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_without_panic(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_flags_and_names_are_read_back_unchanged(flags in proptest::collection::vec("[^\\x00]{0,20}", 0..4), name in "[^\\x00]{0,10}") {
        let mut lock = LockFile::default();
        lock.variants.insert(name, LockedVariant { flags, env: BTreeMap::new() });
        prop_assert_eq!(parse(&lock.text()).unwrap(), lock);
    }
}
