//! Native code: symbols, and debug information in each form that compilers and linkers write.

use std::collections::HashSet;

use super::*;

const C_SOURCE: &str = "int twice(int a) { return a * 2; }\nstatic int own(int a) { return a + 1; }\n\
                 int main(int c, char **v) { (void)v; return own(twice(c)); }\n";

#[test]
fn c_functions_are_named_by_symbols() {
    let program = Program::c(C_SOURCE, &["-O0"]);
    let binary = program.binary();
    let facts = binary.facts();
    assert!(facts.has_symtab && !facts.dwarf.is_present && facts.inlining.is_none());
    assert_eq!(facts.go, Err(BuildInfoAbsence::NotFound));
    assert_eq!(binary.pclntab().unwrap_err(), &PclntabAbsence::NotGo);
    let symbols = run_for_stdout(Command::new("nm").arg(&program.path));
    for wanted in ["main", "twice", "own", "_start"] {
        let line = symbols.lines().find(|line| line.split_whitespace().nth(2) == Some(wanted)).unwrap();
        let address = u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap();
        let frame = locate(&binary, address + 3).unwrap().remove(0);
        assert_eq!((&*frame.name, frame.entry, frame.is_go, frame.file), (wanted, address, false, None));
    }
    assert_eq!(locate(&binary, 0), Err(NameAbsence::NotCode));
}

#[test]
fn exported_functions_keep_their_names_when_stripped() {
    let program = Program::c(C_SOURCE, &["-O0", "-s", "-rdynamic"]);
    let binary = program.binary();
    assert!(!binary.facts().has_symtab);
    let dynamic = run_for_stdout(Command::new("nm").arg("-D").arg(&program.path));
    let line = dynamic.lines().find(|line| line.ends_with(" T twice")).unwrap();
    let address = u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap();
    assert_eq!(locate(&binary, address + 4).unwrap()[0].name, "twice");
    // The next function, `own`, has lost its symbol. Its addresses must not get the name `twice`.
    let unknown =
        (address..address + 64).filter(|address| locate(&binary, *address) == Err(NameAbsence::UnknownAddress));
    assert!(unknown.count() > 10);

    let silent = Program::c(C_SOURCE, &["-O0", "-s", "-static-pie", "-nostartfiles", "-Wl,-e,main"]);
    let segment = *silent.binary().load_segments().iter().find(|segment| segment.executable).unwrap();
    assert_eq!(locate(&silent.binary(), segment.address), Err(NameAbsence::NoSymbols));
}

#[test]
fn a_separate_debug_file_names_a_stripped_program_of_the_same_build_only() {
    for build_id in ["-Wl,--build-id=sha1", "-Wl,--build-id=none"] {
        let program = Program::c(C_SOURCE, &["-O0", build_id]);
        let address = {
            let symbols = run_for_stdout(Command::new("nm").arg(&program.path));
            let line = symbols.lines().find(|line| line.ends_with(" t own")).unwrap();
            u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap()
        };
        let directory = tempfile::tempdir().unwrap();
        let [debug, stripped] = ["own.debug", "stripped"].map(|name| directory.path().join(name));
        run_for_stdout(Command::new("objcopy").arg("--only-keep-debug").args([&program.path, &debug]));
        run_for_stdout(
            Command::new("objcopy")
                .current_dir(&directory)
                .args(["--strip-all", "--add-gnu-debuglink=own.debug"])
                .args([&program.path, &stripped]),
        );
        let [debug, stripped] = [debug, stripped].map(|path| fs::read(path).unwrap());
        let mut binary = Binary::parse(&stripped).unwrap();
        assert!(binary.is_stripped());
        assert_eq!(binary.debug_link().unwrap().0, "own.debug");
        let other = Program::c("int main(void) { return 7; }", &["-O0", build_id]);
        let mut changed = debug.clone();
        // Changes a byte of the build id (note of type 3). Without a build id, changes the last byte, and so the CRC.
        let note = debug.windows(8).position(|note| note == b"\x03\0\0\0GNU\0");
        let at = note.map_or(debug.len() - 1, |note| note + 8);
        changed[at] ^= 1;
        for wrong in [&other.bytes[..], &changed, &debug[..debug.len() / 2], b"", &stripped] {
            assert!(!binary.add_debug_file(wrong), "{build_id}");
        }
        assert!(locate(&binary, address + 4).is_err());
        assert!(binary.add_debug_file(&debug), "{build_id}");
        assert_eq!(locate(&binary, address + 4).unwrap()[0].name, "own");
    }
}

