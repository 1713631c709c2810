//! `struct perf_event_attr`: the definition of an event and the fields of its records.

use crate::bytes::Cursor;

use super::abi::{event_type, flag, sample_type};

/// `PERF_ATTR_SIZE_VER0`: the size of the shortest attribute, in bytes.
const SIZE_VER0: usize = 64;
/// `PERF_ATTR_SIZE_VER5`: the size that the writer stores, in bytes. perf 6.1 refuses more than 128.
const SIZE_VER5: u32 = 112;

/// The fields of `struct perf_event_attr` (`linux/perf_event.h`) up to version 5, with the kernel's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attr {
    /// `type`: see [`event_type`].
    pub kind: u32,
    /// Number of the event within its type.
    pub config: u64,
    /// Events per sample. If [`flag::FREQ`] is set: samples per second.
    pub sample_period_or_freq: u64,
    /// Fields of a sample: see [`sample_type`].
    pub sample_type: u64,
    /// Layout of counter values: see [`read_format`](super::abi::read_format).
    pub read_format: u64,
    /// The bit fields, the first one in the lowest bit: see [`flag`].
    pub flags: u64,
    /// `wakeup_events` or `wakeup_watermark`.
    pub wakeup: u32,
    /// Breakpoint type.
    pub bp_type: u32,
    /// `config1`, `bp_addr`.
    pub config1: u64,
    /// `config2`, `bp_len`.
    pub config2: u64,
    /// Which branches are recorded, and in which layout: see [`branch`](super::abi::branch).
    pub branch_sample_type: u64,
    /// Mask of the user registers in a sample. `samply import` (0.13.1) panics on a goflame file whose mask
    /// lacks a register of samply's unwinder: BP, SP and IP on x86-64; LR, SP, PC and X29 on arm64.
    pub sample_regs_user: u64,
    /// Bytes of user stack in a sample.
    pub sample_stack_user: u32,
    /// Clock of the time fields if [`flag::USE_CLOCKID`] is set.
    pub clockid: i32,
    /// Mask of the registers at the interrupt.
    pub sample_regs_intr: u64,
    /// Bytes of AUX data before a wake-up.
    pub aux_watermark: u32,
    /// Maximum number of frames in a callchain.
    pub sample_max_stack: u16,
}

/// An event of the file, with the ids in its records. There is an id for each CPU and thread on which the event was
/// opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The name that `perf report` shows, for example `cpu-clock`.
    pub name: String,
    /// The attribute that the event was opened with.
    pub attr: Attr,
    /// Id of each file descriptor of the event, from `PERF_EVENT_IOC_ID`.
    pub ids: Vec<u64>,
}

impl Attr {
    /// Length of the result of [`Attr::encode`], in bytes.
    pub(super) const ENCODED_LEN: u32 = SIZE_VER5;

    /// Whether all of `bits` are set in `sample_type`.
    pub(super) fn has(&self, bits: u64) -> bool {
        self.sample_type & bits == bits
    }

    /// Whether records other than samples end with a sample id.
    pub(super) fn sample_id_all(&self) -> bool {
        self.flags & flag::SAMPLE_ID_ALL != 0
    }

    /// Samples per second. 0 if the event has a fixed period.
    pub fn frequency(&self) -> u64 {
        if self.flags & flag::FREQ == 0 { 0 } else { self.sample_period_or_freq }
    }

