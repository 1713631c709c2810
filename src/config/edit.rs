//! Edits values in the text of a settings file. Keeps comments and the order of keys.
//!
//! Must not read or write files.

use toml_edit::{DocumentMut, Item, Table, Value, value};

use super::rules;
use crate::redact::Secrets;

/// Returns the text with `[toolchain] go = "version"`. `None` if the text is not TOML or `toolchain` is not a table:
/// loading the text gives a better error.
pub fn with_pinned_go(text: &str, version: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let toolchain = document.entry("toolchain").or_insert_with(|| Item::Table(Table::new()));
    let table = toolchain.as_table_like_mut()?;
    match table.get_mut("go") {
        Some(Item::Value(old)) => replace_value(old, version),
        _ => {
            table.insert("go", value(version));
        }
    }
    Some(document.to_string())
}

/// Masks the secrets in a text, including those in comments. A text without secrets stays unchanged.
pub fn redact_settings(text: &str, secrets: &Secrets) -> String {
    let Ok(mut document) = text.parse::<DocumentMut>() else { return secrets.mask_text(text) };
    for (key, item) in document.iter_mut() {
        mask_item(&key, item, secrets);
    }
    // The remaining secrets are in comments.
    secrets.mask_text(&document.to_string())
}

fn mask_item(key: &str, item: &mut Item, secrets: &Secrets) {
    match item {
        Item::Value(value) => mask_value(key, value, secrets),
        Item::Table(table) => table.iter_mut().for_each(|(key, item)| mask_item(&key, item, secrets)),
        Item::ArrayOfTables(_) | Item::None => {}
    }
}

fn mask_value(key: &str, value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) => {
            let masked = secrets.mask_value(key, text.value());
            replace_value(value, &masked);
        }
        Value::InlineTable(table) => table.iter_mut().for_each(|(key, value)| mask_value(&key, value, secrets)),
        Value::Array(array) => {
            let words: Vec<String> = array.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect();
            for (value, masked) in array.iter_mut().zip(secrets.mask_args(&words)) {
                if value.is_str() {
                    replace_value(value, &masked);
                }
            }
        }
        _ => {}
    }
}

/// Replaces a value but keeps the comment after it. An equal value is unchanged and keeps its style of quotes.
fn replace_value(old: &mut Value, new: &str) {
    if old.as_str() != Some(new) {
        let decor = old.decor().clone();
        *old = new.into();
        *old.decor_mut() = decor;
    }
}

/// Checks a version with the rule of `[toolchain] go`. The error is advice for the user.
pub fn check_version(version: &str) -> Result<(), String> {
    match rules::check_go_version(version) {
        Ok(version) if !version.is_empty() => Ok(()),
        Ok(_) => Err(rules::EXPECTED_RELEASE.to_owned()),
        Err(fault) => Err(fault.help.unwrap_or(fault.label)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pinning_keeps_comments_and_order() {
        for (before, after) in [
            (
                "# mine\n[app]\npackage = \".\" # here\n",
                "# mine\n[app]\npackage = \".\" # here\n\n[toolchain]\ngo = \"1.27.3\"\n",
            ),
            (
                "[toolchain] # pinned\n# why\ngo    = \"1.26.8\"   # since May\nimage = \"x\"\n[app]\nname = \"a\"\n",
                "[toolchain] # pinned\n# why\ngo    = \"1.27.3\"   # since May\nimage = \"x\"\n[app]\nname = \"a\"\n",
            ),
            ("toolchain.go = \"\"\n", "toolchain.go = \"1.27.3\"\n"),
            ("toolchain = { image = \"x\" }\n", "toolchain = { image = \"x\" , go = \"1.27.3\" }\n"),
            ("", "[toolchain]\ngo = \"1.27.3\"\n"),
        ] {
            assert_eq!(with_pinned_go(before, "1.27.3").unwrap(), after);
        }
        assert_eq!(with_pinned_go("[toolchain", "1.27.3"), None);
        assert_eq!(with_pinned_go("toolchain = 1", "1.27.3"), None);
    }

    #[test]
    fn secrets_are_masked_and_other_text_is_unchanged() {
        let secrets = Secrets::new(&["DSN".to_owned()]);
        let plain = include_str!("../../goflame.toml.example");
        assert_eq!(redact_settings(plain, &secrets), plain);
        let text = r#"# PASSWORD = "old"
[variant.debug]
env = { NPM_TOKEN = 'one', GOAMD64 = "v3", DSN = "two" } # mine
ldflags = "-X main.apiKey=three -X main.v=1"
[variant.debug.more]
x = 1
[workload] # here
args = ["--password=four", '--author=me', # not --token=five
  "--token", "six seven"]
env.API_KEY = """eight
nine"""
env.GOPROXY = "https://me:ten@host"
[archive]
redact = ["DSN"]
"#;
        let masked = r#"# PASSWORD = "***"
[variant.debug]
env = { NPM_TOKEN = "***", GOAMD64 = "v3", DSN = "***" } # mine
ldflags = "-X main.apiKey=*** -X main.v=1"
[variant.debug.more]
x = 1
[workload] # here
args = ["--password=***", '--author=me', # not --token=***
  "--token", "***"]
env.API_KEY = "***"
env.GOPROXY = "https://me:***@host"
[archive]
redact = ["DSN"]
"#;
        assert_eq!(redact_settings(text, &secrets), masked);
        assert_eq!(redact_settings("[broken\nTOKEN = \"x\"", &secrets), "[broken\nTOKEN = \"***\"");
    }

    #[test]
    fn a_version_follows_the_same_rule_as_in_the_file() {
        assert_eq!(check_version("1.27.3"), Ok(()));
        assert!(check_version("").is_err());
        assert_eq!(check_version("go1.27.3").unwrap_err(), "write it without the prefix `go`: `1.27.3`");
        assert_eq!(check_version("1.27").unwrap_err(), "did you mean `1.27.0`?");
    }
}
