//! Typed reading of one TOML value. Errors are added to the list of problems, and the reading continues.
//!
//! Must not know which keys exist.

use std::collections::BTreeMap;
use std::ops::Range;

use clap::ValueEnum;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::goflags::{StripFlag, split_flags, stripping_words};
use super::name::parse_name;
use super::problem::Problem;
use super::rules::{Fault, check_env_name};
use crate::render::Format;

/// The value of one key, with everything that an error message about it needs.
pub(super) struct ConfigValue<'a> {
    /// The key with its tables: `record.frequency`.
    pub(super) path: String,
    /// The byte range of the key.
    pub(super) key: Range<usize>,
    /// The parsed value.
    pub(super) node: &'a Spanned<DeValue<'a>>,
    /// The text of the file.
    pub(super) text: &'a str,
}

impl<'a> ConfigValue<'a> {
    /// Reads a string. Rejects NUL, because no program argument and no file name may contain it.
    pub(super) fn read_text(&self, problems: &mut Vec<Problem>) -> Option<&'a str> {
        let DeValue::String(text) = self.node.get_ref() else {
            return self.report_wrong_type("a string", problems);
        };
        if text.contains('\0') {
            self.report_fault(Fault::new("expected text without a NUL character"), problems);
            return None;
        }
        Some(text)
    }

    /// Reads a string and applies a rule.
    pub(super) fn read_text_with<T>(
        &self,
        problems: &mut Vec<Problem>,
        rule: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let text = self.read_text(problems)?;
        rule(text).map_err(|fault| self.report_fault(fault, problems)).ok()
    }

    /// Reads an integer and applies a rule.
    pub(super) fn read_integer_with<T>(
        &self,
        problems: &mut Vec<Problem>,
        rule: impl FnOnce(i64) -> Result<T, Fault>,
    ) -> Option<T> {
        let DeValue::Integer(integer) = self.node.get_ref() else {
            return self.report_wrong_type("an integer", problems);
        };
        let integer = i64::from_str_radix(integer.as_str(), integer.radix())
            .map_err(|_| Fault::new("expected an integer of at most 63 bits"));
        integer.and_then(rule).map_err(|fault| self.report_fault(fault, problems)).ok()
    }

    /// Reads a string, or an integer as if it were a string, and applies a rule.
    pub(super) fn read_text_or_integer_with<T>(
        &self,
        problems: &mut Vec<Problem>,
        rule: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        match self.node.get_ref() {
            DeValue::Integer(_) => self.read_integer_with(problems, |integer| rule(&integer.to_string())),
            _ => self.read_text_with(problems, rule),
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn read_boolean(&self, problems: &mut Vec<Problem>) -> Option<bool> {
        match self.node.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.report_wrong_type("a boolean", problems),
        }
    }

    /// Reads one of an enum's names.
    pub(super) fn read_choice<T: ValueEnum>(&self, problems: &mut Vec<Problem>) -> Option<T> {
        self.read_text_with(problems, |name| parse_name(name).map_err(Fault::new))
    }

    /// Reads the name of an output format.
    pub(super) fn read_format(&self, problems: &mut Vec<Problem>) -> Option<Format> {
        self.read_choice(problems)
    }

    /// Reads an array, each element with `read`. `None` if any element is invalid.
    pub(super) fn read_list_with<T>(
        &self,
        problems: &mut Vec<Problem>,
        read: impl Fn(&ConfigValue<'a>, &mut Vec<Problem>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(array) = self.node.get_ref() else {
            return self.report_wrong_type("an array of strings", problems);
        };
        let elements: Vec<_> = array
            .iter()
            .map(|node| ConfigValue { path: self.path.clone(), key: self.key.clone(), node, text: self.text })
            .map(|element| read(&element, problems))
            .collect();
        elements.into_iter().collect()
    }

    /// Reads an array of strings.
    pub(super) fn read_list(&self, problems: &mut Vec<Problem>) -> Option<Vec<String>> {
        self.read_list_with(problems, |element, problems| element.read_text(problems).map(str::to_owned))
    }

    /// Reads a table of environment variables.
    pub(super) fn read_env(&self, problems: &mut Vec<Problem>) -> Option<BTreeMap<String, String>> {
        let DeValue::Table(table) = self.node.get_ref() else {
            return self.report_wrong_type("a table of strings", problems);
        };
        let entries: Vec<_> = entries(table, &self.path, self.text)
            .map(|(name, value)| {
                if let Err(fault) = check_env_name(name) {
                    problems.push(value.problem_at(fault, value.key.clone()));
                }
                Some((name.to_owned(), value.read_text(problems)?.to_owned()))
            })
            .collect();
        entries.into_iter().collect()
    }

    /// Reads compiler flags in one string.
    pub(super) fn read_compiler_flags(&self, problems: &mut Vec<Problem>) -> Option<String> {
        self.read_text_with(problems, |flags| split_flags(flags).map(|_| flags.to_owned()).map_err(Fault::new))
    }

    /// Reads linker flags in one string. Rejects flags that strip the binary.
    pub(super) fn read_linker_flags(&self, problems: &mut Vec<Problem>) -> Option<String> {
        let flags = self.read_text(problems)?;
        let strips = stripping_words(flags).map_err(|reason| self.report_fault(Fault::new(reason), problems)).ok()?;
        for strip in &strips {
            let label = match strip.flag {
                StripFlag::Symbols => "`-s` strips the symbol table and the debug information that a profile needs",
                StripFlag::Dwarf => "`-w` strips the debug information that a profile needs",
            };
            let fault = Fault::new(label).help("it costs no speed to keep them: leave the flag out");
            problems.push(self.problem_at(fault, self.span_of_part(flags, &strip.span)));
        }
        strips.is_empty().then(|| flags.to_owned())
    }

    /// Checks a key that accepts only one value today: the value that has the same effect as no key.
    pub(super) fn accept_only(&self, inert: &InertValue, problems: &mut Vec<Problem>) {
        let (is_off, shown) = match *inert {
            InertValue::Integer(off) => {
                (self.read_integer_with(problems, Ok).map(|value| value == off), off.to_string())
            }
            InertValue::Text(off) => (self.read_text(problems).map(|value| value == off), format!("{off:?}")),
        };
        if is_off == Some(false) {
            let raw = if self.raw_text().contains('\n') { "..." } else { self.raw_text() };
            let what = format!("`{} = {raw}`", self.path);
            problems.push(unavailable_problem(&what, self.node.span(), Some(format!("only `{shown}` works today"))));
        }
    }

    /// Reports a key that does not work at all today.
    pub(super) fn report_unavailable(&self, problems: &mut Vec<Problem>) {
        problems.push(unavailable_problem(&format!("`{}`", self.path), self.key.clone(), None));
    }

    /// Reports a value that breaks a rule.
    pub(super) fn report_fault(&self, fault: Fault, problems: &mut Vec<Problem>) {
        problems.push(self.problem_at(fault, self.node.span()));
    }

    /// Reports a value of an unexpected type. Always returns `None`.
    pub(super) fn report_wrong_type<T>(&self, expected: &str, problems: &mut Vec<Problem>) -> Option<T> {
        let (found, raw) = (type_name(self.node.get_ref()), self.raw_text());
        let help = match (expected, self.node.get_ref()) {
            ("a string", DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)) => {
                Some(format!("write it in quotes: `\"{raw}\"`"))
            }
            ("an integer", DeValue::String(text)) if text.parse::<i64>().is_ok() => {
                Some(format!("write it without quotes: `{text}`"))
            }
            ("a boolean", DeValue::String(text)) if text == "true" || text == "false" => {
                Some(format!("write it without quotes: `{text}`"))
            }
            ("an array of strings", DeValue::String(_)) => Some(format!("write it in brackets: `[{raw}]`")),
            _ => None,
        };
        problems.push(Problem {
            message: format!("wrong type for `{}`", self.path),
            span: self.node.span(),
            label: format!("expected {expected}, found {found}"),
            help: help.filter(|help| !help.contains('\n')),
        });
        None
    }

    fn problem_at(&self, fault: Fault, span: Range<usize>) -> Problem {
        Problem { message: format!("invalid value for `{}`", self.path), span, label: fault.label, help: fault.help }
    }

    /// Returns the value as written in the text.
    fn raw_text(&self) -> &'a str {
        self.text.get(self.node.span()).unwrap_or_default()
    }

    /// Returns the position of a part of a string value in the text. Exact for a string without escapes, otherwise the
    /// whole value.
    fn span_of_part(&self, value: &str, part: &Range<usize>) -> Range<usize> {
        let whole = self.node.span();
        match self.raw_text().get(1..self.raw_text().len().saturating_sub(1)) {
            Some(inner) if inner == value => whole.start + 1 + part.start..whole.start + 1 + part.end,
            _ => whole,
        }
    }
}

/// Creates the problem that reports a feature of a later version.
fn unavailable_problem(what: &str, span: Range<usize>, help: Option<String>) -> Problem {
    Problem { message: format!("{what} is not yet available"), span, label: "not yet available".to_owned(), help }
}

/// The only value that a key may have until its feature exists.
pub(super) enum InertValue {
    /// For example `repeat = 1`.
    Integer(i64),
    /// For example `palette = "go"`.
    Text(&'static str),
}

/// Returns the entries of a table as values with their full paths.
pub(super) fn entries<'a>(
    table: &'a DeTable<'a>,
    path: &str,
    text: &'a str,
) -> impl Iterator<Item = (&'a str, ConfigValue<'a>)> {
    table.iter().map(move |(key, node)| {
        let name: &str = key.get_ref();
        let path = if path.is_empty() { key_text(name) } else { format!("{path}.{}", key_text(name)) };
        (name, ConfigValue { path, key: key.span(), node, text })
    })
}

/// Returns a key in TOML syntax.
pub(super) fn key_text(name: &str) -> String {
    if is_bare_key(name) { name.to_owned() } else { format!("\"{}\"", name.escape_debug()) }
}

/// Whether a key needs no quotes.
pub(super) fn is_bare_key(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
