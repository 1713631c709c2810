//! Rules for single values. Each rule takes the value as written and returns it in the form that the stages need, or
//! returns what was expected instead.
//!
//! Must not know keys, flags or files.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::model::StackSize;
use super::server::HttpAddress;
use crate::endpoint::{AUTHORIZATION_VARIABLE, Endpoint, HEADERS_VARIABLE};
use crate::fsio;

/// A value that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The expected form. Written below the value.
    pub(super) label: String,
    /// Advice.
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Maximum samples per second. The kernel's own limit is 100 000 (`perf_event_max_sample_rate`). With `cpu-clock` and a
/// stack copy, 100 000 samples use a whole CPU, so that not even the reader of the samples runs there.
const MAX_FREQUENCY: u32 = 20_000;
/// Maximum stack copy in bytes. `perf_copy_attr` rejects a `sample_stack_user` that is `USHRT_MAX` or more, or not a
/// multiple of 8 (kernel/events/core.c).
const MAX_STACK_BYTES: u32 = 65_528;
/// Smallest size limit of a file, in bytes. The largest record (64 KiB) and the kept end of a log fit well.
const MIN_SIZE_LIMIT_BYTES: u64 = 1_000_000;
/// Maximum length of a name in bytes. Run ids add a date and a suffix, and the limit of file names is 255 bytes.
const MAX_NAME_BYTES: usize = 100;
/// Maximum duration: one year. Added to a clock, it cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) fn check_frequency(value: i64) -> Result<u32, Fault> {
    match u32::try_from(value) {
        Ok(frequency @ 1..=MAX_FREQUENCY) => Ok(frequency),
        _ => Err(Fault::new(format!("expected 1 to {MAX_FREQUENCY} samples per second, found {value}"))),
    }
}

pub(super) fn parse_stack_size(value: &str) -> Result<StackSize, Fault> {
    if value == "auto" {
        return Ok(StackSize::ByProgram);
    }
    match value.parse() {
        Ok(stack @ 0..=MAX_STACK_BYTES) if stack.is_multiple_of(8) => Ok(StackSize::Bytes(stack)),
        Ok(stack @ 0..=MAX_STACK_BYTES) => {
            let near = (stack / 8 * 8, stack / 8 * 8 + 8);
            Err(Fault::new(format!("expected a multiple of 8, found {stack}"))
                .help(format!("the nearest values are {} and {}", near.0, near.1)))
        }
        _ => Err(Fault::new(format!("expected \"auto\" or 0 to {MAX_STACK_BYTES} bytes, found {value}"))),
    }
}

pub(super) fn check_kept_runs(value: i64) -> Result<usize, Fault> {
    match usize::try_from(value) {
        Ok(keep) if keep > 0 => Ok(keep),
        _ => Err(Fault::new(format!("expected 1 or more runs, found {value}"))),
    }
}

/// Parses a size limit. Empty means no limit.
pub(super) fn parse_size_limit(value: &str) -> Result<Option<u64>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    match parse_size(value) {
        Some(bytes) if bytes < MIN_SIZE_LIMIT_BYTES => Err(Fault::new("expected at least 1MB")),
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Fault::new("expected a size, for example `2GB`, `500MiB` or `2000000`")),
    }
}

/// Parses a number of bytes, with or without a unit: `kB` is 1000 bytes, `KiB` is 1024.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000_u64.pow(2),
        "GB" => 1000_u64.pow(3),
        "TB" => 1000_u64.pow(4),
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Parses a duration. A bare number is in seconds, as for `sleep`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a duration, for example `10m`, `1.5s` or `500ms`";
    let seconds = text.parse().ok().map(|seconds: f64| Duration::try_from_secs_f64(seconds).map_err(|_| EXPECTED));
    // jiff rejects a sign, such as in `-1s`.
    let with_unit = || jiff::fmt::friendly::SpanParser::new().parse_unsigned_duration(text).map_err(|_| EXPECTED);
    match seconds.unwrap_or_else(with_unit) {
        Ok(Duration::ZERO) => Err("expected a duration longer than zero".to_owned()),
        Ok(duration) if duration > MAX_DURATION => Err("expected a duration of at most a year".to_owned()),
        Err(_) if text.trim_start().starts_with('-') => Err("expected a duration longer than zero".to_owned()),
        duration => duration.map_err(str::to_owned),
    }
}

pub(super) fn parse_setting_duration(value: &str) -> Result<Duration, Fault> {
    parse_duration(value).map_err(Fault::new)
}

/// Parses a duration. Empty means none.
pub(super) fn parse_optional_duration(value: &str) -> Result<Option<Duration>, Fault> {
    if value.is_empty() { Ok(None) } else { parse_setting_duration(value).map(Some) }
}