    /// Encodes the attribute for a file, in 112 bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.kind.to_le_bytes());
        out.extend(Self::ENCODED_LEN.to_le_bytes());
        for word in [self.config, self.sample_period_or_freq, self.sample_type, self.read_format, self.flags] {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.wakeup.to_le_bytes());
        out.extend(self.bp_type.to_le_bytes());
        for word in [self.config1, self.config2, self.branch_sample_type, self.sample_regs_user] {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.sample_stack_user.to_le_bytes());
        out.extend(self.clockid.to_le_bytes());
        out.extend(self.sample_regs_intr.to_le_bytes());
        out.extend(self.aux_watermark.to_le_bytes());
        out.extend(self.sample_max_stack.to_le_bytes());
        out.extend([0; 2]);
        out
    }

    /// Reads an attribute from the start of `bytes`. Returns the attribute and its size in bytes. Fields that a
    /// shorter, older attribute lacks are 0. Unknown fields of a longer, newer attribute are skipped. `None` if the
    /// attribute is longer than `bytes`, or shorter than the shortest attribute.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut cursor = Cursor::new(bytes);
        let kind = cursor.u32()?;
        // The kernel reads a size of 0 as the first version (perf_copy_attr in kernel/events/core.c).
        let size = match usize::try_from(cursor.u32()?).ok()? {
            0 => SIZE_VER0,
            size => size,
        };
        if size < SIZE_VER0 {
            return None;
        }
        let mut cursor = Cursor::new(bytes.get(..size)?);
        cursor.skip(8)?;
        let mut attr = Self {
            kind,
            config: cursor.u64()?,
            sample_period_or_freq: cursor.u64()?,
            sample_type: cursor.u64()?,
            read_format: cursor.u64()?,
            flags: cursor.u64()?,
            wakeup: cursor.u32()?,
            bp_type: cursor.u32()?,
            config1: cursor.u64()?,
            ..Self::default()
        };
        attr.config2 = cursor.u64().unwrap_or(0);
        attr.branch_sample_type = cursor.u64().unwrap_or(0);
        attr.sample_regs_user = cursor.u64().unwrap_or(0);
        attr.sample_stack_user = cursor.u32().unwrap_or(0);
        attr.clockid = cursor.i32().unwrap_or(0);
        attr.sample_regs_intr = cursor.u64().unwrap_or(0);
        attr.aux_watermark = cursor.u32().unwrap_or(0);
        attr.sample_max_stack = cursor.u16().unwrap_or(0);
        Some((attr, size))
    }

    /// The name of an event for which the file has none. Generic events get the name that perf uses.
    pub(super) fn default_name(&self) -> String {
        const HARDWARE: [&str; 10] = [
            "cycles",
            "instructions",
            "cache-references",
            "cache-misses",
            "branches",
            "branch-misses",
            "bus-cycles",
            "stalled-cycles-frontend",
            "stalled-cycles-backend",
            "ref-cycles",
        ];
        const SOFTWARE: [&str; 12] = [
            "cpu-clock",
            "task-clock",
            "page-faults",
            "context-switches",
            "cpu-migrations",
            "minor-faults",
            "major-faults",
            "alignment-faults",
            "emulation-faults",
            "dummy",
            "bpf-output",
            "cgroup-switches",
        ];
        let names: &[&str] = match self.kind {
            event_type::HARDWARE => &HARDWARE,
            event_type::SOFTWARE => &SOFTWARE,
            _ => &[],
        };
        let known = usize::try_from(self.config).ok().and_then(|config| names.get(config));
        known.map_or_else(|| format!("type {} config {:#x}", self.kind, self.config), |name| (*name).to_owned())
    }

    /// The period of a sample that does not contain one.
    pub(super) fn fixed_period(&self) -> u64 {
        // With a frequency, the period varies, and only the field PERF_SAMPLE_PERIOD contains it. Without this field, a
        // sample counts as one event.
        if self.flags & flag::FREQ != 0 { 1 } else { self.sample_period_or_freq }
    }

    /// The number of fields (8 bytes each) before `field` in a sample. `field` must be in [`SAMPLE_FIELDS`].
    pub(super) fn fields_before(&self, field: u64) -> usize {
        SAMPLE_FIELDS.iter().take_while(|before| **before != field).filter(|before| self.has(**before)).count()
    }

    /// The number of `bits` that are set in `sample_type`. Each bit means a field of 8 bytes.
    pub(super) fn field_count(&self, bits: &[u64]) -> usize {
        bits.iter().filter(|bit| self.has(**bit)).count()
    }
}

/// The fields at the start of a sample, in the order of `PERF_RECORD_SAMPLE` (`perf_event.h`). Each takes 8 bytes.
const SAMPLE_FIELDS: [u64; 9] = [
    sample_type::IDENTIFIER,
    sample_type::IP,
    sample_type::TID,
    sample_type::TIME,
    sample_type::ADDR,
    sample_type::ID,
    sample_type::STREAM_ID,
    sample_type::CPU,
    sample_type::PERIOD,
];

/// The fields of a sample id (`struct sample_id`), in the order of the struct. Each takes 8 bytes.
pub(super) const SAMPLE_ID_FIELDS: [u64; 6] = [
    sample_type::TID,
    sample_type::TIME,
    sample_type::ID,
    sample_type::STREAM_ID,
    sample_type::CPU,
    sample_type::IDENTIFIER,
];
