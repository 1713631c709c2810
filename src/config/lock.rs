//! `goflame.lock`: the pinned inputs of a build. The file is next to `goflame.toml` and is meant to be committed.
//!
//! Defines the format, its reading and writing, and the difference of two locks. Must not decide what a lock contains,
//! and must not write files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::Error;
use super::init::toml_string;
use super::load::{read_text, syntax_problems};
use super::problem::{Problem, Problems};
use super::rules::{self, Fault};
use super::value::{ConfigValue, entries, is_bare_key};
use crate::redact::Secrets;

/// Number of the format that this version writes. This is also the newest format that it can read.
const LOCK_FORMAT: i64 = 1;

const LOCK_HEADER: &str = "# Written by goflame; commit it. `goflame build --update-lock` writes it again.\n";

/// The pinned inputs. Native and Docker builds pin separate Go versions. A build of one kind does not change the
/// version of the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    /// The Go version of native builds, for example `1.27.3`. `None` before the first native build.
    pub native_go: Option<String>,
    /// The image of Docker builds. `None` before the first Docker build.
    pub docker: Option<LockedImage>,
    /// SHA-256 of go.sum, 64 hex digits. `None` if go.sum does not exist.
    pub go_sum: Option<String>,
    /// The flags of each variant.
    pub variants: BTreeMap<String, LockedVariant>,
}

/// An image pinned by digest. It stays the same when its tag moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// The name of the image when it was pinned, as `Config::image` returns it.
    pub image: String,
    /// `repository@sha256:...`, or the `sha256:...` id of an image that was built locally and is in no registry.
    pub digest: String,
    /// The Go version in the image.
    pub go: String,
}

/// The resolved flags and environment of a variant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedVariant {
    /// Flags of `go build`.
    pub flags: Vec<String>,
    /// Variables added to the environment of `go build`.
    pub env: BTreeMap<String, String>,
}

/// Returns the lock file of a settings file: `goflame.lock` for `goflame.toml`.
pub fn lock_path(settings: &Path) -> PathBuf {
    settings.with_extension("lock")
}

