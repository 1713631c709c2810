//! Chrome's trace event format, in JSON: the call tree of each thread over time, for Perfetto and `chrome://tracing`.
//!
//! The length of a sample on the time line is its weight, if weights are times. A function on the stack of consecutive
//! samples is one slice. So the slices of a function that is not recursive add up to its cumulative weight. Samples
//! that overlap, or that have a short gap between them, are moved until they touch. Without known times, samples follow
//! one another in any order.

use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, Write};
use std::rc::Rc;

use super::document::Document;
use super::name;
use crate::profile::{Profile, Unit};
use crate::views::{CallPaths, Moment, ThreadMoments};

/// Writes the trace.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let profile = document.view.profile();
    let paths = CallPaths::new(profile);
    let threads = document.view.moments_of_threads(&paths);
    let (names, callers) = (frame_names(profile, &paths), paths.callers());
    let mut trace = Trace { out: BufWriter::new(out), separator: "\n", names, callers };
    let other = serde_json::json!({
        "title": name::clean_name(document.title),
        "event": name::clean_name(&document.subtitle()),
        "exporter": concat!("goflame ", env!("CARGO_PKG_VERSION")),
        "lengths": explain_lengths(profile),
        "times": if profile.timed_samples().is_some() { "known" } else { "unknown: samples follow one another" },
    });
    write!(trace.out, r#"{{"displayTimeUnit":"ms","otherData":{other},"traceEvents":["#)?;
    for thread in &threads {
        trace.write_thread(profile, thread)?;
    }
    trace.out.write_all(b"\n]}\n")?;
    trace.out.flush()
}

/// Explains to the reader of the trace what the length of a slice means.
fn explain_lengths(profile: &Profile) -> &'static str {
    match (profile.event.unit, profile.event.is_sampled(), profile.event.frequency) {
        (Unit::Nanoseconds, ..) => "time",
        (_, true, 1..) => "samples: each is as long as the time between two samples",
        (_, true, 0) => "samples: each is 1 ms long",
        (Unit::Bytes, ..) => "bytes: each is 1 ns long",
        (Unit::Events, ..) => "events: each is 1 ns long",
    }
}

/// Returns for each path the JSON of its function's name and origin.
fn frame_names(profile: &Profile, paths: &CallPaths) -> Vec<Rc<str>> {
    let names = profile.functions().map(|(_, function)| {
        let name = serde_json::Value::from(name::clean_name(profile.str(function.display)));
        let origin = serde_json::json!(function.origin);
        Rc::from(format!(r#""name":{name},"cat":{origin}"#))
    });
    let names: Vec<Rc<str>> = names.collect();
    paths.functions.iter().map(|id| Rc::clone(&names[id.index()])).collect()
}

struct Trace<'a> {
    out: BufWriter<&'a mut dyn Write>,
    /// Text before the next event.
    separator: &'static str,
    /// By path: the JSON of its function's name and origin.
    names: Vec<Rc<str>>,
    /// By path: the path of its caller.
    callers: Vec<Option<u32>>,
}

impl Trace<'_> {
    fn write_thread(&mut self, profile: &Profile, thread: &ThreadMoments) -> io::Result<()> {
        let task = profile.task(thread.task);
        let ids = format!(r#""pid":{},"tid":{}"#, thread.pid, thread.tid);
        let name = serde_json::Value::from(name::clean_name(profile.str(task.process)));
        for kind in ["process_name", "thread_name"] {
            self.write_event("M", format_args!(r#""name":"{kind}","args":{{"name":{name}}}"#), &ids)?;
        }
        let mut open: Vec<u32> = Vec::new();
        let mut end = 0_u64;
        let mut ts = String::new();
        for moment in &thread.moments {
            let length = length_ns(profile, moment);
            let start = moment.time.map_or(end, |time| if time > end.saturating_add(length) { time } else { end });
            let mut stack: Vec<u32> = std::iter::successors(moment.path, |path| self.callers[*path as usize]).collect();
            stack.reverse();
            let kept = if start > end { 0 } else { open.iter().zip(&stack).take_while(|(a, b)| a == b).count() };
            format_microseconds(&mut ts, end);
            for _ in open.drain(kept..) {
                self.write_event("E", format_args!(r#""ts":{ts}"#), &ids)?;
            }
            format_microseconds(&mut ts, start);
            for path in &stack[kept..] {
                let name = Rc::clone(&self.names[*path as usize]);
                self.write_event("B", format_args!(r#"{name},"ts":{ts}"#), &ids)?;
            }
            open = stack;
            end = start.saturating_add(length);
        }
        format_microseconds(&mut ts, end);
        for _ in open {
            self.write_event("E", format_args!(r#""ts":{ts}"#), &ids)?;
        }
        Ok(())
    }

    fn write_event(&mut self, kind: &str, fields: fmt::Arguments<'_>, ids: &str) -> io::Result<()> {
        write!(self.out, r#"{}{{"ph":"{kind}",{fields},{ids}}}"#, std::mem::replace(&mut self.separator, ",\n"))
    }
}

/// Returns the length of a sample in nanoseconds.
fn length_ns(profile: &Profile, moment: &Moment) -> u64 {
    let event = &profile.event;
    if event.unit == Unit::Nanoseconds || !event.is_sampled() {
        return moment.weight;
    }
    moment.count.saturating_mul(1_000_000_000_u64.checked_div(event.frequency).unwrap_or(1_000_000))
}

/// Replaces a text by a time in microseconds, the format's unit of time.
fn format_microseconds(text: &mut String, nanoseconds: u64) {
    text.clear();
    // Writing to a string cannot fail.
    let _ = write!(text, "{}.{:03}", nanoseconds / 1000, nanoseconds % 1000);
}
