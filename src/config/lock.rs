//! `goflame.lock`: what a build was settled to, beside `goflame.toml` and meant to be committed.
//!
//! Must not decide what goes in, and must not write files: this is the format, both ways, and the difference of two.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::Error;
use super::init::quoted;
use super::load::{read_text, syntax_problems};
use super::problem::{Problem, Problems};
use super::rules::{self, Fault};
use super::value::{Value, entries, is_bare_key};
use crate::redact::Secrets;

/// The format that this goflame writes, and the newest that it reads.
const FORMAT: i64 = 1;

const HEAD: &str = "# Written by goflame; commit it. `goflame build --update-lock` settles everything anew.\n";

/// What is settled. Native and Docker builds have a Go each; a build of one kind leaves the other's alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The Go of native builds, such as `1.27.3`; `None` before the first of them.
    pub native_go: Option<String>,
    /// The image of Docker builds; `None` before the first of them.
    pub docker: Option<LockedImage>,
    /// SHA-256 of go.sum, 64 hex digits; `None` where there is none.
    pub go_sum: Option<String>,
    /// Each variant's flags.
    pub variants: BTreeMap<String, LockedVariant>,
}

/// An image that stays the same when its tag moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// `[toolchain] image` at the time.
    pub image: String,
    /// `repository@sha256:...`, or the `sha256:...` id of an image that was made on the engine and is in no registry.
    pub digest: String,
    /// The Go in it.
    pub go: String,
}

/// What a variant comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedVariant {
    /// Flags of `go build`.
    pub flags: Vec<String>,
    /// What is added to its environment.
    pub env: BTreeMap<String, String>,
}

/// The lock file of a settings file: `goflame.lock` for `goflame.toml`.
pub fn lock_path(settings: &Path) -> PathBuf {
    settings.with_extension("lock")
}