#[test]
fn vdso_functions_have_names() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (start, rest) = line.split_once('-').unwrap();
    let [start, end] = [start, rest.split(' ').next().unwrap()].map(|hex| u64::from_str_radix(hex, 16).unwrap());
    let mut image = vec![0; usize::try_from(end - start).unwrap()];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut image, start).unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("vdso"), &image).unwrap();
    let binary = Binary::parse(&image).unwrap();
    let symbols = run_for_stdout(Command::new("nm").arg("-D").arg(directory.path().join("vdso")));
    let line = symbols.lines().find(|line| line.contains("_clock_gettime")).unwrap();
    let columns: Vec<&str> = line.split_whitespace().collect();
    let frame = locate(&binary, u64::from_str_radix(columns[0], 16).unwrap() + 2).unwrap().remove(0);
    assert_eq!(Some(&*frame.name), columns[2].split('@').next());
    assert!(!frame.is_go);
}

/// An inlined call inside an inlined call.
const INLINED: &str = "__attribute__((noinline)) int other(volatile int *a) { return *a; }\n\
    static inline __attribute__((always_inline)) int inner(volatile int *a, int b) {\n\
        for (int i = 0; i < b; i++)\n            *a += i;\n        return *a;\n    }\n\
    static inline __attribute__((always_inline)) int middle(volatile int *a, int b) {\n\
        int c = inner(a, b);\n        return c + inner(a, b + 1);\n    }\n\
    __attribute__((noinline)) int outer(int a) {\n        volatile int b = a;\n        int c = other(&b);\n\
        return middle(&b, c) + 1;\n    }\n    int main(int c, char **v) {\n        (void)v;\n        return outer(c);\n    }\n";

/// Name, file and line of each frame, innermost first.
type FrameChain = Vec<(String, String, u32)>;

fn frame_of(frame: &SourceFrame<'_>) -> (String, String, u32) {
    (frame.name.to_string(), frame.file.as_deref().unwrap_or_default().to_owned(), frame.line)
}

/// The frames that binutils' addr2line prints, which are correct for C.
fn addr2line(path: &Path, addresses: &[u64]) -> Vec<FrameChain> {
    let mut tool = Command::new("addr2line");
    tool.args(["-a", "-f", "-i", "-C", "-e"]).arg(path);
    let text = run_for_stdout(tool.args(addresses.iter().map(|address| format!("{address:#x}"))));
    let mut chains: Vec<FrameChain> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            chains.push(Vec::new());
            continue;
        }
        let (file, number) = lines.next().unwrap().rsplit_once(':').unwrap();
        let number = number.split(' ').next().unwrap().parse().unwrap_or(0);
        chains.last_mut().unwrap().push((line.to_owned(), file.to_owned(), number));
    }
    assert_eq!(chains.len(), addresses.len());
    chains
}

/// All addresses of the named functions.
fn addresses_of(program: &Program, names: &[&str]) -> Vec<u64> {
    let sizes = run_for_stdout(Command::new("nm").args(["-C", "-S"]).arg(&program.path));
    let mut addresses = Vec::new();
    for line in sizes.lines() {
        let columns: Vec<&str> = line.splitn(4, ' ').collect();
        if columns.len() == 4 && names.contains(&columns[3]) {
            let [start, size] = [columns[0], columns[1]].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            addresses.extend(start..start + size);
        }
    }
    assert!(addresses.len() > 40, "{names:?} in {sizes}");
    addresses
}

/// Compares all addresses of the functions `names` in `program` with addr2line on `oracle`, a copy of the same program.
fn compare_with_addr2line(program: &Program, oracle: &Path, names: &[&str]) {
    let binary = program.binary();
    let addresses = addresses_of(program, names);
    let mut deepest = 0;
    for (address, expected) in addresses.iter().zip(addr2line(oracle, &addresses)) {
        let frames = locate(&binary, *address).unwrap();
        let found: FrameChain = frames.iter().map(frame_of).collect();
        assert_eq!(found, expected, "{address:#x}");
        let (physical, inlined) = frames.split_last().unwrap();
        assert!(!physical.inlined && inlined.iter().all(|frame| frame.inlined && !frame.is_go));
        deepest = deepest.max(frames.len());
    }
    assert_eq!(deepest, 3);
}

