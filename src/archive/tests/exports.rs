//! Exports: what is written, and what is refused.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use serde_json::{Map, Value};
use tar::{EntryType, Header};

use super::super::zstd::{Compressor, Decompressor};
use super::super::{ExportContent, check_export, check_export_bytes, write_export};
use super::*;

const ID: &str = "20261123-065001-server-8f2c";

fn id() -> RunId {
    ID.parse().unwrap()
}

fn files() -> BTreeMap<String, ExportContent> {
    let long = format!("mapped/{}", "long-name-".repeat(18));
    let files = [("perf.data", "PERFILE2"), ("symbols/vdso.so", "\u{7f}ELF"), (long.as_str(), "x"), ("empty", "")];
    files.map(|(name, text)| (name.to_owned(), ExportContent::Bytes(text.into()))).into()
}

fn manifest() -> Map<String, Value> {
    json!({ "command": "run", "sequence": 7 }).as_object().unwrap().clone()
}

fn export() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_export(&id(), manifest(), &files(), &mut bytes).unwrap();
    bytes
}

/// An entry of a tar archive, with any name and kind.
struct Entry<'a> {
    name: &'a str,
    kind: u8,
    bytes: &'a [u8],
}

fn plain_entry<'a>(name: &'a str, bytes: &'a [u8]) -> Entry<'a> {
    Entry { name, kind: b'0', bytes }
}

/// The bytes of a tar archive, without the zeros at its end.
fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Entry { name, kind, bytes: content } in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(EntryType::new(*kind));
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut compressor = Compressor::new(&mut out);
    compressor.write_all(bytes).unwrap();
    compressor.finish().unwrap();
    out
}

/// A manifest that lists these files, with the digests of their contents.
fn manifest_listing(files: &[(&str, &[u8])]) -> Vec<u8> {
    let files: Map<_, _> = files
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), serde_json::to_value(tree::hash_reader(*bytes).unwrap()).unwrap()))
        .collect();
    json!({ "schema": 1, "id": ID, "files": files }).to_string().into_bytes()
}

/// An export whose manifest lists `files`, with `entries` after the manifest.
fn crafted_export(files: &[(&str, &[u8])], entries: Vec<Entry<'_>>) -> Vec<u8> {
    let (manifest, name) = (manifest_listing(files), format!("{ID}/manifest.json"));
    let mut all = vec![plain_entry(&name, &manifest)];
    all.extend(entries);
    let mut bytes = tar(&all);
    bytes.extend([0; 1024]);
    compressed(&bytes)
}

#[track_caller]
fn assert_refused(bytes: &[u8], reason: &str) {
    let (dir, store) = store();
    let file = dir.path().join("export.tar.zst");
    fs::write(&file, bytes).unwrap();
    let before = tree::list_tree(dir.path()).unwrap().entries;
    let error = check_export(&file).unwrap_err();
    assert!(error_chain(&error).contains(reason), "{}", error_chain(&error));
    assert!(error_chain(&error).starts_with(&format!("{} is refused", file.display())), "{}", error_chain(&error));
    assert_eq!(tree::list_tree(dir.path()).unwrap().entries, before, "nothing was written");
    assert!(store.list().unwrap().is_empty() && store.partial_runs().unwrap().is_empty());
}

