#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::Command;

use flate2::read::GzDecoder;
use prost::Message;

use super::{Options, wire, write};
use crate::profile::Profile;
use crate::profile::fixture::Fixture;
use crate::views::{By, FunctionRow, View};

fn encoded(profile: &Profile) -> Vec<u8> {
    let mut out = Vec::new();
    write(profile, &Options { comments: vec!["made by a test".to_owned()] }, &mut out).unwrap();
    out
}

fn decoded(profile: &Profile) -> wire::Profile {
    let mut bytes = Vec::new();
    GzDecoder::new(encoded(profile).as_slice()).read_to_end(&mut bytes).unwrap();
    wire::Profile::decode(bytes.as_slice()).unwrap()
}

/// Returns the output of `go tool pprof` for a profile.
fn go_pprof(profile: &Profile, flags: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("profile.pb.gz");
    fs::write(&path, encoded(profile)).unwrap();
    let output = Command::new("go")
        .args(["tool", "pprof"])
        .args(flags)
        .arg(&path)
        .env("PPROF_TMPDIR", dir.path())
        .env("PPROF_BINARY_PATH", dir.path())
        .output()
        .expect("go is needed for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn busy() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.add("app", "runtime.goexit|main.main|main.fib|main.fib|main.fib", 50);
    fixture.add("app", "runtime.goexit|main.main|main.Map[...]|i:main.(*T).add:8|i:main.inner:9", 30);
    fixture.add("app", "runtime.goexit|main.main|main.Map[...]", 7);
    fixture.add("helper", "runtime.goexit|main.main|c:memcpy|k:page_fault", 11);
    fixture.profile.start_time_ns = 1_700_000_000_000_000_000;
    fixture.profile.duration_ns = 2_000_000_000;
    fixture
}

#[test]
fn go_tool_pprof_shows_the_same_weights_as_our_table() {
    let profile = busy().profile;
    let flags = ["-top", "-unit=ns", "-nodefraction=0", "-edgefraction=0", "-sample_index=cpu"];
    let text = go_pprof(&profile, &flags);
    let mut theirs = BTreeMap::new();
    for line in text.lines().skip_while(|line| !line.trim_start().starts_with("flat")).skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |at: usize| words[at].trim_end_matches("ns").parse::<u64>().unwrap();
        let name = words[5..].join(" ").replace(" (inline)", "");
        theirs.insert(name, (number(0), number(3)));
    }
    let row = |row: &FunctionRow| {
        let name = profile.str(profile.function(row.function).name).to_owned();
        (name, (row.self_weight, row.cumulative_weight))
    };
    let ours: BTreeMap<_, _> = View::new(profile.clone(), By::Process).top().functions.iter().map(row).collect();
    assert_eq!(ours.len(), 8);
    assert_eq!(theirs, ours);
}

#[test]
fn go_tool_pprof_reads_all_parts_of_the_file() {
    let profile = busy().profile;
    let text = go_pprof(&profile, &["-top", "-sample_index=samples"]);
    for part in ["File: app\n", "Build ID: c0ffee\n", "Type: samples\n", "Duration: 2s, Total samples = 98"] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let raw = go_pprof(&profile, &["-raw"]);
    for part in [
        "Comment: made by a test",
        "PeriodType: cpu nanoseconds\nPeriod: 1003009\n",
        "samples/count cpu/nanoseconds[dflt]\n",
        "process:[helper]",
        "pid:[7] thread:[8]",
        // Inlined calls are lines of one location, the innermost first.
        "main.inner /src/app/main.go:9:0 s=1\n             main.(*T).add /src/app/main.go:8:0 s=1",
        "main.Map[go.shape.struct { a int; b string }] /src/app/main.go:1:0 s=1",
    ] {
        assert!(raw.contains(part), "{part:?} is missing in\n{raw}");
    }
}

