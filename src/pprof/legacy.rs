//! Converts to profile.proto the text that Go writes for `?debug=1` of a goroutine, goroutineleak, threadcreate, heap,
//! allocs, block or mutex profile (`debug > 0` in Go's src/runtime/pprof/pprof.go).
//!
//! A record has its values and addresses in one line, and then a line for each frame:
//!
//! ```text
//! goroutine profile: total 3
//! 2 @ 0x43c56e 0x44d0f8 0x49ab2c 0x46d2c1
//! # labels: {"tenant":"acme"}
//! #    0x49ab2b    main.wait+0x2b    /src/main.go:12
//! ```
//!
//! Go leaves out `runtime.goexit`. It also leaves out the runtime's functions at the leaf, unless the stack has only
//! such functions.

use std::collections::BTreeMap;

use super::error::Error;
use super::messages::{FunctionMessage, LabelMessage, Line, LocationMessage, ValueType, profile, sample};
use super::table::Reference;
use super::wire::MessageWriter;
use crate::profile::Interner;

/// The first bytes of each kind of text.
const TEXT_BEGINNINGS: [&[u8]; 6] = [
    b"goroutine profile: ",
    b"goroutineleak profile: ",
    b"threadcreate profile: ",
    b"heap profile: ",
    b"--- contention:",
    b"--- mutex:",
];

/// Minimum number of bytes that identify a text.
const MIN_PREFIX: usize = 8;

/// Whether the bytes are a text of one of these kinds, or its first bytes.
pub(super) fn is_text(beginning: &[u8]) -> bool {
    let is_prefix = |text: &&[u8]| beginning.len() >= MIN_PREFIX && text.starts_with(beginning);
    TEXT_BEGINNINGS.iter().any(|text| beginning.starts_with(text) || is_prefix(text))
}

/// Converts the text into a profile.proto message with the same samples.
pub(super) fn text_to_proto(text: &[u8]) -> Result<Vec<u8>, Error> {
    let text = String::from_utf8_lossy(text);
    let mut lines = Lines { rest: &text, length: text.len() };
    let header = lines.next().unwrap_or_default();
    let kind = TextKind::parse(header, &mut lines).ok_or(Error::Damaged { what: "the header", offset: 0 })?;
    let mut message = ProtoWriter::new(&kind);
    let mut totals = vec![0_u64; kind.types.len()];
    let mut record: Option<Record<'_>> = None;
    loop {
        let offset = lines.offset();
        let Some(line) = lines.next() else { break };
        if let Some(frame) = line.strip_prefix("#\t") {
            let frame = Frame::parse(frame).ok_or(Error::Damaged { what: "a frame", offset })?;
            if let Some(record) = &mut record {
                record.frames.push(frame);
            }
        } else if let Some(labels) = line.strip_prefix("# labels: ") {
            // Go quotes texts by its own rules, which differ from JSON's for bytes that are not UTF-8.
            let labels: Option<BTreeMap<String, String>> = serde_json::from_str(labels).ok();
            if let (Some(record), Some(labels)) = (&mut record, labels) {
                record.labels = labels;
            }
        } else if !line.is_empty() && !line.starts_with('#') {
            let next = kind.parse_record(line).ok_or(Error::Damaged { what: "a record", offset })?;
            for (total, value) in totals.iter_mut().zip(&next.values) {
                *total = total.saturating_add(*value);
            }
            message.add_record(&kind, record.replace(next));
        }
    }
    message.add_record(&kind, record);
    if kind.totals.iter().zip(&totals).any(|(expected, found)| expected != found) {
        return Err(Error::Damaged { what: "the text", offset: text.len() });
    }
    Ok(message.finish(&kind))
}

/// The lines of the text.
struct Lines<'t> {
    rest: &'t str,
    length: usize,
}

impl<'t> Lines<'t> {
    fn offset(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line.trim_end_matches('\r'))
    }
}

