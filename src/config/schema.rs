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
type ApplyValue<T> = fn(&mut T, &ConfigValue<'_>, &mut Vec<Problem>);

/// One key of a table.
pub(super) struct ConfigKey<T: 'static> {
    /// The name of the key.
    pub(super) name: &'static str,
    /// Whether any value of the key has an effect.
    pub(super) is_available: bool,
    apply: ApplyValue<T>,
}

/// One table of the file.
pub(super) struct ConfigTable {
    /// The name of the table.
    pub(super) name: &'static str,
    /// The keys of the table.
    pub(super) keys: &'static [ConfigKey<Config>],
}

const fn key<T>(name: &'static str, apply: ApplyValue<T>) -> ConfigKey<T> {
    ConfigKey { name, is_available: true, apply }
}

/// A key whose feature does not exist yet. Accepts only the value that has the same effect as no key ([`InertValue`]).
const fn planned_key<T>(name: &'static str, apply: ApplyValue<T>) -> ConfigKey<T> {
    ConfigKey { name, is_available: false, apply }
}

/// All tables except `[variant.*]`.
pub(super) const CONFIG_TABLES: &[ConfigTable] = &[
    ConfigTable {
        name: "app",
        keys: &[
            key("package", |c, v, p| {
                set_if_valid(&mut c.app.package, v.read_text_with(p, rules::check_package_argument));
            }),
            key("kind", |c, v, p| set_if_valid(&mut c.app.kind, v.read_choice(p))),
            key("name", |c, v, p| set_if_valid(&mut c.app.name, v.read_text_with(p, rules::check_app_name))),
        ],
    },
    ConfigTable {
        name: "build",
        keys: &[
            key("variant", |c, v, p| {
                let name = v.read_text_with(p, |name| check_variant_name(c, name));
                set_if_valid(&mut c.build.variant, name);
            }),
            key("docker", |c, v, p| set_if_valid(&mut c.build.docker, v.read_boolean(p))),
        ],
    },
    ConfigTable {
        name: "toolchain",
        keys: &[
            key("go", |c, v, p| set_if_valid(&mut c.toolchain.go, v.read_text_with(p, rules::check_go_version))),
            key("image", |c, v, p| set_if_valid(&mut c.toolchain.image, v.read_text_with(p, rules::check_image_name))),
        ],
    },
    ConfigTable {
        name: "workload",
        keys: &[
            key("args", |c, v, p| set_if_valid(&mut c.workload.args, v.read_list(p))),
            key("env", |c, v, p| set_if_valid(&mut c.workload.env, v.read_env(p))),
            key("dir", |c, v, p| {
                let dir = v.read_text(p).map(|dir| rules::resolve_path(&c.root, Path::new(dir)));
                set_if_valid(&mut c.workload.dir, dir);
            }),
            key("stdin", |c, v, p| {
                let file = v
                    .read_text(p)
                    .map(|file| (!file.is_empty()).then(|| rules::resolve_path(&c.root, Path::new(file))));
                set_if_valid(&mut c.workload.stdin, file);
            }),
            key("timeout", |c, v, p| {
                set_if_valid(&mut c.workload.timeout, v.read_text_with(p, rules::parse_setting_duration));
            }),
            planned_key("repeat", |_, v, p| v.accept_only(&InertValue::Integer(1), p)),
            key("ready", |c, v, p| apply_keys(&mut c.workload.server.ready, READY_KEYS, "workload.ready", v, p)),
            key("warmup", |c, v, p| {
                let warmup = v.read_text_with(p, rules::parse_optional_duration);
                set_if_valid(&mut c.workload.server.warmup, warmup.map(Option::unwrap_or_default));
            }),
            key("duration", |c, v, p| {
                set_if_valid(&mut c.workload.server.duration, v.read_text_with(p, rules::parse_optional_duration));
            }),
            key("load", |c, v, p| {
                let command = v.read_list(p).map(rules::check_command_words);
                let command = command.and_then(|command| command.map_err(|fault| v.report_fault(fault, p)).ok());
                set_if_valid(&mut c.workload.server.load, command);
            }),
            key("stop", |c, v, p| apply_keys(&mut c.workload.server.stop, STOP_KEYS, "workload.stop", v, p)),
        ],
    },
    ConfigTable {
        name: "record",
        keys: &[
            key("engine", |c, v, p| set_if_valid(&mut c.record.engine, v.read_choice(p))),
            key("frequency", |c, v, p| {
                set_if_valid(&mut c.record.frequency, v.read_integer_with(p, rules::check_frequency));
            }),
            key("event", |c, v, p| set_if_valid(&mut c.record.event, v.read_choice(p))),
            key("kernel", |c, v, p| set_if_valid(&mut c.record.kernel, v.read_choice(p))),
            key("stack", |c, v, p| {
                set_if_valid(&mut c.record.stack, v.read_text_or_integer_with(p, rules::parse_stack_size));
            }),
            key("labels", |c, v, p| set_if_valid(&mut c.record.labels, v.read_boolean(p))),
            key("off_cpu", |c, v, p| set_if_valid(&mut c.record.off_cpu, v.read_boolean(p))),
        ],
    },
    ConfigTable {
        name: "runtime",
        keys: &[
            key("gctrace", |c, v, p| set_if_valid(&mut c.runtime.gctrace, v.read_boolean(p))),
            key("schedtrace", |c, v, p| {
                set_if_valid(&mut c.runtime.schedtrace, v.read_text_with(p, rules::parse_schedtrace_interval));
            }),
            key("scheddetail", |c, v, p| set_if_valid(&mut c.runtime.scheddetail, v.read_boolean(p))),
            key("inittrace", |c, v, p| set_if_valid(&mut c.runtime.inittrace, v.read_boolean(p))),
            key("pprof", |c, v, p| set_if_valid(&mut c.runtime.pprof, v.read_text_with(p, rules::parse_pprof_url))),
            key("profiles", |c, v, p| {
                let profiles = v.read_list_with(p, ConfigValue::read_choice);
                set_if_valid(&mut c.runtime.profiles, profiles.map(without_duplicates));
            }),
        ],
    },
    ConfigTable {
        name: "doctor",
        keys: &[
            key("strict", |c, v, p| set_if_valid(&mut c.doctor.strict, v.read_boolean(p))),
            key("ignore", |c, v, p| set_if_valid(&mut c.doctor.ignore, v.read_list(p))),
        ],
    },
    ConfigTable {
        name: "report",
        keys: &[
            key("formats", |c, v, p| {
                let formats = v.read_list_with(p, ConfigValue::read_format);
                set_if_valid(&mut c.report.formats, formats.map(without_duplicates));
            }),
            planned_key("palette", |_, v, p| v.accept_only(&InertValue::Text("go"), p)),
            key("title", |c, v, p| set_if_valid(&mut c.report.title, v.read_text(p).map(str::to_owned))),
            key("source", |c, v, p| set_if_valid(&mut c.report.source, v.read_boolean(p))),
        ],
    },
    ConfigTable {
        name: "archive",
        keys: &[
            key("compress", |c, v, p| set_if_valid(&mut c.archive.compress, v.read_boolean(p))),
            key("dir", |c, v, p| {
                let dir = v.read_text_with(p, |dir| rules::resolve_archive_dir(Path::new(dir), &c.root, &c.root));
                set_if_valid(&mut c.archive.dir, dir);
            }),
            key("keep", |c, v, p| set_if_valid(&mut c.archive.keep, v.read_integer_with(p, rules::check_kept_runs))),
            key("keep_bytes", |c, v, p| {
                set_if_valid(&mut c.archive.keep_bytes, v.read_text_or_integer_with(p, rules::parse_size_limit));
            }),
            key("max_bytes", |c, v, p| {
                set_if_valid(&mut c.archive.max_bytes, v.read_text_or_integer_with(p, rules::parse_size_limit));
            }),
            key("raw", |c, v, p| set_if_valid(&mut c.archive.raw, v.read_boolean(p))),
            key("redact", |c, v, p| {
                set_if_valid(
                    &mut c.archive.redact,
                    v.read_list_with(p, |element, p| element.read_text_with(p, rules::check_secret_name)),
                );
            }),
        ],
    },
];