#[test]
fn weights_of_an_event_are_a_second_sample_type() {
    let mut fixture = Fixture::cycles();
    fixture.add("app", "main.main", 3);
    let raw = go_pprof(&fixture.profile, &["-raw"]);
    assert!(raw.contains("samples/count cycles/count[dflt]\n          3    6000000: 1"), "{raw}");
}

#[test]
fn equal_locations_are_written_once() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main|main.a:3", 1);
    fixture.add("app", "main.main|main.a:4", 1);
    fixture.add("other", "main.main|main.a:3", 1);
    let message = decoded(&fixture.profile);
    let locations: Vec<_> = message.location.iter().map(|location| (location.id, location.line[0].line)).collect();
    assert_eq!(locations, [(1, 3), (2, 1), (3, 4)]);
    let stacks: Vec<_> = message.sample.iter().map(|sample| sample.location_id.clone()).collect();
    assert_eq!(stacks, [[1, 2], [3, 2], [1, 2]]);

    // Two locations of one address are the same location of the file, and their samples are one.
    let profile = &mut fixture.profile;
    let [caller, leaf] = profile.stack(profile.samples()[0].stack)[..] else { panic!("two locations") };
    let (location, frames) = (*profile.location(leaf), profile.frames(leaf).to_vec());
    let again = profile.add_location(location, frames);
    // Nor does a location without frames make another sample.
    let hidden = profile.add_location(location, []);
    let stack = profile.intern_stack(&[hidden, caller, again]);
    fixture.add_stack("app", stack, 1);
    let message = decoded(&fixture.profile);
    assert_eq!((message.location.len(), message.sample.len(), message.sample[0].value[0]), (3, 3, 2));
}

#[test]
fn main_binary_is_the_first_mapping() {
    let mut fixture = Fixture::new();
    fixture.add("app", "k:entry", 1);
    fixture.add("app", "c:_start", 1);
    fixture.add("app", "main.main|k:entry", 1);
    let message = decoded(&fixture.profile);
    let files: Vec<_> = message
        .mapping
        .iter()
        .map(|mapping| message.string_table[usize::try_from(mapping.filename).unwrap()].as_str())
        .collect();
    assert_eq!(files, ["/bin/app", "[kernel.kallsyms]", "/lib/libc.so.6"]);
    assert_eq!(message.mapping.iter().map(|mapping| mapping.id).collect::<Vec<_>>(), [1, 2, 3]);
    let kernel = message.location.iter().find(|location| location.address > u64::MAX / 2).unwrap();
    assert_eq!(kernel.mapping_id, 2);
}

#[test]
fn empty_profile_is_valid() {
    let message = decoded(&Fixture::new().profile);
    assert_eq!((message.sample.len(), message.sample_type.len(), message.period), (0, 2, 0));
    assert_eq!(message.string_table[0], "");
    assert!(go_pprof(&Fixture::new().profile, &["-raw"]).contains("cpu/nanoseconds"));
}

#[test]
fn gzip_header_holds_no_time() {
    assert_eq!(encoded(&busy().profile)[4..8], [0; 4]);
}

/// The Go compiler rejects a profile whose functions have no start line. It matches functions by linker name, and calls by
/// their line within the function. It counts the two innermost locations of each stack.
#[test]
fn go_accepts_the_file_for_pgo() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("default.pgo"), encoded(&busy().profile)).unwrap();
    let output = Command::new("go")
        .args(["tool", "preprofile", "-i", "default.pgo", "-o", "edges"])
        .current_dir(dir.path())
        .output()
        .expect("go is needed for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let edges = fs::read_to_string(dir.path().join("edges")).unwrap();
    let map = "main.Map[go.shape.struct { a int; b string }]";
    let expected = [
        format!("main.main\n{map}\n0 37\n"),
        "main.(*T).add\nmain.inner\n7 30\n".to_owned(),
        format!("{map}\nmain.(*T).add\n0 30\n"),
        "memcpy\npage_fault\n0 11\n".to_owned(),
    ];
    assert_eq!(edges, format!("GO PREPROFILE V1\n{}", expected.concat()));
}
