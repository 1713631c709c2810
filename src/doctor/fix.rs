//! The repair of a finding. The table, the JSON, `--fix`, `--persist` and the script all use this value.

use serde::Serialize;
use serde::ser::SerializeStruct;

use crate::host::{HostFacts, Reading, Sysctl};

/// Which other values of a kernel setting are acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The value or a lower value.
    AtMost,
    /// The value or a higher value.
    AtLeast,
}

/// A kernel setting and its needed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Which kernel setting it is.
    #[serde(rename = "name")]
    pub sysctl: Sysctl,
    /// The value to write.
    pub value: i64,
    /// Which other values are acceptable.
    pub bound: Bound,
}

impl Setting {
    pub(super) fn at_most(sysctl: Sysctl, value: i64) -> Self {
        Self { sysctl, value, bound: Bound::AtMost }
    }

    pub(super) fn at_least(sysctl: Sysctl, value: i64) -> Self {
        Self { sysctl, value, bound: Bound::AtLeast }
    }

    /// Whether a value is acceptable.
    pub fn is_met_by(&self, value: i64) -> bool {
        match self.bound {
            Bound::AtMost => value <= self.value,
            Bound::AtLeast => value >= self.value,
        }
    }

    /// The line for a file in `/etc/sysctl.d`.
    pub fn sysctl_line(&self) -> String {
        format!("{} = {}", self.sysctl.name(), self.value)
    }
}

/// The action of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A change of kernel settings, which `--fix` can make.
    Sysctl(Vec<Setting>),
    /// A command for the user. It installs a package, or its effect lasts only for one shell or until the next boot.
    Command(String),
}

/// The repair of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// The change of settings, or the command.
    pub action: Action,
    /// Whether the action needs root, and this process is not root.
    pub needs_sudo: bool,
    /// Whether the action must be done on the host of this container.
    pub on_host: bool,
}

impl Fix {
    /// Changes kernel settings. In a container that cannot write them, the host must change them.
    pub(super) fn sysctl_change(facts: &HostFacts, settings: Vec<Setting>) -> Self {
        let on_host = facts.isolation.container.is_some() && facts.isolation.read_only_sysctls != Reading::Value(false);
        Self { action: Action::Sysctl(settings), needs_sudo: on_host || !is_root(facts), on_host }
    }

    /// Runs a command as root.
    pub(super) fn root_command(facts: &HostFacts, command: impl Into<String>) -> Self {
        Self { action: Action::Command(command.into()), needs_sudo: !is_root(facts), on_host: false }
    }

    /// Runs a command that needs no privileges.
    pub(super) fn user_command(command: impl Into<String>) -> Self {
        Self { action: Action::Command(command.into()), needs_sudo: false, on_host: false }
    }

    /// Runs a command on the host of this container.
    pub(super) fn host_command(command: impl Into<String>) -> Self {
        Self { action: Action::Command(command.into()), needs_sudo: false, on_host: true }
    }

    /// The kernel settings to change. Empty for a command.
    pub fn settings(&self) -> &[Setting] {
        match &self.action {
            Action::Sysctl(settings) => settings,
            Action::Command(_) => &[],
        }
    }

    /// The command that repairs the problem now, ready to paste into a shell.
    pub fn command_now(&self) -> String {
        let command = match &self.action {
            Action::Sysctl(settings) => {
                let words: Vec<_> =
                    settings.iter().map(|setting| format!("{}={}", setting.sysctl.name(), setting.value)).collect();
                format!("sysctl -w {}", words.join(" "))
            }
            Action::Command(command) => command.clone(),
        };
        if self.needs_sudo { format!("sudo {command}") } else { command }
    }

    /// Lines for a file in `/etc/sysctl.d/` that repeat the repair at each boot. `None` for a command.
    pub fn persistent_lines(&self) -> Option<String> {
        let lines: Vec<_> = self.settings().iter().map(Setting::sysctl_line).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Serialize for Fix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Fix", 5)?;
        fields.serialize_field("kind", if self.settings().is_empty() { "command" } else { "sysctl" })?;
        fields.serialize_field("now", &self.command_now())?;
        fields.serialize_field("persist", &self.persistent_lines())?;
        fields.serialize_field("on_host", &self.on_host)?;
        fields.serialize_field("settings", self.settings())?;
        fields.end()
    }
}

fn is_root(facts: &HostFacts) -> bool {
    facts.effective_uid == Reading::Value(0)
}
