//! Names in programs that were not written for tests: gofmt and the Go compiler, built from the toolchain's source.
//! Each sampled address must have the same name and line as in Go's own tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::harness::{Project, Run, percent, print_figure, text, tool, wait_for_turn};
use crate::raw::{Location, Raw};
use crate::script::wrappers;

/// Function and `file:line` of addresses, from `go tool addr2line`. The function is the outermost function. For inlined
/// code, the line belongs to the inlined function.
fn addr2line(binary: &Path, addresses: &[u64]) -> Vec<(String, String)> {
    let mut input = String::new();
    for address in addresses {
        writeln!(input, "{address:#x}").unwrap();
    }
    let mut command = tool("go");
    command.args(["tool", "addr2line"]).arg(binary).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut lines = printed.lines().map(str::to_owned);
    let mut found = Vec::new();
    while let (Some(function), Some(line)) = (lines.next(), lines.next()) {
        found.push((function, line));
    }
    assert_eq!(found.len(), addresses.len());
    found
}

/// Functions by address, from `go tool nm -n`.
fn nm(binary: &Path) -> BTreeMap<u64, Vec<String>> {
    let mut symbols: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in text(tool("go").args(["tool", "nm", "-n"]).arg(binary)).lines() {
        // `  401000 T internal/abi.Kind.String`; undefined symbols have no address.
        let mut fields = line.trim_start().splitn(3, ' ');
        let (address, kind, name) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        if let ("T" | "t", Ok(address)) = (kind, u64::from_str_radix(address, 16)) {
            symbols.entry(address).or_default().push(name.trim_end_matches(".abi0").to_owned());
        }
    }
    symbols
}

/// Runs goflame on a program of the Go distribution and compares every address.
fn compare_names(name: &str, project: &Project, args: &[&str]) {
    // gofmt fails on test files that are wrong on purpose.
    let run = project.run(&[&["--release", "--ignore-failure", "--"], args].concat());
    let (frames, unnamed) = (run.quality("user_frames"), run.quality("unnamed_user_frames"));
    assert!(run.quality("samples") > 300, "{} samples are too few", run.quality("samples"));
    assert!(percent(unnamed, frames) <= 1.0, "{unnamed} of {frames} user frames have no name");

    let raw = Raw::read(&run.file("profile.pb.gz"));
    let binary = archived_program(&run);
    let mapping = raw.mappings.iter().find(|(_, file)| Path::new(file) == built_path(&run)).map(|(id, _)| *id);
    let mapping = mapping.unwrap_or_else(|| panic!("no mapping of the program: {:?}", raw.mappings));
    let sampled: Vec<&Location> = raw.locations.values().filter(|location| location.mapping == mapping).collect();
    assert!(sampled.len() > 200, "{} addresses are too few", sampled.len());
    let addresses: Vec<u64> = sampled.iter().map(|location| location.address).collect();
    let symbols = nm(&binary);
    let wrappers = wrappers(&binary);
    let (mut lines, mut left_out) = (0, 0);
    for (location, (function, line)) in sampled.iter().zip(addr2line(&binary, &addresses)) {
        let address = location.address;
        let (_, candidates) = symbols.range(..=address).next_back().unwrap();
        // goflame does not show wrappers, even if the wrapped function is inlined into the wrapper.
        if wrappers.contains(&function) && location.name != function {
            left_out += 1;
        } else {
            assert_eq!(location.name, function, "go tool addr2line on {address:#x}");
            assert!(candidates.contains(&location.name), "{address:#x}: {} and not {candidates:?}", location.name);
        }
        // addr2line prints the line of the innermost inlined call.
        let own = format!("{} {}:{}", location.name, location.file, location.line);
        let innermost = location.inlined.first().unwrap_or(&own);
        if location.line > 0 {
            lines += 1;
            // The binary has trimmed paths. The pprof file has paths of this machine's sources.
            let same = [format!(" {line}"), format!("/src/{line}")].iter().any(|line| innermost.ends_with(line));
            assert!(same, "{address:#x}: {innermost} and not {line}");
        }
    }
    print_figure(&format!(
        "{name}: {} samples, {unnamed} of {frames} user frames unnamed, {} addresses named as by addr2line and nm, \
         {lines} of them with a line, the same; {left_out} in wrappers that are left out",
        run.quality("samples"),
        addresses.len()
    ));
}

fn archived_program(run: &Run) -> PathBuf {
    run.file(run.manifest()["build"]["file"].as_str().unwrap())
}

/// Path of the program when it ran.
fn built_path(run: &Run) -> PathBuf {
    run.manifest()["build"]["path"].as_str().unwrap().into()
}

#[test]
fn gofmt_has_the_names_of_addr2line() {
    let _alone = wait_for_turn();
    let project = Project::from_settings("[app]\npackage = 'cmd/gofmt'\n");
    let root = text(tool("go").args(["env", "GOROOT"]));
    let source = Path::new(root.trim()).join("src");
    let source = |package: &str| source.join(package).display().to_string();
    // -l only lists files that are not formatted, but for that gofmt must parse and print all files.
    compare_names("gofmt", &project, &["-l", &source("net"), &source("go"), &source("runtime"), &source("crypto")]);
}

/// Go source of a package without imports, which the compiler needs more than a second to compile.
fn large_package() -> String {
    let mut source = String::from("package large\n");
    for i in 0..1500 {
        write!(
            source,
            "
type T{i} struct {{ a, b, c int; next *T{i}; name string }}

func (t *T{i}) Sum(n int) (s int) {{
	for p := t; p != nil; p = p.next {{
		switch {{
		case n%{even} == 0:
			s += p.a * n
		case n%{odd} == 1:
			s -= p.b ^ n
		default:
			for j := 0; j < n; j++ {{ s += p.c + j*{i} }}
		}}
		if len(p.name) > 3 && p.name[3] == 'x' {{ s ^= len(p.name) }}
	}}
	return s
}}
",
            even = i % 7 + 2,
            odd = i % 5 + 2
        )
        .unwrap();
    }
    source
}

#[test]
fn the_go_compiler_has_the_names_of_addr2line() {
    let _alone = wait_for_turn();
    let project = Project::from_settings("[app]\npackage = 'cmd/compile'\n");
    project.write("large.go", &large_package());
    compare_names("compile", &project, &["-p", "large", "-complete", "-o", "/dev/null", "large.go"]);
}