/// Format and meaning of the values of a record.
struct TextKind {
    /// Names and units of the sample types.
    types: Vec<(String, &'static str)>,
    form: ValueForm,
    /// The sums that the header announces, of the values before scaling. Empty if the header announces no sums.
    totals: Vec<u64>,
}

/// Format of the values of a record.
enum ValueForm {
    /// `5 @`: a count.
    Count,
    /// `1: 1024 [3: 3072] @`: objects and bytes in use, and objects and bytes allocated. `rate` is the mean number of
    /// allocated bytes between two samples.
    Heap { rate: f64 },
    /// `230000 5 @`: cycles and contentions. Go has multiplied both by the sampling period.
    Delay { nanoseconds_per_cycle: f64 },
}

impl TextKind {
    /// Parses the header. `header` is its first line, and `lines` are the lines after it.
    fn parse(header: &str, lines: &mut Lines<'_>) -> Option<Self> {
        if header.starts_with("---") {
            let frequency: f64 = lines.next()?.strip_prefix("cycles/second=")?.parse().ok()?;
            if lines.rest.starts_with("sampling period=") {
                lines.next();
            }
            let types = vec![("contentions".to_owned(), "count"), ("delay".to_owned(), "nanoseconds")];
            let nanoseconds_per_cycle = 1e9 / frequency;
            let form = ValueForm::Delay { nanoseconds_per_cycle };
            return nanoseconds_per_cycle.is_finite().then_some(Self { types, form, totals: Vec::new() });
        }
        let (name, rest) = header.split_once(" profile: ")?;
        if let Some(total) = rest.strip_prefix("total ") {
            let types = vec![(name.to_owned(), "count")];
            return Some(Self { types, form: ValueForm::Count, totals: vec![total.trim().parse().ok()?] });
        }
        let (values, rate) = rest.split_once("@ heap/")?;
        let types = [
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ];
        let types = types.into_iter().map(|(name, unit)| (name.to_owned(), unit)).collect();
        // The header has twice the sampling rate.
        let form = ValueForm::Heap { rate: rate.trim().parse::<f64>().ok()? / 2.0 };
        Some(Self { types, form, totals: heap_values(values)? })
    }

    /// Parses the first line of a record.
    fn parse_record<'t>(&self, line: &'t str) -> Option<Record<'t>> {
        let (values, addresses) = line.split_once('@')?;
        let values = match self.form {
            ValueForm::Count => vec![values.trim().parse().ok()?],
            ValueForm::Heap { .. } => heap_values(values)?,
            ValueForm::Delay { .. } => {
                let (cycles, count) = values.trim().split_once(' ')?;
                vec![cycles.parse().ok()?, count.parse().ok()?]
            }
        };
        let addresses = addresses.split_ascii_whitespace().map(|address| Frame::parse(address).ok_or(()));
        let addresses = addresses.collect::<Result<_, _>>().ok()?;
        Some(Record { values, addresses, frames: Vec::new(), labels: BTreeMap::new() })
    }

    /// Returns the value of each sample type.
    fn sample_values(&self, values: &[u64]) -> Vec<u64> {
        match (&self.form, values) {
            (ValueForm::Heap { rate }, &[in_use, bytes_in_use, allocated, bytes_allocated]) => {
                [estimate_unsampled(allocated, bytes_allocated, *rate), estimate_unsampled(in_use, bytes_in_use, *rate)]
                    .concat()
            }
            (ValueForm::Delay { nanoseconds_per_cycle }, &[cycles, count]) => {
                vec![count, scale_value(cycles, *nanoseconds_per_cycle)]
            }
            _ => values.to_vec(),
        }
    }
}

/// Parses `1: 1024 [3: 3072]`.
fn heap_values(text: &str) -> Option<Vec<u64>> {
    let numbers = text.split([':', '[', ']', ' ']).filter(|number| !number.is_empty()).map(str::parse);
    numbers.collect::<Result<Vec<_>, _>>().ok().filter(|values| values.len() == 4)
}

/// Estimates all objects and bytes from the sampled ones (`scaleHeapSample` of Go's src/runtime/pprof/protomem.go).
fn estimate_unsampled(objects: u64, bytes: u64, rate: f64) -> [u64; 2] {
    if objects == 0 || bytes == 0 {
        return [0, 0];
    }
    if rate <= 1.0 {
        return [objects, bytes];
    }
    let scale = 1.0 / -(-(to_float(bytes) / to_float(objects)) / rate).exp_m1();
    [scale_value(objects, scale), scale_value(bytes, scale)]
}

#[allow(clippy::as_conversions, reason = "the result is an estimate")]
fn to_float(value: u64) -> f64 {
    value as f64
}

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates"
)]
fn scale_value(value: u64, factor: f64) -> u64 {
    (to_float(value) * factor) as u64
}

/// A record: a stack with its values.
struct Record<'t> {
    /// The values, in the order of the text.
    values: Vec<u64>,
    /// All addresses, without names.
    addresses: Vec<Frame<'t>>,
    /// The frames that have a line of their own, leaf first.
    frames: Vec<Frame<'t>>,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy)]
