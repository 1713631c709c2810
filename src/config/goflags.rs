//! Parses `-gcflags` and `-ldflags` values exactly as the go command and the linker do.
//!
//! Judges only the flags that strip a binary.

use std::fmt;
use std::ops::Range;

/// The linker's flags that take a value, possibly as the next word: the non-boolean `flag` definitions in
/// cmd/link/internal/ld/main.go (Go 1.26). A word after one of these is a value, even if it looks like a flag.
const VALUE_FLAGS: &[&str] = &[
    "B",
    "D",
    "E",
    "H",
    "I",
    "L",
    "R",
    "T",
    "X",
    "benchmark",
    "benchmarkprofile",
    "buildid",
    "buildmode",
    "capturehostobjs",
    "cpuprofile",
    "debugtextsize",
    "debugtramp",
    "extar",
    "extld",
    "extldflags",
    "fipso",
    "funcalign",
    "importcfg",
    "installsuffix",
    "k",
    "libgcc",
    "linkmode",
    "memprofile",
    "memprofilerate",
    "o",
    "pluginpath",
    "r",
    "randlayout",
    "strictdups",
    "tmpdir",
];

/// One word of a flags value.
#[derive(Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// The text without quotes.
    pub text: &'a str,
    /// Byte range of the text in the value, without quotes.
    pub span: Range<usize>,
}

/// A flag that removes data that a profile needs.
#[derive(Debug, PartialEq, Eq)]
pub struct StrippingWord {
    /// Byte range of the flag in the value.
    pub span: Range<usize>,
    /// The stripping flag.
    pub flag: StripFlag,
}

/// The linker's flags that strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripFlag {
    /// `-s`: no symbol table, and no DWARF unless `-w=0` says so.
    Symbols,
    /// `-w`: no DWARF.
    Dwarf,
}

impl fmt::Display for StripFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symbols => "-s",
            Self::Dwarf => "-w",
        })
    }
}

/// Splits the value of a per-package flag into words, as `PerPackageFlag.set` (cmd/go/internal/load/flag.go) does: an
/// optional `pattern=` first, then [`split_words`]. The error is the reason why `go build` would reject it.
pub fn split_flags(value: &str) -> Result<Vec<Word<'_>>, String> {
    let trimmed = value.trim();
    let mut at = value.len() - value.trim_start().len();
    if !trimmed.is_empty() && !trimmed.starts_with('-') {
        if trimmed.starts_with(['\'', '"']) {
            return Err("a flags value may not start with a quote; quote single words of it".to_owned());
        }
        match trimmed.find('=') {
            Some(0) => return Err("the package pattern before `=` is missing".to_owned()),
            Some(equals) => at += equals + 1,
            None => return Err("expected flags that start with `-`, or `pattern=` before them".to_owned()),
        }
    }
    let mut found = split_words(value.get(at..).unwrap_or_default())?;
    for word in &mut found {
        word.span = word.span.start + at..word.span.end + at;
    }
    Ok(found)
}

/// Splits a text, for example the value of GOFLAGS, as `quoted.Split` (cmd/internal/quoted) does: at white space.
/// Quotes count only at the start of a word, and there are no escapes. The error reports a quote that is not closed.
pub fn split_words(text: &str) -> Result<Vec<Word<'_>>, String> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let word = rest.trim_start_matches(is_space);
        at += rest.len() - word.len();
        let Some(first) = word.chars().next() else { return Ok(words) };
        if first == '"' || first == '\'' {
            let inner = word.get(1..).unwrap_or_default();
            let Some(length) = inner.find(first) else { return Err(format!("unterminated {first} string")) };
            let start = at + 1;
            words.push(Word { text: inner.get(..length).unwrap_or_default(), span: start..start + length });
            at = start + length + 1;
        } else {
            let length = word.find(is_space).unwrap_or(word.len());
            words.push(Word { text: word.get(..length).unwrap_or_default(), span: at..at + length });
            at += length;
        }
    }
}

/// Whether `strconv.ParseBool` reads this value as true.
pub fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Splits a flag of one or two dashes into its name and its value.
pub fn split_name_and_value(word: &str) -> Option<(&str, Option<&str>)> {
    let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|flag| !flag.is_empty())?;
    Some(flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value))))
}

