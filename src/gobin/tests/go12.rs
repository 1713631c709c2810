//! A handmade pclntab of Go 1.2 to 1.15. The suite `symbols` reads the tables of real programs.

use super::*;

/// Addresses of the code and of the data. The data is pclntab and the inline tree.
const TEXT_ADDRESS: u64 = 0x40_1000;
const DATA_ADDRESS: u64 = 0x50_0000;

/// The differences between Go releases.
#[derive(Clone, Copy)]
struct Release {
    /// True if records have a function id and an 8-bit count of funcdata (since Go 1.12). False if they have a 32-bit
    /// count.
    has_ids: bool,
    /// Index of the inline table in pcdata, and in funcdata.
    pcdata: usize,
    funcdata: usize,
}

const GO_1_11: Release = Release { has_ids: false, pcdata: 1, funcdata: 2 };
const GO_1_12: Release = Release { has_ids: true, pcdata: 1, funcdata: 2 };
const GO_1_15: Release = Release { has_ids: true, pcdata: 2, funcdata: 4 };

fn push_word(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend(value.to_le_bytes());
}

fn push_u32(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend(&value.to_le_bytes()[..4]);
}

/// Builds a program with two functions: `main.outer`, which has a call of `main.inner` inlined at bytes 16 to 31, and
/// `runtime.goexit`.
fn build_program(release: Release) -> Vec<u8> {
    let mut table = vec![0xfb, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    // The functab is filled in below.
    push_word(&mut table, 2);
    let functab = table.len();
    table.resize(functab + 5 * 8 + 4, 0);
    let text = |table: &mut Vec<u8>, text: &[u8]| {
        let at = table.len() as u64;
        table.extend(text);
        table.push(0);
        at
    };
    let outer = text(&mut table, b"main.outer");
    let inner = text(&mut table, b"main.inner");
    let goexit = text(&mut table, b"runtime.goexit");
    let main_go = text(&mut table, b"/src/main.go");
    let inner_go = text(&mut table, b"/src/inner.go");
    let assembly = text(&mut table, b"/go/src/runtime/asm_amd64.s");
    // A pc-value table: pairs of a value difference (zigzag, from -1) and a length in bytes.
    let pcsp = text(&mut table, &[2, 4, 80, 60]);
    // Files 1, 2, 1, and lines 10, 77, 12.
    let files = text(&mut table, &[4, 16, 2, 16, 1, 32]);
    let lines = text(&mut table, &[22, 16, 134, 1, 16, 129, 1, 32]);
    // Indices of inlined calls: none, 0, none.
    let calls = text(&mut table, &[0, 16, 2, 16, 1, 32]);
    let one_line = text(&mut table, &[202, 1, 32]);
    let third_file = text(&mut table, &[8, 32]);
    let tree = DATA_ADDRESS + 0x1000;
    for (index, name) in [outer, goexit].into_iter().enumerate() {
        table.resize(table.len().next_multiple_of(8), 0);
        let entry = TEXT_ADDRESS + index as u64 * 64;
        let pair = functab + index * 16;
        table[pair..pair + 8].copy_from_slice(&entry.to_le_bytes());
        let record = table.len() as u64;
        table[pair + 8..pair + 16].copy_from_slice(&record.to_le_bytes());
        push_word(&mut table, entry);
        let (pcdata, funcdata) = if index == 0 { (3, 5) } else { (0, 0) };
        let tables = if index == 0 { [pcsp, files, lines] } else { [pcsp, third_file, one_line] };
        for field in [name, 0, 0, tables[0], tables[1], tables[2], pcdata] {
            push_u32(&mut table, field);
        }
        table.extend(if release.has_ids { [0, 0, 0, funcdata] } else { [funcdata, 0, 0, 0] });
        for index in 0..pcdata as usize {
            push_u32(&mut table, if index == release.pcdata { calls } else { 0 });
        }
        if pcdata % 2 == 1 {
            push_u32(&mut table, 0);
        }
        for index in 0..usize::from(funcdata) {
            push_word(&mut table, if index == release.funcdata { tree } else { 0 });
        }
    }
    table.resize(table.len().next_multiple_of(8), 0);
    let files_at = table.len() as u64;
    table[functab + 32..functab + 40].copy_from_slice(&(TEXT_ADDRESS + 96).to_le_bytes());
    table[functab + 40..functab + 44].copy_from_slice(&files_at.to_le_bytes()[..4]);
    for file in [4, main_go, inner_go, assembly] {
        push_u32(&mut table, file);
    }
    // The fields of an inlined call: parent, id and padding; file, line, name, position of the call.
    let mut call = vec![0xff, 0xff, 0, 0];
    for field in [1, 11, inner, 8] {
        push_u32(&mut call, field);
    }
    let mut data = table.clone();
    data.resize(0x1000, 0);
    data.extend(call);
    build_elf(&data, table.len())
}

/// An ELF file with code at [`TEXT_ADDRESS`] and `data` at [`DATA_ADDRESS`]. The first `table_size` bytes of `data` are
/// pclntab.
fn build_elf(data: &[u8], table_size: usize) -> Vec<u8> {
    let names = b"\0.gopclntab\0.shstrtab\0";
    let data_at = 0x1000 + 96;
    let names_at = data_at + data.len();
    let sections_at = names_at + names.len();
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for value in [TEXT_ADDRESS, 64, sections_at as u64] {
        push_word(&mut file, value);
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 3, 0, 2, 0]);
    for (flags, at, address, size) in [(5, 0x1000, TEXT_ADDRESS, 96), (4, data_at, DATA_ADDRESS, data.len())] {
        push_u32(&mut file, 1);
        push_u32(&mut file, flags);
        for value in [at as u64, address, address, size as u64, size as u64, 1] {
            push_word(&mut file, value);
        }
    }
    file.resize(data_at, 0);
    file.extend(data);
    file.extend(names);
    file.resize(sections_at + 64, 0);
    for (name, kind, address, at, size) in
        [(1, 1, DATA_ADDRESS, data_at, table_size), (12, 3, 0, names_at, names.len())]
    {
        push_u32(&mut file, name);
        push_u32(&mut file, kind);
        for value in [0, address, at as u64, size as u64, 0, 1, 0] {
            push_word(&mut file, value);
        }
    }
    file
}

