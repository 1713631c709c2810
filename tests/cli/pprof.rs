//! `goflame report` on pprof profiles: of Go's runtime, of goflame, damaged ones, and other files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{Finished, Project};

/// A project, and the profiles that tests/workloads/profiles wrote into it.
fn project_with_profiles() -> Project {
    let project = Project::workload("profiles", "");
    project.shell("go build -o program ./profiles && ./program .").run().code(0);
    project
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn the_text_of_a_profile_has_the_same_figures() {
    let project = project_with_profiles();
    for (name, function) in [("heap", "main.allocate"), ("block", "main.contend"), ("mutex", "main.contend")] {
        let stacks = |file: String| {
            let report = project.goflame(["report", &file, "-f", "folded"]).run();
            let lines = report.code(0).stdout.lines().filter(|line| line.contains(function));
            // Removes the first name, which is the program: a text profile does not have it.
            lines.map(|line| line.split_once(';').unwrap().1.to_owned()).collect::<Vec<_>>()
        };
        let expected = stacks(format!("{name}.pb.gz"));
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(stacks(format!("{name}.txt")), expected, "{name}");
    }
    let goroutines = project.goflame(["report", "goroutine.txt", "-f", "folded"]).run();
    assert_eq!(goroutines.code(0).stdout.lines().filter(|line| line.ends_with("writeRuntimeProfile 1")).count(), 1);
}

#[test]
fn every_format_of_a_profile_of_go() {
    let project = project_with_profiles();
    // The content of a file decides its format, not its name.
    std::fs::rename(project.path("cpu.pb.gz"), project.path("perf.data")).unwrap();
    let report = project.goflame(["report", "perf.data"]).run();
    report
        .code(0)
        .stderr_has("     Reading [..] samples of perf.data in [..] s")
        .stderr_has("     Showing cpu/nanoseconds; `--sample-type` takes samples too")
        .stderr_lacks("     Warning labels [..]")
        .stderr_has("     Quality [..]: 100 % of frames named, the number of lost samples is unknown")
        .stderr_lacks("[..]0 lost[..]");
    assert!(report.stdout.contains("Hottest functions"), "{}", report.stdout);
    assert!(report.stdout.lines().next().unwrap().ends_with(" ms of cpu"), "{}", report.stdout);
    assert!(report.stdout.contains("└ main.compute"), "{}", report.stdout);

    let folded = project.goflame(["report", "perf.data", "-f", "folded"]).run();
    folded.code(0);
    assert!(folded.stdout.contains("program;runtime.main;main.main;main.compute;"), "{}", folded.stdout);
    let json = project.goflame(["report", "perf.data", "-f", "json"]).run();
    let json: serde_json::Value = serde_json::from_str(&json.code(0).stdout).unwrap();
    assert_eq!(
        (&json["event"], &json["unit"], &json["frequency"]),
        (&"cpu".into(), &"nanoseconds".into(), &100.into())
    );
    let figures = &json["quality"]["figures"];
    for unknown in ["lost", "throttled", "truncated_stacks", "kernel_sampled", "cpu"] {
        assert!(figures[unknown].is_null(), "{unknown} is said to be {}", figures[unknown]);
    }
    assert_eq!(figures["samples"], json["samples"]);
    let svg = project.goflame(["report", "perf.data", "-f", "svg"]).run();
    assert!(svg.code(0).stdout.contains("main.step (inlined)"), "no call is marked as inlined");
    assert!(svg.stdout.contains("100 Hz, "), "{}", svg.stdout);
    project.goflame(["report", "perf.data", "-f", "pprof", "-o", "again.pb.gz"]).run().code(0);
    let again = project.goflame(["report", "again.pb.gz", "-f", "folded"]).run();
    assert_eq!(again.code(0).stdout, folded.stdout);

    let piped = project.shell("cat perf.data | $goflame report /dev/stdin -f folded").run();
    assert_eq!(piped.code(0).stdout, folded.stdout);
}

#[test]
fn filters_choose_samples_and_frames() {
    let project = project_with_profiles();
    let folded = |args: &[&str]| {
        let args = args.join("' '");
        let run = project.shell(&format!("$goflame report cpu.pb.gz -f folded '{args}'")).run();
        let lines: Vec<String> = run.code(0).stdout.lines().map(str::to_owned).collect();
        lines
    };
    let all = folded(&["-q"]);
    let (computing, others): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|line| line.contains("main.compute"));
    assert!(!computing.is_empty(), "{all:?}");
    assert_eq!(folded(&["--focus", "^main\\.compute$"]), computing);
    assert_eq!(folded(&["--ignore", "^main\\.compute$"]), others);
    assert!(folded(&["--hide", "^main\\.compute$"]).iter().all(|line| !line.contains("main.compute;")));
    let shown = folded(&["--show", "^main\\."]);
    assert!(!shown.is_empty() && shown.iter().all(|line| !line.contains("runtime.")), "{shown:?}");
    assert_eq!(folded(&["--tag-focus", "thread=never"]), [""; 0]);

    let bad = project.goflame(["report", "cpu.pb.gz", "--focus", "main.("]).run();
    bad.code(2).stderr_has("error: invalid value `main.(` for `--focus <REGEX>`[..]");
}

