//! Turns findings into a repair plan. Does not change the machine.

use serde::{Deserialize, Serialize};

use crate::doctor::finding::Finding;
use crate::doctor::fix::Setting;
use crate::doctor::inputs::Inputs;
use crate::doctor::registry::check;
use crate::host::{HostFacts, Reading, Sysctl};

/// A change of a kernel setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which kernel setting changes.
    pub setting: Sysctl,
    /// The value before the repair.
    pub before: i64,
    /// The value after the repair.
    pub after: i64,
}

/// A repair that only the user can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualRepair {
    /// Ids of the checks that the repair concerns.
    pub ids: Vec<&'static str>,
    /// The command that makes the repair.
    pub command: String,
    /// Whether the command must run on the host of this container.
    pub on_host: bool,
    /// Why goflame cannot make the repair. `None` if that is obvious.
    pub why: Option<String>,
}

/// The repairs of findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairPlan {
    /// Changes of kernel settings that goflame can make, in the necessary order, without duplicates.
    pub changes: Vec<Change>,
    /// The needed value of each setting, even of settings that already have an acceptable value.
    pub settings: Vec<Setting>,
    /// Ids of the checks that need each setting.
    pub checks_by_setting: Vec<(Sysctl, &'static str)>,
    /// Whether the changes need root, and this process is not root.
    pub needs_sudo: bool,
    /// Repairs that the user has to make.
    pub manual_repairs: Vec<ManualRepair>,
}

impl RepairPlan {
    /// Whether the plan changes no kernel setting.
    pub fn changes_nothing(&self) -> bool {
        self.changes.is_empty()
    }

    /// Ids of the checks that need a setting.
    pub fn check_ids(&self, sysctl: Sysctl) -> Vec<&'static str> {
        self.checks_by_setting.iter().filter(|(asked, _)| *asked == sysctl).map(|(_, id)| *id).collect()
    }
}

/// Plans the repairs of all failures and warnings in `findings`, the result of [`check()`] for `inputs`.
///
/// One problem can hide another: while kernel samples are forbidden, no check needs kernel symbols. So the planned
/// machine is checked again, until there are no new findings.
pub fn plan_repair(inputs: &Inputs<'_>, findings: &[Finding]) -> RepairPlan {
    let mut bad: Vec<Finding> = findings.iter().filter(|finding| finding.is_bad()).cloned().collect();
    loop {
        let plan = plan_visible_problems(&bad, inputs.facts);
        let repaired = plan
            .changes
            .iter()
            .fold(inputs.facts.clone(), |facts, change| facts.with_sysctl(change.setting, change.after));
        // Probe and trial were made on the unrepaired machine.
        let mut hidden =
            check(&Inputs { facts: &repaired, probe: None, trial: None, confined: None, ..inputs.clone() });
        hidden.retain(|finding| finding.is_bad() && !bad.iter().any(|known| known.id == finding.id));
        if plan.changes_nothing() || hidden.is_empty() {
            return plan;
        }
        bad.extend(hidden);
    }
}

/// Plans the repairs of these findings. The user has to repair a setting with an unknown value. If two checks need the
/// same setting, the plan has the value that is acceptable for both.
fn plan_visible_problems(findings: &[Finding], facts: &HostFacts) -> RepairPlan {
    let mut plan = RepairPlan::default();
    for finding in findings {
        let Some(fix) = &finding.fix else { continue };
        let unknown = fix.settings().iter().find_map(|setting| match facts.sysctl(setting.sysctl) {
            Reading::Value(_) => None,
            missing => Some(format!("the value of {} is unknown ({missing})", setting.sysctl.name())),
        });
        if fix.settings().is_empty() || fix.on_host || unknown.is_some() {
            add_manual_repair(&mut plan, finding.id, &fix.command_now(), fix.on_host, unknown);
            continue;
        }
        plan.needs_sudo |= fix.needs_sudo;
        for setting in fix.settings() {
            plan.checks_by_setting.push((setting.sysctl, finding.id));
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

/// Adds a repair for the user. A command that repairs several findings is listed once.
fn add_manual_repair(plan: &mut RepairPlan, id: &'static str, command: &str, on_host: bool, why: Option<String>) {
    match plan.manual_repairs.iter_mut().find(|known| known.command == command) {
        Some(known) => known.ids.push(id),
        None => plan.manual_repairs.push(ManualRepair { ids: vec![id], command: command.to_owned(), on_host, why }),
    }
}
