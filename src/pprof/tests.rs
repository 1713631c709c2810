//! Tests with small profiles, encoded byte by byte as protocol buffers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Error, Imported, is_pprof, read};
use crate::profile::{Frame, Origin, Profile, Unit};

mod hostile;
mod text;
mod types;
mod written;

/// Appends an unsigned LEB128 number.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A message under construction.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u64, value: u64) -> Self {
        varint(&mut self.0, field << 3);
        varint(&mut self.0, value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn packed(self, field: u64, values: &[u64]) -> Self {
        let mut bytes = Vec::new();
        for value in values {
            varint(&mut bytes, *value);
        }
        self.bytes(field, &bytes)
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    fn value_type(self, field: u64, kind: u64, unit: u64) -> Self {
        self.message(field, &Message::default().number(1, kind).number(2, unit))
    }

    fn function(self, id: u64, name: u64, file: u64, start_line: u64) -> Self {
        let function = Message::default().number(1, id).number(2, name).number(3, name).number(4, file);
        self.message(5, &function.number(5, start_line))
    }

    /// Adds a location. Lines are (function, line), innermost first.
    fn location(self, id: u64, mapping: u64, address: u64, lines: &[(u64, u64)]) -> Self {
        let location = Message::default().number(1, id).number(2, mapping).number(3, address);
        let line = |(function, line): &(u64, u64)| Message::default().number(1, *function).number(2, *line);
        self.message(4, &lines.iter().map(line).fold(location, |location, line| location.message(4, &line)))
    }

    fn sample(self, locations: &[u64], values: &[u64]) -> Self {
        self.message(2, &Message::default().packed(1, locations).packed(2, values))
    }

    fn strings(self, texts: &[&str]) -> Self {
        texts.iter().fold(self, |message, text| message.bytes(6, text.as_bytes()))
    }
}

const STRINGS: &[&str] = &[
    "",
    "samples",
    "count",
    "cpu",
    "nanoseconds",
    "/bin/app",
    "c0ffee",
    "main.main",
    "/src/main.go",
    "main.Map[go.shape.int]",
    "memcpy",
    "process",
    "helper",
    "pid",
    "thread",
    "goroutine",
    "g",
    "0xc000002380",
    "entry",
    "tenant",
    "cpu",
];

/// Builds a CPU profile in which `main.Map` is inlined into `main.main` and calls `memcpy`.
fn small_profile() -> Message {
    let mapping = Message::default().number(1, 1).number(2, 0x40_0000).number(3, 0x50_0000).number(5, 5).number(6, 6);
    Message::default()
        // The samples come before the entries that they refer to, as in files that Go writes.
        .number(9, 1_700_000_000_000_000_000)
        .value_type(1, 1, 2)
        .value_type(1, 3, 4)
        .sample(&[2, 1], &[3, 30_000_000])
        .sample(&[1], &[200, 2_000_000_000])
        .message(3, &mapping)
        .location(1, 1, 0x40_1000, &[(2, 21), (1, 11)])
        .location(2, 0, 0x7f00_0000_0010, &[(3, 0)])
        .function(1, 7, 8, 10)
        .function(2, 9, 8, 20)
        .function(3, 10, 0, 0)
        .number(10, 2_500_000_000)
        .value_type(11, 3, 4)
        .number(12, 10_000_000)
        .strings(STRINGS)
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn imported(message: &Message) -> Imported {
    read(&message.0, None).unwrap()
}

fn error(message: &Message) -> Error {
    read(&message.0, None).unwrap_err()
}

/// Returns `name:line` of each frame, root first, with `*` before inlined frames, and the count.
fn stacks(profile: &Profile) -> Vec<(String, u64)> {
    let frame = |(at, frame): (usize, &Frame)| {
        let name = profile.str(profile.function(frame.function).display);
        format!("{}{name}:{}", if at > 0 { "*" } else { "" }, frame.line)
    };
    let stack = |stack| {
        let locations = profile.stack(stack).into_iter();
        let frames = locations.flat_map(|location| profile.frames(location).iter().enumerate().map(frame));
        frames.collect::<Vec<_>>().join("|")
    };
    profile.samples().iter().map(|sample| (stack(sample.stack), sample.count)).collect()
}

#[test]
fn all_fields_that_the_model_has_are_read() {
    for bytes in [small_profile().0, gzipped(&small_profile().0)] {
        assert!(is_pprof(&bytes));
        let Imported { profile, quality, sample_types, notes } = read(&bytes, None).unwrap();
        assert_eq!(
            stacks(&profile),
            [
                ("main.main:11|*main.Map[...]:21|memcpy:0".to_owned(), 3),
                ("main.main:11|*main.Map[...]:21".to_owned(), 200)
            ]
        );
        assert_eq!((profile.total_count(), profile.total_weight()), (203, 2_030_000_000));
        assert_eq!((profile.start_time_ns, profile.duration_ns), (1_700_000_000_000_000_000, 2_500_000_000));
        let event = &profile.event;
        assert_eq!(
            (event.name.as_str(), event.unit, event.frequency, event.is_sampled()),
            ("cpu", Unit::Nanoseconds, 100, true)
        );
        let functions: Vec<_> = profile
            .functions()
            .map(|(_, function)| {
                (profile.str(function.name), profile.str(function.file), function.start_line, function.origin)
            })
            .collect();
        assert_eq!(
            functions,
            [
                ("main.main", "/src/main.go", 10, Origin::Main),
                ("main.Map[go.shape.int]", "/src/main.go", 20, Origin::Main),
                ("memcpy", "", 0, Origin::Native),
            ]
        );
        let (_, mapping) = profile.mappings().next().unwrap();
        assert_eq!((profile.str(mapping.file), profile.str(mapping.build_id)), ("/bin/app", "c0ffee"));
        assert_eq!((mapping.start, mapping.limit, mapping.offset), (0x40_0000, 0x50_0000, 0));
        let sample = &profile.samples()[0];
        let task = profile.task(sample.task);
        assert_eq!((profile.str(task.process), task.pid, task.tid, task.cpu), ("app", 0, 0, None));
        let [caller, leaf] = profile.stack(sample.stack)[..] else { panic!("two locations") };
        let leaf = profile.location(leaf);
        assert_eq!((leaf.address, leaf.mapping), (0x7f00_0000_0010, None));
        assert_eq!(profile.location(caller).address, 0x40_1000);
        assert_eq!(
            (sample_types.shown.as_str(), sample_types.others.as_slice()),
            ("cpu/nanoseconds", &["samples".to_owned()][..])
        );
        assert_eq!(notes, [""; 0]);
        assert_eq!(quality.summary(), "good: 100 % of frames named, the number of lost samples is unknown");
        assert_eq!((quality.samples, quality.lost, quality.user_frames), (Some(203), None, 409));
    }
}

#[test]
fn labels_become_fields_and_others_stay_labels() {
    let label = |key, text, number| Message::default().number(1, key).number(2, text).number(3, number);
    let sample = |labels: &[Message]| {
        let sample = Message::default().packed(1, &[1]).packed(2, &[1, 10]);
        labels.iter().fold(sample, |sample, label| sample.message(3, label))
    };
    let message = small_profile()
        .message(2, &sample(&[label(11, 12, 0), label(13, 0, 7), label(14, 0, 8), label(15, 0, 99), label(18, 7, 0)]))
        // The CPU has number 0. The goroutine has no number.
        .message(
            2,
            &sample(&[label(20, 0, 0), label(16, 17, 0), label(19, 12, 0), label(11, 0, 5), label(13, 0, u64::MAX)]),
        );
    let Imported { profile, .. } = imported(&message);
    let samples = profile.samples();
    let known = profile.task(samples[2].task);
    assert_eq!((profile.str(known.process), known.pid, known.tid, known.cpu), ("helper", 7, 8, None));
    let goroutine = profile.goroutine(known.goroutine.unwrap());
    assert_eq!((goroutine.id, goroutine.address, profile.str(goroutine.entry)), (Some(99), 0, "main.main"));
    let other = profile.task(samples[3].task);
    assert_eq!((profile.str(other.process), other.pid, other.cpu), ("app", 0, Some(0)));
    let goroutine = profile.goroutine(other.goroutine.unwrap());
    assert_eq!((goroutine.id, goroutine.address), (None, 0xc0_0000_2380));
    let others = |at: usize| -> Vec<String> {
        let labels = profile.labels(samples[at].task);
        let others = labels.iter().filter(|label| matches!(label.key, "tenant" | "process" | "pid"));
        let mut others: Vec<String> = others.map(|label| format!("{}={}", label.key, label.value)).collect();
        others.sort();
        others
    };
    assert_eq!(others(2), ["pid=7", "process=helper"]);
    assert_eq!(others(3), ["pid=-1", "process=5", "process=app", "tenant=helper"]);
}

#[test]
fn code_without_a_name_gets_a_placeholder() {
    let message = small_profile().location(3, 1, 0x40_2000, &[]).location(4, 0, u64::MAX - 4096, &[(0, 0)]);
    let message = message.sample(&[4, 3], &[10, 100]);
    let Imported { profile, quality, .. } = imported(&message);
    assert_eq!(stacks(&profile)[2].0, "[app]:0|[kernel]:0");
    assert_eq!((quality.user_frames, quality.unnamed_user_frames), (419, 10));
    assert_eq!((quality.kernel_frames, quality.unnamed_kernel_frames), (10, 10));
    assert_eq!(quality.unnamed_reasons, [("the profile names no function there".to_owned(), 20)]);
}

#[test]
fn bytes_of_a_name_that_are_not_utf8_are_replaced() {
    let message = small_profile()
        .location(3, 1, 0x40_3000, &[(4, 1)])
        .message(5, &Message::default().number(1, 4).number(3, STRINGS.len() as u64));
    let message = message.bytes(6, b"ma\xffin").sample(&[3], &[1, 1]);
    let Imported { profile, .. } = imported(&message);
    assert_eq!(stacks(&profile)[2].0, "ma\u{fffd}in:1");
}
