//! The names of enum values, in `goflame.toml` and in flags.
//!
//! clap derives the names from the enums, so that each value is declared once. Must not know to which key or flag a name belongs.

use clap::ValueEnum;

use super::nearest::nearest;

/// Returns the name of a value.
pub fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Returns the value with a name, or an error text with the names that exist.
pub(super) fn parse_name<T: ValueEnum>(name: &str) -> Result<T, String> {
    T::from_str(name, false).map_err(|_| {
        let known: Vec<String> = T::value_variants().iter().map(name_of).collect();
        let expected = format!("expected {}", quoted_choice(&known));
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("{expected}; did you mean `{near}`?"),
            None => expected,
        }
    })
}

/// Joins names as `a`, `b` or `c`, each in backquotes.
pub(super) fn quoted_choice<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
