//! The part of a function's name that stays the same from one build of a program to the next.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::name::package;

#[expect(clippy::expect_used, reason = "the patterns are constants, and each is used by a test")]
fn compile_regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Suffixes that the compiler gives to closures (`func1`), to the wrappers of `go` and `defer` statements, and to the bodies
/// of `range` loops over functions.
static CLOSURE_SUFFIX: LazyLock<Regex> = LazyLock::new(|| {
    compile_regex(
        r"^(.+?)((?:\.(?:func|gowrap|deferwrap)\d+|-range\d+)(?:\.(?:func|gowrap|deferwrap)?\d+|-range\d+)*)$",
    )
});

/// Numbers that differ between builds or runs: hashes in names of cgo functions, addresses, numbers with four or more digits
/// (as in names of temporary directories), and numbered suffixes of C compilers.
static CHANGING_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    compile_regex(
        r"_cgo_[0-9a-f]{8,}_|0x[0-9a-f]{4,}|[0-9]{4,}|(?:\.(?:isra|part|constprop|lto_priv|llvm|cold)(?:\.[0-9]+)*)+$",
    )
});

/// Version in an element of an import path: the whole element `v2`, or the end of `yaml.v3`.
static VERSION_IN_PATH_ELEMENT: LazyLock<Regex> = LazyLock::new(|| compile_regex(r"^v[0-9]+$|\.v[0-9]+$"));

/// Old and current names of renamed functions of Go's runtime.
const RENAMED_FUNCTIONS: [(&str, &str); 9] = [
    // Go 1.24 replaced the implementation of maps.
    ("runtime.mapiterinit", "internal/runtime/maps.(*Iter).Init"),
    ("runtime.mapiternext", "internal/runtime/maps.(*Iter).Next"),
    ("runtime.hashGrow", "internal/runtime/maps.(*table).grow"),
    ("runtime.evacuate", "internal/runtime/maps.(*table).rehash"),
    ("runtime.evacuate_fast32", "internal/runtime/maps.(*table).rehash"),
    ("runtime.evacuate_fast64", "internal/runtime/maps.(*table).rehash"),
    ("runtime.evacuate_faststr", "internal/runtime/maps.(*table).rehash"),
    ("runtime.makeBucketArray", "internal/runtime/maps.newGroups"),
    // Go 1.26 replaced the garbage collector.
    ("runtime.scanobject", "runtime.scanObject"),
];

/// Splits the name of a closure, such as `main.f.func1.2`, into the enclosing function `main.f` and the suffix `.func1.2`.
/// `None` for a function that is not a closure.
pub fn split_closure(name: &str) -> Option<(&str, &str)> {
    let parts = CLOSURE_SUFFIX.captures(name)?;
    Some((parts.get(1)?.as_str(), parts.get(2)?.as_str()))
}

/// Replaces the numbers that differ between builds and runs by `*`. Removes the suffixes of C compilers.
pub fn replace_changing_numbers(name: &str) -> Cow<'_, str> {
    CHANGING_NUMBER.replace_all(name, |found: &regex::Captures<'_>| match &found[0] {
        number if number.starts_with('_') => "_cgo_*_",
        number if number.starts_with('.') => "",
        _ => "*",
    })
}

/// Returns the current name of a function of Go's runtime that a newer Go version renamed. `None` for any other name.
pub fn current_name(name: &str) -> Option<&'static str> {
    RENAMED_FUNCTIONS.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

/// Version of an import path at the start of a name without its package: `.v3.Unmarshal` of `gopkg.in/yaml.v3.Unmarshal`.
static LEADING_PATH_VERSION: LazyLock<Regex> = LazyLock::new(|| compile_regex(r"^\.v[0-9]+\."));

/// Returns a function's name without its package, without a version at the end of the package's path, and without the
/// dot after them.
pub fn strip_package(name: &str) -> &str {
    let package = package(name);
    let rest = name.get(package.len()..).unwrap_or(name);
    match LEADING_PATH_VERSION.find(rest) {
        Some(version) if !package.is_empty() => rest.get(version.end()..).unwrap_or(rest),
        _ => rest.strip_prefix('.').unwrap_or(rest),
    }
}

