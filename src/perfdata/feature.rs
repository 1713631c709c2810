//! Feature sections: metadata of the recording (machine, command, time, build ids). Layouts as in the functions
//! `write_*` and `process_*` of `tools/perf/util/header.c`.

use crate::bytes::Cursor;

use super::abi::{feature, misc, record_type};
use super::attr::{Attr, Event};
use super::cpu_mode::CpuMode;
use super::repairs::Repairs;

/// perf pads strings to a multiple of this number of bytes (`NAME_ALIGN`).
const STRING_ALIGN: usize = 64;
/// Bytes of a `build_id_event` before its file name.
const BUILD_ID_EVENT_HEAD: usize = 36;

/// Metadata of a recording. A value that the file does not contain is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// `uname -n`.
    pub hostname: Option<String>,
    /// `uname -r`.
    pub os_release: Option<String>,
    /// Version of the recording program.
    pub version: Option<String>,
    /// `uname -m`.
    pub arch: Option<String>,
    /// Number of CPUs of the machine.
    pub nr_cpus: Option<CpuCount>,
    /// Model name of the CPU.
    pub cpu_desc: Option<String>,
    /// Command line of the recording program.
    pub cmdline: Vec<String>,
    /// Build ids of the files that were mapped.
    pub build_ids: Vec<BuildId>,
    /// Time of the first and of the last sample, in nanoseconds of the event's clock.
    pub sample_time: Option<(u64, u64)>,
    /// Relation between the event's clock and the wall clock.
    pub clock: Option<ClockData>,
    /// Facts about a recording that goflame has rewritten.
    pub repairs: Option<Repairs>,
}

/// Number of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuCount {
    /// CPUs that are present, whether online or not.
    pub available: u32,
    /// CPUs that are online.
    pub online: u32,
}

/// The build id of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildId {
    /// Path as the process saw it, or a name like `[kernel.kallsyms]`.
    pub path: Vec<u8>,
    /// The build id, 1 to 20 bytes.
    pub id: Vec<u8>,
    /// -1 for files of the host. For files of a guest: the process id of the guest's virtual machine monitor.
    pub pid: i32,
    /// Kernel for the kernel and its modules, user for all other files.
    pub cpu_mode: CpuMode,
}

/// One moment, as two clocks show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockData {
    /// `clockid_t` of the event's clock.
    pub clockid: i32,
    /// Wall time, in nanoseconds since 1970.
    pub wall_ns: u64,
    /// Time of the event's clock, in nanoseconds.
    pub clock_ns: u64,
}

impl Features {
    /// Reads a feature section. `None` if it is damaged. Ignores features that goflame does not use. Stores the names
    /// of an event description in `event_names`.
    pub(super) fn read(&mut self, bit: u32, bytes: &[u8], event_names: &mut Vec<String>) -> Option<()> {
        let mut cursor = Cursor::new(bytes);
        match bit {
            feature::HOSTNAME => self.hostname = Some(read_string(&mut cursor)?),
            feature::OS_RELEASE => self.os_release = Some(read_string(&mut cursor)?),
            feature::VERSION => self.version = Some(read_string(&mut cursor)?),
            feature::ARCH => self.arch = Some(read_string(&mut cursor)?),
            feature::CPU_DESC => self.cpu_desc = Some(read_string(&mut cursor)?),
            feature::NR_CPUS => {
                self.nr_cpus = Some(CpuCount { available: cursor.u32()?, online: cursor.u32()? });
            }
            feature::CMDLINE => {
                self.cmdline = (0..cursor.u32()?).map(|_| read_string(&mut cursor)).collect::<Option<_>>()?;
            }
            feature::EVENT_DESC => *event_names = read_event_names(&mut cursor)?,
            feature::BUILD_ID => {
                while cursor.remaining() > 0 {
                    cursor.skip(4)?;
                    let bits = cursor.u16()?;
                    let size = usize::from(cursor.u16()?).checked_sub(8)?;
                    self.build_ids.push(parse_build_id(bits, cursor.take(size)?)?);
                }
            }
            feature::SAMPLE_TIME => self.sample_time = Some((cursor.u64()?, cursor.u64()?)),
            feature::CLOCK_DATA => {
                let version = cursor.u32()?;
                let clock = ClockData { clockid: cursor.i32()?, wall_ns: cursor.u64()?, clock_ns: cursor.u64()? };
                // perf has only version 1 so far.
                self.clock = (version == 1).then_some(clock);
            }
            feature::GOFLAME_REPAIRS => self.repairs = Some(Repairs::parse(bytes)?),
            _ => {}
        }
        Some(())
    }