#[test]
fn one_of_several_sample_types_is_selected() {
    let project = project_with_profiles();
    let report = |args: &[&str]| {
        let mut command = project.goflame(["report", "heap.pb.gz"]);
        for arg in args {
            command = command.arg(arg);
        }
        command.run()
    };
    let space = report(&[]);
    space
        .code(0)
        .stderr_has("     Reading [..] inuse_objects of heap.pb.gz in [..] s")
        .stderr_has(
            "     Showing inuse_space/bytes; `--sample-type` takes alloc_objects, alloc_space, inuse_objects too",
        )
        // Heap objects are not samples, so their number is not judged.
        .stderr_has("     Quality good: 100 % of frames named, the number of lost samples is unknown");
    assert!(space.stdout.lines().next().unwrap().ends_with(" MiB of inuse_space"), "{}", space.stdout);
    let folded = report(&["-f", "folded"]);
    let bytes: u64 =
        folded.code(0).stdout.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert!(bytes > 600_000, "the heap holds 667 blocks of 1000 bytes and more: {bytes}");
    let objects = report(&["--sample-type", "inuse_objects"]);
    objects.code(0).stderr_has("     Showing inuse_objects/count; [..]");
    assert_eq!(report(&["--sample-type", "2"]).code(0).stdout, objects.stdout);
    report(&["--sample-type", "nope"]).code(2).stdout("").stderr(
        "error: cannot read heap.pb.gz as a pprof profile
  cause: it has no sample type `nope`
   help: it has alloc_objects, alloc_space, inuse_objects, inuse_space
",
    );
}

/// The output of `go tool pprof -raw` for a profile.
#[derive(Debug, PartialEq)]
struct RawProfile {
    /// Type and length of the period.
    period: Vec<String>,
    /// The sample types, with `[dflt]` behind the default one.
    types: String,
    /// The sums of all values by addresses and labels, without the label `process`, which goflame adds.
    samples: BTreeMap<String, Vec<i64>>,
}

fn raw_profile(project: &Project, file: &str) -> RawProfile {
    let output = project.shell(&format!("go tool pprof -raw {file}")).run();
    let text = &output.code(0).stdout;
    let (head, rest) = text.split_once("Samples:\n").unwrap();
    let (samples, rest) = rest.split_once("Locations\n").unwrap();
    let mut addresses = BTreeMap::new();
    for line in rest.split("Mappings\n").next().unwrap().lines() {
        let place = line.split_once(": 0x").map(|(id, place)| (id.trim(), place.split(' ').next().unwrap()));
        addresses.extend(place.filter(|(id, _)| id.parse::<u32>().is_ok()));
    }
    let mut lines = samples.lines();
    let types = lines.next().unwrap().to_owned();
    let mut sums: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut add = |sample: Option<(String, Vec<i64>)>| {
        let Some((key, values)) = sample else { return };
        let sum = sums.entry(key).or_insert_with(|| vec![0; values.len()]);
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    };
    let mut sample: Option<(String, Vec<i64>)> = None;
    for line in lines {
        let (values, ids) = line.split_once(':').unwrap();
        let values: Result<Vec<i64>, _> = values.split_whitespace().map(str::parse).collect();
        if let Ok(values) = values {
            add(sample.take());
            let stack: Vec<_> = ids.split_whitespace().map(|id| addresses[id]).collect();
            sample = Some((stack.join(" "), values));
        } else if let Some((key, _)) = &mut sample {
            key.extend(
                line.split_whitespace().filter(|label| !label.starts_with("process:")).map(|label| format!(" {label}")),
            );
        }
    }
    add(sample);
    let period = head.lines().filter(|line| line.starts_with("Period")).map(str::to_owned).collect();
    RawProfile { period, types, samples: sums }
}