fn frames(binary: &Binary<'_>, offset: u64) -> Vec<(String, String, u32)> {
    let frames = locate(binary, TEXT_ADDRESS + offset).unwrap();
    frames
        .iter()
        .map(|frame| (frame.name.to_string(), frame.file.clone().unwrap_or_default().into(), frame.line))
        .collect()
}

fn frame(name: &str, file: &str, line: u32) -> (String, String, u32) {
    (name.to_owned(), file.to_owned(), line)
}

#[test]
fn names_lines_and_inlined_calls_are_read() {
    for release in [GO_1_12, GO_1_15] {
        let bytes = build_program(release);
        let binary = Binary::parse(&bytes).unwrap();
        assert_eq!(binary.facts().pclntab.unwrap().to_string(), "Go 1.2 to 1.15");
        let outer = |line| frame("main.outer", "/src/main.go", line);
        assert_eq!(frames(&binary, 0), [outer(10)]);
        // Byte 8 of the caller, the position of the call, is in line 10.
        assert_eq!(frames(&binary, 20), [frame("main.inner", "/src/inner.go", 77), outer(10)]);
        assert_eq!(frames(&binary, 40), [outer(12)]);
        assert_eq!(frames(&binary, 70), [frame("runtime.goexit", "/go/src/runtime/asm_amd64.s", 100)]);
        let inlined =
            binary.pclntab().unwrap().functions().map(|function| function.inlined_names().collect::<Vec<_>>());
        assert_eq!(inlined.collect::<Vec<_>>(), [vec![&b"main.inner"[..]], vec![]]);
        let unwind = binary.unwind(TEXT_ADDRESS + 5).unwrap();
        assert_eq!((unwind.sp_delta, unwind.is_top_frame), (Ok(40), false));
        assert!(binary.unwind(TEXT_ADDRESS + 70).unwrap().is_top_frame);
        assert!(locate(&binary, TEXT_ADDRESS + 96).is_err());
    }
}

#[test]
fn go_before_1_12_has_names_and_lines_without_inlined_calls() {
    let bytes = build_program(GO_1_11);
    let binary = Binary::parse(&bytes).unwrap();
    assert_eq!(frames(&binary, 0), [frame("main.outer", "/src/main.go", 10)]);
    assert_eq!(frames(&binary, 70), [frame("runtime.goexit", "/go/src/runtime/asm_amd64.s", 100)]);
}

#[test]
fn an_old_table_is_found_without_sections() {
    let bytes = remove_sections(&build_program(GO_1_15));
    let binary = Binary::parse(&bytes).unwrap();
    assert_eq!(frames(&binary, 40), [frame("main.outer", "/src/main.go", 12)]);
}

#[test]
fn an_old_program_cut_off_anywhere_or_changed_does_not_panic() {
    for release in [GO_1_11, GO_1_15] {
        let original = build_program(release);
        for length in 0..original.len() {
            hostile::call_all_readers(&original[..length]);
        }
        let table = 0x1000 + 96..0x1000 + 96 + 0x200;
        for at in table {
            for value in [0, 0x7f, 0xff, original[at] ^ 1] {
                let mut bytes = original.clone();
                bytes[at] = value;
                hostile::call_all_readers(&bytes);
            }
        }
    }
}
