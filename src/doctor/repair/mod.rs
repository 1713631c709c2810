//! Repairs kernel settings: [`plan`] decides which settings change, [`carry_out`] changes them, and [`undo`] restores
//! them.
//!
//! The previous values are written to disk ([`state`]) before any change, so that an interrupted repair can be undone.
//! A setting is written only if it still has the value for which the plan was made. The setting is read back
//! afterwards.

mod plan;
mod state;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fsio::{self, FileError};
use crate::host::Sysctl;
use crate::process::run_with_own_rights;
use state::{Persisted, ScriptRecord, State};

pub use plan::{Change, ManualRepair, RepairPlan, plan_repair};
pub use state::StateDamage;

/// File in which goflame records its changes.
const STATE_FILE: &str = "var/lib/goflame/doctor.json";
/// Directory in which the script of `--print-script` records its changes. See templates/doctor-head.sh.
const SCRIPT_DIR: &str = "var/lib/goflame/script";
/// File with kernel settings that are applied at boot. Files are read in the order of their names. The prefix 99 makes
/// this file late, so that its values win.
const PERSIST_FILE: &str = "etc/sysctl.d/99-goflame.conf";

/// Error of a repair or of an undo.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The state file is not as goflame wrote it.
    #[error("{path} is damaged: {why}", path = path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Why the file counts as damaged.
        why: StateDamage,
    },
    /// A file cannot be read, written or removed.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RepairError {
    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Damaged { path, .. } => vec![format!(
                "nothing was changed; set the kernel settings by hand (`sysctl -w`), then remove {}",
                path.display()
            )],
            Self::File(_) => Vec::new(),
        }
    }
}

/// Result of a step of a repair or undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairStep {
    /// The change that was made or tried, in words for the user.
    pub description: String,
    /// Reason for the failure. `None` if the step succeeded.
    pub problem: Option<String>,
}

impl RepairStep {
    fn done_step(description: impl Into<String>) -> Self {
        Self { description: description.into(), problem: None }
    }

    fn failed_step(description: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { description: description.into(), problem: Some(problem.into()) }
    }
}

/// Applies the kernel settings of the plan. With `persist`, also writes them to a file that is read at boot. If the
/// kernel refuses a setting, the other settings are still changed.
pub fn carry_out(plan: &RepairPlan, persist: bool) -> Result<Vec<RepairStep>, RepairError> {
    run_with_own_rights(|| Machine::this_machine().repair(plan, persist))
}

/// Returns the changes that an undo would make. `None` if there is nothing to undo on this machine.
pub fn undoable_changes() -> Result<Option<UndoableChanges>, RepairError> {
    run_with_own_rights(|| Machine::this_machine().undoable_changes())
}

/// Restores the settings that goflame changed, except settings that others have changed since then.
pub fn undo() -> Result<Vec<RepairStep>, RepairError> {
    run_with_own_rights(|| Machine::this_machine().undo())
}

/// The machine to repair: the root of its file system. Tests use a temporary directory.
struct Machine {
    root: PathBuf,
}