/// The keys of `ready` in `[workload]`.
const READY_KEYS: &[ConfigKey<Ready>] = &[
    key("http", |ready, v, p| {
        let sign = v.read_text_with(p, rules::parse_http_address).map(ReadySign::Http);
        set_ready_sign(ready, sign, v, p);
    }),
    key("tcp", |ready, v, p| {
        let sign = v.read_text_with(p, rules::check_tcp_address).map(ReadySign::Tcp);
        set_ready_sign(ready, sign, v, p);
    }),
    key("log", |ready, v, p| {
        let sign = v.read_text_with(p, rules::check_line_pattern).map(ReadySign::Log);
        set_ready_sign(ready, sign, v, p);
    }),
    key("within", |ready, v, p| set_if_valid(&mut ready.within, v.read_text_with(p, rules::parse_setting_duration))),
];

fn set_ready_sign(ready: &mut Ready, sign: Option<ReadySign>, value: &ConfigValue<'_>, problems: &mut Vec<Problem>) {
    if ready.sign.is_some() {
        value.report_fault(Fault::new("expected only one of `http`, `tcp` and `log`"), problems);
    }
    ready.sign = sign;
}

/// The keys of `stop` in `[workload]`.
const STOP_KEYS: &[ConfigKey<Stop>] = &[
    key("signal", |stop, v, p| set_if_valid(&mut stop.signal, v.read_text_with(p, rules::parse_stop_signal))),
    key("grace", |stop, v, p| set_if_valid(&mut stop.grace, v.read_text_with(p, rules::parse_setting_duration))),
];

