//! The ids of runs.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Length of `YYYYMMDD-HHMMSS` in bytes.
const STAMP_BYTES: usize = 15;
/// Length of `-xxxx` in bytes.
const SUFFIX_BYTES: usize = 5;
/// Maximum length of the name part in bytes. The whole id stays far below the 255 bytes of a file name.
const MAX_NAME_BYTES: usize = 64;

/// Id of a run: `YYYYMMDD-HHMMSS-name-xxxx`. It contains the start in UTC, the program, and four hexadecimal digits
/// that distinguish runs of the same second. It contains only letters and digits of any script, `-` and `_`, and begins
/// with a digit, so it is safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunId(String);

impl RunId {
    /// Creates an id for a run of `name` that started at `at`. Characters that are not allowed in an id become `-`.
    pub fn new(at: SystemTime, name: &str) -> Self {
        // A clock before 1970 or after 9999 is wrong, but the run matters more than its date.
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH);
        let time = Offset::UTC.to_datetime(at);
        let name = Self::name_part(name);
        // The operating system seeds each new hasher, so the value differs at each call.
        let suffix = RandomState::new().build_hasher().finish() & 0xffff;
        Self(format!(
            "{:04}{:02}{:02}-{:02}{:02}{:02}-{name}-{suffix:04x}",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        ))
    }

    /// Converts a name to the form that it has in ids.
    pub fn name_part(name: &str) -> String {
        let mut name: String = name.chars().map(|letter| if is_name_char(letter) { letter } else { '-' }).collect();
        while name.len() > MAX_NAME_BYTES {
            name.pop();
        }
        match name.trim_matches('-') {
            "" => "run".to_owned(),
            name => name.to_owned(),
        }
    }

    /// The name in the id, as [`RunId::name_part`] makes it.
    pub fn name(&self) -> &str {
        &self.0[STAMP_BYTES + 1..self.0.len() - SUFFIX_BYTES]
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last four characters. They distinguish runs of the same second, and usually all runs of an archive.
    pub fn suffix(&self) -> &str {
        &self.0[self.0.len() - SUFFIX_BYTES + 1..]
    }

    /// Returns the shortest name that finds the run among `ids` and `tags`: the suffix of its id, or the whole id.
    pub fn short_name(&self, ids: &[&Self], tags: &BTreeMap<String, Self>) -> &str {
        let short = self.suffix();
        let is_meant = |id: &&&Self| id.suffix() == short || id.as_str().starts_with(short);
        let is_unique = !tags.contains_key(short) && ids.iter().filter(is_meant).count() <= 1;
        if is_unique { short } else { self.as_str() }
    }

    /// The timestamp of the start, by the clock at that time: `YYYYMMDD-HHMMSS`.
    pub fn timestamp(&self) -> &str {
        &self.0[..STAMP_BYTES]
    }
}

pub(super) fn is_name_char(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '-' || letter == '_'
}

/// Whether a text has exactly the form of an id, with a valid date and time.
fn is_valid_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let name_and_dashes = bytes.len().checked_sub(STAMP_BYTES + SUFFIX_BYTES);
    // The middle of an id is a dash and a name of at least one byte.
    if !text.chars().all(is_name_char)
        || !name_and_dashes.is_some_and(|length| (2..=MAX_NAME_BYTES + 1).contains(&length))
    {
        return false;
    }
    let Some((stamp, rest)) = text.split_at_checked(STAMP_BYTES) else { return false };
    let Some((name, suffix)) = rest.split_at_checked(rest.len() - SUFFIX_BYTES) else { return false };
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    is_valid_stamp(stamp) && name.starts_with('-') && suffix.starts_with('-') && suffix.bytes().skip(1).all(hex)
}

fn is_valid_stamp(stamp: &str) -> bool {
    let Some((date, time)) = stamp.split_once('-') else { return false };
    if date.len() != 8 || time.len() != 6 || !date.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let part = |text: &str, at: usize| text[at..at + 2].parse::<i8>().ok();
    let read = || {
        let year = date[..4].parse().ok()?;
        DateTime::new(year, part(date, 4)?, part(date, 6)?, part(time, 0)?, part(time, 2)?, part(time, 4)?, 0).ok()
    };
    read().is_some()
}

/// The text is not the id of a run.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not the id of a run")]
pub struct InvalidRunId {
    /// The beginning of the text.
    text: String,
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        if is_valid_id(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRunId { text: text.chars().take(120).collect() })
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
