//! Recordings that goflame has rewritten after the analysis. Samples have the repaired callchain. Their registers and
//! stack copies, which contain memory of the program, are removed.
//!
//! Facts that the analysis found in the removed fields are kept. Facts about a sample are in the unused bits next to
//! the sample's CPU. Facts about the whole recording are in a feature section of goflame. Other programs ignore both.

use super::abi::{RECORD_HEADER, flag, record_type, sample_type};
use super::attr::{Attr, Event};
use super::record::Record;
use super::sample::{RawAddress, Sample};
use crate::bytes::Cursor;

/// First bytes of the feature section.
const MAGIC: &[u8; 8] = b"goflame\0";
/// Version of the section and of [`SampleFacts`].
const VERSION: u32 = 1;
/// Bytes of a field of a sample or of a sample id.
const FIELD_BYTES: usize = 8;

/// Facts about a whole rewritten recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Requested samples per second. 0 if the event has a fixed period.
    pub frequency: u64,
    /// Minimum size of stack copies, in bytes, with which each sample with [`SHORT_COPY`](SampleFacts::SHORT_COPY)
    /// would contain its next return address.
    pub needed_copy_bytes: u64,
    /// The goroutines of the samples. [`SampleFacts::goroutine`] is a position in this list.
    pub goroutines: Vec<KnownGoroutine>,
    /// Different sets of profiler labels, as names and values. [`KnownGoroutine::labels`] is a position in this list.
    pub label_sets: Vec<Vec<(String, String)>>,
}

/// A goroutine of a sample. Addresses are those of its process. Unknown numbers and addresses are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct KnownGoroutine {
    /// Process id.
    pub pid: u32,
    /// Address of the descriptor.
    pub address: u64,
    /// Goroutine number.
    pub id: u64,
    /// An address in the function that the goroutine was started with.
    pub start: u64,
    /// Address of the call in the `go` statement that created the goroutine.
    pub creator: u64,
    /// Position of the goroutine's labels in [`Repairs::label_sets`]. The first set is empty.
    pub labels: u32,
}

impl Repairs {
    /// Encodes the feature section.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(u32::try_from(self.goroutines.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(self.frequency.to_le_bytes());
        out.extend(self.needed_copy_bytes.to_le_bytes());
        for KnownGoroutine { pid, address, id, start, creator, .. } in &self.goroutines {
            for word in [u64::from(*pid), *address, *id, *start, *creator] {
                out.extend(word.to_le_bytes());
            }
        }
        if !self.label_sets.is_empty() {
            self.encode_labels(&mut out);
        }
        out
    }

    /// Appends the labels after the goroutines. Older versions of goflame do not know labels, but can read the
    /// goroutines.
    fn encode_labels(&self, out: &mut Vec<u8>) {
        let mut number = |number: usize| out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        for goroutine in &self.goroutines {
            number(usize::try_from(goroutine.labels).unwrap_or(0));
        }
        number(self.label_sets.len());
        for set in &self.label_sets {
            out.extend(u32::try_from(set.len()).unwrap_or(u32::MAX).to_le_bytes());
            for text in set.iter().flat_map(|(name, value)| [name, value]) {
                out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                out.extend(text.as_bytes());
            }
        }
    }

    /// Reads the feature section. `None` if it is damaged or of another version.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len())? != MAGIC || cursor.u32()? != VERSION {
            return None;
        }
        let count = cursor.u32()?;
        let (frequency, needed_copy_bytes) = (cursor.u64()?, cursor.u64()?);
        // The count can be wrong: reading stops at the end of the bytes.
        let goroutine = |_| {
            let [pid, address, id, start, creator] =
                [cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?];
            Some(KnownGoroutine { pid: u32::try_from(pid).ok()?, address, id, start, creator, labels: 0 })
        };
        let mut goroutines = (0..count).map(goroutine).collect::<Option<Vec<_>>>()?;
        let mut label_sets = Vec::new();
        if cursor.remaining() > 0 {
            for goroutine in &mut goroutines {
                goroutine.labels = cursor.u32()?;
            }
            label_sets = read_label_sets(&mut cursor)?;
        }
        Some(Self { frequency, needed_copy_bytes, goroutines, label_sets })
    }
}

fn read_label_sets(cursor: &mut Cursor<'_>) -> Option<Vec<Vec<(String, String)>>> {
    fn text(cursor: &mut Cursor<'_>) -> Option<String> {
        let length = usize::try_from(cursor.u32()?).ok()?;
        Some(String::from_utf8_lossy(cursor.take(length)?).into_owned())
    }
    let sets = cursor.u32()?;
    let mut set = |_| {
        let labels = cursor.u32()?;
        (0..labels).map(|_| Some((text(cursor)?, text(cursor)?))).collect::<Option<Vec<_>>>()
    };
    (0..sets).map(&mut set).collect()
}

/// Facts about a sample that its registers and its stack copy showed, as one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SampleFacts(u32);