struct Frame<'t> {
    address: u64,
    name: &'t str,
    file: &'t str,
    /// Line number. 0 if unknown.
    line: u32,
}

impl<'t> Frame<'t> {
    /// Parses `0x49ab2b    main.wait+0x2b        /src/main.go:12`, or the address alone.
    fn parse(text: &'t str) -> Option<Self> {
        let mut columns = text.split('\t').filter(|column| !column.is_empty());
        let address = u64::from_str_radix(columns.next()?.strip_prefix("0x")?, 16).ok()?;
        let Some(name) = columns.next() else { return Some(Self { address, name: "", file: "", line: 0 }) };
        let name = name.rsplit_once("+0x").map_or(name, |(name, _)| name);
        let (file, line) = columns.next()?.rsplit_once(':')?;
        Some(Self { address, name, file, line: u32::try_from(line.parse::<u64>().ok()?).unwrap_or(0) })
    }
}

/// Writer of a profile.proto message. The samples come first, then the tables of the entries that samples use.
struct ProtoWriter<'t> {
    out: MessageWriter,
    strings: Interner<Box<str>>,
    /// Names and source files of functions.
    functions: Interner<(&'t str, &'t str)>,
    /// The address of each location, and its lines: the position in `functions` and the line number.
    locations: Interner<(u64, Vec<(u32, u32)>)>,
}

impl<'t> ProtoWriter<'t> {
    fn new(kind: &TextKind) -> Self {
        let (functions, locations) = (Interner::default(), Interner::default());
        let mut writer = Self { out: MessageWriter::default(), strings: Interner::default(), functions, locations };
        writer.strings.intern_str("");
        for (name, unit) in &kind.types {
            let value_type = ValueType { kind: writer.strings.intern_str(name), unit: writer.strings.intern_str(unit) };
            writer.out.message(profile::SAMPLE_TYPE, |out| value_type.write(out));
        }
        writer
    }

    /// Returns the id of a location with its frames, the innermost inlined call first.
    fn intern_location(&mut self, frames: &[Frame<'t>]) -> u64 {
        let address = frames.first().map_or(0, |frame| frame.address);
        let named = frames.iter().filter(|frame| !frame.name.is_empty());
        let lines = named.map(|frame| (self.functions.intern((frame.name, frame.file)), frame.line)).collect();
        entry_id(self.locations.intern((address, lines)))
    }

    fn add_record(&mut self, kind: &TextKind, record: Option<Record<'t>>) {
        let Some(record) = record else { return };
        let frames = if record.frames.is_empty() { &record.addresses } else { &record.frames };
        // Inlined calls and the function that they are in have the same address.
        let locations = frames.chunk_by(|a, b| a.address == b.address && !record.frames.is_empty());
        let locations: Vec<_> = locations.map(|frames| self.intern_location(frames)).collect();
        let Self { out, strings, .. } = self;
        out.message(profile::SAMPLE, |out| {
            out.packed(sample::LOCATION, locations.into_iter());
            out.packed(sample::VALUE, kind.sample_values(&record.values).into_iter());
            for (key, value) in &record.labels {
                let (key, text) = (strings.intern_str(key), strings.intern_str(value));
                out.message(sample::LABEL, |out| LabelMessage { key, text, ..LabelMessage::default() }.write(out));
            }
        });
    }

    fn finish(mut self, kind: &TextKind) -> Vec<u8> {
        let Self { out, strings, functions, locations } = &mut self;
        for (position, (address, lines)) in (0..).zip(locations.items()) {
            let location = LocationMessage { address: *address, ..LocationMessage::default() };
            let lines = lines.iter().map(|&(function, line)| Line { function: Reference::new(Some(function)), line });
            out.message(profile::LOCATION, |out| location.write(entry_id(position), lines, out));
        }
        for (position, (name, file)) in (0..).zip(functions.items()) {
            let (name, file) = (strings.intern_str(name), strings.intern_str(file));
            let function = FunctionMessage { name, file, ..FunctionMessage::default() };
            out.message(profile::FUNCTION, |out| function.write(entry_id(position), out));
        }
        if let (ValueForm::Heap { .. }, Some((name, _))) = (&kind.form, kind.types.last()) {
            out.number(profile::DEFAULT_SAMPLE_TYPE, strings.intern_str(name).into());
        }
        for text in strings.items() {
            out.text(profile::STRING, text);
        }
        self.out.into_bytes()
    }
}

/// The id of the entry at a position. Ids begin with 1.
fn entry_id(position: u32) -> u64 {
    u64::from(position).saturating_add(1)
}
