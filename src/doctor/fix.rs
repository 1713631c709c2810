//! How a finding is repaired: one value that the table, the JSON, `--fix`, `--persist` and the script all print from.

use serde::Serialize;
use serde::ser::SerializeStruct;

use crate::host::{Facts, Reading, Sysctl};

/// On which side of its value a kernel setting is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The value or less.
    AtMost,
    /// The value or more.
    AtLeast,
}

/// A kernel setting and the value that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The setting.
    #[serde(rename = "name")]
    pub sysctl: Sysctl,
    /// The value to write.
    pub value: i64,
    /// Which other values are as good.
    pub bound: Bound,
}

impl Setting {
    pub(super) fn at_most(sysctl: Sysctl, value: i64) -> Self {
        Self { sysctl, value, bound: Bound::AtMost }
    }

    pub(super) fn at_least(sysctl: Sysctl, value: i64) -> Self {
        Self { sysctl, value, bound: Bound::AtLeast }
    }

    /// Whether a value is good enough already.
    pub fn is_met_by(&self, value: i64) -> bool {
        match self.bound {
            Bound::AtMost => value <= self.value,
            Bound::AtLeast => value >= self.value,
        }
    }

    /// The line for a file in `/etc/sysctl.d`.
    pub fn line(&self) -> String {
        format!("{} = {}", self.sysctl.name(), self.value)
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Kernel settings, which `--fix` can write.
    Sysctl(Vec<Setting>),
    /// A command that the user runs: it installs something, or holds for one shell or until the next boot only.
    Command(String),
}

/// How to repair what a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What is to be done.
    pub action: Action,
    /// Whether that takes root, and this process is not root.
    pub sudo: bool,
    /// Whether it has to be done on the machine that runs this container.
    pub on_host: bool,
}

impl Fix {
    /// Kernel settings; they are the host's where a container may not write them.
    pub(super) fn sysctl(facts: &Facts, settings: Vec<Setting>) -> Self {
        let on_host = facts.isolation.container.is_some() && facts.isolation.read_only_sysctls != Reading::Value(false);
        Self { action: Action::Sysctl(settings), sudo: on_host || !is_root(facts), on_host }
    }

    /// A command that takes root.
    pub(super) fn as_root(facts: &Facts, command: impl Into<String>) -> Self {
        Self { action: Action::Command(command.into()), sudo: !is_root(facts), on_host: false }
    }

    /// A command that anybody may run.
    pub(super) fn command(command: impl Into<String>) -> Self {
        Self { action: Action::Command(command.into()), sudo: false, on_host: false }
    }

    /// A command for the machine that runs this container.
    pub(super) fn for_host(command: impl Into<String>) -> Self {
        Self { action: Action::Command(command.into()), sudo: false, on_host: true }
    }

    /// The kernel settings in it, none for a command.
    pub fn settings(&self) -> &[Setting] {
        match &self.action {
            Action::Sysctl(settings) => settings,
            Action::Command(_) => &[],
        }
    }

    /// The command for now, ready to paste.
    pub fn now(&self) -> String {
        let command = match &self.action {
            Action::Sysctl(settings) => {
                let words: Vec<_> = settings.iter().map(|it| format!("{}={}", it.sysctl.name(), it.value)).collect();
                format!("sysctl -w {}", words.join(" "))
            }
            Action::Command(command) => command.clone(),
        };
        if self.sudo { format!("sudo {command}") } else { command }
    }

    /// Lines for a file in `/etc/sysctl.d/` that keep it after a reboot; `None` where the command lasts or nothing does.
    pub fn persist(&self) -> Option<String> {
        let lines: Vec<_> = self.settings().iter().map(Setting::line).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Serialize for Fix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Fix", 5)?;
        fields.serialize_field("kind", if self.settings().is_empty() { "command" } else { "sysctl" })?;
        fields.serialize_field("now", &self.now())?;
        fields.serialize_field("persist", &self.persist())?;
        fields.serialize_field("on_host", &self.on_host)?;
        fields.serialize_field("settings", self.settings())?;
        fields.end()
    }
}

fn is_root(facts: &Facts) -> bool {
    facts.effective_uid == Reading::Value(0)
}