/// Parses `http://host:port/path`. The port is 80 if it is left out.
pub(super) fn parse_http_address(value: &str) -> Result<HttpAddress, Fault> {
    const EXPECTED: &str = "expected an address such as `http://127.0.0.1:8080/healthz`";
    if value.starts_with("https://") {
        return Err(Fault::new(EXPECTED).help("for a server with TLS, use `tcp = \"host:port\"`"));
    }
    let rest = value.strip_prefix("http://").ok_or_else(|| Fault::new(EXPECTED))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let has_port = authority.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let is_plain =
        value.chars().all(|c| c.is_ascii_graphic()) && !authority.contains('@') && rest.starts_with(|c| c != '/');
    match check_tcp_address(&authority) {
        Ok(authority) if is_plain => {
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            Ok(HttpAddress { authority, path: path.split('#').next().unwrap_or_default().to_owned() })
        }
        _ => Err(Fault::new(EXPECTED)),
    }
}

/// Checks `host:port`. A missing host is this machine, as in Go.
pub(super) fn check_tcp_address(value: &str) -> Result<String, Fault> {
    let fault = || Fault::new("expected a host and a port, for example `127.0.0.1:8080`");
    let (host, port) = value.rsplit_once(':').ok_or_else(fault)?;
    let is_ipv6 = host.starts_with('[') && host.ends_with(']');
    let is_host = is_ipv6 || !host.contains(|c: char| matches!(c, ':' | '/' | '[' | ']') || c.is_whitespace());
    match port.parse::<u16>() {
        Ok(1..) if is_host => Ok(format!("{}:{port}", if host.is_empty() { "localhost" } else { host })),
        _ => Err(fault()),
    }
}

/// Checks a regular expression for a line.
pub(super) fn check_line_pattern(value: &str) -> Result<String, Fault> {
    let fault = || Fault::new("expected a text or a regular expression of a line, for example `listening on`");
    match regex::Regex::new(value) {
        Ok(_) if !value.is_empty() => Ok(value.to_owned()),
        Ok(_) => Err(fault()),
        Err(_) => Err(fault().help("characters such as `[`, `(` and `*` need a backslash before them")),
    }
}

/// Parses the name of a signal that can ask a program to end.
pub(super) fn parse_stop_signal(value: &str) -> Result<i32, Fault> {
    let name = value.strip_prefix("SIG").unwrap_or(value);
    let signal = Signal::from_str(&format!("SIG{name}")).ok();
    let signal = signal.filter(|signal| !matches!(signal, Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGCONT));
    signal.map(|signal| signal as i32).ok_or_else(|| Fault::new("expected a signal, for example `TERM` or `INT`"))
}

/// Checks a command: the program and its arguments. Empty means none.
pub(super) fn check_command_words(words: Vec<String>) -> Result<Vec<String>, Fault> {
    match words.first() {
        Some(program) if program.is_empty() => Err(Fault::new("expected the name of a program first")),
        _ => Ok(words),
    }
}

/// Parses an interval of at least one millisecond, the unit of the Go runtime. Empty means none.
pub(super) fn parse_schedtrace_interval(value: &str) -> Result<Option<Duration>, Fault> {
    match value {
        "" => Ok(None),
        _ => match parse_setting_duration(value)? {
            interval if interval < Duration::from_millis(1) => Err(Fault::new("expected at least `1ms`")),
            interval => Ok(Some(interval)),
        },
    }
}

pub(super) fn check_package_argument(value: &str) -> Result<String, Fault> {
    if value.is_empty() {
        return Err(Fault::new("expected a package").help("`.` is the package in the directory of goflame.toml"));
    }
    if value.starts_with('-') {
        return Err(Fault::new("expected a package, found a flag").help("flags belong in `[variant.*]`"));
    }
    if value.contains("...") || matches!(value, "all" | "std" | "cmd" | "tool" | "work") {
        return Err(Fault::new("expected one package, found a pattern for many"));
    }
    Ok(value.to_owned())
}

/// Whether a package argument is a directory or a file, not an import path.
pub(super) fn is_package_path(package: &str) -> bool {
    package.starts_with(['.', '/']) || Path::new(package).extension() == Some("go".as_ref())
}

/// Converts a package argument relative to `dir` into a package argument relative to `root`.
pub(super) fn rebase_package(dir: &Path, package: &str, root: &Path) -> String {
    if !is_package_path(package) {
        return package.to_owned();
    }
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let place = fsio::normalize(&dir.join(package));
    match place.strip_prefix(root) {
        Ok(below) if below == Path::new("") => ".".to_owned(),
        Ok(below) => format!("./{}", below.display()),
        Err(_) => place.display().to_string(),
    }
}

