//! Every key of `goflame.toml`: its name, and how its value is stored in a [`Config`].
//!
//! Must not hold defaults: they are in `goflame.toml.example`.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::model::{Config, Variant};
use super::name::quoted_choice;
use super::nearest::nearest;
use super::problem::{Problem, quoted_list};
use super::rules::{self, Fault};
use super::server::{Ready, ReadySign, Stop};
use super::value::{ConfigValue, InertValue, entries, key_text};

/// Stores a value in its field. Reports a problem and leaves the field unchanged if the value is invalid.
type Apply<T> = fn(&mut T, &ConfigValue<'_>, &mut Vec<Problem>);

/// One key of a table.
pub(super) struct Key<T: 'static> {
    /// The name of the key.
    pub(super) name: &'static str,
    /// Whether any value of the key has an effect.
    pub(super) available: bool,
    apply: Apply<T>,
}

/// One table of the file.
pub(super) struct ConfigTable {
    /// The name of the table.
    pub(super) name: &'static str,
    /// The keys of the table.
    pub(super) keys: &'static [Key<Config>],
}

const fn key<T>(name: &'static str, apply: Apply<T>) -> Key<T> {
    Key { name, available: true, apply }
}

/// A key whose feature does not exist yet. Accepts only the value that has the same effect as no key ([`InertValue`]).
const fn planned_key<T>(name: &'static str, apply: Apply<T>) -> Key<T> {
    Key { name, available: false, apply }
}

/// All tables except `[variant.*]`.
pub(super) const SECTIONS: &[ConfigTable] = &[
    ConfigTable {
        name: "app",
        keys: &[
            key("package", |c, v, p| set(&mut c.app.package, v.text_by(p, rules::package_argument))),
            key("kind", |c, v, p| set(&mut c.app.kind, v.choice(p))),
            key("name", |c, v, p| set(&mut c.app.name, v.text_by(p, rules::app_name))),
        ],
    },
    ConfigTable {
        name: "build",
        keys: &[
            key("variant", |c, v, p| {
                let name = v.text_by(p, |name| defined_variant(c, name));
                set(&mut c.build.variant, name);
            }),
            key("docker", |c, v, p| set(&mut c.build.docker, v.boolean(p))),
        ],
    },
    ConfigTable {
        name: "toolchain",
        keys: &[
            key("go", |c, v, p| set(&mut c.toolchain.go, v.text_by(p, rules::go_version))),
            key("image", |c, v, p| set(&mut c.toolchain.image, v.text_by(p, rules::image_name))),
        ],
    },
    ConfigTable {
        name: "workload",
        keys: &[
            key("args", |c, v, p| set(&mut c.workload.args, v.list(p))),
            key("env", |c, v, p| set(&mut c.workload.env, v.env(p))),
            key("dir", |c, v, p| {
                let dir = v.text(p).map(|dir| rules::resolve_path(&c.root, Path::new(dir)));
                set(&mut c.workload.dir, dir);
            }),
            key("stdin", |c, v, p| {
                let file =
                    v.text(p).map(|file| (!file.is_empty()).then(|| rules::resolve_path(&c.root, Path::new(file))));
                set(&mut c.workload.stdin, file);
            }),
            key("timeout", |c, v, p| set(&mut c.workload.timeout, v.text_by(p, rules::duration))),
            planned_key("repeat", |_, v, p| v.accept_only(&InertValue::Integer(1), p)),
            key("ready", |c, v, p| apply_keys(&mut c.workload.server.ready, READY_KEYS, "workload.ready", v, p)),
            key("warmup", |c, v, p| {
                let warmup = v.text_by(p, rules::optional_duration);
                set(&mut c.workload.server.warmup, warmup.map(Option::unwrap_or_default));
            }),
            key("duration", |c, v, p| set(&mut c.workload.server.duration, v.text_by(p, rules::optional_duration))),
            key("load", |c, v, p| {
                let command = v.list(p).map(rules::command_words);
                let command = command.and_then(|command| command.map_err(|fault| v.report_fault(fault, p)).ok());
                set(&mut c.workload.server.load, command);
            }),
            key("stop", |c, v, p| apply_keys(&mut c.workload.server.stop, STOP_KEYS, "workload.stop", v, p)),
        ],
    },
    ConfigTable {
        name: "record",
        keys: &[
            key("engine", |c, v, p| set(&mut c.record.engine, v.choice(p))),
            key("frequency", |c, v, p| set(&mut c.record.frequency, v.integer_by(p, rules::frequency))),
            key("event", |c, v, p| set(&mut c.record.event, v.choice(p))),
            key("kernel", |c, v, p| set(&mut c.record.kernel, v.choice(p))),
            key("stack", |c, v, p| set(&mut c.record.stack, v.text_or_integer_by(p, rules::stack_size))),
            key("labels", |c, v, p| set(&mut c.record.labels, v.boolean(p))),
            key("off_cpu", |c, v, p| set(&mut c.record.off_cpu, v.boolean(p))),
        ],
    },
    ConfigTable {
        name: "runtime",
        keys: &[
            key("gctrace", |c, v, p| set(&mut c.runtime.gctrace, v.boolean(p))),
            key("schedtrace", |c, v, p| set(&mut c.runtime.schedtrace, v.text_by(p, rules::schedtrace_interval))),
            key("scheddetail", |c, v, p| set(&mut c.runtime.scheddetail, v.boolean(p))),
            key("inittrace", |c, v, p| set(&mut c.runtime.inittrace, v.boolean(p))),
            key("pprof", |c, v, p| set(&mut c.runtime.pprof, v.text_by(p, rules::pprof_url))),
            key("profiles", |c, v, p| {
                let profiles = v.list_by(p, ConfigValue::choice);
                set(&mut c.runtime.profiles, profiles.map(without_repeats));
            }),
        ],
    },
    ConfigTable {
        name: "doctor",
        keys: &[
            key("strict", |c, v, p| set(&mut c.doctor.strict, v.boolean(p))),
            key("ignore", |c, v, p| set(&mut c.doctor.ignore, v.list(p))),
        ],
    },
    ConfigTable {
        name: "report",
        keys: &[
            key("formats", |c, v, p| {
                let formats = v.list_by(p, ConfigValue::format);
                set(&mut c.report.formats, formats.map(without_repeats));
            }),
            planned_key("palette", |_, v, p| v.accept_only(&InertValue::Text("go"), p)),
            key("title", |c, v, p| set(&mut c.report.title, v.text(p).map(str::to_owned))),
            key("source", |c, v, p| set(&mut c.report.source, v.boolean(p))),
        ],
    },
    ConfigTable {
        name: "archive",
        keys: &[
            key("compress", |c, v, p| set(&mut c.archive.compress, v.boolean(p))),
            key("dir", |c, v, p| {
                let dir = v.text_by(p, |dir| rules::archive_dir(Path::new(dir), &c.root, &c.root));
                set(&mut c.archive.dir, dir);
            }),
            key("keep", |c, v, p| set(&mut c.archive.keep, v.integer_by(p, rules::kept_runs))),
            key("keep_bytes", |c, v, p| set(&mut c.archive.keep_bytes, v.text_or_integer_by(p, rules::max_bytes))),
            key("max_bytes", |c, v, p| set(&mut c.archive.max_bytes, v.text_or_integer_by(p, rules::max_bytes))),
            key("raw", |c, v, p| set(&mut c.archive.raw, v.boolean(p))),
            key("redact", |c, v, p| {
                set(&mut c.archive.redact, v.list_by(p, |element, p| element.text_by(p, rules::secret_name)));
            }),
        ],
    },
];

