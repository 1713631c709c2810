//! Carries out a plan of repairs, and takes it back.
//!
//! Before anything is changed, what it was is on disk ([`state`]), so that a crash in the middle can be undone. A
//! setting is written only while it still has the value that the plan was made for, and read back afterwards. Must not
//! decide what to change: that is `doctor`'s plan.

mod state;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::doctor::{Change, RepairPlan};
use crate::fsio::{self, FileError};
use crate::host::Sysctl;
use crate::process::with_own_rights;
use state::{Persisted, State};

/// Where goflame remembers what it changed.
const STATE_FILE: &str = "var/lib/goflame/doctor.json";
/// What the kernel settings are read from at boot; later names win, and this one is late.
const PERSIST_FILE: &str = "etc/sysctl.d/99-goflame.conf";

/// A repair that could not be made, or taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What goflame remembers is not what it wrote.
    #[error("{path} is damaged: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Error {
    /// What the user can do about it.
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

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done, or tried.
    pub what: String,
    /// Why it was not done.
    pub problem: Option<String>,
}

impl Step {
    fn done(what: impl Into<String>) -> Self {
        Self { what: what.into(), problem: None }
    }

    fn not(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { what: what.into(), problem: Some(problem.into()) }
    }
}

/// Changes the kernel settings of the plan and, with `persist`, writes them down for the next boot. A setting that the
/// kernel refuses does not keep the others from being changed.
pub fn carry_out(plan: &RepairPlan, persist: bool) -> Result<Vec<Step>, Error> {
    with_own_rights(|| Machine::this().repair(plan, persist))
}

/// What an undo would change; `None`: goflame has changed nothing here.
pub fn undoable() -> Result<Option<Undoable>, Error> {
    with_own_rights(|| Machine::this().undoable())
}

/// Takes back what goflame changed and nobody has changed since.
pub fn undo() -> Result<Vec<Step>, Error> {
    with_own_rights(|| Machine::this().undo())
}

/// The machine on which repairs are made; tests have one of their own.
struct Machine {
    root: PathBuf,
}

