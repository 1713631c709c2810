//! Writes records of the thread names and code mappings that processes had before the recording. The kernel does not
//! send such records, so the facts are read from `/proc`.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::Path;

use super::code_mapping::CodeMapping;
use super::mapped_files::open_mapped;
use crate::fsio::MappedFile;
use crate::gobin::Binary;
use crate::perfdata::{self, CpuMode, Inode, Mmap, SampleId, Writer};
use crate::process::thread_ids;
use crate::sources::MappedId;

/// Maximum bytes of a GNU build id in a mapping record.
const MAX_BUILD_ID_BYTES: usize = 20;

/// Writes the records with time 0, as perf does. Passes each mapping to `note`.
pub(super) fn write_existing(
    writer: &mut Writer<File>,
    processes: &BTreeSet<i32>,
    mut note: impl FnMut(&Mmap<'_>),
) -> Result<(), perfdata::Error> {
    let mut build_ids = HashMap::new();
    for &pid in processes {
        for tid in thread_ids(pid) {
            let name = fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
            let name = name.strip_suffix(b"\n").unwrap_or(&name);
            if !name.is_empty() {
                writer.comm(pid, tid, false, name, &SampleId::default())?;
            }
        }
        for (mapping, path) in
            CodeMapping::list(pid.cast_unsigned()).into_iter().filter_map(|mapping| mmap_record(pid, mapping))
        {
            let by_inode = Mmap { path: &path, ..mapping };
            let build_id = build_ids.entry(by_inode.inode).or_insert_with(|| read_build_id(&by_inode));
            let mapping = match build_id {
                Some(id) => Mmap { build_id: Some(id), inode: None, ..by_inode },
                None => by_inode,
            };
            writer.mmap(CpuMode::User, &mapping, &SampleId::default())?;
            note(&mapping);
        }
    }
    Ok(())
}

/// Converts a mapping to the record that the kernel would send. The path is returned apart, because the record borrows
/// it.
fn mmap_record(pid: i32, mapping: CodeMapping) -> Option<(Mmap<'static>, Vec<u8>)> {
    let CodeMapping { range, offset, device: (major, minor), inode, path } = mapping;
    // In its records, the kernel uses this name for memory without a file.
    let path = if path.is_empty() { b"//anon".to_vec() } else { unescape_line_ends(&path) };
    let len = range.end.checked_sub(range.start)?;
    let inode = Some(Inode { major, minor, inode, generation: 0 });
    let start = range.start;
    Some((Mmap { pid, tid: pid, start, len, pgoff: offset, is_executable: true, inode, ..Mmap::default() }, path))
}

/// Replaces `\012`, which the kernel writes for a line end in a path.
fn unescape_line_ends(path: &[u8]) -> Vec<u8> {
    const ESCAPED_LINE_END: &[u8] = b"\\012";
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let is_line_end = rest.starts_with(ESCAPED_LINE_END);
        plain.push(if is_line_end { b'\n' } else { *first });
        rest = if is_line_end { rest.get(ESCAPED_LINE_END.len()..).unwrap_or_default() } else { after };
    }
    plain
}

/// The GNU build id of a mapped file. `None` if the file has none or cannot be read.
fn read_build_id(mapping: &Mmap<'_>) -> Option<Vec<u8>> {
    let id = MappedId::new(mapping);
    let file = mapping.path.starts_with(b"/").then(|| open_mapped(mapping, &id)).flatten()?;
    let bytes = MappedFile::map(&file, Path::new(&id.path)).ok()?;
    let text = Binary::parse(bytes.as_ref()).ok()?.build_id()?;
    let digits = text.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|id| (1..=MAX_BUILD_ID_BYTES).contains(&id.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_converted_to_the_records_of_the_kernel() {
        let parse = |line: &str| {
            CodeMapping::parse(line.as_bytes()).and_then(|mapping| mmap_record(5, mapping)).map(|(mapping, path)| {
                (mapping.start, mapping.len, mapping.pgoff, mapping.inode, String::from_utf8(path).expect("a path"))
            })
        };
        let inode = |major, minor, inode| Some(Inode { major, minor, inode, generation: 0 });
        assert_eq!(
            parse("00401000-0048a000 r-xp 00001000 fe:01 1234      /home/a program (deleted)"),
            Some((0x40_1000, 0x8_9000, 0x1000, inode(0xfe, 1, 1234), "/home/a program (deleted)".to_owned()))
        );
        assert_eq!(
            parse("7fff0000-7fff2000 rwxp 00000000 00:00 0 "),
            Some((0x7fff_0000, 0x2000, 0, inode(0, 0, 0), "//anon".to_owned()))
        );
        assert_eq!(parse("1000-2000 r-xp 0 8:1 9 /a\\012b\\01").map(|read| read.4).as_deref(), Some("/a\nb\\01"));
        for other in ["c000000000-c000400000 rw-p 00000000 00:00 0 ", "", "00401000-0048a000", "x-y r-xp 0 0 0"] {
            assert_eq!(parse(other), None);
        }
    }
}
