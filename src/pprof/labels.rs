//! Reads the labels of samples. The labels that goflame writes (`Profile::labels` in profile/tables.rs) become fields of a
//! task. All other labels stay labels.

use super::error::Error;
use super::messages::LabelMessage;
use super::strings::StringTable;
use super::wire::RawMessage;

/// The labels of a sample. Texts are positions in the string table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SampleLabels {
    pub(super) process: Option<u32>,
    pub(super) pid: u32,
    pub(super) thread: u32,
    pub(super) cpu: Option<u32>,
    pub(super) goroutine: Option<u64>,
    /// The `runtime.g` address of a goroutine whose number is unknown: `0xc000002380`.
    pub(super) g_address: Option<u32>,
    pub(super) entry: u32,
    pub(super) creator: u32,
}

impl SampleLabels {
    /// Stores a label in its field. A label without a field of its name and type is added to `others`. A label with an
    /// empty name is dropped.
    pub(super) fn store_label(
        &mut self,
        strings: &StringTable<'_>,
        raw: RawMessage<'_>,
        others: &mut Vec<LabelMessage>,
    ) -> Result<(), Error> {
        let label = LabelMessage::read(raw, strings)?;
        let LabelMessage { key, text, number, .. } = label;
        let is_number = text == 0;
        let small = u32::try_from(number).ok();
        match (strings.text(key), small) {
            (b"process", _) if !is_number => self.process = Some(text),
            (b"pid", Some(pid)) if is_number => self.pid = pid,
            (b"thread", Some(thread)) if is_number => self.thread = thread,
            (b"cpu", Some(cpu)) if is_number => self.cpu = Some(cpu),
            (b"goroutine", _) if is_number && number >= 0 => self.goroutine = Some(number.unsigned_abs()),
            (b"g", _) if parse_address(strings.text(text)).is_some() => self.g_address = Some(text),
            (b"entry", _) if !is_number => self.entry = text,
            (b"creator", _) if !is_number => self.creator = text,
            (b"", _) => {}
            _ => others.push(label),
        }
        Ok(())
    }
}

/// Parses an address: `0xc000002380`.
pub(super) fn parse_address(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok()
}
