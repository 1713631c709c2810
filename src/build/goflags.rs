//! Parser for Go's flag texts: the values of GOFLAGS, `-ldflags` and `-gcflags`.

use crate::config::goflags::{self, StripFlag, is_true, split_name_and_value, stripping_words};

/// Splits a text like the value of GOFLAGS into words. `None` if a quote is not closed.
pub(super) fn split_words(text: &str) -> Option<Vec<String>> {
    let words = goflags::split_words(text).ok()?;
    Some(words.into_iter().map(|word| word.text.to_owned()).collect())
}

/// Returns the value of the last `-name=value` (or `--name=value`) in `fields`. A bare `-name` has the value `true`.
pub(super) fn last_value<'a>(fields: &'a [String], name: &str) -> Option<&'a str> {
    fields.iter().rev().find_map(|field| {
        let (key, value) = split_name_and_value(field)?;
        (key == name).then_some(value.unwrap_or("true"))
    })
}

/// Whether the last value of this boolean flag is true, in the spellings of `strconv.ParseBool`.
pub(super) fn is_flag_true(fields: &[String], name: &str) -> bool {
    last_value(fields, name).is_some_and(is_true)
}

/// Per-package flag value: `[pattern=]arguments` (`go help build`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PackageFlags {
    /// Pattern for the packages. `None` means the packages named on the command line.
    pub(super) pattern: Option<String>,
    /// Arguments for the compiler or the linker.
    pub(super) words: Vec<String>,
    value: String,
}

impl PackageFlags {
    /// Parses the value of a `-gcflags` or `-ldflags`. An invalid value, which Go rejects, yields no words.
    pub(super) fn parse(value: &str) -> Self {
        let value = value.trim();
        let (pattern, text) = match value.split_once('=') {
            Some((pattern, text)) if !value.starts_with('-') => (Some(pattern.to_owned()), text),
            _ => (None, value),
        };
        Self { pattern, words: split_words(text).unwrap_or_default(), value: value.to_owned() }
    }

    /// Whether the flags turn off both optimisation and inlining (`-N` and `-l`) for the packages they apply to.
    pub(super) fn is_debug(&self) -> bool {
        is_flag_true(&self.words, "N") && self.words.iter().any(|word| word == "-l" || word == "--l")
    }

    /// Whether the flags apply to every package, not only to the packages named on the command line.
    pub(super) fn applies_to_all_packages(&self) -> bool {
        self.pattern.as_deref() == Some("all")
    }

    /// Returns the first linker flag that removes data which a profile needs: `-s` (symbol table and DWARF) or `-w`
    /// (DWARF).
    pub(super) fn stripping_flag(&self) -> Option<StripFlag> {
        Some(stripping_words(&self.value).ok()?.first()?.flag)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_go_does() {
        assert_eq!(split_words("  -a=1\t-b  ").unwrap(), ["-a=1", "-b"]);
        assert_eq!(
            split_words(r#"'-ldflags=-s -w' "-x=it's" -X=a'b c"#).unwrap(),
            ["-ldflags=-s -w", "-x=it's", "-X=a'b", "c"]
        );
        assert_eq!(split_words("'a''b'").unwrap(), ["a", "b"]);
        assert_eq!(split_words("").unwrap(), [""; 0]);
        assert_eq!(split_words("-a 'b"), None);
    }

    #[test]
    fn the_last_flag_wins() {
        let fields = split_words("-race --race=false -tags=a -tags=b").unwrap();
        assert!(!is_flag_true(&fields, "race"));
        assert_eq!(last_value(&fields, "tags"), Some("b"));
        assert_eq!(last_value(&fields, "pgo"), None);
    }

    #[test]
    fn stripping_flags_are_found() {
        for (value, expected) in [
            ("-s -w", Some("-s")),
            ("-w", Some("-w")),
            ("--w=1", Some("-w")),
            ("all=-s", Some("-s")),
            ("-X main.v=1 -s", Some("-s")),
            ("-X -s", None),
            ("-extldflags '-s -w'", None),
            ("-extldflags=-s", None),
            ("-w=false -s=0", None),
            ("-compressdwarf=false", None),
            ("-X 'main.v=a -s b'", None),
            ("-static", None),
            ("", None),
        ] {
            assert_eq!(
                PackageFlags::parse(value).stripping_flag().map(|flag| flag.to_string()).as_deref(),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn debug_flags_are_recognised() {
        for (value, debug, all) in [
            ("all=-N -l", true, true),
            ("-N -l", true, false),
            ("all=-l -N", true, true),
            ("all=-N", false, true),
            ("all=-N -l=4", false, true),
            ("main=-N -l", true, false),
        ] {
            let flags = PackageFlags::parse(value);
            assert_eq!((flags.is_debug(), flags.applies_to_all_packages()), (debug, all), "{value}");
        }
    }
}