impl LockFile {
    /// Reads a lock file. `None` if it does not exist.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        match read_text(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(Error::File(error)) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Parses the text of a lock file. `path` is for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut lock = Self::default();
        let mut problems = syntax_problems(&errors, text);
        if problems.is_empty() {
            read_tables(&mut lock, table.get_ref(), text, &mut problems);
        }
        Problems::new(path, text, problems).map_or(Ok(lock), |problems| Err(Error::Invalid(problems)))
    }

    /// Returns the text of the file. Equal locks give equal texts.
    pub fn text(&self) -> String {
        let mut text = format!("{LOCK_HEADER}format = {LOCK_FORMAT}\n");
        for (table, entries) in self.tables() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n[{table}]");
            for (key, value) in entries {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }

    /// Replaces secrets with digests. `secrets` selects the kind of digest.
    #[must_use]
    pub fn with_hashed_secrets(mut self, secrets: &Secrets) -> Self {
        for variant in self.variants.values_mut() {
            variant.flags = secrets.mask_args(&variant.flags);
            for (name, value) in &mut variant.env {
                *value = secrets.mask_value(name, value);
            }
        }
        self
    }

    /// Returns the changes from `self` to `new`, one line each: `- native.go = "1.26.8"`, `+ native.go = ...`.
    /// Empty if they are equal.
    pub fn difference(&self, new: &Self) -> Vec<String> {
        let (old, new) = (self.values_by_path(), new.values_by_path());
        let mut lines = Vec::new();
        let paths: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for path in paths {
            let (before, after) = (old.get(path), new.get(path));
            if before != after {
                lines.extend(before.map(|value| format!("- {path} = {value}")));
                lines.extend(after.map(|value| format!("+ {path} = {value}")));
            }
        }
        lines
    }

    fn values_by_path(&self) -> BTreeMap<String, String> {
        let tables = self.tables().into_iter();
        tables
            .flat_map(|(table, entries)| entries.into_iter().map(move |(key, value)| (format!("{table}.{key}"), value)))
            .collect()
    }

    /// Returns the tables with their keys and values, in the order of the file.
    fn tables(&self) -> Vec<(String, Vec<(&'static str, String)>)> {
        let mut tables = Vec::new();
        if let Some(go) = &self.native_go {
            tables.push(("native".to_owned(), vec![("go", toml_string(go))]));
        }
        if let Some(LockedImage { image, digest, go }) = &self.docker {
            let entries = vec![("image", toml_string(image)), ("digest", toml_string(digest)), ("go", toml_string(go))];
            tables.push(("docker".to_owned(), entries));
        }
        if let Some(go_sum) = &self.go_sum {
            tables.push(("modules".to_owned(), vec![("go_sum", toml_string(&format!("{SHA256_PREFIX}{go_sum}")))]));
        }
        for (name, LockedVariant { flags, env }) in &self.variants {
            let flags: Vec<_> = flags.iter().map(|flag| toml_string(flag)).collect();
            let mut entries = vec![("flags", format!("[{}]", flags.join(", ")))];
            if !env.is_empty() {
                let env: Vec<_> =
                    env.iter().map(|(name, value)| format!("{} = {}", toml_key(name), toml_string(value))).collect();
                entries.push(("env", format!("{{ {} }}", env.join(", "))));
            }
            tables.push((format!("variant.{}", toml_key(name)), entries));
        }
        tables
    }
}

/// Returns a key in TOML syntax, quoted where necessary.
fn toml_key(key: &str) -> String {
    if is_bare_key(key) { key.to_owned() } else { toml_string(key) }
}

fn read_tables(lock: &mut LockFile, table: &DeTable<'_>, text: &str, problems: &mut Vec<Problem>) {
    let (mut format, mut format_problem) = (None, None);
    let (mut image, mut digest, mut image_go) = (None, None, None);
    let mut docker = None;
    for (name, value) in entries(table, "", text) {
        match name {
            "format" => {
                let before = problems.len();
                format = value.read_integer_with(problems, check_format);
                format_problem = problems.get(before).cloned();
            }
            "native" => read_entries(&value, problems, |name, value, problems| {
                match name {
                    "go" => lock.native_go = value.read_text_with(problems, check_go_release),
                    _ => return false,
                }
                true
            }),
            "docker" => {
                docker = Some(value.key.clone());
                read_entries(&value, problems, |name, value, problems| {
                    match name {
                        "image" => image = value.read_text_with(problems, rules::check_image_name),
                        "digest" => digest = value.read_text_with(problems, check_pinned_image),
                        "go" => image_go = value.read_text(problems).map(str::to_owned),
                        _ => return false,
                    }
                    true
                });
            }
            "modules" => read_entries(&value, problems, |name, value, problems| {
                match name {
                    "go_sum" => {
                        lock.go_sum = value.read_text_with(problems, |text| parse_sha256(text).map(str::to_owned));
                    }
                    _ => return false,
                }
                true
            }),
            "variant" => for_each_entry(&value, problems, |name, value, problems| {
                let mut variant = LockedVariant::default();
                read_entries(value, problems, |name, value, problems| {
                    match name {
                        "flags" => variant.flags = value.read_list(problems).unwrap_or_default(),
                        "env" => variant.env = value.read_env(problems).unwrap_or_default(),
                        _ => return false,
                    }
                    true
                });
                lock.variants.insert(name.to_owned(), variant);
            }),
            _ => problems.push(unknown_key_problem(&value)),
        }
    }
    if format.is_none() && problems.is_empty() {
        let label = format!("expected `format = {LOCK_FORMAT}`");
        problems.push(Problem { message: "`format` is missing".to_owned(), span: 0..0, label, help: None });
    }
    match (image, digest, image_go, docker) {
        (Some(image), Some(digest), Some(go), _) => lock.docker = Some(LockedImage { image, digest, go }),
        (_, _, _, Some(span)) if problems.is_empty() => problems.push(Problem {
            message: "`[docker]` is not complete".to_owned(),
            span,
            label: "expected `image`, `digest` and `go`".to_owned(),
            help: None,
        }),
        _ => {}
    }
    // Another format may contain anything, so only the problem with the format is reported.
    if let Some(problem) = format_problem {
        *problems = vec![problem];
    }
}

/// Reads the entries of a table. `take` returns false for a name that it does not know.
fn read_entries(
    value: &ConfigValue<'_>,
    problems: &mut Vec<Problem>,
    mut take: impl FnMut(&str, &ConfigValue<'_>, &mut Vec<Problem>) -> bool,
) {
    for_each_entry(value, problems, |name, value, problems| {
        if !take(name, value, problems) {
            problems.push(unknown_key_problem(value));
        }
    });
}

fn for_each_entry(
    value: &ConfigValue<'_>,
    problems: &mut Vec<Problem>,
    mut each: impl FnMut(&str, &ConfigValue<'_>, &mut Vec<Problem>),
) {
    let DeValue::Table(table) = value.node.get_ref() else {
        value.report_wrong_type::<()>("a table", problems);
        return;
    };
    for (name, value) in entries(table, &value.path, value.text) {
        each(name, &value, problems);
    }
}

fn unknown_key_problem(value: &ConfigValue<'_>) -> Problem {
    Problem {
        message: format!("unknown key `{}` in a lock file", value.path),
        span: value.key.clone(),
        label: "goflame does not write this key".to_owned(),
        help: Some("`goflame build --update-lock` writes the file again".to_owned()),
    }
}

fn check_format(format: i64) -> Result<i64, Fault> {
    match format {
        LOCK_FORMAT => Ok(format),
        newer if newer > LOCK_FORMAT => Err(Fault::new(format!("this goflame can read formats up to {LOCK_FORMAT}"))
            .help("a newer goflame wrote this file")),
        _ => Err(Fault::new(format!("expected {LOCK_FORMAT}"))),
    }
}

fn check_go_release(text: &str) -> Result<String, Fault> {
    match rules::check_go_version(text)? {
        empty if empty.is_empty() => Err(Fault::new(rules::EXPECTED_RELEASE)),
        version => Ok(version),
    }
}

const SHA256_PREFIX: &str = "sha256:";

/// Returns the 64 hex digits after `sha256:`.
fn parse_sha256(text: &str) -> Result<&str, Fault> {
    let digits = text.strip_prefix(SHA256_PREFIX).filter(|digits| digits.len() == 64);
    digits
        .filter(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        .ok_or_else(|| Fault::new("expected `sha256:` and 64 hex digits"))
}

/// Checks that an image is given by its digest, alone or after a name. A digest does not change when a tag moves.
fn check_pinned_image(text: &str) -> Result<String, Fault> {
    let digest = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
    parse_sha256(digest).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