    /// The feature sections to write, each with its feature number. Sorted by number.
    pub(super) fn sections(&self, events: &[Event]) -> Vec<(u32, Vec<u8>)> {
        let mut sections = Vec::new();
        if !self.build_ids.is_empty() {
            sections.push((feature::BUILD_ID, self.build_ids.iter().flat_map(BuildId::encode).collect()));
        }
        for (bit, text) in [
            (feature::HOSTNAME, &self.hostname),
            (feature::OS_RELEASE, &self.os_release),
            (feature::VERSION, &self.version),
            (feature::ARCH, &self.arch),
        ] {
            sections.extend(text.as_ref().map(|text| (bit, encode_string(text))));
        }
        if let Some(CpuCount { available, online }) = self.nr_cpus {
            sections.push((feature::NR_CPUS, [available.to_le_bytes(), online.to_le_bytes()].concat()));
        }
        sections.extend(self.cpu_desc.as_ref().map(|text| (feature::CPU_DESC, encode_string(text))));
        if !self.cmdline.is_empty() {
            let mut bytes = to_u32(self.cmdline.len()).to_le_bytes().to_vec();
            bytes.extend(self.cmdline.iter().flat_map(|text| encode_string(text)));
            sections.push((feature::CMDLINE, bytes));
        }
        sections.push((feature::EVENT_DESC, encode_event_desc(events)));
        if let Some((first, last)) = self.sample_time {
            sections.push((feature::SAMPLE_TIME, [first.to_le_bytes(), last.to_le_bytes()].concat()));
        }
        if let Some(clock) = self.clock {
            let mut bytes = 1_u32.to_le_bytes().to_vec();
            bytes.extend(clock.clockid.to_le_bytes());
            bytes.extend(clock.wall_ns.to_le_bytes());
            bytes.extend(clock.clock_ns.to_le_bytes());
            sections.push((feature::CLOCK_DATA, bytes));
        }
        sections.extend(self.repairs.as_ref().map(|repairs| (feature::GOFLAME_REPAIRS, repairs.encode())));
        sections
    }
}