/// Whether the package of one function can be the package of the other function, moved to another import path. True if the
/// last elements of the paths are equal (`sync`, `internal/sync`), or if one path begins with the other. Versions are
/// ignored (`example.com/yaml/v2`).
pub fn is_moved_package(one: &str, other: &str) -> bool {
    let elements = |name| {
        let elements = package(name)
            .split('/')
            .map(|element| VERSION_IN_PATH_ELEMENT.replace(element, ""))
            .filter(|text| !text.is_empty());
        elements.collect::<Vec<_>>()
    };
    let (one, other) = (elements(one), elements(other));
    let nonempty = !one.is_empty() && !other.is_empty();
    nonempty && (one.last() == other.last() || one.starts_with(&other) || other.starts_with(&one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_closures_are_split_after_the_enclosing_function() {
        for (name, function, number) in [
            ("main.f.func1", "main.f", ".func1"),
            ("main.f.func1.2", "main.f", ".func1.2"),
            ("main.(*T).run.func2.1.3", "main.(*T).run", ".func2.1.3"),
            ("main.f.gowrap1", "main.f", ".gowrap1"),
            ("main.f.func3.deferwrap2", "main.f", ".func3.deferwrap2"),
            ("main.f.func1-range2", "main.f", ".func1-range2"),
            ("main.f-range1.func2", "main.f", "-range1.func2"),
            ("main.glob..func1", "main.glob.", ".func1"),
            ("main.Map[...].func1", "main.Map[...]", ".func1"),
        ] {
            assert_eq!(split_closure(name), Some((function, number)), "{name}");
        }
        for name in ["main.f", "main.func1x", "main.f.1", "main.init.0", "func1", "main.functional"] {
            assert_eq!(split_closure(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_of_builds_and_runs_are_removed() {
        for (one, other) in [
            ("_cgo_abcdef012345_Cfunc_work", "_cgo_0123456789ab_Cfunc_work"),
            ("/tmp/go-build123456/b001/exe/app.run", "/tmp/go-build98765/b001/exe/app.run"),
            ("jit_0x7f00deadbeef", "jit_0x7f00deadb000"),
            ("tcp_ack.isra.0", "tcp_ack.isra.12.cold"),
            ("tcp_ack.part.0", "tcp_ack"),
        ] {
            assert_eq!(replace_changing_numbers(one), replace_changing_numbers(other));
        }
        for (one, other) in [("md5.block1", "md5.block2"), ("sha256.f", "sha512.f"), ("_cgo_init", "_cgo_sys")] {
            assert_ne!(replace_changing_numbers(one), replace_changing_numbers(other));
        }
        assert_eq!(replace_changing_numbers("runtime.mallocgc"), "runtime.mallocgc");
    }

    #[test]
    fn packages_that_can_have_moved_are_recognised() {
        for (one, other) in [
            ("runtime/internal/atomic.Cas", "internal/runtime/atomic.Cas"),
            ("sync.(*Mutex).Lock", "internal/sync.(*Mutex).Lock"),
            ("internal/runtime/syscall.Syscall6", "internal/runtime/syscall/linux.Syscall6"),
            ("example.com/yaml.F", "example.com/yaml/v2.F"),
            ("gopkg.in/yaml.v2.F", "gopkg.in/yaml.v3.F"),
        ] {
            assert!(is_moved_package(one, other), "{one} {other}");
            assert_eq!(strip_package(one), strip_package(other));
        }
        for (one, other) in
            [("encoding/json.Marshal", "encoding/xml.Marshal"), ("memcpy", "memcpy"), ("main.F", "lib.F")]
        {
            assert!(!is_moved_package(one, other), "{one} {other}");
        }
        assert_eq!(current_name("runtime.mapiternext"), Some("internal/runtime/maps.(*Iter).Next"));
        assert_eq!(current_name("main.main"), None);
    }
}
