//! `report.html`: a page to explore a profile, in one file without any request to a network. [`data`] is what the page knows
//! of the profile; its style and scripts are in `templates/report`.

mod data;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::document::Document;
use super::name::{escape, sanitize};

const PAGE: &str = include_str!("../../../templates/report/page.html");
const STYLE: &str = include_str!("../../../templates/report/page.css");

/// The scripts, in the order of their use. They share one scope.
const SCRIPTS: [&str; 6] = [
    include_str!("../../../templates/report/data.js"),
    include_str!("../../../templates/report/tree.js"),
    include_str!("../../../templates/report/flame.js"),
    include_str!("../../../templates/report/timeline.js"),
    include_str!("../../../templates/report/text_tree.js"),
    include_str!("../../../templates/report/page.js"),
];

/// Writes the page of a profile.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let script = SCRIPTS.concat();
    // Only this script and this style may run, so nothing in the data can.
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(script.as_bytes())),
        STANDARD.encode(Sha256::digest(STYLE.as_bytes())),
    );
    let data = STANDARD.encode(data::pack(document)?);
    let title = escape(&sanitize(document.title));
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        out.write_all(before.as_bytes())?;
        let value = match name {
            "policy" => &policy,
            "title" => &title,
            "style" => STYLE,
            "script" => &script,
            _ => &data,
        };
        out.write_all(value.as_bytes())?;
        rest = after;
    }
    out.write_all(rest.as_bytes())?;
    out.flush()
}
