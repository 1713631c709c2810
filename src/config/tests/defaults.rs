//! Compares the embedded example with the schema and with the documented behaviour of the product.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{ROOT, accepted};
use crate::config::load::EXAMPLE;
use crate::config::schema::{CONFIG_TABLES, VARIANT_KEYS};
use crate::config::{Config, Engine, EventChoice, Kernel, Kind, Ready, Server, StackSize, Stop, Variant};
use crate::render::Format;

/// Returns `table.key` for every key in a TOML text.
fn keys(text: &str) -> BTreeSet<String> {
    fn walk(prefix: &str, table: &DeTable<'_>, depth: usize, out: &mut BTreeSet<String>) {
        for (key, value) in table {
            let path =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            match value.get_ref() {
                DeValue::Table(inner) if depth == 0 || (depth == 1 && prefix == "variant") => {
                    walk(&path, inner, depth + 1, out);
                }
                _ => {
                    out.insert(path);
                }
            }
        }
    }
    let mut out = BTreeSet::new();
    walk("", DeTable::parse(text).unwrap().get_ref(), 0, &mut out);
    out
}

/// Returns the text with its commented-out keys and tables enabled.
pub(super) fn uncommented(text: &str) -> String {
    let is_key = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        line.contains(" = ") && !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(bare) if is_key(bare) || bare.starts_with('[') => bare,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn schema_keys(available_only: bool) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for section in CONFIG_TABLES {
        let keys = section.keys.iter().filter(|key| key.is_available || !available_only);
        out.extend(keys.map(|key| format!("{}.{}", section.name, key.name)));
    }
    for variant in ["debug", "release"] {
        out.extend(VARIANT_KEYS.iter().map(|key| format!("variant.{variant}.{}", key.name)));
    }
    out
}

#[test]
fn the_example_and_the_schema_have_the_same_keys() {
    assert_eq!(keys(&uncommented(EXAMPLE)), schema_keys(false));
}

#[test]
fn every_available_key_is_active_in_the_example() {
    let active = keys(EXAMPLE);
    let missing: Vec<_> = schema_keys(true).into_iter().filter(|key| !active.contains(key)).collect();
    // `cgo` has no value for "Go decides", so the example has `cgo` only in a comment.
    assert_eq!(missing, ["variant.debug.cgo", "variant.release.cgo"]);
}

#[test]
fn every_line_with_a_key_has_a_comment() {
    for line in uncommented(EXAMPLE).lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
        assert!(line.contains(" # "), "{line}");
    }
}

#[test]
fn the_example_as_a_users_file_changes_nothing() {
    let mut config = accepted(EXAMPLE);
    assert_eq!(config.text, EXAMPLE);
    config.text.clear();
    assert_eq!(config.file.take(), Some(Path::new(ROOT).join("goflame.toml")));
    assert_eq!(config, Config::defaults(Path::new(ROOT)));
}

#[test]
fn an_empty_file_means_the_defaults() {
    for text in ["", "\n", "# nothing\n", "\u{feff}", "[app]\n[record]\n[variant.debug]\n"] {
        let mut config = accepted(text);
        assert_eq!(config.file_text(), text);
        config.text.clear();
        config.file = None;
        assert_eq!(config, Config::defaults(Path::new(ROOT)), "{text:?}");
    }
}

#[test]
fn the_defaults_are_as_documented() {
    let config = Config::defaults(Path::new(ROOT));
    let root = Path::new(ROOT);
    assert_eq!(config.root, root);
    assert_eq!(config.file, None);
    assert_eq!(config.text, "");
    assert_eq!(config.app.package, ".");
    assert_eq!(config.app.kind, Kind::Binary);
    assert_eq!(config.app.name, "hello");
    assert_eq!(config.build.variant, "debug");
    let release = Variant {
        gcflags: String::new(),
        ldflags: "-compressdwarf=false".to_owned(),
        tags: vec![],
        env: BTreeMap::new(),
        trimpath: true,
        buildvcs: false,
        race: false,
        cgo: None,
        c_frame_pointers: true,
        pgo: String::new(),
        buildmode: String::new(),
    };
    let debug = Variant { gcflags: "all=-N -l".to_owned(), ..release.clone() };
    assert_eq!(config.variants, BTreeMap::from([("debug".to_owned(), debug), ("release".to_owned(), release)]));
    assert_eq!(config.toolchain.go, "");
    assert_eq!(config.workload.args, Vec::<String>::new());
    assert_eq!(config.workload.env, BTreeMap::new());
    assert_eq!(config.workload.dir, root);
    assert_eq!(config.workload.stdin, None);
    assert_eq!(config.workload.timeout, Duration::from_mins(10));
    let seconds = Duration::from_secs;
    let server = Server {
        ready: Ready { sign: None, within: seconds(10) },
        warmup: Duration::ZERO,
        duration: None,
        load: vec![],
        stop: Stop { signal: nix::libc::SIGTERM, grace: seconds(5) },
    };
    assert_eq!(config.workload.server, server);
    assert!(!server.has_window());
    assert_eq!(config.record.engine, Engine::Native);
    assert_eq!(config.record.frequency, 997);
    assert_eq!(config.record.event, EventChoice::Auto);
    assert_eq!(config.record.kernel, Kernel::Auto);
    assert_eq!(config.record.stack, StackSize::ByProgram);
    let runtime = &config.runtime;
    assert!(!runtime.gctrace && runtime.schedtrace.is_none() && !runtime.scheddetail && !runtime.inittrace);
    assert_eq!(runtime.pprof, None);
    let profiles = runtime.profiles.iter().map(|kind| kind.name()).collect::<Vec<_>>();
    assert_eq!(profiles, ["cpu", "heap", "mutex", "block", "goroutine"]);
    assert!(!config.doctor.strict);
    assert_eq!(config.doctor.ignore, Vec::<String>::new());
    assert_eq!(config.report.formats, [Format::Svg, Format::Html, Format::Pprof, Format::Folded]);
    assert_eq!(config.report.title, "");
    assert!(config.report.source);
    assert_eq!(config.archive.dir, root.join(".goflame"));
    assert_eq!((config.archive.keep, config.archive.max_bytes), (20, None));
    assert_eq!((config.archive.keep_bytes, config.archive.compress, config.archive.raw), (None, true, false));
    assert_eq!(config.archive.redact, Vec::<String>::new());
}
