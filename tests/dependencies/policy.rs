//! Checks that goflame depends only on allowed crates. Every exception is listed here with its reason.

use std::collections::BTreeMap;
use std::iter::Peekable;

use crate::metadata::{Package, needed_crates};

/// Licences that require only a notice, which THIRD-PARTY contains. A crate must be available under one of them.
const LICENCES: [&str; 4] = ["MIT", "Apache-2.0", "Unicode-3.0", "Zlib"];

/// Crates with other licences: name, licence, reason.
const LICENCE_EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "inferno",
    "CDDL-1.0",
    "the user asked for it; its copyleft ends at its own files, which are unmodified and named in THIRD-PARTY and in \
     every flame graph",
)];

/// Crates that occur in two versions: name, reason.
const DUPLICATES: [(&str, &str); 1] = [("getrandom", "inferno takes 0.3 by ahash, tempfile 0.4")];

/// Crates that are forbidden, even as a dependency of a dependency.
const BANNED: [(&str, &str); 9] = [
    ("cc", "building goflame needs no C compiler"),
    ("cmake", "building goflame needs no C compiler"),
    ("bindgen", "building goflame needs no libclang"),
    ("pkg-config", "goflame links to no library of the system but libc"),
    ("openssl-sys", "goflame speaks no TLS: a Docker engine behind TLS is not supported"),
    ("rustls", "goflame speaks no TLS: a Docker engine behind TLS is not supported"),
    ("chrono", "jiff is here for dates and durations"),
    ("time", "jiff is here for dates and durations"),
    ("framehop", "guesses a frame where `.eh_frame` is silent"),
];

#[test]
fn licences_are_allowed() {
    let excepted = |package: &Package, licence: &str| {
        LICENCE_EXCEPTIONS.iter().any(|(name, exception, _)| *name == package.name && *exception == licence)
    };
    let refused: Vec<_> = needed_crates()
        .into_iter()
        .filter(|package| {
            let licence = package.license.as_deref().unwrap_or("none");
            !allows(licence) && !excepted(package, licence)
        })
        .map(|package| format!("{} {}: {}", package.name, package.version, package.license.unwrap_or_default()))
        .collect();
    assert!(refused.is_empty(), "licences that are not allowed:\n  {}", refused.join("\n  "));
}

#[test]
fn a_crate_has_two_versions_only_with_a_reason() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in needed_crates() {
        versions.entry(package.name).or_default().push(package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let found: Vec<_> = versions.keys().map(String::as_str).collect();
    assert_eq!(found, DUPLICATES.map(|(name, _)| name), "{versions:?}");
}

#[test]
fn banned_crates_are_not_used() {
    for package in needed_crates() {
        if let Some((name, reason)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            panic!("{name} is banned: {reason}. `cargo tree -i {name}` tells who brings it");
        }
    }
}

#[test]
fn every_crate_comes_from_the_registry() {
    let elsewhere: Vec<_> = needed_crates()
        .into_iter()
        .filter(|package| !package.source.as_deref().is_some_and(|source| source.starts_with("registry+")))
        .map(|package| package.name)
        .collect();
    assert!(elsewhere.is_empty(), "neither a directory nor a git repository is a fixed version: {elsewhere:?}");
}

#[test]
fn unneeded_exceptions_are_reported() {
    let packages = needed_crates();
    for (name, licence, _) in LICENCE_EXCEPTIONS {
        let needed = |package: &Package| package.name == name && package.license.as_deref() == Some(licence);
        assert!(packages.iter().any(needed), "{name} is no longer here under {licence}");
    }
}

#[test]
fn licence_expressions_follow_spdx() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(GPL-3.0 OR Zlib) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0",
        "MIT OR GPL-3.0 AND Sleepycat",
    ] {
        assert!(allows(allowed), "{allowed}");
    }
    for refused in
        ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "Apache-2.0 WITH LLVM-exception", "", "MIT MIT"]
    {
        assert!(!allows(refused), "{refused}");
    }
}

/// Whether an SPDX expression can be met with allowed licences only. `AND` binds closer than `OR`.
fn allows(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut tokens = spaced.split_whitespace().peekable();
    parse_or(&mut tokens) && tokens.next().is_none()
}

fn parse_or<'a>(tokens: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let mut allowed = parse_and(tokens);
    while tokens.next_if_eq(&"OR").is_some() {
        allowed |= parse_and(tokens);
    }
    allowed
}

fn parse_and<'a>(tokens: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let mut allowed = licence(tokens);
    while tokens.next_if_eq(&"AND").is_some() {
        allowed &= licence(tokens);
    }
    allowed
}

fn licence<'a>(tokens: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    match tokens.next() {
        Some("(") => parse_or(tokens) & (tokens.next() == Some(")")),
        // A licence with an exception counts as another licence, and the list contains no such licence.
        Some(_) if tokens.next_if_eq(&"WITH").is_some() => {
            tokens.next();
            false
        }
        name => name.is_some_and(|name| LICENCES.contains(&name)),
    }
}