impl BuildId {
    /// Encodes a `build_id_event`. The result is empty if the path is too long for the record. Then perf reads the
    /// build id from the file at the path.
    fn encode(&self) -> Vec<u8> {
        let path = pad_with_nuls(&self.path, STRING_ALIGN);
        let Some(size) = path.len().checked_add(BUILD_ID_EVENT_HEAD).and_then(|size| u16::try_from(size).ok()) else {
            return Vec::new();
        };
        let mut out = record_type::HEADER_BUILD_ID.to_le_bytes().to_vec();
        out.extend((self.cpu_mode.to_misc() | misc::BUILD_ID_SIZE).to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(self.pid.to_le_bytes());
        let mut id = [0_u8; 24];
        for (to, from) in id.iter_mut().zip(self.id.iter().take(20)) {
            *to = *from;
        }
        if let Some(length) = id.get_mut(20) {
            *length = u8::try_from(self.id.len().min(20)).unwrap_or(20);
        }
        out.extend(id);
        out.extend(path);
        out
    }
}

/// Reads the body of a `build_id_event`.
pub(super) fn parse_build_id(bits: u16, body: &[u8]) -> Option<BuildId> {
    let mut cursor = Cursor::new(body);
    let pid = cursor.i32()?;
    let id = cursor.take(20)?;
    let length = if bits & misc::BUILD_ID_SIZE == 0 { 20 } else { usize::from(cursor.u8()?) };
    let mut cursor = Cursor::from_offset(body, BUILD_ID_EVENT_HEAD.checked_sub(8)?)?;
    let path = cursor.cstr().unwrap_or(cursor.unread());
    Some(BuildId { path: path.to_vec(), id: id.get(..length)?.to_vec(), pid, cpu_mode: CpuMode::from_misc(bits) })
}

/// Reads a `struct perf_header_string`. Bytes that are not UTF-8 become the replacement character.
fn read_string(cursor: &mut Cursor<'_>) -> Option<String> {
    let length = cursor.u32()?;
    let bytes = cursor.take_u64(u64::from(length))?;
    Some(String::from_utf8_lossy(Cursor::new(bytes).cstr().unwrap_or(bytes)).into_owned())
}

fn encode_string(text: &str) -> Vec<u8> {
    let bytes = pad_with_nuls(text.as_bytes(), STRING_ALIGN);
    let mut out = to_u32(bytes.len()).to_le_bytes().to_vec();
    out.extend(bytes);
    out
}

/// Returns a copy of a CMDLINE section with the words that `mask` returns. Cuts a new word that does not fit into the
/// padded field of the old word. `None` if the section is damaged.
pub(super) fn replace_cmdline(section: &[u8], mask: impl Fn(&[String]) -> Vec<String>) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(section);
    let (mut words, mut places) = (Vec::new(), Vec::new());
    for _ in 0..cursor.u32()? {
        let size = usize::try_from(Cursor::new(cursor.unread()).u32()?).ok()?;
        let before = cursor.remaining();
        words.push(read_string(&mut cursor)?);
        places.push((section.len().checked_sub(before)?.checked_add(4)?, size));
    }
    let mut section = section.to_vec();
    for (word, (start, size)) in mask(&words).iter().zip(places) {
        let place = section.get_mut(start..start.checked_add(size)?)?;
        let (last, room) = place.split_last_mut()?;
        *last = 0;
        let letters = word.bytes().chain(std::iter::repeat(0));
        room.iter_mut().zip(letters).for_each(|(place, letter)| *place = letter);
    }
    Some(section)
}

/// `bytes` up to their first NUL, then a NUL, then more NULs up to a multiple of `align`.
pub(super) fn pad_with_nuls(bytes: &[u8], align: usize) -> Vec<u8> {
    let mut out = Cursor::new(bytes).cstr().unwrap_or(bytes).to_vec();
    out.push(0);
    out.resize(out.len().next_multiple_of(align), 0);
    out
}

/// Converts a length for a 32-bit field. No list in a feature section comes close to the limit.
fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn encode_event_desc(events: &[Event]) -> Vec<u8> {
    let mut out = to_u32(events.len()).to_le_bytes().to_vec();
    out.extend(Attr::ENCODED_LEN.to_le_bytes());
    for event in events {
        out.extend(event.attr.encode());
        out.extend(to_u32(event.ids.len()).to_le_bytes());
        out.extend(encode_string(&event.name));
        out.extend(event.ids.iter().flat_map(|id| id.to_le_bytes()));
    }
    out
}

fn read_event_names(cursor: &mut Cursor<'_>) -> Option<Vec<String>> {
    let (events, attr_size) = (cursor.u32()?, cursor.u32()?);
    let mut names = Vec::new();
    for _ in 0..events {
        cursor.take_u64(u64::from(attr_size))?;
        let ids = cursor.u32()?;
        names.push(read_string(cursor)?);
        cursor.take_u64(u64::from(ids).checked_mul(8)?)?;
    }
    Some(names)
}
