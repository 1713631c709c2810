//! Shown form and package of Go's linker names.

use std::borrow::Cow;

/// Prefixes of names that the compiler generates and that have no package (`gosym.Sym.PackageName`).
const PREFIXES_WITHOUT_PACKAGE: [&str; 4] = ["go:", "type:", "go.", "type."];

/// The name as Go's own tracebacks show it: `[...]` instead of type arguments, and dots instead of the linker's
/// `%2e` in import paths. The import path is not shortened.
///
/// Names of generated equality and hash functions do not change, because their brackets belong to array types.
pub fn display(linker_name: &str) -> Cow<'_, str> {
    let is_type = linker_name.starts_with("type:") || linker_name.starts_with("type..");
    let shortened = match linker_name.find('[') {
        Some(first) if !is_type => elide_type_arguments(linker_name, first),
        _ => Cow::Borrowed(linker_name),
    };
    if shortened.contains('%') { Cow::Owned(unescape(&shortened)) } else { shortened }
}

/// The import path of a Go function's package, in the linker's spelling (`gopkg.in/yaml%2ev3`). Empty for functions
/// that the compiler generates (`type:.eq.main.T`) and for functions of other languages (`memcpy`).
pub fn package(linker_name: &str) -> &str {
    if PREFIXES_WITHOUT_PACKAGE.iter().any(|prefix| linker_name.starts_with(prefix)) {
        return "";
    }
    // Type arguments, receivers and types can contain slashes and dots too.
    let path_end = linker_name.find(['[', '(', '{', ' ']).unwrap_or(linker_name.len());
    let path = linker_name.get(..path_end).unwrap_or(linker_name);
    let last_slash = path.rfind('/').unwrap_or(0);
    let dot = path.get(last_slash..).and_then(|last| last.find('.'));
    dot.and_then(|dot| path.get(..last_slash.checked_add(dot)?)).unwrap_or("")
}

/// Replaces the content of each outermost pair of brackets by `...`.
fn elide_type_arguments(full: &str, first_bracket: usize) -> Cow<'_, str> {
    let (head, tail) = full.split_at_checked(first_bracket).unwrap_or((full, ""));
    let mut short = head.to_owned();
    let mut depth = 0_usize;
    let mut chars = tail.chars();
    while let Some(char) = chars.next() {
        match char {
            '[' => {
                if depth == 0 {
                    short.push_str("[...]");
                }
                depth = depth.saturating_add(1);
            }
            ']' if depth > 0 => depth = depth.saturating_sub(1),
            // A quote begins a struct tag, which can contain brackets.
            '"' if depth > 0 => {
                while let Some(quoted) = chars.next().filter(|char| *char != '"') {
                    if quoted == '\\' {
                        chars.next();
                    }
                }
            }
            _ if depth > 0 => {}
            other => short.push(other),
        }
    }
    // Brackets that are not closed do not enclose type arguments.
    if depth > 0 || short == full { Cow::Borrowed(full) } else { Cow::Owned(short) }
}

/// Reverses `objabi.PathToPrefix`, which writes some bytes of import paths as `%xx`.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.first_chunk::<2>().filter(|hex| *first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{display, package};

    /// (linker name, shown name, package). All forms that occur in binaries of Go 1.19 to 1.27.
    const NAMES: &[(&str, &str, &str)] = &[
        ("main.f.func1.2", "main.f.func1.2", "main"),
        ("main.glob..func1", "main.glob..func1", "main"),
        ("main.init.0", "main.init.0", "main"),
        ("main.rng-range1.1", "main.rng-range1.1", "main"),
        ("main.f.gowrap1", "main.f.gowrap1", "main"),
        ("main.f.deferwrap1", "main.f.deferwrap1", "main"),
        ("main.(*T).P-fm", "main.(*T).P-fm", "main"),
        ("main.T.V-fm", "main.T.V-fm", "main"),
        ("main.(*Server).Handle.func1", "main.(*Server).Handle.func1", "main"),
        ("main.Map[go.shape.int,go.shape.string]", "main.Map[...]", "main"),
        ("main.(*G[go.shape.*uint8]).Add", "main.(*G[...]).Add", "main"),
        ("main.(*G[go.shape.int]).Map[go.shape.string].func1", "main.(*G[...]).Map[...].func1", "main"),
        ("slices.pdqsortCmpFunc[go.shape.struct { a int; b string }]", "slices.pdqsortCmpFunc[...]", "slices"),
        ("main.F[go.shape.map[string][]net/http.Header]", "main.F[...]", "main"),
        ("main.F[go.shape.struct { A int \"json:\\\"x]\\\"\" }].func2", "main.F[...].func2", "main"),
        ("sync.OnceValue[...].func1", "sync.OnceValue[...].func1", "sync"),
        ("main.init.OnceValue[go.shape.bool].func5", "main.init.OnceValue[...].func5", "main"),
        ("main..dict.G[*main.S]", "main..dict.G[...]", "main"),
        ("main.open[go.shape.int", "main.open[go.shape.int", "main"),
        ("type:.eq.main.T", "type:.eq.main.T", ""),
        ("type:.eq.[2]net/http.T", "type:.eq.[2]net/http.T", ""),
        ("type:.hash.SGE", "type:.hash.SGE", ""),
        ("type..eq.main.T", "type..eq.main.T", ""),
        ("type:.eq.runtime.untracedG·4", "type:.eq.runtime.untracedG·4", ""),
        ("go:(*struct { sync.Mutex; a/b.C }).Lock", "go:(*struct { sync.Mutex; a/b.C }).Lock", ""),
        ("go:buildid", "go:buildid", ""),
        ("go/ast.Walk", "go/ast.Walk", "go/ast"),
        ("golang.org/x/text/language.Make", "golang.org/x/text/language.Make", "golang.org/x/text/language"),
        ("gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3.Unmarshal", "gopkg.in/yaml%2ev3"),
        ("gopkg.in/yaml%2ev3.(*D).f", "gopkg.in/yaml.v3.(*D).f", "gopkg.in/yaml%2ev3"),
        ("main.100%.sure%2", "main.100%.sure%2", "main"),
        (
            "vendor/golang.org/x/net/dns/dnsmessage.(*Parser).Start",
            "vendor/golang.org/x/net/dns/dnsmessage.(*Parser).Start",
            "vendor/golang.org/x/net/dns/dnsmessage",
        ),
        ("internal/runtime/maps.(*Map).getWithKey", "internal/runtime/maps.(*Map).getWithKey", "internal/runtime/maps"),
        ("github.com/a/b.V[github.com/c/d.T].M", "github.com/a/b.V[...].M", "github.com/a/b"),
        ("runtime.call64", "runtime.call64", "runtime"),
        ("memcpy", "memcpy", ""),
        ("", "", ""),
    ];

    #[test]
    fn every_form_of_name_has_its_shown_name_and_package() {
        for (full, shown, expected_package) in NAMES {
            assert_eq!(display(full), *shown, "display of {full}");
            assert_eq!(package(full), *expected_package, "package of {full}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_accepted(text in r#"[\PC\[\]"\\%./2e]{0,40}"#) {
            let shown = display(&text);
            proptest::prop_assert!(shown.len() <= text.len().saturating_add(text.matches('[').count().saturating_mul(5)));
            proptest::prop_assert!(text.starts_with(package(&text)));
        }
    }
}
