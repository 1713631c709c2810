//! Samples: the fields that are set in `sample_type`, in the kernel's order.

use crate::bytes::Cursor;

use super::abi::{branch, read_format, sample_type};
use super::attr::Attr;
use super::cpu_mode::CpuMode;

/// A sample. A field that the event does not record is `None` or empty.
///
/// For a group that reads the values of its members (`perf record -e '{a,b}:S'`), the kernel writes only samples of the
/// leader. `perf script` computes the samples of the members, which are not in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Index into [`PerfData::events`](super::PerfData::events).
    pub event: usize,
    /// The CPU mode of `ip`.
    pub cpu_mode: CpuMode,
    /// Instruction pointer.
    pub ip: Option<u64>,
    /// Process id.
    pub pid: Option<i32>,
    /// Thread id.
    pub tid: Option<i32>,
    /// Time in nanoseconds of the event's clock.
    pub time: Option<u64>,
    /// CPU.
    pub cpu: Option<u32>,
    /// Unused bits next to the CPU. In a [rewritten](super::Rewriting) recording: [`SampleFacts`](super::SampleFacts).
    pub bits_beside_cpu: u32,
    /// The number of events that the sample represents (nanoseconds, for `cpu-clock`): the period in the sample,
    /// else the event's fixed period, else 1 (for a frequency without `PERF_SAMPLE_PERIOD`).
    pub period: u64,
    /// The bytes of the body before the callchain and its length.
    pub bytes_before_callchain: &'a [u8],
    /// Addresses, leaf first.
    pub callchain: Callchain<'a>,
    /// User registers. `None` also for a thread without them (a kernel thread).
    pub user_regs: Option<UserRegs<'a>>,
    /// The user stack from the stack pointer upwards, without the bytes that the kernel could not copy.
    pub user_stack: Option<&'a [u8]>,
}

/// The addresses of a callchain, leaf first, as the kernel wrote them. [`context`](super::abi::context) markers
/// are between them. The first address of a context is exact, all others are return addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callchain<'a> {
    words: &'a [RawAddress],
}

/// An address as stored in the file: little-endian and not aligned.
pub type RawAddress = [u8; 8];

impl<'a> Callchain<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { words: bytes.as_chunks().0 }
    }

    /// The words that the iterator has not returned yet.
    pub fn raw_addresses(&self) -> &'a [RawAddress] {
        self.words
    }
}

impl Iterator for Callchain<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (first, words) = self.words.split_first()?;
        self.words = words;
        Some(u64::from_le_bytes(*first))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.words.len(), Some(self.words.len()))
    }
}

impl ExactSizeIterator for Callchain<'_> {}

impl DoubleEndedIterator for Callchain<'_> {
    fn next_back(&mut self) -> Option<u64> {
        let (last, words) = self.words.split_last()?;
        self.words = words;
        Some(u64::from_le_bytes(*last))
    }
}

/// Registers of the sampled thread in user mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRegs<'a> {
    /// `PERF_SAMPLE_REGS_ABI_*`: 1 for a 32-bit thread, 2 for a 64-bit one.
    pub abi: u64,
    /// Mask of the sampled registers: `sample_regs_user` of the event.
    pub mask: u64,
    values: &'a [u8],
}

impl UserRegs<'_> {
    /// The register with this number in `asm/perf_regs.h`. `None` if it was not sampled.
    pub fn get(&self, bit: u32) -> Option<u64> {
        let register = 1_u64.checked_shl(bit)?;
        if self.mask & register == 0 {
            return None;
        }
        let before = (self.mask & register.checked_sub(1)?).count_ones();
        let start = usize::try_from(before).ok()?.checked_mul(8)?;
        Cursor::from_offset(self.values, start)?.u64()
    }
}