#[test]
fn a_rewritten_profile_has_the_values_of_all_sample_types() {
    let project = project_with_profiles();
    for (name, types) in [
        ("heap", "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]"),
        ("allocs", "alloc_objects/count alloc_space/bytes[dflt] inuse_objects/count inuse_space/bytes"),
        ("mutex", "contentions/count delay/nanoseconds[dflt]"),
        ("block", "contentions/count delay/nanoseconds[dflt]"),
        ("cpu", "samples/count cpu/nanoseconds[dflt]"),
    ] {
        let file = format!("{name}.pb.gz");
        project.goflame(["report", &file, "-o", "again.pb.gz"]).run().code(0);
        // In the original profile, pprof marks no default if the default is the last type.
        let expected = RawProfile { types: types.to_owned(), ..raw_profile(&project, &file) };
        assert!(!expected.samples.is_empty());
        assert_eq!(raw_profile(&project, "again.pb.gz"), expected, "{name}");
    }
}

#[test]
fn filters_and_a_chosen_type_apply_to_a_rewritten_profile_of_all_sample_types() {
    let project = project_with_profiles();
    let choices = "--sample-type alloc_space --focus main.allocate";
    project.shell(&format!("$goflame report heap.pb.gz {choices} -o again.pb.gz")).run().code(0);
    project.shell("go tool pprof -proto -output focused.pb.gz -focus main.allocate heap.pb.gz").run().code(0);
    let types = "alloc_objects/count alloc_space/bytes[dflt] inuse_objects/count inuse_space/bytes".to_owned();
    let expected = RawProfile { types, ..raw_profile(&project, "focused.pb.gz") };
    let all = raw_profile(&project, "heap.pb.gz").samples.len();
    assert!(!expected.samples.is_empty() && expected.samples.len() < all, "{expected:?}");
    assert_eq!(raw_profile(&project, "again.pb.gz"), expected);
    for sample_type in ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"] {
        let folded = |file: &str, filter: &str| {
            let report = format!("$goflame report {file} -f folded --sample-type {sample_type} {filter}");
            project.shell(&report).run().code(0).stdout.clone()
        };
        assert_eq!(folded("again.pb.gz", ""), folded("heap.pb.gz", "--focus main.allocate"), "{sample_type}");
    }
}

#[test]
fn samples_are_grouped_and_selected_by_a_label_of_the_program() {
    let project = project_with_profiles();
    let report = |args: &str| project.shell(&format!("$goflame report goroutine.pb.gz {args}")).run();
    let groups = |folded: &str| -> BTreeSet<String> {
        folded.lines().filter_map(|line| Some(line.split_once(';')?.0.to_owned())).collect()
    };
    let by_label = report("-f folded --by label:tenant");
    assert_eq!(groups(&by_label.code(0).stdout), BTreeSet::from(["(no_tenant)".to_owned(), "acme".to_owned()]));
    let labelled = report("-f folded --by label:tenant --tag-focus tenant=^acme$");
    assert_eq!(groups(&labelled.code(0).stdout), BTreeSet::from(["acme".to_owned()]));
    report("-f pprof -o again.pb.gz").code(0);
    let tags = project.shell("go tool pprof -tags again.pb.gz").run();
    assert!(tags.code(0).stdout.contains(" tenant: Total 1 of 2 "), "{}", tags.stdout);
    report("--by label:").code(2).stderr_has("error: invalid value `label:` for `--by <PROPERTY>`: [..], or label:KEY");
}

#[test]
fn a_recording_has_no_sample_types() {
    let project = Project::workload("burner", "");
    project.goflame(["run"]).run().code(0);
    let refused = |source: &str| project.goflame(["report", "--sample-type", "cpu", source]).run();
    refused("latest").code(2).stderr_has("error: [..] is a recording: it has events, not sample types");
    let run = project.only_run();
    refused(&format!("{run}/perf.data")).code(2);
    // profile.pb.gz of the run has samples, but neither events nor times.
    let profile = format!("{run}/profile.pb.gz");
    project
        .goflame(["report", "--event", "cpu-clock", &profile])
        .run()
        .code(2)
        .stderr_has("error: [..] is a pprof profile: it has sample types, not events");
    project.goflame(["report", "--from", "1", &profile]).run().code(2).stderr(&format!(
        "error: cannot select a range of time in {profile}: a pprof profile does not hold the times of its samples
   help: `--from` and `--to` need a recording with times, as goflame and `perf record` write it
"
    ));
    refused(&format!("{run}/profile.pb.gz")).code(0).stderr_lacks("     Warning labels [..]");
}