/// Returns the words of a linker flags value that strip the binary. As for every Go flag, the last occurrence counts,
/// `--s` means `-s`, and `-s=false` cancels `-s`.
pub fn stripping_words(value: &str) -> Result<Vec<StrippingWord>, String> {
    let mut symbols = None;
    let mut dwarf = None;
    let words = split_flags(value)?;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some((name, given)) = split_name_and_value(word.text) else { continue };
        let (slot, flag) = match name {
            "s" => (&mut symbols, StripFlag::Symbols),
            "w" => (&mut dwarf, StripFlag::Dwarf),
            _ => {
                if given.is_none() && VALUE_FLAGS.contains(&name) {
                    words.next();
                }
                continue;
            }
        };
        // The linker itself rejects values that it cannot parse.
        let on = given.is_none_or(is_true);
        *slot = on.then(|| StrippingWord { span: word.span.clone(), flag });
    }
    let mut strips: Vec<_> = [symbols, dwarf].into_iter().flatten().collect();
    strips.sort_by_key(|strip| strip.span.start);
    Ok(strips)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn words(value: &str) -> Vec<&str> {
        let words = split_flags(value).unwrap();
        for word in &words {
            assert_eq!(&value[word.span.clone()], word.text, "{value}");
        }
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_split_as_the_go_command_does() {
        for (value, expected) in [
            ("", vec![]),
            (" \t ", vec![]),
            ("-s -w", vec!["-s", "-w"]),
            ("all=-N -l", vec!["-N", "-l"]),
            ("./...=-s", vec!["-s"]),
            ("-X 'main.s=a b' -w", vec!["-X", "main.s=a b", "-w"]),
            ("-X \"main.s=it's\"", vec!["-X", "main.s=it's"]),
            ("-X main.s='a b'", vec!["-X", "main.s='a", "b'"]),
            ("-X 'main.s=é' -s", vec!["-X", "main.s=é", "-s"]),
            ("-a ''", vec!["-a", ""]),
            ("'a'b", vec![]),
        ] {
            if value == "'a'b" {
                assert!(split_flags(value).is_err());
            } else {
                assert_eq!(words(value), expected, "{value}");
            }
        }
        assert_eq!(split_flags("-X 'main.s=a").unwrap_err(), "unterminated ' string");
        assert!(split_flags("N -l").unwrap_err().contains("start with `-`"));
        assert!(split_flags("=-s").unwrap_err().contains("pattern"));
    }

    #[test]
    fn only_words_that_strip_are_found() {
        use StripFlag::{Dwarf, Symbols};
        for (value, expected) in [
            ("", vec![]),
            ("-compressdwarf=false", vec![]),
            ("-s", vec![Symbols]),
            ("--s", vec![Symbols]),
            ("-s=true", vec![Symbols]),
            ("--w=1", vec![Dwarf]),
            ("-s -w", vec![Symbols, Dwarf]),
            ("-w -s", vec![Dwarf, Symbols]),
            ("all=-w", vec![Dwarf]),
            ("'-s'", vec![]),
            ("-v '-s'", vec![Symbols]),
            ("-s=false -w=0", vec![]),
            ("-s -s=false", vec![]),
            ("-s=false -s", vec![Symbols]),
            ("-s -w=0", vec![Symbols]),
            ("-X main.s=-w", vec![]),
            ("-X -s", vec![]),
            ("-X=main.a=b -s", vec![Symbols]),
            ("-X 'main.s=x -s -w'", vec![]),
            ("-X main.s=x -s", vec![Symbols]),
            ("-extldflags -s", vec![]),
            ("-extldflags '-static -s' -w", vec![Dwarf]),
            ("-linkmode external -s", vec![Symbols]),
            ("-sw", vec![]),
            ("-strictdups 1", vec![]),
            ("---s", vec![]),
        ] {
            match stripping_words(value) {
                Ok(strips) => assert_eq!(strips.iter().map(|s| s.flag).collect::<Vec<_>>(), expected, "{value}"),
                Err(_) => assert_eq!(value, "'-s'"),
            }
        }
    }
}
