//! Tests of the writer, with `go` and with the tables of the reader.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::Message;
use crate::pprof::messages::sample;
use crate::pprof::tables::{Tables, samples};
use crate::pprof::unpack::unpack;
use crate::pprof::wire::RawMessage;
use crate::pprof::{Imported, SourceDirs, read, write};
use crate::profile::Profile;
use crate::profile::fixture::Fixture;
use crate::views::{FunctionRow, GroupBy, View};

fn encoded(profile: &Profile) -> Vec<u8> {
    let mut out = Vec::new();
    write(profile, &["made by a test"], &SourceDirs::default(), &mut out).unwrap();
    out
}

fn unpacked(profile: &Profile) -> Vec<u8> {
    unpack(&encoded(profile)).map(Cow::into_owned).unwrap()
}

/// Returns the numbers of one field of each sample.
fn numbers_of_samples(bytes: &[u8], number: u64) -> Vec<Vec<u64>> {
    let numbers = |sample: RawMessage<'_>| {
        let mut numbers = Vec::new();
        for field in sample.fields().map(Result::unwrap).filter(|field| field.number == number) {
            let add = |value| {
                numbers.push(value);
                Ok(())
            };
            field.numbers(add).unwrap();
        }
        numbers
    };
    samples(bytes).map(|sample| numbers(sample.unwrap())).collect()
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

fn busy_fixture() -> Fixture {
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
    let profile = busy_fixture().profile;
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
    let ours: BTreeMap<_, _> = View::new(profile.clone(), GroupBy::Process).top().functions.iter().map(row).collect();
    assert_eq!(ours.len(), 8);
    assert_eq!(theirs, ours);
}

#[test]
fn go_tool_pprof_reads_all_parts_of_the_file() {
    let profile = busy_fixture().profile;
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
    let mut fixture = Fixture::new_cycles();
    fixture.add("app", "main.main", 3);
    let raw = go_pprof(&fixture.profile, &["-raw"]);
    assert!(raw.contains("samples/count cycles/count[dflt]\n          3    6000000: 1"), "{raw}");
}

#[test]
fn sample_types_and_period_of_a_file_are_written_as_they_were() {
    let kinds = ["", "wall", "milliseconds", "space", "bytes", "count", "main.main"];
    let message = Message::default()
        .value_type(1, 1, 2)
        .value_type(1, 3, 4)
        .value_type(1, 5, 5)
        .function(1, 6, 0, 1)
        .location(1, 0, 0x1000, &[(1, 1)])
        .sample(&[1], &[5, 0, 7])
        .sample(&[1], &[0, u64::MAX, 1])
        .value_type(11, 3, 4)
        .number(12, 512)
        .number(14, 1)
        .strings(&kinds);
    for (asked, default) in [(None, "wall/milliseconds[dflt]"), (Some("2"), "count/count[dflt]")] {
        let Imported { profile, .. } = read(&message.0, asked).unwrap();
        let raw = go_pprof(&profile, &["-raw"]);
        let types = raw.lines().find(|line| line.starts_with("wall/")).unwrap();
        assert_eq!(types.replace("[dflt]", ""), "wall/milliseconds space/bytes count/count");
        assert!(types.contains(default), "{types}");
        assert!(raw.contains("PeriodType: space bytes\nPeriod: 512\n"), "{raw}");
        // The samples are not merged, because the second one has a negative value.
        assert!(raw.contains("\n          5          0          7: 1 \n          0         -1          1: 1"), "{raw}");
    }
}

#[test]
fn equal_locations_are_written_once() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main|main.a:3", 1);
    fixture.add("app", "main.main|main.a:4", 1);
    fixture.add("other", "main.main|main.a:3", 1);
    let bytes = unpacked(&fixture.profile);
    let tables = Tables::read(&bytes).unwrap();
    let lines: Vec<_> = tables.locations.items.iter().map(|location| tables.lines_of(location)[0].line).collect();
    assert_eq!(lines, [3, 1, 4]);
    assert_eq!(numbers_of_samples(&bytes, sample::LOCATION), [[1, 2], [3, 2], [1, 2]]);

    // Two locations with the same address and frames are one location of the file, and their samples are merged.
    let profile = &mut fixture.profile;
    let [caller, leaf] = profile.stack(profile.samples()[0].stack)[..] else { panic!("two locations") };
    let (location, frames) = (*profile.location(leaf), profile.frames(leaf).to_vec());
    let again = profile.add_location(location, frames);
    // A location without frames does not make another sample either.
    let hidden = profile.add_location(location, []);
    let stack = profile.intern_stack(&[hidden, caller, again]);
    fixture.add_stack("app", stack, 1);
    let bytes = unpacked(&fixture.profile);
    assert_eq!(Tables::read(&bytes).unwrap().locations.items.len(), 3);
    let counts: Vec<_> = numbers_of_samples(&bytes, sample::VALUE).iter().map(|values| values[0]).collect();
    assert_eq!((counts.len(), counts[0]), (3, 2));
}

#[test]
fn main_binary_is_the_first_mapping() {
    let mut fixture = Fixture::new();
    fixture.add("app", "k:entry", 1);
    fixture.add("app", "c:_start", 1);
    fixture.add("app", "main.main|k:entry", 1);
    let bytes = unpacked(&fixture.profile);
    let tables = Tables::read(&bytes).unwrap();
    let files: Vec<_> = tables.mappings.items.iter().map(|mapping| tables.strings.text(mapping.file)).collect();
    assert_eq!(files, [&b"/bin/app"[..], b"[kernel.kallsyms]", b"/lib/libc.so.6"]);
    assert_eq!([1, 2, 3].map(|id| tables.mappings.position(id)), [Some(0), Some(1), Some(2)]);
    let kernel = tables.locations.items.iter().find(|location| location.address > u64::MAX / 2).unwrap();
    assert_eq!(kernel.mapping.position(), Some(1));
}

#[test]
fn empty_profile_is_valid() {
    let bytes = unpacked(&Fixture::new().profile);
    let tables = Tables::read(&bytes).unwrap();
    assert_eq!((samples(&bytes).count(), tables.sample_type_count, tables.period), (0, 2, 0));
    assert_eq!(tables.strings.text(0), b"");
    assert!(go_pprof(&Fixture::new().profile, &["-raw"]).contains("cpu/nanoseconds"));
}

#[test]
fn gzip_header_holds_no_time() {
    assert_eq!(encoded(&busy_fixture().profile)[4..8], [0; 4]);
}

/// The Go compiler rejects a profile whose functions have no start line. It matches functions by linker name, and calls by
/// their line within the function. It counts the two innermost locations of each stack.
#[test]
fn go_accepts_the_file_for_pgo() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("default.pgo"), encoded(&busy_fixture().profile)).unwrap();
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
