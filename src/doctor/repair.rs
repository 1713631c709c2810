//! From findings to a plan of repairs. Nothing is changed here.

use serde::{Deserialize, Serialize};

use super::check::check;
use super::finding::Finding;
use super::fix::Setting;
use super::inputs::Inputs;
use crate::host::{Facts, Reading, Sysctl};

/// A kernel setting that is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The setting.
    pub setting: Sysctl,
    /// Its value as it was read.
    pub before: i64,
    /// Its value afterwards.
    pub after: i64,
}

/// A repair that is left to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// The checks that it repairs.
    pub ids: Vec<&'static str>,
    /// The command.
    pub command: String,
    /// Whether it is for the machine that runs this container.
    pub on_host: bool,
    /// Why goflame does not do it itself, where that is not plain.
    pub why: Option<String>,
}

/// What is to be done about the findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairPlan {
    /// Kernel settings that can be changed now, in the order in which they have to be, each once.
    pub changes: Vec<Change>,
    /// The same settings, with the bounds that they have to keep.
    pub settings: Vec<Setting>,
    /// Which checks ask for which setting.
    pub asked_by: Vec<(Sysctl, &'static str)>,
    /// Whether changing the settings takes root, and this process is not root.
    pub sudo: bool,
    /// Everything else.
    pub by_hand: Vec<ByHand>,
}

impl RepairPlan {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The checks that ask for a setting.
    pub fn ids_of(&self, sysctl: Sysctl) -> Vec<&'static str> {
        self.asked_by.iter().filter(|(asked, _)| *asked == sysctl).map(|(_, id)| *id).collect()
    }
}

/// The repairs of all failures and warnings among `findings`, which [`check()`] made of `inputs`.
///
/// One setting can hide another: where the kernel may not be sampled, nobody asks for its symbols. So the machine as it
/// would be is judged as well, until nothing new comes to light.
pub fn repair(inputs: &Inputs<'_>, findings: &[Finding]) -> RepairPlan {
    let mut bad: Vec<Finding> = findings.iter().filter(|finding| finding.is_bad()).cloned().collect();
    loop {
        let plan = of(&bad, inputs.facts);
        let repaired = plan
            .changes
            .iter()
            .fold(inputs.facts.clone(), |facts, change| facts.with_sysctl(change.setting, change.after));
        // What was tried out was tried on the machine as it is.
        let mut hidden = check(&Inputs { facts: &repaired, probe: None, trial: None, ..inputs.clone() });
        hidden.retain(|finding| finding.is_bad() && !bad.iter().any(|known| known.id == finding.id));
        if plan.is_empty() || hidden.is_empty() {
            return plan;
        }
        bad.extend(hidden);
    }
}

/// A setting that was not read, or not understood, is never changed: its repair is left to the user, who can look. Where
/// two checks ask for the same setting, the wider value is taken.
fn of(findings: &[Finding], facts: &Facts) -> RepairPlan {
    let mut plan = RepairPlan::default();
    for finding in findings {
        let Some(fix) = &finding.fix else { continue };
        let unknown = fix.settings().iter().find_map(|setting| match facts.sysctl(setting.sysctl) {
            Reading::Value(_) => None,
            missing => Some(format!("{} was not understood ({missing})", setting.sysctl.name())),
        });
        if fix.settings().is_empty() || fix.on_host || unknown.is_some() {
            by_hand(&mut plan, finding.id, &fix.now(), fix.on_host, unknown);
            continue;
        }
        plan.sudo |= fix.sudo;
        for setting in fix.settings() {
            plan.asked_by.push((setting.sysctl, finding.id));
            match plan.settings.iter_mut().find(|other| other.sysctl == setting.sysctl) {
                Some(other) if !setting.is_met_by(other.value) => *other = *setting,
                Some(_) => {}
                None => plan.settings.push(*setting),
            }
        }
    }
    let order = |setting: &Setting| Sysctl::ALL.iter().position(|sysctl| *sysctl == setting.sysctl);
    plan.settings.sort_by_key(order);
    plan.changes = plan
        .settings
        .iter()
        .filter_map(|setting| {
            let before = facts.sysctl(setting.sysctl).value().copied()?;
            let change = Change { setting: setting.sysctl, before, after: setting.value };
            (!setting.is_met_by(before)).then_some(change)
        })
        .collect();
    plan
}

/// The same command may repair several findings; it is to be run once.
fn by_hand(plan: &mut RepairPlan, id: &'static str, command: &str, on_host: bool, why: Option<String>) {
    match plan.by_hand.iter_mut().find(|known| known.command == command) {
        Some(known) => known.ids.push(id),
        None => plan.by_hand.push(ByHand { ids: vec![id], command: command.to_owned(), on_host, why }),
    }
}
