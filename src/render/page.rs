//! HTML pages in one file: a template, its values, and a policy that allows only the style and the script of the page.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The style of all pages.
pub(super) const STYLE: &str = include_str!("../../templates/report/page.css");

/// The beginning of all pages, up to the title in the body.
const HEAD: &str = include_str!("../../templates/head.html");

/// Returns the Content-Security-Policy of a page with this style and script.
pub(super) fn content_security_policy(style: &str, script: Option<&str>) -> String {
    let source = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let script = script.map_or_else(String::new, |script| format!("script-src {}; ", source(script)));
    format!("default-src 'none'; {script}style-src {}; base-uri 'none'; form-action 'none'", source(style))
}

/// Writes the head of a page and its template. Replaces each `{name}` by its value.
pub(super) fn write<'v>(template: &str, value: impl Fn(&str) -> &'v str, out: &mut dyn Write) -> io::Result<()> {
    for part in [HEAD, template] {
        let mut rest = part;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            out.write_all(before.as_bytes())?;
            out.write_all(value(name).as_bytes())?;
            rest = after;
        }
        out.write_all(rest.as_bytes())?;
    }
    out.flush()
}
