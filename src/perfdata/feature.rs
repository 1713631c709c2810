//! Feature sections: who recorded what, where and when. Shapes as in the functions `write_*` and `process_*`
//! of `tools/perf/util/header.c`.

use crate::bytes::Cursor;

use super::abi::{feature, misc, record_type};
use super::attr::{Attr, Event};
use super::record::CpuMode;

/// perf fills strings up to a multiple of this (`NAME_ALIGN`).
const STRING_ALIGN: usize = 64;
/// Bytes of a `build_id_event` before its file name.
const BUILD_ID_EVENT: usize = 36;

/// What a file says about its recording. `None` or empty is what it does not say.
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
    /// CPUs of the machine.
    pub nr_cpus: Option<CpuCount>,
    /// Model name of the CPU.
    pub cpu_desc: Option<String>,
    /// Command line of the recording program.
    pub cmdline: Vec<String>,
    /// Build ids of the files that were mapped.
    pub build_ids: Vec<BuildId>,
    /// Time of the first and of the last sample, in nanoseconds of the event's clock.
    pub sample_time: Option<(u64, u64)>,
    /// Ties the event's clock to the wall clock.
    pub clock: Option<ClockData>,
}

/// Number of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuCount {
    /// Present, whether online or not.
    pub available: u32,
    /// Online.
    pub online: u32,
}

/// The build id of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildId {
    /// Path as the process saw it, or `[kernel.kallsyms]` and such.
    pub path: Vec<u8>,
    /// 1 to 20 bytes.
    pub id: Vec<u8>,
    /// -1 for the host; the process id of a virtual machine's monitor for a guest.
    pub pid: i32,
    /// Kernel for the kernel and its modules, user for everything else.
    pub cpu_mode: CpuMode,
}

/// One moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockData {
    /// `clockid_t` of the event's clock.
    pub clockid: i32,
    /// The moment in nanoseconds since 1970.
    pub wall_ns: u64,
    /// The moment in nanoseconds of the event's clock.
    pub clock_ns: u64,
}

impl Features {
    /// Reads one section. `None` when it is damaged; features that goflame has no use for are passed over.
    /// The names of an event description go to `event_names`.
    pub(super) fn read(&mut self, bit: u32, bytes: &[u8], event_names: &mut Vec<String>) -> Option<()> {
        let mut cursor = Cursor::new(bytes);
        match bit {
            feature::HOSTNAME => self.hostname = Some(string(&mut cursor)?),
            feature::OS_RELEASE => self.os_release = Some(string(&mut cursor)?),
            feature::VERSION => self.version = Some(string(&mut cursor)?),
            feature::ARCH => self.arch = Some(string(&mut cursor)?),
            feature::CPU_DESC => self.cpu_desc = Some(string(&mut cursor)?),
            feature::NR_CPUS => {
                self.nr_cpus = Some(CpuCount { available: cursor.u32()?, online: cursor.u32()? });
            }
            feature::CMDLINE => {
                self.cmdline = (0..cursor.u32()?).map(|_| string(&mut cursor)).collect::<Option<_>>()?;
            }
            feature::EVENT_DESC => *event_names = read_event_names(&mut cursor)?,
            feature::BUILD_ID => {
                while cursor.remaining() > 0 {
                    cursor.skip(4)?;
                    let bits = cursor.u16()?;
                    let size = usize::from(cursor.u16()?).checked_sub(8)?;
                    self.build_ids.push(build_id(bits, cursor.take(size)?)?);
                }
            }
            feature::SAMPLE_TIME => self.sample_time = Some((cursor.u64()?, cursor.u64()?)),
            feature::CLOCK_DATA => {
                let version = cursor.u32()?;
                let clock = ClockData { clockid: cursor.i32()?, wall_ns: cursor.u64()?, clock_ns: cursor.u64()? };
                // There is no other version so far.
                self.clock = (version == 1).then_some(clock);
            }
            _ => {}
        }
        Some(())
    }

    /// The sections to write, with their bits, in the order of the bits.
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
            let mut bytes = count(self.cmdline.len()).to_le_bytes().to_vec();
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
        sections
    }
}

impl BuildId {
    /// A `build_id_event`. Empty when the path is too long for one: perf then reads the id from the file.
    fn encode(&self) -> Vec<u8> {
        let path = padded(&self.path, STRING_ALIGN);
        let Some(size) = path.len().checked_add(BUILD_ID_EVENT).and_then(|size| u16::try_from(size).ok()) else {
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

/// What follows the header of a `build_id_event`.
pub(super) fn build_id(bits: u16, body: &[u8]) -> Option<BuildId> {
    let mut cursor = Cursor::new(body);
    let pid = cursor.i32()?;
    let id = cursor.take(20)?;
    let length = if bits & misc::BUILD_ID_SIZE == 0 { 20 } else { usize::from(cursor.u8()?) };
    let mut cursor = Cursor::at(body, BUILD_ID_EVENT.checked_sub(8)?)?;
    let path = cursor.cstr().unwrap_or(cursor.rest());
    Some(BuildId { path: path.to_vec(), id: id.get(..length)?.to_vec(), pid, cpu_mode: CpuMode::from_misc(bits) })
}

/// `struct perf_header_string`. Bytes that are no UTF-8 become the replacement character.
fn string(cursor: &mut Cursor<'_>) -> Option<String> {
    let length = cursor.u32()?;
    let bytes = cursor.take_u64(u64::from(length))?;
    Some(String::from_utf8_lossy(Cursor::new(bytes).cstr().unwrap_or(bytes)).into_owned())
}

fn encode_string(text: &str) -> Vec<u8> {
    let bytes = padded(text.as_bytes(), STRING_ALIGN);
    let mut out = count(bytes.len()).to_le_bytes().to_vec();
    out.extend(bytes);
    out
}

/// `bytes`, a NUL, and more NULs up to a multiple of `align`. A NUL inside ends it.
pub(super) fn padded(bytes: &[u8], align: usize) -> Vec<u8> {
    let mut out = Cursor::new(bytes).cstr().unwrap_or(bytes).to_vec();
    out.push(0);
    out.resize(out.len().next_multiple_of(align), 0);
    out
}

/// A length for a 32-bit field. Every list here is far shorter.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn encode_event_desc(events: &[Event]) -> Vec<u8> {
    let mut out = count(events.len()).to_le_bytes().to_vec();
    out.extend(Attr::ENCODED.to_le_bytes());
    for event in events {
        out.extend(event.attr.encode());
        out.extend(count(event.ids.len()).to_le_bytes());
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
        names.push(string(cursor)?);
        cursor.take_u64(u64::from(ids).checked_mul(8)?)?;
    }
    Some(names)
}
