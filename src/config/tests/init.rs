//! The text that `goflame init` writes.

use std::path::Path;

use proptest::prelude::*;

use super::defaults::uncommented;
use super::{ROOT, accepted};
use crate::config::{self, Config, Kind};

fn init_text(mains: &[&str], benches: &[&str]) -> String {
    let owned = |packages: &[&str]| -> Vec<String> { packages.iter().map(|package| (*package).to_owned()).collect() };
    config::init_text(Path::new("/home/me/tool"), &owned(mains), &owned(benches))
}

/// The lines of `[app]`.
fn app(text: &str) -> Vec<&str> {
    text.lines().skip_while(|line| *line != "[app]").skip(1).take_while(|line| !line.is_empty()).collect()
}

#[test]
fn the_first_main_package_is_active_and_the_others_are_comments() {
    let text = init_text(&["./cmd/server", "./cmd/worker"], &["./codec"]);
    assert_eq!(
        app(&text),
        [
            r#"package = "./cmd/server""#,
            r#"kind    = "binary""#,
            r#"# name    = "server""#,
            "# Other main packages here; only one is built at a time:",
            r#"# package = "./cmd/worker""#,
            r#"# Packages with benchmarks; each needs kind = "bench":"#,
            r#"# package = "./codec""#,
        ]
    );
    let config = accepted(&text);
    assert_eq!((config.app.package.as_str(), config.app.name.as_str()), ("./cmd/server", "server"));
}

#[test]
fn the_name_of_the_directory_is_written() {
    let text = init_text(&["."], &[]);
    assert_eq!(app(&text), [r#"package = ".""#, r#"kind    = "binary""#, r#"name    = "tool""#]);
    assert_eq!(accepted(&text).app.name, "tool");
    let text = init_text(&["./v2"], &[]);
    assert_eq!(app(&text)[2], r#"# name    = "tool""#);
}

#[test]
fn benchmarks_replace_a_missing_main_package() {
    let text = init_text(&[], &["./codec", "./parse"]);
    let config = accepted(&text);
    assert_eq!((config.app.package.as_str(), config.app.kind), ("./codec", Kind::Bench));
    assert!(text.contains(r#"# package = "./parse""#));
}

#[test]
fn the_comments_show_the_true_defaults() {
    let text = init_text(&[], &[]);
    for text in [&text, &uncommented(&text)] {
        let mut config = accepted(text);
        config.text.clear();
        config.file = None;
        assert_eq!(config, Config::defaults(Path::new(ROOT)), "{text}");
    }
    // Proves that the uncommenting above had an effect.
    assert!(uncommented(&text).contains("\nfrequency = 997"));
}

proptest! {
    #[test]
    fn the_text_always_loads(
        mains in prop::collection::vec(any::<String>(), 0..4),
        benches in prop::collection::vec(any::<String>(), 0..4),
    ) {
        let config = accepted(&config::init_text(Path::new(ROOT), &mains, &benches));
        let package = &config.app.package;
        prop_assert!(package == "." || mains.contains(package) || benches.contains(package));
    }

    #[test]
    fn a_package_is_read_back_unchanged(package in "[a-z./\"'\\\\ #\u{e9}{}=\t\n]{1,12}") {
        prop_assume!(!package.contains("..."));
        let config = accepted(&init_text(&[&package], &[]));
        prop_assert_eq!(config.app.package, package);
    }
}