/// The keys of `ready` in `[workload]`.
const READY_KEYS: &[Key<Ready>] = &[
    key("http", |ready, v, p| {
        let sign = v.text_by(p, rules::http_address).map(ReadySign::Http);
        set_sign(ready, sign, v, p);
    }),
    key("tcp", |ready, v, p| {
        let sign = v.text_by(p, rules::tcp_address).map(ReadySign::Tcp);
        set_sign(ready, sign, v, p);
    }),
    key("log", |ready, v, p| {
        let sign = v.text_by(p, rules::line_pattern).map(ReadySign::Log);
        set_sign(ready, sign, v, p);
    }),
    key("within", |ready, v, p| set(&mut ready.within, v.text_by(p, rules::duration))),
];

fn set_sign(ready: &mut Ready, sign: Option<ReadySign>, value: &ConfigValue<'_>, problems: &mut Vec<Problem>) {
    if ready.sign.is_some() {
        value.report_fault(Fault::new("expected only one of `http`, `tcp` and `log`"), problems);
    }
    ready.sign = sign;
}

/// The keys of `stop` in `[workload]`.
const STOP_KEYS: &[Key<Stop>] = &[
    key("signal", |stop, v, p| set(&mut stop.signal, v.text_by(p, rules::stop_signal))),
    key("grace", |stop, v, p| set(&mut stop.grace, v.text_by(p, rules::duration))),
];

/// The keys of each `[variant.*]`.
pub(super) const VARIANT_KEYS: &[Key<Variant>] = &[
    key("gcflags", |c, v, p| set(&mut c.gcflags, v.compiler_flags(p))),
    key("ldflags", |c, v, p| set(&mut c.ldflags, v.linker_flags(p))),
    key("tags", |c, v, p| {
        set(&mut c.tags, v.list_by(p, |element, p| element.text_by(p, rules::build_tag)));
    }),
    key("env", |c, v, p| set(&mut c.env, v.env(p))),
    key("trimpath", |c, v, p| set(&mut c.trimpath, v.boolean(p))),
    key("buildvcs", |c, v, p| set(&mut c.buildvcs, v.boolean(p))),
    key("race", |c, v, p| set(&mut c.race, v.boolean(p))),
    key("cgo", |c, v, p| set(&mut c.cgo, v.boolean(p).map(Some))),
    key("c_frame_pointers", |c, v, p| set(&mut c.c_frame_pointers, v.boolean(p))),
    key("pgo", |c, v, p| set(&mut c.pgo, v.text(p).map(str::to_owned))),
    key("buildmode", |c, v, p| set(&mut c.buildmode, v.text_by(p, rules::buildmode))),
];