impl SampleFacts {
    /// The sample had registers and a stack copy that fit the callchain.
    pub const COPIED: u32 = 1;
    /// Missing or wrong frames of the callchain were corrected with the stack copy.
    pub const REPAIRED: u32 = 1 << 1;
    /// The callchain lacks frames that could not be restored.
    pub const CUT: u32 = 1 << 2;
    /// The kernel's callchain was as deep as its limit.
    pub const TRUNCATED: u32 = 1 << 3;
    /// A goroutine ran, in a process whose goroutine descriptors were read.
    pub const OF_GOROUTINE: u32 = 1 << 4;
    /// The goroutine register held neither the goroutine's descriptor nor the descriptor of the thread.
    pub const FOREIGN_REGISTER: u32 = 1 << 5;
    /// The stack copy was too short for the next caller.
    pub const SHORT_COPY: u32 = 1 << 6;
    /// The callers are unknown because C code has another value in the frame pointer register.
    pub const NATIVE_CODE: u32 = 1 << 7;
    /// The labels can have changed between the sample and their reading.
    pub const LATE_LABELS: u32 = 1 << 8;

    /// Number of bits for flags.
    const FLAG_BITS: u32 = 10;
    /// Maximum number of goroutines in a recording.
    pub const MAX_GOROUTINES: usize = (1 << (u32::BITS - Self::FLAG_BITS)) - 1;

    /// Sets a flag if `value` is true. Otherwise changes nothing.
    pub fn set(&mut self, flag: u32, value: bool) {
        self.0 |= if value { flag } else { 0 };
    }

    /// Whether a flag is set.
    pub fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// Position of the goroutine in [`Repairs::goroutines`]. `None` if no goroutine is known for the sample.
    pub fn goroutine(self) -> Option<usize> {
        usize::try_from(self.0 >> Self::FLAG_BITS).ok()?.checked_sub(1)
    }

    /// The same facts with this goroutine. `None` if it is beyond [`SampleFacts::MAX_GOROUTINES`].
    pub fn with_goroutine(self, position: Option<usize>) -> Option<Self> {
        let number = position.map_or(Some(0), |position| position.checked_add(1))?;
        let number = u32::try_from(number).ok().filter(|_| number <= Self::MAX_GOROUTINES)?;
        let flags = self.0 & 1_u32.wrapping_shl(Self::FLAG_BITS).wrapping_sub(1);
        Some(Self(flags | number.checked_shl(Self::FLAG_BITS)?))
    }

    /// Reads the facts of a sample of a rewritten recording.
    pub fn from_sample(sample: &Sample<'_>) -> Self {
        Self(sample.bits_beside_cpu)
    }
}

/// How the records of a recording are rewritten.
#[derive(Debug, Clone, Copy)]
pub struct Rewriting {
    /// Offset of the facts in the body of a rewritten sample.
    facts_at: usize,
    /// Number of bytes of the event id at the start of a sample, and at the end of any other record. The ids are
    /// removed, because a rewritten file has only one event.
    id_in_sample: usize,
    id_in_others: usize,
    /// Number of bytes of the period, which follows the facts.
    period: usize,
}

impl Rewriting {
    /// `None` if the recording does not have exactly one event, or if its samples do not contain the CPU and the
    /// callchain.
    pub fn new(events: &[Event]) -> Option<Self> {
        let [Event { attr, .. }] = events else { return None };
        attr.has(sample_type::CPU | sample_type::CALLCHAIN).then_some(())?;
        let id_in_sample = attr.field_count(&[sample_type::IDENTIFIER]).checked_mul(FIELD_BYTES)?;
        let after_id = |field| attr.fields_before(field).checked_mul(FIELD_BYTES)?.checked_sub(id_in_sample);
        Some(Self {
            facts_at: after_id(sample_type::CPU)?.checked_add(4)?,
            id_in_sample,
            id_in_others: if attr.sample_id_all() { id_in_sample } else { 0 },
            period: attr.field_count(&[sample_type::PERIOD]).checked_mul(FIELD_BYTES)?,
        })
    }

    /// The event of rewritten samples. These have no field after the callchain, and no period if all samples have the
    /// same period.
    pub fn rewritten_event(event: &Event, common_period: Option<u64>) -> Event {
        const KEPT: u64 = sample_type::IP
            | sample_type::TID
            | sample_type::TIME
            | sample_type::ADDR
            | sample_type::READ
            | sample_type::CALLCHAIN
            | sample_type::ID
            | sample_type::CPU
            | sample_type::PERIOD
            | sample_type::STREAM_ID;
        let (kept, flags, period_or_freq) = match common_period {
            Some(period) => (KEPT & !sample_type::PERIOD, event.attr.flags & !flag::FREQ, period),
            None => (KEPT, event.attr.flags, event.attr.sample_period_or_freq),
        };
        let attr = Attr {
            sample_type: event.attr.sample_type & kept,
            flags,
            sample_period_or_freq: period_or_freq,
            branch_sample_type: 0,
            sample_regs_user: 0,
            sample_stack_user: 0,
            sample_regs_intr: 0,
            ..event.attr.clone()
        };
        Event { attr, ..event.clone() }
    }

