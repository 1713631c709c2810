//! `goflame doctor FILE` on real files.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Doctor, Machine, Project, ROOT, find_tool};

/// Builds a program with these linker flags, without goflame.
fn build(project: &Project, name: &str, ldflags: &str) -> PathBuf {
    project.write("go.mod", "module example.com/plain\n\ngo 1.21\n");
    project.write("main.go", "package main\n\nfunc main() { println(1) }\n");
    let binary = project.path(name);
    let mut go = Command::new(find_tool("go"));
    go.args(["build", &format!("-ldflags={ldflags}"), "-o"]).arg(&binary).arg(".").current_dir(project.path(""));
    let built = go.env_remove("GOFLAGS").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    binary
}

/// Runs `goflame doctor FILE` with the checks of the binary only.
fn judge(project: &Project, file: &str) -> Doctor {
    let all = project.doctor(ROOT, &[file]);
    let ids: Vec<_> = all.json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| finding["id"].as_str().filter(|id| id.starts_with("binary-")))
        .collect();
    assert!(ids.contains(&"binary-file"), "{ids:?}");
    let only = ids.join(",");
    project.doctor(ROOT, &["--only", &only, file])
}

/// The minor version of the go command: 26 for Go 1.26.8.
fn go_minor() -> u32 {
    let version = Command::new(find_tool("go")).args(["env", "GOVERSION"]).output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    version.trim().split('.').nth(1).unwrap().parse().unwrap()
}

#[test]
fn compressed_plain_stripped_and_damaged_binaries_are_judged() {
    let _machine = Machine::lock();
    let project = Project::empty();

    build(&project, "compressed", "");
    let compressed = judge(&project, "compressed");
    assert_eq!(compressed.code, 0, "{:#}", compressed.json);
    assert_eq!(compressed.finding("binary-dwarf-compression")["found"], "compressed");
    // Go writes DWARF 5 since 1.25.
    let version = if go_minor() >= 25 { "version 5" } else { "version 4" };
    assert_eq!(compressed.finding("binary-dwarf")["found"], version);
    for id in ["binary-pclntab", "binary-frame-pointers", "binary-optimised", "binary-symbol-table", "binary-cgo"] {
        assert_eq!(compressed.status(id), "ok", "{id}: {:#}", compressed.json);
    }
    let go_version = compressed.finding("binary-go-version")["found"].as_str().unwrap();
    assert!(go_version.starts_with(&format!("go1.{}.", go_minor())), "{go_version}");

    build(&project, "plain", "-compressdwarf=false");
    let plain = judge(&project, "plain");
    assert_eq!(plain.status("binary-dwarf-compression"), "ok");
    assert_eq!(plain.finding("binary-dwarf")["found"], version);

    let stripped = build(&project, "stripped", "-s -w");
    let found = judge(&project, "stripped");
    assert_eq!(found.code, 0, "its functions still have names: {:#}", found.json);
    assert_eq!([found.status("binary-symbol-table"), found.status("binary-dwarf")], ["info", "info"]);
    assert_eq!(found.status("binary-pclntab"), "ok");

    // A file that is cut off in the middle.
    let whole = std::fs::read(stripped).unwrap();
    project.write("cut", &whole[..whole.len() / 2]);
    let cut = judge(&project, "cut");
    assert_eq!(cut.code, 4);
    assert!(cut.finding("binary-file")["found"].as_str().unwrap().contains("truncated or damaged"), "{:#}", cut.json);
    project.write("header", &whole[..40]);
    assert_eq!(judge(&project, "header").with_status("failure"), ["binary-file"]);
}

#[test]
fn files_that_are_not_go_programs_are_a_failure() {
    let _machine = Machine::lock();
    let project = Project::empty();
    project.write("notes", "not a program\n");
    project.write("empty", "");
    let files = [("notes", "not an ELF file"), ("empty", "the file is empty"), ("/bin/true", "not a Go program")];
    for (file, words) in files {
        let found = judge(&project, file);
        assert_eq!((found.code, found.with_status("failure")), (4, vec!["binary-file"]), "{file}");
        let text = found.finding("binary-file")["found"].as_str().unwrap();
        assert!(text.contains(words), "{file}: {text}");
    }
    for file in ["nowhere", "tmp", "/dev/zero"] {
        project.goflame(ROOT, &["doctor", file]).ends_with(7);
    }
}