/// Whether two package arguments name the same package: `./cmd/a/` and `./cmd/a`.
pub(super) fn is_same_package(a: &str, b: &str) -> bool {
    let plain = |package: &str| fsio::normalize(&Path::new("/").join(package));
    is_package_path(a) == is_package_path(b) && plain(a) == plain(b)
}

/// Checks a name given by the user. It must be valid as a file name, because it is used unchanged. An empty name is
/// derived later.
pub(super) fn check_app_name(value: &str) -> Result<String, Fault> {
    if value.is_empty() { Ok(String::new()) } else { check_file_name(value) }
}

/// Checks the name of an app, which becomes a file name, or of a variant, which becomes a directory in `build` of the
/// archive.
pub(super) fn check_file_name(value: &str) -> Result<String, Fault> {
    if value.is_empty() {
        return Err(Fault::new("expected a name, found nothing"));
    }
    if let Some(first @ ('.' | '-')) = value.chars().next() {
        return Err(Fault::new(format!("a name may not start with `{first}`")));
    }
    if let Some(odd) = value.chars().find(|c| !is_name_char(*c)) {
        return Err(Fault::new(format!("expected letters, digits, `-`, `_` and `.`, found `{}`", odd.escape_debug())));
    }
    if value.len() > MAX_NAME_BYTES {
        return Err(Fault::new(format!("expected at most {MAX_NAME_BYTES} bytes, found {}", value.len())));
    }
    Ok(value.to_owned())
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Returns the name of the binary, as `go build` chooses it: the last element of the path that is not a major version
/// (`exeFromImportPath` in cmd/go/internal/load). A path that starts with `.` or `/` is a directory relative to `root`.
/// The result is always valid as a file name.
pub fn derived_name(package: &str, root: &Path) -> String {
    let path = package.strip_suffix(".go").unwrap_or(package);
    let path = if path.starts_with(['.', '/']) {
        fsio::normalize(&root.join(path))
    } else {
        fsio::normalize(&Path::new("/").join(path))
    };
    let mut elements = path.iter().rev().map(|element| element.to_string_lossy());
    let last = elements.next().unwrap_or_default();
    let chosen =
        if is_major_version(&last) { elements.next().filter(|before| *before != "/").unwrap_or(last) } else { last };
    let mut name: String = chosen.chars().map(|c| if is_name_char(c) { c } else { '-' }).collect();
    while name.len() > MAX_NAME_BYTES {
        name.pop();
    }
    match name.trim_start_matches(['.', '-']) {
        "" => "app".to_owned(),
        fit => fit.to_owned(),
    }
}

/// Whether a path element is a major version: `v2` and higher (`isVersionElement` in cmd/go/internal/load/pkg.go).
fn is_major_version(element: &str) -> bool {
    match element.strip_prefix('v') {
        Some(digits) => {
            !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.starts_with('0')
                && digits != "1"
        }
        None => false,
    }
}

/// Checks an exact Go release, without the prefix `go` of toolchain names. Empty means that none is configured.
pub(super) fn check_go_version(value: &str) -> Result<String, Fault> {
    match value.strip_prefix("go").filter(|bare| check_exact_release(bare).is_ok()) {
        Some(bare) => Err(Fault::new(EXPECTED_RELEASE).help(format!("write it without the prefix `go`: `{bare}`"))),
        None if value.is_empty() => Ok(String::new()),
        None => check_exact_release(value).map(|()| value.to_owned()),
    }
}

/// Whether `text` is an exact Go release.
pub fn is_go_release(text: &str) -> bool {
    check_exact_release(text).is_ok()
}

pub(super) const EXPECTED_RELEASE: &str = "expected a Go release, for example `1.27.3`";

/// Accepts `1.27.3`, `1.27rc1`, and `1.20` but not `1.21`: since 1.21, releases have three numbers
/// (go.dev/doc/toolchain). A suffix, for example `-custom`, names a custom build of that release.
fn check_exact_release(value: &str) -> Result<(), Fault> {
    let none = || Fault::new(EXPECTED_RELEASE);
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|n| n.to_string() == digits);
    let (release, suffix) = value.split_once('-').unwrap_or((value, "custom"));
    if suffix.is_empty() || !suffix.chars().all(is_name_char) {
        return Err(none());
    }
    let rest = release.strip_prefix("1.").ok_or_else(none)?;
    let (minor, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let minor = number(minor).ok_or_else(none)?;
    if rest.is_empty() {
        let first = format!("did you mean `1.{minor}.0`?");
        return if minor < 21 { Ok(()) } else { Err(Fault::new("expected an exact Go release").help(first)) };
    }
    let last = ["rc", "beta", "."].into_iter().find_map(|separator| rest.strip_prefix(separator));
    last.and_then(number).map(|_| ()).ok_or_else(none)
}

/// Checks the characters of a Docker image name (grammar: Go package `github.com/distribution/reference`). The engine
/// checks the rest. An empty name is valid: no image is configured.
pub(super) fn check_image_name(value: &str) -> Result<String, Fault> {
    let fault = || Fault::new("expected the name of a Docker image, for example `golang:1.27.3`");
    if let Some(odd) = value.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-/:@".contains(*c)) {
        return Err(fault().help(format!("the name of an image must not contain `{}`", odd.escape_debug())));
    }
    if value.starts_with(['-', '/', ':', '@', '.']) || value.ends_with(['/', ':', '@']) {
        return Err(fault());
    }
    Ok(value.to_owned())
}