#[test]
fn c_code_has_lines_and_inlined_calls_from_debug_information() {
    for flags in [&["-gdwarf-5"][..], &["-gdwarf-4"], &["-gdwarf-5", "-gz=zlib"], &["-gdwarf-4", "-no-pie"]] {
        let program = Program::c(INLINED, &[&["-O2"], flags].concat());
        compare_with_addr2line(&program, &program.path, &["outer", "other", "main"]);
    }
}

#[test]
fn a_locator_does_not_confuse_symbols() {
    // Without debug information, so that all addresses of a symbol share their frames.
    let program = Program::c(INLINED, &["-O2"]);
    let binary = program.binary();
    let functions = addresses_of(&program, &["outer", "other", "main"]);
    let (first, last) = (functions.iter().min().unwrap(), functions.iter().max().unwrap());
    let ascending: Vec<u64> = (first - 2000..last + 2000).collect();
    let mut locator = Locator::new(&binary);
    let mut names = HashSet::new();
    for address in ascending.iter().chain(ascending.iter().rev()) {
        let expected = locate(&binary, *address);
        assert_eq!(locator.locate(*address).map(<[_]>::to_vec), expected, "{address:#x}");
        names.insert(expected.map(|frames| frames[0].name.to_string()).ok());
    }
    assert!(names.len() > 4 && names.contains(&None), "{names:?}");
}

#[test]
fn debug_information_is_read_in_every_compression() {
    let mut program = Program::c(INLINED, &["-O2", "-g"]);
    // addr2line gets an uncompressed copy, because not every version reads all compressions.
    let plain = program.path.with_extension("plain");
    fs::copy(&program.path, &plain).unwrap();
    for kind in ["zlib-gnu", "zlib-gabi", "zstd"] {
        run_for_stdout(
            Command::new("objcopy").arg(format!("--compress-debug-sections={kind}")).args([&plain, &program.path]),
        );
        program.bytes = fs::read(&program.path).unwrap();
        assert!(program.binary().facts().dwarf.is_compressed, "{kind}");
        compare_with_addr2line(&program, &plain, &["outer", "other", "main"]);
    }
}

#[test]
fn cplusplus_functions_have_demangled_names() {
    let source = "namespace space {\ntemplate <typename T> struct Thing {\n  T value;\n\
        __attribute__((noinline)) T twice(T by) { return value * by + value; }\n};\n}\n\
        int main(int c, char **) { space::Thing<int> t{c}; return t.twice(c); }\n";
    for flags in [&["-O1"][..], &["-O1", "-g"]] {
        let program = Program::compile("g++", "main.cc", source, flags);
        let symbols = run_for_stdout(Command::new("nm").args(["-C"]).arg(&program.path));
        let line = symbols.lines().find(|line| line.contains("space::Thing")).unwrap();
        let address = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        let frame = locate(&program.binary(), address).unwrap().pop().unwrap();
        assert_eq!(frame.name, "space::Thing<int>::twice(int)");
        assert_eq!((frame.entry, frame.line), (address, if flags.len() > 1 { 4 } else { 0 }));
    }
}

#[test]
fn cgo_frames_have_files_lines_and_inlined_calls() {
    let program = Program::cgo(&[]);
    let oracle = Oracle::new(&program.path);
    let is_stub = |name: &String| name.starts_with("_cgo_") && name.ends_with("_Cfunc_call_back");
    let (stub, _) = oracle.symbols.iter().find(|(_, names)| names.iter().any(is_stub)).unwrap();
    let (end, _) = oracle.symbols.range(stub + 1..).next().unwrap();
    let line_of =
        |text: &str| u32::try_from(CGO_SOURCE.lines().position(|line| line.contains(text)).unwrap() + 1).unwrap();
    let binary = program.binary();
    let mut inlined_calls = BTreeSet::new();
    for address in *stub..*end {
        // The padding after the function has no frames.
        let Ok(frames) = locate(&binary, address) else { break };
        assert!(frames.iter().all(|frame| !frame.is_go), "{frames:?}");
        assert!(is_stub(&frames.last().unwrap().name.clone().into_owned()));
        let inlined =
            frames.iter().take(frames.len() - 1).filter(|frame| frame.file.as_ref().unwrap().ends_with("/main.go"));
        inlined_calls.extend(inlined.map(|frame| (frame.name.to_string(), frame.line)));
    }
    // The C compiler inlines the preamble's function into the stub that Go calls.
    let call = ("call_back".to_owned(), line_of("static int call_back"));
    assert!(inlined_calls.contains(&call), "{inlined_calls:?}");
}
