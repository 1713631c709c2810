//! `report.html`: a page to explore a profile, in one file without any request to a network. [`data`] is what the page knows
//! of the profile; its style and scripts are in `templates/report`.

mod columns;
mod data;
mod timeline;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::document::Document;
use super::name::{escape, sanitize};
use super::page::{self, STYLE};

const PAGE: &str = include_str!("../../../templates/report/page.html");

/// The scripts, in the order of their use. They share one scope.
const SCRIPTS: [&str; 9] = [
    include_str!("../../../templates/report/elements.js"),
    include_str!("../../../templates/report/data.js"),
    include_str!("../../../templates/report/tree.js"),
    include_str!("../../../templates/report/flame.js"),
    include_str!("../../../templates/report/lanes.js"),
    include_str!("../../../templates/report/timeline.js"),
    include_str!("../../../templates/report/text_tree.js"),
    include_str!("../../../templates/report/details.js"),
    include_str!("../../../templates/report/page.js"),
];

/// Writes the page of a profile.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let script = SCRIPTS.concat();
    let policy = page::policy(STYLE, Some(&script));
    let data = STANDARD.encode(data::pack(document)?);
    let title = escape(&sanitize(document.title));
    let value = |name: &str| match name {
        "policy" => policy.as_str(),
        "title" => &title,
        "style" => STYLE,
        "script" => &script,
        _ => &data,
    };
    page::write(PAGE, value, out)
}