#[test]
fn an_export_is_imported_as_the_same_run() {
    let (dir, store) = store();
    let other = add(&store, 0);
    let file = dir.path().join("export.tar.zst");
    fs::write(&file, export()).unwrap();
    let run = store.import(&check_export(&file).unwrap()).unwrap();
    assert_eq!(run.id(), &id());
    assert_eq!(run.manifest_json()["command"], "run");
    assert_eq!(run.manifest_json()["sequence"], 2, "it is the newest run");
    assert_eq!(run.files().len(), 4);
    assert_eq!(fs::read(run.file("symbols/vdso.so").unwrap()).unwrap(), b"\x7fELF");
    assert_eq!(store.verify(&run).unwrap(), []);
    assert_eq!(ids(&store), [run.id().clone(), other.id().clone()]);
    assert_eq!(fs::metadata(run.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    for (name, _) in tree::list_tree(run.dir()).unwrap().entries {
        let mode = fs::metadata(run.dir().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0, "{name} cannot be executed");
    }
    let again = store.import(&check_export(&file).unwrap()).unwrap_err();
    assert_eq!(error_chain(&again), format!("run {ID} already exists"));
    assert_eq!(store.verify(&run).unwrap(), [], "the run that is there stays");
}

/// If this digest changes, the format of exports has changed.
#[test]
fn an_export_has_the_same_bytes_on_every_machine() {
    assert_eq!(
        tree::hash_reader(export().as_slice()).unwrap().sha256,
        "a08f9ee141a8c8c7ed804b008630849407592c5702b7d0f8ef09ffe616a7207a"
    );
    let mut large = files();
    // More than one frame, with a pattern that compresses and one that does not.
    let noise = (0..6_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]);
    large.insert("noise".to_owned(), ExportContent::Bytes(noise.collect()));
    large.insert("zeros".to_owned(), ExportContent::Bytes(vec![0; 1 << 20]));
    let [first, second] = [(), ()].map(|()| {
        let mut bytes = Vec::new();
        write_export(&id(), manifest(), &large, &mut bytes).unwrap();
        bytes
    });
    assert!(first == second);
    check_export_bytes(&first).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_exported_is_an_error() {
    let (dir, entry) = (tempfile::tempdir().unwrap(), tree::hash_reader(&b"before"[..]).unwrap());
    let path = dir.path().join("perf.data");
    for now in ["after!", "after", "longer than before"] {
        fs::write(&path, now).unwrap();
        let files = [("perf.data".to_owned(), ExportContent::File(path.clone(), entry.clone()))].into();
        let error = write_export(&id(), manifest(), &files, std::io::sink()).unwrap_err();
        assert!(error.to_string().ends_with("perf.data changed while it was read"), "{error}");
    }
}

#[test]
fn an_export_that_is_cut_off_anywhere_or_longer_is_refused() {
    let whole = export();
    check_export_bytes(&whole).unwrap();
    for length in 0..whole.len() {
        assert!(check_export_bytes(&whole[..length]).is_err(), "cut off at {length} of {}", whole.len());
    }
    for more in [&b"x"[..], &[0], &[0; 512], &whole, &compressed(b"x"), &compressed(&[0; 512])] {
        assert!(check_export_bytes(&[&whole, more].concat()).is_err(), "{} bytes more", more.len());
    }
    // Cuts off the tar archive before its compression, so that the Zstandard frames are intact.
    let (manifest, name) = (manifest_listing(&[("a", b"text")]), format!("{ID}/manifest.json"));
    let (file, mut bytes) = (format!("{ID}/a"), Vec::new());
    bytes.extend(tar(&[plain_entry(&name, &manifest), plain_entry(&file, b"text")]));
    bytes.extend([0; 1024]);
    check_export_bytes(&compressed(&bytes)).unwrap();
    for length in 0..bytes.len() {
        assert!(check_export_bytes(&compressed(&bytes[..length])).is_err(), "cut off at {length} of {}", bytes.len());
    }
}

/// Some bits of a Zstandard frame have no meaning, so that a change of such a bit has no effect.
#[test]
fn a_flipped_bit_anywhere_is_refused_or_changes_nothing() {
    let unpack = |bytes: &[u8]| {
        let mut unpacked = Vec::new();
        Decompressor::new(bytes).read_to_end(&mut unpacked).ok().map(|_| unpacked)
    };
    let whole = export();
    let (expected, mut unchanged) = (unpack(&whole), 0);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        if check_export_bytes(&bytes).is_ok() {
            assert!(unpack(&bytes) == expected, "the bit in byte {at} of {}", whole.len());
            unchanged += 1;
        }
    }
    assert!(unchanged < whole.len() / 10, "{unchanged} of {}", whole.len());
}

#[test]
fn only_plain_files_inside_of_the_run_are_accepted() {
    let inside = format!("{ID}/a");
    for (kind, reason) in [
        (b'1', "is a hard link, and only plain files are accepted"),
        (b'2', "is a symbolic link, and only plain files are accepted"),
        (b'3', "is a device, and only plain files are accepted"),
        (b'4', "is a device, and only plain files are accepted"),
        (b'5', "is a directory, and only plain files are accepted"),
        (b'6', "is a pipe, and only plain files are accepted"),
        (b'x', "of a kind that exports do not have"),
        (b'g', "of a kind that exports do not have"),
        (b'K', "of a kind that exports do not have"),
        (b'S', "of a kind that exports do not have"),
    ] {
        let entry = Entry { name: &inside, kind, bytes: b"" };
        assert_refused(&crafted_export(&[("a", b"")], vec![entry]), reason);
    }
    for name in [
        "/etc/passwd",
        "../a",
        "a",
        "",
        "20261123-065001-server-8f2c/../../a",
        "20261123-065001-server-8f2c//a",
        "20261123-065001-server-8f2c/./a",
        "20261123-065001-server-8f2c/",
        "20261123-065001-server-ffff/a",
        "20261123-065001-server-8f2c/a\u{1b}[2J",
        "20261123-065001-server-8f2c/1/2/3/4/5/6/7/8/9",
    ] {
        assert_refused(
            &crafted_export(&[("a", b"x")], vec![plain_entry(name, b"x")]),
            "is not a name of a file inside of one run",
        );
    }
    for name in ["../a", "/a", "a//b", "", "1/2/3/4/5/6/7/8/9", "a\nb"] {
        let reason = if name.contains("..") || name.starts_with('/') || name.contains("//") || name.is_empty() {
            "its manifest is not usable: its manifest lists"
        } else {
            "is not a name of a file inside of one run"
        };
        assert_refused(&crafted_export(&[(name, b"x")], Vec::new()), reason);
    }
    assert_refused(&crafted_export(&[("a", b"x"), ("a/b", b"x")], Vec::new()), "\"a/b\" in it is not a name");
    let long = Entry { name: "././@LongLink", kind: b'L', bytes: &[b'a'; 2000] };
    assert_refused(&crafted_export(&[], vec![long]), "of a kind that exports do not have");
    let climbing = Entry { name: "././@LongLink", kind: b'L', bytes: b"../../../etc/passwd\0" };
    assert_refused(
        &crafted_export(&[("a", b"x")], vec![climbing, plain_entry(&inside, b"x")]),
        "is not a name of a file",
    );
    let last = Entry { name: "././@LongLink", kind: b'L', bytes: inside.as_bytes() };
    assert_refused(&crafted_export(&[], vec![last]), "its end is missing");
}

#[test]
fn the_files_must_be_exactly_those_of_the_manifest() {
    let (a, b) = (format!("{ID}/a"), format!("{ID}/b"));
    assert_refused(&crafted_export(&[("a", b"x")], vec![]), "a: missing");
    assert_refused(&crafted_export(&[("a", b"x")], vec![plain_entry(&a, b"y")]), "a: changed: SHA-256");
    assert_refused(&crafted_export(&[("a", b"x")], vec![plain_entry(&a, b"xx")]), "a: changed: 2 bytes instead of 1");
    assert_refused(
        &crafted_export(&[("a", b"x")], vec![plain_entry(&a, b"x"), plain_entry(&b, b"x")]),
        "b: not in the manifest",
    );
    assert_refused(
        &crafted_export(&[("a", b"x")], vec![plain_entry(&a, b"x"), plain_entry(&a, b"x")]),
        "\"a\" is in it twice",
    );
    let again = format!("{ID}/manifest.json");
    assert_refused(&crafted_export(&[], vec![plain_entry(&again, b"{}")]), "\"manifest.json\" is in it twice");
}

#[test]
fn the_manifest_comes_first_and_has_a_known_schema() {
    let named = |name: &str, bytes: &[u8]| {
        let mut tar = tar(&[plain_entry(name, bytes)]);
        tar.extend([0; 1024]);
        compressed(&tar)
    };
    let name = format!("{ID}/manifest.json");
    assert_refused(&named(&format!("{ID}/perf.data"), b"x"), "instead of the manifest of a run");
    assert_refused(&named(&name, b"{"), "its manifest is not usable: ");
    assert_refused(&named(&name, b"[]"), "is not a manifest");
    let newer = json!({ "schema": 2, "id": ID, "files": {} }).to_string();
    assert_refused(
        &named(&name, newer.as_bytes()),
        "its manifest has schema 2, but this goflame can read schemas up to 1",
    );
    let other = json!({ "schema": 1, "id": "20261123-065001-other-8f2c", "files": {} }).to_string();
    assert_refused(&named(&name, other.as_bytes()), "its manifest is that of run \"20261123-065001-other-8f2c\"");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_refused(&named(&name, deep.as_bytes()), "is not a manifest");
    assert_refused(b"", "its end is missing");
    assert_refused(b"PK\x03\x04 is no Zstandard", "it is not a whole tar archive in Zstandard frames");
    assert_refused(&compressed(b"no tar archive"), "it is not a whole tar archive in Zstandard frames");
}

#[test]
fn compression_bombs_are_refused_before_they_are_unpacked() {
    let listed = |files: Value| {
        let manifest = json!({ "schema": 1, "id": ID, "files": files }).to_string();
        let mut tar = tar(&[plain_entry(&format!("{ID}/manifest.json"), manifest.as_bytes())]);
        // The bytes after the manifest are never read.
        tar.extend([0xff; 512]);
        compressed(&tar)
    };
    let file = |size: u64| json!({ "sha256": "0", "size": size });
    assert_refused(&listed(json!({ "a": file(1 << 31) })), "it unpacks to more than 1073741824 bytes");
    assert_refused(&listed(json!({ "a": file(u64::MAX), "b": file(u64::MAX) })), "it unpacks to more than");
    let many: Map<_, _> = (0..10_001).map(|at| (format!("f{at}"), file(0))).collect();
    assert_refused(&listed(many.into()), "it has more than 10000 files");
    // A frame that asks for a window of 1 GiB: the descriptor 0, then the size as 2^(10 + 20).
    assert_refused(&[0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 1, 0, 0], "it is not a whole tar archive in Zstandard frames");
}

#[test]
fn an_import_that_cannot_be_written_leaves_nothing() {
    let (dir, store) = store();
    let file = dir.path().join("export.tar.zst");
    fs::write(&file, export()).unwrap();
    let checked = check_export(&file).unwrap();
    // The file is replaced by another export after the check.
    fs::write(&file, crafted_export(&[("a", b"x")], vec![plain_entry(&format!("{ID}/a"), b"y")])).unwrap();
    let error = store.import(&checked).unwrap_err();
    assert!(error_chain(&error).contains("a: changed"), "{}", error_chain(&error));
    assert!(store.list().unwrap().is_empty() && store.partial_runs().unwrap().is_empty());
    assert_eq!(count_entries(&store.dir().join("partial")), 0);
    let run = {
        fs::write(&file, export()).unwrap();
        store.import(&check_export(&file).unwrap()).unwrap()
    };
    assert_eq!(store.verify(&run).unwrap(), []);
}
