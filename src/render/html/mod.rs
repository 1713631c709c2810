//! `report.html`: a page to explore a profile, in one file without any request to a network. [`data`] packs the data of the
//! page. Its style and scripts are in `templates/report`. [`diff`] packs the data of the page of a comparison, which shares
//! most of the style and scripts.

mod columns;
mod data;
mod diff;
mod events;
mod lines;
mod timeline;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::document::Document;
use super::name::{escape, sanitize};
use super::page::{self, STYLE};
use crate::render::diff::document::DiffDocument;

const PAGE: &str = include_str!("../../../templates/report/page.html");
const DIFF_PAGE: &str = include_str!("../../../templates/report/diff.html");
/// The end of both pages: the call tree as text, the data and the scripts.
const PAGE_END: &str = include_str!("../../../templates/report/end.html");

/// The style of the page of a comparison, in addition to the style of all pages.
const DIFF_STYLE: &str = include_str!("../../../templates/report/diff.css");

/// The scripts of both pages. All scripts of a page share one scope.
const SHARED_SCRIPTS: [&str; 5] = [
    include_str!("../../../templates/report/elements.js"),
    include_str!("../../../templates/report/data.js"),
    include_str!("../../../templates/report/tree.js"),
    include_str!("../../../templates/report/flame.js"),
    include_str!("../../../templates/report/text_tree.js"),
];

const REPORT_SCRIPTS: [&str; 4] = [
    include_str!("../../../templates/report/lanes.js"),
    include_str!("../../../templates/report/timeline.js"),
    include_str!("../../../templates/report/details.js"),
    include_str!("../../../templates/report/page.js"),
];

const DIFF_SCRIPTS: [&str; 1] = [include_str!("../../../templates/report/diff.js")];

/// Writes the page of a profile.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let data = data::pack(document)?;
    write_page(PAGE, STYLE, &REPORT_SCRIPTS, &sanitize(document.title), &data, out)
}

/// Writes the page of a comparison.
pub fn write_diff(document: &DiffDocument<'_>, out: &mut dyn Write) -> io::Result<()> {
    let data = diff::pack(document)?;
    let style = [STYLE, DIFF_STYLE].concat();
    write_page(DIFF_PAGE, &style, &DIFF_SCRIPTS, &document.headline(), &data, out)
}

fn write_page(
    template: &str,
    style: &str,
    scripts: &[&str],
    title: &str,
    data: &[u8],
    out: &mut dyn Write,
) -> io::Result<()> {
    let script = [SHARED_SCRIPTS.concat(), scripts.concat()].concat();
    let policy = page::content_security_policy(style, Some(&script));
    let data = STANDARD.encode(data);
    let title = escape(title);
    let value = |name: &str| match name {
        "policy" => policy.as_str(),
        "title" => &title,
        "style" => style,
        "script" => &script,
        _ => &data,
    };
    page::write(&[template, PAGE_END].concat(), value, out)
}