impl Lock {
    /// Reads a lock file; `None` when there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        match read_text(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(Error::File(error)) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the text of a lock file; `path` is for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut lock = Self::default();
        let mut problems = syntax_problems(&errors, text);
        if problems.is_empty() {
            read(&mut lock, table.get_ref(), text, &mut problems);
        }
        Problems::new(path, text, problems).map_or(Ok(lock), |problems| Err(Error::Invalid(problems)))
    }

    /// The text of the file: the same for the same lock.
    pub fn text(&self) -> String {
        let mut text = format!("{HEAD}format = {FORMAT}\n");
        for (table, entries) in self.tables() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n[{table}]");
            for (key, value) in entries {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }

    /// The same with digests in place of secrets; `secrets` says which kind of digests.
    #[must_use]
    pub fn with_digests(mut self, secrets: &Secrets) -> Self {
        for variant in self.variants.values_mut() {
            variant.flags = secrets.args(&variant.flags);
            for (name, value) in &mut variant.env {
                *value = secrets.value(name, value);
            }
        }
        self
    }

    /// What becomes of `self` when `new` takes its place, a line each: `- native.go = "1.26.8"`, `+ native.go = ...`.
    /// Empty: nothing.
    pub fn difference(&self, new: &Self) -> Vec<String> {
        let (old, new) = (self.lines(), new.lines());
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

    fn lines(&self) -> BTreeMap<String, String> {
        let tables = self.tables().into_iter();
        tables
            .flat_map(|(table, entries)| entries.into_iter().map(move |(key, value)| (format!("{table}.{key}"), value)))
            .collect()
    }

    /// The tables with their keys and values, as they are written.
    fn tables(&self) -> Vec<(String, Vec<(&'static str, String)>)> {
        let mut tables = Vec::new();
        if let Some(go) = &self.native_go {
            tables.push(("native".to_owned(), vec![("go", quoted(go))]));
        }
        if let Some(LockedImage { image, digest, go }) = &self.docker {
            let entries = vec![("image", quoted(image)), ("digest", quoted(digest)), ("go", quoted(go))];
            tables.push(("docker".to_owned(), entries));
        }
        if let Some(go_sum) = &self.go_sum {
            tables.push(("modules".to_owned(), vec![("go_sum", quoted(&format!("{SHA256}{go_sum}")))]));
        }
        for (name, LockedVariant { flags, env }) in &self.variants {
            let flags: Vec<_> = flags.iter().map(|flag| quoted(flag)).collect();
            let mut entries = vec![("flags", format!("[{}]", flags.join(", ")))];
            if !env.is_empty() {
                let env: Vec<_> =
                    env.iter().map(|(name, value)| format!("{} = {}", written(name), quoted(value))).collect();
                entries.push(("env", format!("{{ {} }}", env.join(", "))));
            }
            tables.push((format!("variant.{}", written(name)), entries));
        }
        tables
    }
}

/// A key as TOML takes it.
fn written(key: &str) -> String {
    if is_bare_key(key) { key.to_owned() } else { quoted(key) }
}

fn read(lock: &mut Lock, table: &DeTable<'_>, text: &str, problems: &mut Vec<Problem>) {
    let mut format = None;
    let (mut image, mut digest, mut image_go) = (None, None, None);
    let mut docker = None;
    for (name, value) in entries(table, "", text) {
        match name {
            "format" => format = value.integer_by(problems, known_format),
            "native" => fields(&value, problems, |name, value, problems| {
                match name {
                    "go" => lock.native_go = value.text_by(problems, go),
                    _ => return false,
                }
                true
            }),
            "docker" => {
                docker = Some(value.key.clone());
                fields(&value, problems, |name, value, problems| {
                    match name {
                        "image" => image = value.text_by(problems, rules::image),
                        "digest" => digest = value.text_by(problems, pinned_image),
                        "go" => image_go = value.text(problems).map(str::to_owned),
                        _ => return false,
                    }
                    true
                });
            }
            "modules" => fields(&value, problems, |name, value, problems| {
                match name {
                    "go_sum" => lock.go_sum = value.text_by(problems, |text| sha256(text).map(str::to_owned)),
                    _ => return false,
                }
                true
            }),
            "variant" => tables_in(&value, problems, |name, value, problems| {
                let mut variant = LockedVariant::default();
                fields(value, problems, |name, value, problems| {
                    match name {
                        "flags" => variant.flags = value.list(problems).unwrap_or_default(),
                        "env" => variant.env = value.env(problems).unwrap_or_default(),
                        _ => return false,
                    }
                    true
                });
                lock.variants.insert(name.to_owned(), variant);
            }),
            _ => problems.push(unknown(&value)),
        }
    }
    if format.is_none() && problems.is_empty() {
        let label = format!("expected `format = {FORMAT}`");
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
    // A newer format may hold anything: what else is wrong with it is no news.
    if let Some(newer) = problems.iter().position(|problem| problem.message.contains("`format`")) {
        problems.swap(0, newer);
        problems.truncate(1);
    }
}

/// The entries of a table; `take` returns false for a name that it does not know.
fn fields(
    value: &Value<'_>,
    problems: &mut Vec<Problem>,
    mut take: impl FnMut(&str, &Value<'_>, &mut Vec<Problem>) -> bool,
) {
    tables_in(value, problems, |name, value, problems| {
        if !take(name, value, problems) {
            problems.push(unknown(value));
        }
    });
}

fn tables_in(
    value: &Value<'_>,
    problems: &mut Vec<Problem>,
    mut each: impl FnMut(&str, &Value<'_>, &mut Vec<Problem>),
) {
    let DeValue::Table(table) = value.node.get_ref() else {
        value.wrong_type::<()>("a table", problems);
        return;
    };
    for (name, value) in entries(table, &value.path, value.text) {
        each(name, &value, problems);
    }
}

fn unknown(value: &Value<'_>) -> Problem {
    Problem {
        message: format!("unknown key `{}` in a lock file", value.path),
        span: value.key.clone(),
        label: "goflame writes no such key".to_owned(),
        help: Some("`goflame build --update-lock` writes the file anew".to_owned()),
    }
}

fn known_format(format: i64) -> Result<i64, Fault> {
    match format {
        FORMAT => Ok(format),
        newer if newer > FORMAT => {
            Err(Fault::new(format!("this goflame knows formats up to {FORMAT}")).help("a newer goflame wrote it"))
        }
        _ => Err(Fault::new(format!("expected {FORMAT}"))),
    }
}

fn go(text: &str) -> Result<String, Fault> {
    match rules::go_version(text)? {
        empty if empty.is_empty() => Err(Fault::new("expected a Go version such as `1.27.3`")),
        version => Ok(version),
    }
}

const SHA256: &str = "sha256:";

/// The digits of `sha256:` and 64 hex digits.
fn sha256(text: &str) -> Result<&str, Fault> {
    let digits = text.strip_prefix(SHA256).filter(|digits| digits.len() == 64);
    digits
        .filter(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        .ok_or_else(|| Fault::new("expected `sha256:` and 64 hex digits"))
}

/// An image that no tag can move.
fn pinned_image(text: &str) -> Result<String, Fault> {
    let digest = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
    sha256(digest).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
