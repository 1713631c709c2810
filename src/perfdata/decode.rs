//! Decodes the bytes of a record into a [`Record`].

use crate::bytes::Cursor;

use super::abi::{misc, record_type};
use super::layout::{RawRecord, RecordLayout, split_sample_id};
use super::record::{Inode, Mmap, Record, RecordKind, SampleId, TaskEvent};
use super::sample;

/// `PROT_EXEC` of `mmap(2)`.
const PROT_EXEC: u32 = 4;

/// Decodes a record that the kernel wrote. `None` if the record is damaged, or a sample of an unknown event.
pub(super) fn decode_record<'a>(raw: &RawRecord<'a>, layout: &RecordLayout) -> Option<Record<'a>> {
    let (event, attr) = layout.event_of_record(raw)?;
    let offset = u64::try_from(raw.offset).ok()?;
    if raw.kind == record_type::SAMPLE {
        let sample = sample::decode_sample(raw.body, raw.misc, event, attr)?;
        let (time, cpu) = (sample.time, sample.cpu);
        return Some(Record { offset, time, cpu, misc: raw.misc, kind: RecordKind::Sample(sample) });
    }
    let (fields, id) = split_sample_id(raw.body, attr)?;
    let (tid, time, cpu) =
        if attr.sample_id_all() { SampleId::thread_time_and_cpu(attr, id)? } else { (None, None, None) };
    Some(Record { offset, time, cpu, misc: raw.misc, kind: decode_kind(raw, fields, tid)? })
}

fn decode_kind<'a>(raw: &RawRecord<'a>, fields: &'a [u8], tid: Option<i32>) -> Option<RecordKind<'a>> {
    let mut cursor = Cursor::new(fields);
    let has = |bit: u16| raw.misc & bit != 0;
    Some(match raw.kind {
        record_type::MMAP => RecordKind::Mmap(decode_mmap(&mut cursor, raw.misc)?),
        record_type::MMAP2 => RecordKind::Mmap(decode_mmap2(&mut cursor, raw.misc)?),
        record_type::COMM => RecordKind::Comm {
            pid: cursor.i32()?,
            tid: cursor.i32()?,
            exec: has(misc::COMM_EXEC),
            name: text_before_nul(cursor.unread()),
        },
        record_type::FORK => RecordKind::Fork(decode_task(&mut cursor)?),
        record_type::EXIT => RecordKind::Exit(decode_task(&mut cursor)?),
        record_type::LOST => RecordKind::Lost { id: cursor.u64()?, lost: cursor.u64()? },
        record_type::LOST_SAMPLES => RecordKind::LostSamples { lost: cursor.u64()? },
        record_type::THROTTLE => RecordKind::Throttle { id: throttled_id(&mut cursor)? },
        record_type::UNTHROTTLE => RecordKind::Unthrottle { id: throttled_id(&mut cursor)? },
        record_type::SWITCH | record_type::SWITCH_CPU_WIDE => RecordKind::Switch {
            tid,
            out: has(misc::SWITCH_OUT),
            preempted: has(misc::SWITCH_OUT_PREEMPT),
            other: match raw.kind {
                record_type::SWITCH => None,
                _ => Some((cursor.i32()?, cursor.i32()?)),
            },
        },
        record_type::KSYMBOL => decode_kernel_code(&mut cursor)?,
        kind => RecordKind::Other { kind },
    })
}

fn decode_kernel_code<'a>(cursor: &mut Cursor<'a>) -> Option<RecordKind<'a>> {
    /// `PERF_RECORD_KSYMBOL_TYPE_BPF`.
    const BPF: u16 = 1;
    /// `PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER`.
    const UNREGISTER: u16 = 1;
    let (start, len, kind, flags) = (cursor.u64()?, cursor.u32()?, cursor.u16()?, cursor.u16()?);
    if flags & UNREGISTER != 0 {
        return Some(RecordKind::Other { kind: record_type::KSYMBOL });
    }
    Some(RecordKind::KernelCode { start, len, bpf: kind == BPF, name: text_before_nul(cursor.unread()) })
}

/// Decodes the body of a MMAP or MMAP2 record of the kernel. `None` for other records, and for a body that is too
/// short.
pub fn decode_mapping(kind: u32, misc: u16, body: &[u8]) -> Option<Mmap<'_>> {
    match kind {
        record_type::MMAP => decode_mmap(&mut Cursor::new(body), misc),
        record_type::MMAP2 => decode_mmap2(&mut Cursor::new(body), misc),
        _ => None,
    }
}

/// The fields that MMAP and MMAP2 have in common.
fn common_mmap_fields<'a>(cursor: &mut Cursor<'a>) -> Option<Mmap<'a>> {
    Some(Mmap {
        pid: cursor.i32()?,
        tid: cursor.i32()?,
        start: cursor.u64()?,
        len: cursor.u64()?,
        pgoff: cursor.u64()?,
        ..Mmap::default()
    })
}

fn decode_mmap<'a>(cursor: &mut Cursor<'a>, bits: u16) -> Option<Mmap<'a>> {
    let map = common_mmap_fields(cursor)?;
    Some(Mmap { is_executable: bits & misc::MMAP_DATA == 0, path: text_before_nul(cursor.unread()), ..map })
}

fn decode_mmap2<'a>(cursor: &mut Cursor<'a>, bits: u16) -> Option<Mmap<'a>> {
    let mut map = common_mmap_fields(cursor)?;
    let mut file = Cursor::new(cursor.take(24)?);
    if bits & misc::MMAP_BUILD_ID == 0 {
        map.inode = Some(Inode { major: file.u32()?, minor: file.u32()?, inode: file.u64()?, generation: file.u64()? });
    } else {
        let size = usize::from(file.u8()?);
        file.skip(3)?;
        map.build_id = file.unread().get(..size).filter(|id| !id.is_empty());
    }
    map.is_executable = cursor.u32()? & PROT_EXEC != 0;
    cursor.u32()?;
    map.path = text_before_nul(cursor.unread());
    Some(map)
}

fn decode_task(cursor: &mut Cursor<'_>) -> Option<TaskEvent> {
    Some(TaskEvent {
        pid: cursor.i32()?,
        ppid: cursor.i32()?,
        tid: cursor.i32()?,
        ptid: cursor.i32()?,
        time: cursor.u64()?,
    })
}

/// The event id of a throttle record, which follows the time.
fn throttled_id(cursor: &mut Cursor<'_>) -> Option<u64> {
    cursor.u64()?;
    cursor.u64()
}

/// A name without its padding. The kernel pads names with NULs to a multiple of eight bytes.
fn text_before_nul(bytes: &[u8]) -> &[u8] {
    Cursor::new(bytes).cstr().unwrap_or(bytes)
}