    /// Appends a rewritten sample with its header. The parts of `callchain` are joined. `None` if the sample is too
    /// long for the format. Then `out` ends with a part of the sample.
    pub fn write_sample(
        &self,
        record: &Record<'_>,
        sample: &Sample<'_>,
        callchain: [&[RawAddress]; 4],
        facts: SampleFacts,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let head = sample.bytes_before_callchain.get(self.id_in_sample..)?;
        let length: usize = callchain.iter().map(|part| part.len()).sum();
        let size = length
            .checked_mul(FIELD_BYTES)?
            .checked_add(head.len())?
            .checked_add(RECORD_HEADER)?
            .checked_add(FIELD_BYTES)?;
        out.extend(record_type::SAMPLE.to_le_bytes());
        out.extend(record.misc.to_le_bytes());
        out.extend(u16::try_from(size).ok()?.to_le_bytes());
        let body = out.len();
        out.extend(head);
        out.extend(u64::try_from(length).ok()?.to_le_bytes());
        for part in callchain {
            out.extend(part.as_flattened());
        }
        self.change_facts(out.get_mut(body..)?, |_| Some(facts))
    }

    /// Appends a record other than a sample. `bytes` is the record with its header.
    pub fn write_other(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let kept = bytes.len().checked_sub(self.id_in_others)?;
        out.extend(bytes.get(..RECORD_HEADER.checked_sub(2)?)?);
        out.extend(u16::try_from(kept).ok()?.to_le_bytes());
        out.extend(bytes.get(RECORD_HEADER..kept)?);
        Some(())
    }

    /// Whether rewritten samples contain a period.
    pub fn has_period(&self) -> bool {
        self.period > 0
    }

    /// Removes the period from the body of a rewritten sample.
    pub fn remove_period(&self, body: &mut Vec<u8>) {
        let start = self.facts_at.saturating_add(4);
        let end = start.saturating_add(self.period);
        if end <= body.len() {
            body.drain(start..end);
        }
    }

    /// Replaces the facts in the body of a rewritten sample. `None` if the body is too short, or if
    /// `change` returns `None`.
    pub fn change_facts(&self, body: &mut [u8], change: impl FnOnce(SampleFacts) -> Option<SampleFacts>) -> Option<()> {
        let facts = body.get_mut(self.facts_at..)?.first_chunk_mut()?;
        *facts = change(SampleFacts(u32::from_le_bytes(*facts)))?.0.to_le_bytes();
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use super::{KnownGoroutine, Repairs, SampleFacts};

    fn repairs() -> Repairs {
        let goroutine = KnownGoroutine { pid: 7, address: 0xc000_0000, id: 1, start: 0x40_1000, creator: 0, labels: 0 };
        Repairs {
            frequency: 997,
            needed_copy_bytes: 4096,
            goroutines: vec![goroutine, KnownGoroutine { id: 2, labels: 1, ..goroutine }],
            label_sets: vec![Vec::new(), vec![("tenant".into(), "é".into()), (String::new(), "x".into())]],
        }
    }

    fn without_labels() -> Repairs {
        let Repairs { goroutines, .. } = repairs();
        let goroutines = goroutines.into_iter().map(|goroutine| KnownGoroutine { labels: 0, ..goroutine }).collect();
        Repairs { goroutines, label_sets: Vec::new(), ..repairs() }
    }

    #[test]
    fn a_section_gives_back_its_repairs() {
        assert_eq!(Repairs::parse(&repairs().encode()), Some(repairs()));
        assert_eq!(Repairs::parse(&without_labels().encode()), Some(without_labels()));
    }

    #[test]
    fn a_cut_or_damaged_section_is_no_section() {
        let (bytes, before_labels) = (repairs().encode(), without_labels().encode().len());
        for end in (0..bytes.len()).filter(|end| *end != before_labels) {
            assert_eq!(Repairs::parse(&bytes[..end]), None, "{end} bytes");
        }
        for at in 0..16 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x80;
            assert_ne!(Repairs::parse(&damaged), Some(repairs()), "byte {at}");
        }
    }

    #[test]
    fn facts_are_one_number() {
        let mut facts = SampleFacts::default();
        facts.set(SampleFacts::COPIED, true);
        facts.set(SampleFacts::CUT, true);
        facts.set(SampleFacts::REPAIRED, false);
        assert_eq!(facts.goroutine(), None);
        let last = SampleFacts::MAX_GOROUTINES - 1;
        for goroutine in [Some(0), Some(77), Some(last), None] {
            let facts = facts.with_goroutine(goroutine).expect("few goroutines");
            assert_eq!(facts.goroutine(), goroutine);
            let flags = [SampleFacts::COPIED, SampleFacts::CUT, SampleFacts::REPAIRED, SampleFacts::NATIVE_CODE];
            assert_eq!(flags.map(|flag| facts.has(flag)), [true, true, false, false]);
        }
        assert_eq!(facts.with_goroutine(Some(last + 1)), None);
    }
}