impl Machine {
    fn this() -> Self {
        Self { root: "/".into() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    fn repair(&self, plan: &RepairPlan, persist: bool) -> Result<Vec<Step>, Error> {
        let before = self.remembered()?.unwrap_or_default();
        let mut intended = before.clone();
        for change in &plan.changes {
            intended.remember(*change);
        }
        let persisted = if persist { self.persist_text(plan, &intended)? } else { None };
        if let Some(text) = &persisted {
            let there = self.read_optional(PERSIST_FILE)?;
            intended.persisted = Some(match before.persisted.clone() {
                // The file is still the one that goflame wrote: what was there before that is what counts.
                Some(ours) if Some(&ours.after) == there.as_ref() => Persisted { after: text.clone(), ..ours },
                _ => Persisted { before: there, after: text.clone() },
            });
        }
        self.remember(&intended)?;

        let mut steps = Vec::new();
        for change in &plan.changes {
            let (step, now) = self.write_setting(change.setting, change.before, change.after);
            match now {
                // Also where the kernel made another value of it.
                Some(now) => intended.amend(change.setting, now),
                None => intended.forget(change.setting, &before),
            }
            steps.push(step);
        }
        if let Some(text) = &persisted {
            let path = self.path(PERSIST_FILE);
            install(&path, text)?;
            steps.push(Step::done(format!("{} written", shown(PERSIST_FILE))));
        }
        self.remember(&intended)?;
        Ok(steps)
    }

    fn undoable(&self) -> Result<Option<Undoable>, Error> {
        let state = self.remembered()?;
        Ok(state.map(|state| Undoable {
            file: shown(STATE_FILE),
            changes: state.changes,
            persisted: state.persisted.is_some(),
        }))
    }

    fn undo(&self) -> Result<Vec<Step>, Error> {
        let Some(state) = self.remembered()? else { return Ok(Vec::new()) };
        let mut left = State::default();
        let mut steps = Vec::new();
        for change in state.changes.iter().rev() {
            let name = change.setting.name();
            match self.read_setting(change.setting) {
                Ok(now) if now == change.before => steps.push(Step::done(format!("{name} is {now} already"))),
                Ok(now) if now == change.after => {
                    let (step, written) = self.write_setting(change.setting, change.after, change.before);
                    if written.is_none() {
                        left.remember(*change);
                    }
                    steps.push(step);
                }
                Ok(now) => {
                    let what = format!("{name} stays {now}");
                    steps.push(Step::not(what, format!("somebody has changed it since; it was {}", change.before)));
                }
                Err(problem) => {
                    left.remember(*change);
                    steps.push(Step::not(format!("{name} stays as it is"), problem));
                }
            }
        }
        if let Some(persisted) = &state.persisted {
            steps.push(self.restore_file(persisted)?);
        }
        self.remember(&left)?;
        Ok(steps)
    }

    fn restore_file(&self, persisted: &Persisted) -> Result<Step, Error> {
        let path = self.path(PERSIST_FILE);
        let name = shown(PERSIST_FILE);
        Ok(match (self.read_optional(PERSIST_FILE)?, &persisted.before) {
            (None, None) => Step::done(format!("{name} is gone already")),
            (Some(now), Some(before)) if now == *before => Step::done(format!("{name} is as it was already")),
            (Some(now), _) if now != persisted.after => {
                Step::not(format!("{name} stays"), "somebody has changed it since")
            }
            (_, Some(before)) => {
                install(&path, before)?;
                Step::done(format!("{name} is as it was"))
            }
            (_, None) => {
                fs::remove_file(&path).map_err(|source| FileError::new("remove", &path, source))?;
                Step::done(format!("{name} removed"))
            }
        })
    }

    /// Writes one setting that has the value `from` now. With what was done goes what the kernel made of it; `None`:
    /// nothing was written.
    fn write_setting(&self, setting: Sysctl, from: i64, to: i64) -> (Step, Option<i64>) {
        let what = format!("{}: {from} -> {to}", setting.name());
        match self.read_setting(setting) {
            Ok(now) if now == from => {}
            Ok(now) => return (Step::not(what, format!("it has become {now} meanwhile")), None),
            Err(problem) => return (Step::not(what, problem), None),
        }
        let file = setting.file(&self.root);
        // In one write: the kernel takes each for a whole value.
        if let Err(error) = fs::write(&file, format!("{to}\n")) {
            return (Step::not(what, format!("the kernel refuses it: {error}")), None);
        }
        match self.read_setting(setting) {
            Ok(now) if now == to => (Step::done(what), Some(now)),
            Ok(now) => (Step::not(what, format!("the kernel made {now} of it")), Some(now)),
            Err(problem) => (Step::not(what, problem), Some(to)),
        }
    }

    fn read_setting(&self, setting: Sysctl) -> Result<i64, String> {
        let text =
            fs::read_to_string(setting.file(&self.root)).map_err(|error| format!("it cannot be read: {error}"))?;
        let value = text.trim().parse().ok().filter(|value| setting.is_possible(*value));
        value.ok_or_else(|| format!("it was not understood: {:?}", text.trim()))
    }

    /// Settings that outlive a reboot: those of the plan, those that goflame has set, and those that its file holds
    /// already. `None`: nothing, or the file is as it should be.
    fn persist_text(&self, plan: &RepairPlan, state: &State) -> Result<Option<String>, Error> {
        let there = self.read_optional(PERSIST_FILE)?;
        let mut lines = state::read_conf(there.as_deref().unwrap_or_default());
        lines.extend(state.changes.iter().map(|change| (change.setting, change.after)));
        lines.extend(
            plan.settings
                .iter()
                .filter(|setting| {
                    // A better value that the machine has already is not to be made worse by the next boot.
                    self.read_setting(setting.sysctl).is_ok_and(|now| now == setting.value || !setting.is_met_by(now))
                })
                .map(|setting| (setting.sysctl, setting.value)),
        );
        let text = state::write_conf(&lines);
        Ok(text.filter(|text| Some(text) != there.as_ref()))
    }

    fn read_optional(&self, file: &str) -> Result<Option<String>, Error> {
        match fsio::read(&self.path(file)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn remembered(&self) -> Result<Option<State>, Error> {
        let Some(text) = self.read_optional(STATE_FILE)? else { return Ok(None) };
        let damaged = |why: String| Error::Damaged { path: self.path(STATE_FILE), why };
        state::open(&text).map(Some).map_err(damaged)
    }

    fn remember(&self, state: &State) -> Result<(), Error> {
        let path = self.path(STATE_FILE);
        if state.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(FileError::new("remove", &path, error).into())
                }
                _ => Ok(()),
            };
        }
        install(&path, &state::seal(state))
    }
}

/// Writes a file for root to change and for everybody to read, whatever the umask is; a directory that is made for it, too.
fn install(path: &Path, text: &str) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(path);
    if !dir.exists() {
        fsio::create_dir_all(dir)?;
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir, open).map_err(|source| FileError::new("create directory", dir, source))?;
    }
    Ok(fsio::install(path, text.as_bytes(), 0o644)?)
}

/// What an undo would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undoable {
    /// The file that tells it.
    pub file: String,
    /// The settings.
    pub changes: Vec<Change>,
    /// Whether the file for the next boot goes, too.
    pub persisted: bool,
}

/// As the user knows the file.
fn shown(file: &str) -> String {
    Path::new("/").join(file).display().to_string()
}

#[cfg(test)]
mod tests;