impl Machine {
    fn this_machine() -> Self {
        Self { root: "/".into() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    fn repair(&self, plan: &RepairPlan, persist: bool) -> Result<Vec<RepairStep>, RepairError> {
        let before = self.read_state()?.unwrap_or_default();
        let mut intended = before.clone();
        for change in &plan.changes {
            intended.add(*change);
        }
        let persisted = if persist { self.persist_text(plan, &intended)? } else { None };
        if let Some(text) = &persisted {
            let there = self.read_optional(PERSIST_FILE)?;
            intended.persisted = Some(match before.persisted.clone() {
                // The file still has the text that goflame wrote. So an undo must restore the text from before
                // goflame's first change.
                Some(ours) if Some(&ours.after) == there.as_ref() => Persisted { after: text.clone(), ..ours },
                _ => Persisted { before: there, after: text.clone() },
            });
        }
        self.write_state(&intended)?;

        let mut steps = Vec::new();
        for change in &plan.changes {
            let (step, now) = self.write_setting(change.setting, change.before, change.after);
            match now {
                // The kernel can have stored another value than the requested value.
                Some(now) => intended.set_result(change.setting, now),
                None => intended.remove(change.setting, &before),
            }
            steps.push(step);
        }
        if let Some(text) = &persisted {
            let path = self.path(PERSIST_FILE);
            write_public_file(&path, text)?;
            steps.push(RepairStep::done_step(format!("{} written", absolute_path(PERSIST_FILE))));
        }
        self.write_state(&intended)?;
        Ok(steps)
    }

    fn undoable_changes(&self) -> Result<Option<UndoableChanges>, RepairError> {
        let state = self.read_state()?;
        Ok(state.map(|state| UndoableChanges {
            file: absolute_path(STATE_FILE),
            changes: state.changes,
            persisted: state.persisted.is_some(),
        }))
    }

    fn undo(&self) -> Result<Vec<RepairStep>, RepairError> {
        let Some(state) = self.read_state()? else { return Ok(Vec::new()) };
        let mut not_restored = State::default();
        let mut steps = Vec::new();
        for change in state.changes.iter().rev() {
            let name = change.setting.name();
            match self.read_setting(change.setting) {
                Ok(now) if now == change.before => {
                    steps.push(RepairStep::done_step(format!("{name} is {now} already")));
                }
                Ok(now) if now == change.after => {
                    let (step, written) = self.write_setting(change.setting, change.after, change.before);
                    if written.is_none() {
                        not_restored.add(*change);
                    }
                    steps.push(step);
                }
                Ok(now) => {
                    let what = format!("{name} stays {now}");
                    steps.push(RepairStep::failed_step(
                        what,
                        format!("somebody has changed it since; it was {}", change.before),
                    ));
                }
                Err(problem) => {
                    not_restored.add(*change);
                    steps.push(RepairStep::failed_step(format!("{name} stays as it is"), problem));
                }
            }
        }
        if let Some(persisted) = &state.persisted {
            steps.push(self.restore_file(persisted)?);
        }
        self.write_state(&not_restored)?;
        Ok(steps)
    }

    fn restore_file(&self, persisted: &Persisted) -> Result<RepairStep, RepairError> {
        let path = self.path(PERSIST_FILE);
        let name = absolute_path(PERSIST_FILE);
        Ok(match (self.read_optional(PERSIST_FILE)?, &persisted.before) {
            (None, None) => RepairStep::done_step(format!("{name} is gone already")),
            (Some(now), Some(before)) if now == *before => {
                RepairStep::done_step(format!("{name} is as it was already"))
            }
            (Some(now), _) if now != persisted.after => {
                RepairStep::failed_step(format!("{name} stays"), "somebody has changed it since")
            }
            (_, Some(before)) => {
                write_public_file(&path, before)?;
                RepairStep::done_step(format!("{name} is as it was"))
            }
            (_, None) => {
                fs::remove_file(&path).map_err(|source| FileError::new("remove", &path, source))?;
                RepairStep::done_step(format!("{name} removed"))
            }
        })
    }

    /// Writes a setting if its current value is `from`. Returns the step, and the value afterwards or `None` if nothing
    /// was written. If the setting cannot be read back, this value is `to`.
    fn write_setting(&self, setting: Sysctl, from: i64, to: i64) -> (RepairStep, Option<i64>) {
        let what = format!("{}: {from} -> {to}", setting.name());
        match self.read_setting(setting) {
            Ok(now) if now == from => {}
            Ok(now) => return (RepairStep::failed_step(what, format!("it has become {now} meanwhile")), None),
            Err(problem) => return (RepairStep::failed_step(what, problem), None),
        }
        let file = setting.file(&self.root);
        // A single write call, because the kernel parses each write as a complete value.
        if let Err(error) = fs::write(&file, format!("{to}\n")) {
            return (RepairStep::failed_step(what, format!("the kernel refuses it: {error}")), None);
        }
        match self.read_setting(setting) {
            Ok(now) if now == to => (RepairStep::done_step(what), Some(now)),
            Ok(now) => (RepairStep::failed_step(what, format!("the kernel made {now} of it")), Some(now)),
            Err(problem) => (RepairStep::failed_step(what, problem), Some(to)),
        }
    }

    fn read_setting(&self, setting: Sysctl) -> Result<i64, String> {
        let text =
            fs::read_to_string(setting.file(&self.root)).map_err(|error| format!("it cannot be read: {error}"))?;
        let value = text.trim().parse().ok().filter(|value| setting.is_possible(*value));
        value.ok_or_else(|| format!("it was not understood: {:?}", text.trim()))
    }

    /// Text of the file that is read at boot: the settings of the plan, the settings that goflame has changed, and the
    /// settings that the file already contains. `None` if there are no settings or the file already has this text.
    fn persist_text(&self, plan: &RepairPlan, state: &State) -> Result<Option<String>, RepairError> {
        let there = self.read_optional(PERSIST_FILE)?;
        let mut lines = state::read_conf(there.as_deref().unwrap_or_default());
        lines.extend(state.changes.iter().map(|change| (change.setting, change.after)));
        lines.extend(
            plan.settings
                .iter()
                .filter(|setting| {
                    // If the current value is better than the plan's value, the plan's value is left out. It would make
                    // the setting worse at the next boot.
                    self.read_setting(setting.sysctl).is_ok_and(|now| now == setting.value || !setting.is_met_by(now))
                })
                .map(|setting| (setting.sysctl, setting.value)),
        );
        let text = state::write_conf(&lines);
        Ok(text.filter(|text| Some(text) != there.as_ref()))
    }

    fn read_optional(&self, file: &str) -> Result<Option<String>, RepairError> {
        match fsio::read(&self.path(file)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the recorded changes of goflame and of the script.
    fn read_state(&self) -> Result<Option<State>, RepairError> {
        let state = self.read_record(STATE_FILE, state::open)?;
        let Some(script) = self.read_script_record()? else { return Ok(state) };
        let mut state = state.unwrap_or_default();
        state.add_script(script);
        Ok(Some(state))
    }

    fn read_script_record(&self) -> Result<Option<ScriptRecord>, RepairError> {
        let file = |name: &str| format!("{SCRIPT_DIR}/{name}");
        let changes = self.read_record(&file("changes"), state::read_script_changes)?;
        let after = self.read_optional(&file("conf-after"))?;
        if changes.is_none() && after.is_none() {
            return Ok(None);
        }
        let before = self.read_optional(&file("conf-before"))?;
        let persisted = after.map(|after| Persisted { before, after });
        Ok(Some(ScriptRecord { changes: changes.unwrap_or_default(), persisted }))
    }

    fn read_record<T>(
        &self,
        file: &str,
        parse: impl Fn(&str) -> Result<T, StateDamage>,
    ) -> Result<Option<T>, RepairError> {
        let Some(text) = self.read_optional(file)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|why| RepairError::Damaged { path: self.path(file), why })
    }

    /// Writes the state file, which also replaces the record of the script.
    fn write_state(&self, state: &State) -> Result<(), RepairError> {
        let (file, script) = (self.path(STATE_FILE), self.path(SCRIPT_DIR));
        if state.is_empty() {
            remove_if_exists(&file, |file| fs::remove_file(file))?;
        } else {
            write_public_file(&file, &state::seal(state))?;
        }
        remove_if_exists(&script, |dir| fs::remove_dir_all(dir))
    }
}

/// Removes a file or a directory, if it exists.
fn remove_if_exists(path: &Path, how: impl Fn(&Path) -> std::io::Result<()>) -> Result<(), RepairError> {
    match how(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FileError::new("remove", path, error).into()),
        _ => Ok(()),
    }
}

/// Writes a file with mode 0644 and creates its directory with mode 0755 if it is missing. The umask does not change
/// these modes.
fn write_public_file(path: &Path, text: &str) -> Result<(), RepairError> {
    let dir = path.parent().unwrap_or(path);
    if !dir.exists() {
        fsio::create_dir_all(dir)?;
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir, open).map_err(|source| FileError::new("create directory", dir, source))?;
    }
    Ok(fsio::install(path, text.as_bytes(), 0o644)?)
}

/// Changes that an undo would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoableChanges {
    /// Path of the state file.
    pub file: String,
    /// Settings that would be restored.
    pub changes: Vec<Change>,
    /// Whether the file that is read at boot would also be restored or removed.
    pub persisted: bool,
}

/// Absolute path of the file, for messages.
fn absolute_path(file: &str) -> String {
    Path::new("/").join(file).display().to_string()
}

#[cfg(test)]
mod tests;
