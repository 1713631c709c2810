//! State file with the changes that goflame made. It contains a digest, so that a damaged file is never applied.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Change;
use crate::bytes::hex;
use crate::host::Sysctl;

/// Version of the file format.
const SCHEMA: u32 = 1;

/// Changes that an undo reverts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Changed settings. Each setting occurs at most once.
    pub(super) changes: Vec<Change>,
    /// File with the settings that are applied at boot, if goflame wrote it.
    pub(super) persisted: Option<Persisted>,
}

/// Text of a file before and after goflame wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Persisted {
    /// Text before goflame wrote the file. `None` if the file did not exist.
    pub(super) before: Option<String>,
    /// Text that goflame wrote.
    pub(super) after: String,
}

/// Changes that the script of `--print-script` recorded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ScriptRecord {
    /// Changed settings, oldest first.
    pub(super) changes: Vec<Change>,
    /// File with the settings that are applied at boot, if the script wrote it.
    pub(super) persisted: Option<Persisted>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    schema: u32,
    sha256: String,
    state: State,
}

/// Why the state file does not have the content that goflame wrote.
#[derive(Debug, thiserror::Error)]
pub enum StateDamage {
    /// The file is not JSON, or fields are missing or unknown.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The file has another version of the format.
    #[error("it has version {0}, and this goflame reads {known}", known = SCHEMA)]
    Version(u32),
    /// The content was changed.
    #[error("its contents do not have the SHA-256 that it names")]
    Digest,
    /// The recorded value of this setting is impossible.
    #[error("{} cannot have the value that it names", .0.name())]
    Value(Sysctl),
    /// A line of the script's record is not a complete `SETTING BEFORE AFTER`.
    #[error("its line {0:?} is not a change of a kernel setting")]
    Line(String),
}

impl State {
    /// Adds the changes of the script that `--print-script` prints. They were made after the changes of this state.
    pub(super) fn add_script(&mut self, script: ScriptRecord) {
        for change in script.changes {
            self.add(change);
        }
        if let Some(written) = script.persisted {
            self.persisted = Some(match self.persisted.take() {
                Some(ours) if written.before.as_ref() == Some(&ours.after) => {
                    Persisted { after: written.after, ..ours }
                }
                _ => written,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.persisted.is_none()
    }

    /// Adds a change. If goflame has already changed the setting and others have not, the oldest previous value is
    /// kept.
    pub(super) fn add(&mut self, change: Change) {
        match self.changes.iter_mut().find(|known| known.setting == change.setting) {
            Some(known) if known.after == change.before => known.after = change.after,
            Some(known) => *known = change,
            None => self.changes.push(change),
        }
    }

    /// Sets the value that the setting has after a change.
    pub(super) fn set_result(&mut self, setting: Sysctl, now: i64) {
        for change in self.changes.iter_mut().filter(|change| change.setting == setting) {
            change.after = now;
        }
    }

    /// Removes a change that was not made. The setting's entry from `before` is restored.
    pub(super) fn remove(&mut self, setting: Sysctl, before: &Self) {
        self.changes.retain(|change| change.setting != setting);
        self.changes.extend(before.changes.iter().filter(|change| change.setting == setting));
    }
}

fn compute_digest(state: &State) -> String {
    let text = serde_json::to_string(state).unwrap_or_default();
    hex(&Sha256::digest(text))
}

/// Returns the text of the state file, with its digest.
pub(super) fn seal(state: &State) -> String {
    let sealed = Sealed { schema: SCHEMA, sha256: compute_digest(state), state: state.clone() };
    let mut text = serde_json::to_string_pretty(&sealed).unwrap_or_default();
    text.push('\n');
    text
}

/// Parses the text of the state file. Refuses text that goflame would not have written, because the values are written
/// to the kernel.
pub(super) fn open(text: &str) -> Result<State, StateDamage> {
    let sealed: Sealed = serde_json::from_str(text)?;
    if sealed.schema != SCHEMA {
        return Err(StateDamage::Version(sealed.schema));
    }
    if compute_digest(&sealed.state) != sealed.sha256 {
        return Err(StateDamage::Digest);
    }
    refuse_impossible(&sealed.state.changes)?;
    Ok(sealed.state)
}

/// Parses the changes that the script of `--print-script` recorded, one line `SETTING BEFORE AFTER` for each.
pub(super) fn read_script_changes(text: &str) -> Result<Vec<Change>, StateDamage> {
    let parse = |line: &str| {
        // A line without a line end was cut off.
        let [name, before, after] = line.strip_suffix('\n')?.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let setting = Sysctl::ALL.into_iter().find(|setting| setting.name() == name)?;
        Some(Change { setting, before: before.parse().ok()?, after: after.parse().ok()? })
    };
    let lines = text.split_inclusive('\n').map(|line| parse(line).ok_or_else(|| StateDamage::Line(line.to_owned())));
    let changes = lines.collect::<Result<Vec<_>, _>>()?;
    refuse_impossible(&changes)?;
    Ok(changes)
}

fn refuse_impossible(changes: &[Change]) -> Result<(), StateDamage> {
    let impossible = changes.iter().find(|it| !it.setting.is_possible(it.before) || !it.setting.is_possible(it.after));
    impossible.map_or(Ok(()), |change| Err(StateDamage::Value(change.setting)))
}

/// Parses a file for `/etc/sysctl.d` (sysctl.d(5)). Returns the settings that goflame knows.
pub(super) fn read_conf(text: &str) -> BTreeMap<Sysctl, i64> {
    let line = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim().trim_start_matches('-').replace('/', ".");
        let setting = Sysctl::ALL.into_iter().find(|setting| setting.name() == name)?;
        Some((setting, value.trim().parse().ok().filter(|value| setting.is_possible(*value))?))
    };
    text.lines().filter_map(line).collect()
}

/// Returns the text of a file for `/etc/sysctl.d`. `None` without settings.
pub(super) fn write_conf(settings: &BTreeMap<Sysctl, i64>) -> Option<String> {
    if settings.is_empty() {
        return None;
    }
    let mut text =
        String::from("# Written by `goflame doctor --fix --persist`; `goflame doctor --undo` takes it back.\n");
    for (setting, value) in settings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} = {value}", setting.name());
    }
    Some(text)
}