#[test]
fn damaged_profiles_are_errors_with_their_position() {
    let project = project_with_profiles();
    let whole = project.read("cpu.pb.gz");
    let refused = |bytes: &[u8]| {
        project.write("damaged", bytes);
        let report = project.goflame(["report", "./damaged"]).run();
        report.code(7).stdout("");
        report
    };
    refused(&whole[..whole.len() / 2]).stderr(
        "error: cannot read ./damaged as a pprof profile
  cause: its gzip data is cut off or damaged behind [..] unpacked bytes
  cause: [..]
   help: get the file again: a CPU profile is whole once `pprof.StopCPUProfile` has returned, a download once it has ended
",
    );
    for cut in [1, 2, 9, 10, 20, whole.len() - 8, whole.len() - 1] {
        refused(&whole[..cut]).stderr_has("error: [..]");
    }
    // A time, and a sample type that is longer than the file.
    refused(b"\x48\x01\x0a\x7f\x08\x01").stderr_in_order(
        "error: cannot read ./damaged as a pprof profile
  cause: the profile is cut off or damaged at byte 2 of the unpacked profile
",
    );
    refused(&gzipped(b"once upon a time")).stderr_in_order(
        "error: cannot read ./damaged as a pprof profile
  cause: the unpacked bytes are not a pprof profile
   help: goflame reads perf.data files, pprof profiles (profile.proto, gzipped or not), [..]
",
    );
}

/// Runs `goflame report` on a file with at most 512 MiB of private memory.
fn report_in_512_mib<'p>(project: &'p Project, file: &str) -> Finished<'p> {
    project.shell(&format!("ulimit -d 524288 && exec $goflame report ./{file}")).run()
}

#[test]
fn small_files_cannot_use_gigabytes_of_memory() {
    const MIB: usize = 1 << 20;
    const TOO_LARGE: &str = "  cause: unpacked, it is larger than the limit of 64 MiB";
    const TOO_MANY: &str =
        "  cause: its strings, functions, locations and mappings would take more than 256 MiB of memory";
    let project = Project::empty();
    // A sample type and a location; they are followed by many equal entries. Each file has less than 300 KB.
    let start = b"\x0a\0\x22\x02\x08\x01";
    for (entry, size, cause) in [
        // Empty strings took 4.4 GB.
        (&b"\x32\0"[..], 255 * MIB, TOO_LARGE),
        (b"\x32\0", 60 * MIB, TOO_MANY),
        // Empty sample types took 2.3 GB.
        (b"\x0a\0", 255 * MIB, TOO_LARGE),
    ] {
        let (count, entries) = (size / MIB, entry.repeat(MIB / entry.len()));
        // A gzip file may have several members.
        project.write("bomb", [gzipped(start), gzipped(&entries).repeat(count)].concat());
        assert!(project.read("bomb").len() < 300_000);
        let report = report_in_512_mib(&project, "bomb");
        report.code(7).stdout("").stderr_has("error: cannot read ./bomb as a pprof profile").stderr_has(cause);
    }
    // A location with 100 million empty lines took 4.7 GB. Here it has 30 million, of 2 bytes each.
    let lines = 60 * MIB;
    let location = [&b"\x22"[..], &varint(lines + 2), b"\x08\x02"].concat();
    let many = gzipped(&b"\x22\0".repeat(MIB / 2)).repeat(lines / MIB);
    project.write("bomb", [gzipped(start), gzipped(&location), many].concat());
    report_in_512_mib(&project, "bomb").code(7).stderr_has(TOO_MANY);
    // A file of 33 MB with 24 million locations took 3.3 GB. Here it has 2.5 million.
    let mut locations = start.to_vec();
    for id in 1..2_500_000_usize {
        let id = varint(id * 2);
        locations.extend([0x22, u8::try_from(id.len() + 1).unwrap(), 8]);
        locations.extend(id);
    }
    project.write("locations", locations);
    report_in_512_mib(&project, "locations").code(7).stderr_has(TOO_MANY);
}

#[test]
fn small_repetitive_profiles_are_read() {
    let project = Project::empty();
    // 2 MB of equal samples in a file of 3 KB. Deep recursion repeats itself like this.
    let start = b"\x0a\x04\x08\x01\x10\x02\x22\x02\x08\x01\x32\0\x32\x03cpu\x32\x05count";
    let samples = gzipped(&b"\x12\x06\x0a\x01\x01\x12\x01\x01".repeat(1 << 17));
    project.write("repeated.pb.gz", [gzipped(start), samples.repeat(2)].concat());
    let report = report_in_512_mib(&project, "repeated.pb.gz");
    report.code(0).stderr_has("     Reading cpu of ./repeated.pb.gz in [..] s");
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}
