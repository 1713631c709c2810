//! Tests of values at and beyond their limits.

use std::path::Path;

use proptest::prelude::*;

use super::{ROOT, accepted, rendered, resolve, shown};
use crate::config::Error;
use crate::config::rules::derived_name;

/// Returns the message, the label and the marked part of the text.
fn problem(text: &str) -> (String, String, String) {
    match resolve(text) {
        Err(Error::Invalid(problems)) => match problems.list.as_slice() {
            [problem] => (problem.message.clone(), problem.label.clone(), text[problem.span.clone()].to_owned()),
            many => panic!("{text}: {many:#?}"),
        },
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn wrong_types_are_named() {
    for (text, path, label) in [
        ("app = 3", "app", "expected a table, found an integer"),
        ("[[app]]", "app", "expected a table, found an array"),
        ("variant = []", "variant", "expected a table for each variant, found an array"),
        ("[variant]\nfast = 1", "variant.fast", "expected a table, found an integer"),
        ("[app]\npackage = 1", "app.package", "expected a string, found an integer"),
        ("[app]\npackage = 1.5", "app.package", "expected a string, found a float"),
        ("[app]\npackage = {}", "app.package", "expected a string, found a table"),
        ("[app]\npackage = 2026-11-23", "app.package", "expected a string, found a date"),
        ("[record]\nfrequency = \"99\"", "record.frequency", "expected an integer, found a string"),
        ("[record]\nfrequency = 99.5", "record.frequency", "expected an integer, found a float"),
        ("[record]\nkernel = true", "record.kernel", "expected a string, found a boolean"),
        ("[record]\noff_cpu = 0", "record.off_cpu", "expected a boolean, found an integer"),
        ("[doctor]\nstrict = \"true\"", "doctor.strict", "expected a boolean, found a string"),
        ("[doctor]\nignore = \"pmu\"", "doctor.ignore", "expected an array of strings, found a string"),
        ("[doctor]\nignore = [1]", "doctor.ignore", "expected a string, found an integer"),
        ("[workload]\nenv = []", "workload.env", "expected a table of strings, found an array"),
        ("[workload]\nenv.PORT = 80", "workload.env.PORT", "expected a string, found an integer"),
        ("[workload]\nrepeat = \"2\"", "workload.repeat", "expected an integer, found a string"),
        ("[build]\ndocker = \"yes\"", "build.docker", "expected a boolean, found a string"),
        ("[variant.debug]\ncgo = \"\"", "variant.debug.cgo", "expected a boolean, found a string"),
    ] {
        let (message, found, _) = problem(text);
        assert_eq!((message, found.as_str()), (format!("wrong type for `{path}`"), label), "{text}");
    }
}

#[test]
fn impossible_values_are_refused() {
    for (key, value, label) in [
        ("record.frequency", "0", "expected 1 to 20000 samples per second, found 0"),
        ("record.frequency", "-1", "expected 1 to 20000 samples per second, found -1"),
        ("record.frequency", "20001", "expected 1 to 20000 samples per second, found 20001"),
        ("record.frequency", "99999999999999999999", "expected an integer of at most 63 bits"),
        ("runtime.schedtrace", "\"10us\"", "expected at least `1ms`"),
        ("record.stack", "-8", "expected \"auto\" or 0 to 65528 bytes, found -8"),
        ("record.stack", "65536", "expected \"auto\" or 0 to 65528 bytes, found 65536"),
        ("record.stack", "1020", "expected a multiple of 8, found 1020"),
        ("record.engine", "\"pref\"", "expected `native` or `perf`; did you mean `perf`?"),
        ("record.event", "\"instructions\"", "expected `auto`, `cycles` or `cpu-clock`"),
        ("record.kernel", "\"on\"", "expected `auto`, `yes` or `no`"),
        ("app.kind", "\"lib\"", "expected `binary` or `bench`"),
        ("app.package", "\"\"", "expected a package"),
        ("app.package", "\"./...\"", "expected one package, found a pattern for many"),
        ("app.package", "\"all\"", "expected one package, found a pattern for many"),
        ("app.package", "\"-o\"", "expected a package, found a flag"),
        ("app.package", "\"a\\u0000b\"", "expected text without a NUL character"),
        ("app.name", "\"a/b\"", "expected letters, digits, `-`, `_` and `.`, found `/`"),
        ("app.name", "\".x\"", "a name may not start with `.`"),
        ("app.name", "\"-x\"", "a name may not start with `-`"),
        ("app.name", "\"a\\tb\"", "expected letters, digits, `-`, `_` and `.`, found `\\t`"),
        ("build.variant", "\"fast\"", "expected `debug` or `release`"),
        ("toolchain.go", "\"go1.27.3\"", "expected a Go release, for example `1.27.3`"),
        ("toolchain.go", "\"latest\"", "expected a Go release, for example `1.27.3`"),
        ("toolchain.go", "\"1.27\"", "expected an exact Go release"),
        ("toolchain.go", "\"1.27.\"", "expected a Go release, for example `1.27.3`"),
        ("toolchain.go", "\"1.027.3\"", "expected a Go release, for example `1.27.3`"),
        ("toolchain.go", "\"1.27.3+auto\"", "expected a Go release, for example `1.27.3`"),
        ("toolchain.image", "\"golang 1.27\"", "expected the name of a Docker image, for example `golang:1.27.3`"),
        ("toolchain.image", "\"-x\"", "expected the name of a Docker image, for example `golang:1.27.3`"),
        ("workload.timeout", "\"0s\"", "expected a duration longer than zero"),
        ("workload.timeout", "\"-1s\"", "expected a duration longer than zero"),
        ("workload.warmup", "\"2 parsecs\"", "expected a duration, for example `10m`, `1.5s` or `500ms`"),
        ("workload.duration", "\"0\"", "expected a duration longer than zero"),
        ("workload.load", "[\"\", \"-t2\"]", "expected the name of a program first"),
        ("workload.ready.within", "\"never\"", "expected a duration, for example `10m`, `1.5s` or `500ms`"),
        ("workload.ready.http", "\"localhost:8080\"", "expected an address such as `http://127.0.0.1:8080/healthz`"),
        ("workload.ready.http", "\"https://a/\"", "expected an address such as `http://127.0.0.1:8080/healthz`"),
        ("workload.ready.http", "\"http://a:b/\"", "expected an address such as `http://127.0.0.1:8080/healthz`"),
        ("workload.ready.http", "\"http://a b/\"", "expected an address such as `http://127.0.0.1:8080/healthz`"),
        ("workload.ready.tcp", "\"8080\"", "expected a host and a port, for example `127.0.0.1:8080`"),
        ("workload.ready.tcp", "\"::1:0\"", "expected a host and a port, for example `127.0.0.1:8080`"),
        (
            "workload.ready.log",
            "\"(\"",
            "expected a text or a regular expression of a line, for example `listening on`",
        ),
        ("workload.stop.signal", "\"STOP\"", "expected a signal, for example `TERM` or `INT`"),
        ("workload.stop.grace", "\"0s\"", "expected a duration longer than zero"),
        ("workload.timeout", "\"\"", "expected a duration, for example `10m`, `1.5s` or `500ms`"),
        ("workload.timeout", "\"soon\"", "expected a duration, for example `10m`, `1.5s` or `500ms`"),
        ("workload.timeout", "\"10000h\"", "expected a duration of at most a year"),
        ("workload.env.\"A=B\"", "\"\"", "expected the name of an environment variable"),
        ("workload.env.\"\"", "\"\"", "expected the name of an environment variable"),
        ("variant.debug.tags", "[\"a,b\"]", "expected a build tag: letters, digits, `_` and `.`"),
        ("variant.debug.buildmode", "\"c-shared\"", "this mode does not build a program that can run"),
        ("variant.debug.buildmode", "\"x\"", "expected `exe`, `pie`, `default` or nothing"),
        ("variant.debug.gcflags", "\"N -l\"", "expected flags that start with `-`, or `pattern=` before them"),
        ("variant.debug.ldflags", "\"-X 'main.s=x\"", "unterminated ' string"),
        ("archive.dir", "\"\"", "expected a directory, found nothing"),
        ("archive.dir", "\"../hello\"", "expected a separate directory, found one that contains the project"),
        ("archive.dir", "\"/\"", "expected a separate directory, found one that contains the project"),
        ("archive.keep", "0", "expected 1 or more runs, found 0"),
        ("archive.max_bytes", "\"2 gigabytes\"", "expected a size, for example `2GB`, `500MiB` or `2000000`"),
        ("archive.max_bytes", "\"GB\"", "expected a size, for example `2GB`, `500MiB` or `2000000`"),
        ("archive.max_bytes", "-1", "expected a size, for example `2GB`, `500MiB` or `2000000`"),
        ("archive.max_bytes", "\"99999999TB\"", "expected a size, for example `2GB`, `500MiB` or `2000000`"),
        ("archive.max_bytes", "999999", "expected at least 1MB"),
        ("archive.redact", "[\"A=b\"]", "expected the name of a variable or a flag, for example `DB_DSN`"),
        ("archive.redact", "[\"--\"]", "expected the name of a variable or a flag, for example `DB_DSN`"),
    ] {
        let (message, found, _) = problem(&format!("{key} = {value}"));
        assert_eq!((message, found.as_str()), (format!("invalid value for `{key}`"), label), "{key} = {value}");
    }
}

#[test]
fn values_at_the_limits_are_accepted() {
    for text in [
        "record.frequency = 1",
        "record.frequency = 20000",
        "record.stack = 65528",
        "workload.timeout = \"1ns\"",
        "workload.timeout = \"8760h\"",
        "workload.timeout = \"1h 30m\"",
        "workload.timeout = \"10\"",
        "workload.stop.signal = \"SIGINT\"",
        "app.name = \"größe_1.2-x\"",
        "toolchain.go = \"1.20\"",
        "toolchain.go = \"1.27rc1\"",
        "toolchain.go = \"1.27.3-custom\"",
        "variant.debug.ldflags = \"-s=false -w=0 -X 'main.a=-s -w'\"",
        "toolchain.image = \"localhost:5000/a/go_lang-x:1.27@sha256:00\"",
        "variant.debug.gcflags = \"\"",
        "report.formats = []",
        "archive.dir = \"../runs\"",
        "archive.keep = 1",
        "archive.max_bytes = 1000000",
        "archive.max_bytes = \"1MB\"",
    ] {
        accepted(text);
    }
}

#[test]
fn an_error_about_a_stripping_flag_points_at_its_word() {
    for (text, word) in [
        ("variant.debug.ldflags = \"-X main.s=-w -s\"", "-s"),
        ("variant.x.ldflags = 'all=--w=true'", "--w=true"),
        ("variant.x.ldflags = \"-X main.s=é -s\"", "-s"),
        // If the string has escapes, the whole value is marked.
        ("variant.x.ldflags = \"-X main.s=\\u00e9 -s\"", "\"-X main.s=\\u00e9 -s\""),
        ("variant.x.ldflags = \"\"\"\n-s\"\"\"", "\"\"\"\n-s\"\"\""),
    ] {
        let (_, label, found) = problem(text);
        assert!(label.contains("strips") && label.contains("a profile needs"), "{label}");
        assert_eq!(found, word);
    }
}

#[test]
fn features_of_later_versions_are_never_silently_accepted() {
    for (text, message) in [
        ("workload.repeat = 3", "`workload.repeat = 3` is not yet available"),
        ("report.palette = \"hot\"", "`report.palette = \"hot\"` is not yet available"),
    ] {
        let (found, label, _) = problem(text);
        assert_eq!((found.as_str(), label.as_str()), (message, "not yet available"), "{text}");
    }
    accepted("workload.repeat = 1\nreport.palette = \"go\"");
}

#[test]
fn the_url_of_profiles_needs_http_and_no_credentials() {
    for (url, label) in [
        ("https://a/debug/pprof", "https is not supported: goflame speaks no TLS"),
        (
            "/debug/pprof",
            "expected a URL, for example `http://127.0.0.1:6060/debug/pprof`: relative URL without a base",
        ),
        ("localhost:6060", "expected a URL that begins with http://"),
        ("http://me:pw@a/debug/pprof", "expected a URL without a user and a password"),
    ] {
        let (_, found, _) = problem(&format!("runtime.pprof = \"{url}\""));
        assert_eq!(found, label, "{url}");
    }
    let (_, label, _) = problem("runtime.profiles = [\"leaks\"]");
    assert!(label.contains("`goroutineleak`"), "{label}");
    accepted("runtime.pprof = \"http://[::1]:6060/debug/pprof\"\nruntime.profiles = [\"trace\", \"trace\"]");
}

#[test]
fn a_name_is_derived_as_go_build_does() {
    for (package, name) in [
        (".", "hello"),
        ("./", "hello"),
        ("./cmd/server", "server"),
        ("./cmd/server/", "server"),
        ("..", "goflame"),
        ("../other", "other"),
        ("/abs/tool", "tool"),
        ("cmd/gofmt", "gofmt"),
        ("example.com/x/tool/v2", "tool"),
        ("example.com/x/v2/tool", "tool"),
        ("./v2", "hello"),
        ("example.com/tool/v1", "v1"),
        ("example.com/tool/v0", "v0"),
        ("v2", "v2"),
        ("main.go", "main"),
        ("./cmd/a b", "a-b"),
        ("./cmd/.hidden", "hidden"),
        ("example.com/x@v1.2.3", "x-v1.2.3"),
        ("./größe", "größe"),
        ("/", "app"),
        ("./---", "app"),
    ] {
        assert_eq!(derived_name(package, Path::new(ROOT)), name, "{package}");
    }
    assert_eq!(derived_name(".", Path::new("/")), "app");
    assert_eq!(derived_name(&"é".repeat(200), Path::new(ROOT)).len(), 100);
}

/// Generates text similar to a real file, so that the deeper checks are also reached.
fn snippet() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[record]".to_owned()),
        Just("[variant.fast]".to_owned()),
        Just("[variant.\"é\\n\"]".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\t".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("frequency = ".to_owned()),
        Just("ldflags = ".to_owned()),
        Just("\"-X 'é' -s\\t\"".to_owned()),
        Just("'''\n-w\r\n'''".to_owned()),
        Just("{ a = 1, 'ü' = [] }".to_owned()),
        Just("go = 'gogo1.2'".to_owned()),
        "[a-z_]{1,9} = [0-9]{1,3}\n",
        "[a-z]{1,9} = \"[^\"\\\\]{0,9}\"\r?\n",
        ".{0,6}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(pieces in prop::collection::vec(snippet(), 0..12)) {
        let text = pieces.concat();
        if let Err(error) = resolve(&text) {
            let (plain, color) = (shown(&error), error.render(true).unwrap_or_default());
            prop_assert!(color.is_empty() || plain.starts_with("error: "), "{plain}");
            prop_assert!(!plain.contains('\u{1b}') || text.contains('\u{1b}'), "{plain}");
            prop_assert!(color.is_empty() || color.contains("\u{1b}["), "{color}");
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn derived_names_are_fit_for_files(package in any::<String>()) {
        let name = derived_name(&package, Path::new(ROOT));
        prop_assert!(!name.is_empty() && name.len() <= 100);
        prop_assert!(!name.starts_with(['.', '-']) && !name.contains(['/', '\0']));
    }
}

#[test]
fn a_repeated_prefix_does_not_exhaust_the_stack() {
    let text = format!("toolchain.go = \"{}1.2\"", "go".repeat(100_000));
    assert!(rendered(&text).starts_with("error: invalid value for `toolchain.go`"));
}