/// Merges a file's settings into `config`. A variant with a new name starts as `new_variant`.
pub(super) fn apply_tables(
    config: &mut Config,
    new_variant: &Variant,
    table: &DeTable<'_>,
    text: &str,
    problems: &mut Vec<Problem>,
) {
    // Read variants first: `build.variant` may name any of them, at any position in the file.
    for (name, value) in entries(table, "", text).filter(|(name, _)| *name == "variant") {
        apply_variants(config, new_variant, name, &value, problems);
    }
    for (name, value) in entries(table, "", text) {
        match SECTIONS.iter().find(|section| section.name == name) {
            Some(section) if section.keys.iter().any(|key| key.available) => {
                apply_keys(config, section.keys, &format!("[{name}]"), &value, problems);
            }
            // One problem for the table covers all its keys.
            Some(_) => value.report_unavailable(problems),
            None if name == "variant" => {}
            None => report_unknown_name(name, &value, problems),
        }
    }
}

/// Returns the name if a variant with this name exists.
pub(super) fn defined_variant(config: &Config, name: &str) -> Result<String, Fault> {
    if config.variants.contains_key(name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = config.variants.keys().map(String::as_str).collect();
    let fault = Fault::new(format!("expected {}", quoted_choice(&names)));
    Err(match nearest(name, names) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help(format!("`[variant.{}]` would define it", key_text(name))),
    })
}

/// Removes duplicates.
pub(super) fn without_repeats<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut once = Vec::with_capacity(values.len());
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn apply_variants(
    config: &mut Config,
    new: &Variant,
    name: &str,
    value: &ConfigValue<'_>,
    problems: &mut Vec<Problem>,
) {
    let DeValue::Table(table) = value.node.get_ref() else {
        value.report_wrong_type::<()>(&format!("a table for each {name}"), problems);
        return;
    };
    for (name, value) in entries(table, "variant", value.text) {
        if let Err(fault) = rules::file_name(name) {
            problems.push(Problem {
                message: format!("invalid name for the variant `{}`", name.escape_debug()),
                span: value.key.clone(),
                label: fault.label,
                help: fault.help,
            });
        }
        let variant = config.variants.entry(name.to_owned()).or_insert_with(|| new.clone());
        apply_keys(variant, VARIANT_KEYS, &format!("[{}]", value.path), &value, problems);
    }
}

fn apply_keys<T>(
    target: &mut T,
    known: &[Key<T>],
    table_name: &str,
    value: &ConfigValue<'_>,
    problems: &mut Vec<Problem>,
) {
    let DeValue::Table(table) = value.node.get_ref() else {
        value.report_wrong_type::<()>("a table", problems);
        return;
    };
    for (name, value) in entries(table, &value.path, value.text) {
        match known.iter().find(|key| key.name == name) {
            Some(key) => (key.apply)(target, &value, problems),
            None => report_unknown_key(name, known, table_name, &value, problems),
        }
    }
}

fn report_unknown_key<T>(
    name: &str,
    known: &[Key<T>],
    table: &str,
    value: &ConfigValue<'_>,
    problems: &mut Vec<Problem>,
) {
    let names = || known.iter().filter(|key| key.available).map(|key| key.name);
    let near = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
    let label = near.or_else(|| table_with_key(name).map(|home| format!("`{name}` belongs in `[{home}]`")));
    problems.push(Problem {
        message: format!("unknown key `{}` in `{table}`", name.escape_debug()),
        span: value.key.clone(),
        help: label.is_none().then(|| format!("the keys of `{table}` are {}", quoted_list(names()))),
        label: label.unwrap_or_else(|| format!("not a key of `{table}`")),
    });
}

fn report_unknown_name(name: &str, value: &ConfigValue<'_>, problems: &mut Vec<Problem>) {
    let tables = || {
        let available = SECTIONS.iter().filter(|section| section.keys.iter().any(|key| key.available));
        available.map(|section| section.name).chain(["variant"])
    };
    let is_table = matches!(value.node.get_ref(), DeValue::Table(_));
    let shown = name.escape_debug();
    let near = nearest(name, tables()).map(|near| format!("did you mean `[{near}]`?"));
    let home = table_with_key(name).map(|home| format!("`{name}` belongs in `[{home}]`"));
    let (message, label) = if is_table {
        (format!("unknown table `[{shown}]`"), near.or(home))
    } else {
        (format!("unknown key `{shown}` outside of any table"), home.or(near))
    };
    problems.push(Problem {
        message,
        span: value.key.clone(),
        help: label.is_none().then(|| format!("the tables are {}", quoted_list(tables()))),
        label: label.unwrap_or_else(|| "not a name that goflame knows".to_owned()),
    });
}

/// Returns the table that has a key of exactly this name.
fn table_with_key(name: &str) -> Option<&'static str> {
    let mut sections = SECTIONS.iter();
    let home = sections.find(|section| section.keys.iter().any(|key| key.available && key.name == name));
    home.map(|section| section.name)
        .or_else(|| VARIANT_KEYS.iter().any(|key| key.name == name).then_some("variant.NAME"))
}