/// Checks a build tag (`go help build`: comma-separated; go/build/constraint: letters, digits, `_` and `.`).
pub(super) fn check_build_tag(value: &str) -> Result<String, Fault> {
    if !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
        return Ok(value.to_owned());
    }
    let fault = Fault::new("expected a build tag: letters, digits, `_` and `.`");
    Err(if value.contains([',', ' ']) {
        fault.help("write each tag as a string of its own: [\"a\", \"b\"]")
    } else {
        fault
    })
}

/// Whether a build mode produces a program that can run. An unknown mode is left to Go, which has a better message.
pub fn builds_program(mode: &str) -> bool {
    !matches!(mode, "archive" | "c-archive" | "c-shared" | "plugin" | "shared")
}

/// Checks that a build mode produces a program that can run (`go help buildmode`).
pub(super) fn check_buildmode(value: &str) -> Result<String, Fault> {
    match value {
        "" | "default" | "exe" | "pie" => Ok(value.to_owned()),
        _ if !builds_program(value) => Err(Fault::new("this mode does not build a program that can run")
            .help("expected `exe`, `pie`, `default` or nothing")),
        _ => Err(Fault::new("expected `exe`, `pie`, `default` or nothing")),
    }
}

/// Parses the URL of a program's profiles. Empty means none.
pub(super) fn parse_pprof_url(value: &str) -> Result<Option<Endpoint>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    let endpoint = Endpoint::parse(value).map_err(|error| Fault::new(error.to_string()))?;
    if endpoint.has_credentials() {
        let fault = Fault::new("expected a URL without a user and a password");
        return Err(
            fault.help(format!("credentials belong in the variables {AUTHORIZATION_VARIABLE} and {HEADERS_VARIABLE}"))
        );
    }
    Ok(Some(endpoint))
}

/// Checks the name of a variable or flag whose value is a secret.
pub(super) fn check_secret_name(value: &str) -> Result<String, Fault> {
    if value.contains(char::is_alphanumeric) && !value.contains('=') {
        return Ok(value.to_owned());
    }
    Err(Fault::new("expected the name of a variable or a flag, for example `DB_DSN`"))
}

/// Checks the name of an environment variable.
pub(super) fn check_env_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Fault::new("expected the name of an environment variable"));
    }
    Ok(())
}

/// Makes the archive directory absolute. It must not contain the project, because the archive writes a `.gitignore` of
/// `*` into it.
pub(super) fn resolve_archive_dir(value: &Path, base: &Path, root: &Path) -> Result<PathBuf, Fault> {
    if value == Path::new("") {
        return Err(Fault::new("expected a directory, found nothing"));
    }
    let dir = resolve_path(base, value);
    if fsio::normalize(root).starts_with(fsio::normalize(&dir)) {
        return Err(Fault::new("expected a separate directory, found one that contains the project"));
    }
    Ok(dir)
}

/// Resolves a path against a directory and removes unnecessary `.` elements. Keeps `..`, because `..` after a link
/// means the parent directory of the link's target.
pub(super) fn resolve_path(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, milliseconds) in
            [("30s", 30_000), ("1.5", 1500), ("2m", 120_000), ("500ms", 500), ("1", 1000), ("1h 30m", 5_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["0", "0s", "-1", "-1s", "", "soon", "nan", "inf", "1e300", "366d", "1 parsec"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_get_their_port_and_path() {
        for (text, authority, path) in [
            ("http://localhost", "localhost:80", "/"),
            ("http://:8080/healthz", "localhost:8080", "/healthz"),
            ("http://127.0.0.1:1?q=a:b", "127.0.0.1:1", "/?q=a:b"),
            ("http://[::1]/", "[::1]:80", "/"),
            ("http://[::1]:8080/a/b#c", "[::1]:8080", "/a/b"),
        ] {
            let expected = HttpAddress { authority: authority.to_owned(), path: path.to_owned() };
            assert_eq!(parse_http_address(text), Ok(expected), "{text}");
        }
        for wrong in ["http://", "http://a:", "http://u@a/", "http://a:0/", "http://a\r\nb/", "ftp://a/", "http://::1/"]
        {
            assert!(parse_http_address(wrong).is_err(), "{wrong}");
        }
    }
}