/// The keys of each `[variant.*]`.
pub(super) const VARIANT_KEYS: &[ConfigKey<Variant>] = &[
    key("gcflags", |c, v, p| set_if_valid(&mut c.gcflags, v.read_compiler_flags(p))),
    key("ldflags", |c, v, p| set_if_valid(&mut c.ldflags, v.read_linker_flags(p))),
    key("tags", |c, v, p| {
        set_if_valid(&mut c.tags, v.read_list_with(p, |element, p| element.read_text_with(p, rules::check_build_tag)));
    }),
    key("env", |c, v, p| set_if_valid(&mut c.env, v.read_env(p))),
    key("trimpath", |c, v, p| set_if_valid(&mut c.trimpath, v.read_boolean(p))),
    key("buildvcs", |c, v, p| set_if_valid(&mut c.buildvcs, v.read_boolean(p))),
    key("race", |c, v, p| set_if_valid(&mut c.race, v.read_boolean(p))),
    key("cgo", |c, v, p| set_if_valid(&mut c.cgo, v.read_boolean(p).map(Some))),
    key("c_frame_pointers", |c, v, p| set_if_valid(&mut c.c_frame_pointers, v.read_boolean(p))),
    key("pgo", |c, v, p| set_if_valid(&mut c.pgo, v.read_text(p).map(str::to_owned))),
    key("buildmode", |c, v, p| set_if_valid(&mut c.buildmode, v.read_text_with(p, rules::check_buildmode))),
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
        match CONFIG_TABLES.iter().find(|section| section.name == name) {
            Some(section) if section.keys.iter().any(|key| key.is_available) => {
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
pub(super) fn check_variant_name(config: &Config, name: &str) -> Result<String, Fault> {
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

/// Keeps the first of several equal values.
pub(super) fn without_duplicates<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut once = Vec::with_capacity(values.len());
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}

fn set_if_valid<T>(place: &mut T, value: Option<T>) {
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
        if let Err(fault) = rules::check_file_name(name) {
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
    known: &[ConfigKey<T>],
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
    known: &[ConfigKey<T>],
    table: &str,
    value: &ConfigValue<'_>,
    problems: &mut Vec<Problem>,
) {
    let names = || known.iter().filter(|key| key.is_available).map(|key| key.name);
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
        let is_available = CONFIG_TABLES.iter().filter(|section| section.keys.iter().any(|key| key.is_available));
        is_available.map(|section| section.name).chain(["variant"])
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
    let mut sections = CONFIG_TABLES.iter();
    let home = sections.find(|section| section.keys.iter().any(|key| key.is_available && key.name == name));
    home.map(|section| section.name)
        .or_else(|| VARIANT_KEYS.iter().any(|key| key.name == name).then_some("variant.NAME"))
}
