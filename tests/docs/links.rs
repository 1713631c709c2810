//! Links in the documents: each linked file and heading exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{documents, read};

/// Directory of the manual, an mdBook. Its pages are rendered without the other files of the repository.
const BOOK: &str = "docs/src";

#[derive(Default)]
struct Document {
    links: Vec<String>,
    headings: Vec<String>,
}

#[test]
fn links_of_documents_lead_to_existing_files_and_headings() {
    let paths: Vec<_> = [documents("."), documents(BOOK)].concat();
    let documents: BTreeMap<PathBuf, Document> =
        paths.iter().map(|path| (path.into(), Document::parse(&read(path)))).collect();
    let mut dead = Vec::new();
    for (path, document) in &documents {
        for link in document.links.iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { resolve_link(path, file) };
            let exists = match documents.get(&target) {
                Some(target) => heading.is_empty() || target.headings.iter().any(|known| known == heading),
                None => heading.is_empty() && Path::new(env!("CARGO_MANIFEST_DIR")).join(&target).exists(),
            };
            let leaves_the_book = path.starts_with(BOOK) && !target.starts_with(BOOK);
            if !exists || leaves_the_book {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(documents.values().map(|document| document.links.len()).sum::<usize>() > 50, "too few links were found");
    assert!(dead.is_empty(), "dead links, or links out of the book:\n  {}", dead.join("\n  "));
}

#[test]
fn every_link_of_the_doctor_is_a_command_that_explains_the_check() {
    // Earlier, a link was a path in the repository, which does not exist on a machine with an installed goflame.
    let goflame = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_goflame")).args(args).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&goflame(&["doctor", "--json"]).stdout).unwrap();
    for finding in json["findings"].as_array().unwrap() {
        let words: Vec<_> = finding["link"].as_str().unwrap().split(' ').skip(1).collect();
        let explained = goflame(&words);
        let text = String::from_utf8(explained.stdout).unwrap();
        let (id, title) = (finding["id"].as_str().unwrap(), finding["title"].as_str().unwrap());
        assert!(explained.status.success() && text.starts_with(&format!("{id}: {title}\n")), "{finding:#}\n{text}");
        assert!(!text.trim_end().ends_with("When it falls short"), "{text}");
    }
}

#[test]
fn headings_of_a_document_are_unique() {
    for path in [documents("."), documents(BOOK)].concat() {
        let mut seen = BTreeSet::new();
        // A changelog has the same headings for each version.
        for heading in Document::parse(&read(&path)).headings.iter().filter(|_| path != "CHANGELOG.md") {
            assert!(seen.insert(heading.clone()), "{path}: two headings have the anchor #{heading}");
        }
    }
}

#[test]
fn the_summary_of_the_book_lists_every_page() {
    let listed: BTreeSet<_> = Document::parse(&read("docs/src/SUMMARY.md")).links.into_iter().collect();
    let pages: BTreeSet<_> = documents(BOOK)
        .into_iter()
        .map(|path| path.replace("docs/src/", ""))
        .filter(|name| name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, pages);
}

#[test]
fn links_and_headings_are_read_as_browsers_read_them() {
    let text = "# `a` & B_c!\n\n[x](y.md#z) and `[not](code.md)`\n\n```\n[not](code.md)\n```\n\n![p](q.svg)\n";
    let document = Document::parse(text);
    assert_eq!(document.links, ["y.md#z", "q.svg"]);
    assert_eq!(document.headings, ["a--b_c"]);
    assert_eq!(resolve_link(Path::new("docs/src/a.md"), "../b.md"), Path::new("docs/b.md"));
}

impl Document {
    fn parse(text: &str) -> Self {
        let (mut document, mut heading) = (Self::default(), None);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => document.headings.extend(heading.take()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.extend(text.chars().filter_map(anchor_char));
                    }
                }
                _ => {}
            }
        }
        document
    }
}

/// Converts a character of a heading to a character of the anchor, as GitHub and mdBook do. `None` if anchors omit it.
fn anchor_char(c: char) -> Option<char> {
    match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
    }
}

/// Resolves a link from `document` to `file`. Paths start at the root of the repository.
fn resolve_link(document: &Path, file: &str) -> PathBuf {
    let mut path = document.parent().unwrap().to_owned();
    for component in Path::new(file).components() {
        match component {
            Component::ParentDir => assert!(path.pop(), "{}: {file} leaves the repository", document.display()),
            component => path.push(component),
        }
    }
    path
}
