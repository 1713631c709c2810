//! One value of a settings file, changed in its text: comments and the order of keys stay.
//!
//! Must not read or write files.

use toml_edit::{DocumentMut, Item, Table, value};

use super::rules;

/// The text with `[toolchain] go = "version"`; `None` when the text is no TOML, which loading it explains better.
pub fn with_pinned_go(text: &str, version: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let toolchain = document.entry("toolchain").or_insert_with(|| Item::Table(Table::new()));
    let table = toolchain.as_table_like_mut()?;
    match table.get_mut("go") {
        Some(Item::Value(old)) => {
            // The comment behind it belongs to the line.
            let decor = old.decor().clone();
            *old = version.into();
            *old.decor_mut() = decor;
        }
        _ => {
            table.insert("go", value(version));
        }
    }
    Some(document.to_string())
}

/// Checks a version as `[toolchain] go` would be checked; the error says what is expected.
pub fn check_version(version: &str) -> Result<(), String> {
    match rules::go_version(version) {
        Ok(version) if !version.is_empty() => Ok(()),
        Ok(_) => Err("expected a Go version such as `1.27.3`".to_owned()),
        Err(fault) => Err(match fault.help {
            Some(help) => format!("{}; {help}", fault.label),
            None => fault.label,
        }),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_order_stay() {
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
    fn a_version_is_checked_as_in_the_file() {
        assert_eq!(check_version("1.27.3"), Ok(()));
        assert!(check_version("").is_err());
        assert_eq!(
            check_version("go1.27.3").unwrap_err(),
            "expected a Go version such as `1.27.3`; leave out the `go`: `1.27.3`"
        );
        assert_eq!(check_version("1.27").unwrap_err(), "expected an exact release; the first one is `1.27.0`");
    }
}