/// Decodes the body of a `PERF_RECORD_SAMPLE` of the event with this index and attribute. A recorder also calls this
/// for samples that are not in a file yet. `None` if the body is shorter than its length fields say.
///
/// goflame uses no field after the user stack (weight, data source, interrupt registers, physical address, AUX and
/// so on), so decoding stops there.
pub fn decode_sample<'a>(body: &'a [u8], misc: u16, event: usize, attr: &Attr) -> Option<Sample<'a>> {
    let mut sample = Sample {
        event,
        cpu_mode: CpuMode::from_misc(misc),
        ip: None,
        pid: None,
        tid: None,
        time: None,
        cpu: None,
        bits_beside_cpu: 0,
        period: attr.fixed_period(),
        bytes_before_callchain: &[],
        callchain: Callchain::new(&[]),
        user_regs: None,
        user_stack: None,
    };
    let mut cursor = Cursor::new(body);
    if attr.has(sample_type::IDENTIFIER) {
        cursor.u64()?;
    }
    if attr.has(sample_type::IP) {
        sample.ip = Some(cursor.u64()?);
    }
    if attr.has(sample_type::TID) {
        sample.pid = Some(cursor.i32()?);
        sample.tid = Some(cursor.i32()?);
    }
    if attr.has(sample_type::TIME) {
        sample.time = Some(cursor.u64()?);
    }
    for bit in [sample_type::ADDR, sample_type::ID, sample_type::STREAM_ID] {
        if attr.has(bit) {
            cursor.u64()?;
        }
    }
    if attr.has(sample_type::CPU) {
        sample.cpu = Some(cursor.u32()?);
        sample.bits_beside_cpu = cursor.u32()?;
    }
    if attr.has(sample_type::PERIOD) {
        sample.period = cursor.u64()?;
    }
    if attr.has(sample_type::READ) {
        skip_counters(&mut cursor, attr.read_format)?;
    }
    sample.bytes_before_callchain = body.get(..body.len().checked_sub(cursor.remaining())?)?;
    if attr.has(sample_type::CALLCHAIN) {
        let frames = cursor.u64()?;
        sample.callchain = Callchain::new(cursor.take_u64(frames.checked_mul(8)?)?);
    }
    if attr.has(sample_type::RAW) {
        let size = cursor.u32()?;
        cursor.take_u64(u64::from(size))?;
    }
    if attr.has(sample_type::BRANCH_STACK) {
        skip_branches(&mut cursor, attr.branch_sample_type)?;
    }
    if attr.has(sample_type::REGS_USER) {
        let (abi, mask) = (cursor.u64()?, attr.sample_regs_user);
        if abi != 0 {
            let values = cursor.take_u64(u64::from(mask.count_ones()).checked_mul(8)?)?;
            sample.user_regs = Some(UserRegs { abi, mask, values });
        }
    }
    if attr.has(sample_type::STACK_USER) {
        let size = cursor.u64()?;
        // If the kernel copied no bytes, it does not write the number of copied bytes.
        if size != 0 {
            let stack = cursor.take_u64(size)?;
            sample.user_stack = Some(stack.get(..usize::try_from(cursor.u64()?).ok()?)?);
        }
    }
    Some(sample)
}

/// Skips counter values (`struct read_format`).
fn skip_counters(cursor: &mut Cursor<'_>, format: u64) -> Option<()> {
    let has = |bit: u64| u64::from(format & bit != 0);
    let times = has(read_format::TOTAL_TIME_ENABLED).checked_add(has(read_format::TOTAL_TIME_RUNNING))?;
    let per_value = has(read_format::ID).checked_add(has(read_format::LOST))?.checked_add(1)?;
    let values = if format & read_format::GROUP == 0 { 1 } else { cursor.u64()? };
    let words = values.checked_mul(per_value)?.checked_add(times)?;
    cursor.take_u64(words.checked_mul(8)?).map(|_| ())
}

/// Skips a branch stack: entries of 24 bytes, and the fields that [`branch`] bits add. As in perf, there is a hardware
/// index even when there are no entries.
fn skip_branches(cursor: &mut Cursor<'_>, branch_sample_type: u64) -> Option<()> {
    let entries = cursor.u64()?;
    if branch_sample_type & branch::HW_INDEX != 0 {
        cursor.u64()?;
    }
    let entry = if branch_sample_type & branch::COUNTERS == 0 { 24 } else { 32 };
    cursor.take_u64(entries.checked_mul(entry)?).map(|_| ())
}
