//! `--fix` and `--undo`: print the changes, ask the user, and print the results.

use std::process::ExitCode;

use crate::cli::args::DoctorArgs;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::doctor::{self, RepairPlan, RepairStep};

/// Performs the repairs that are possible on this machine. Returns true if a repair was tried, so that the caller
/// checks the machine again.
pub(super) fn fix(plan: &RepairPlan, args: &DoctorArgs, terminal: &Terminal) -> Result<bool, Failure> {
    for by_hand in &plan.manual_repairs {
        let place = if by_hand.on_host { " on the host" } else { "" };
        terminal.report_step("Manual", &format!("{}{place}: {}", by_hand.ids.join(", "), by_hand.command));
    }
    let persists = args.persist && has_changes_to_persist(plan)?;
    if plan.changes_nothing() && !persists {
        terminal.report_step("Fixed", "nothing: no kernel setting prevents profiling");
        return Ok(false);
    }
    for change in &plan.changes {
        terminal.report_step("Plan", &format!("{}: {} -> {}", change.setting.name(), change.before, change.after));
    }
    if args.persist {
        terminal.report_step("Plan", "keep the settings after a reboot: /etc/sysctl.d/99-goflame.conf");
    }
    let flags = if args.persist { "--fix --persist" } else { "--fix" };
    confirm(args, terminal, flags, "Make these changes?")?;
    print_steps(&doctor::carry_out(plan, args.persist)?, "Fixed", terminal);
    if let Some(undoable) = doctor::undoable_changes()? {
        terminal.report_step("Saved", &format!("the previous values, for `goflame doctor --undo`: {}", undoable.file));
    }
    Ok(true)
}

/// Whether there are changes, of this command or of an earlier one, that can be kept after a reboot.
fn has_changes_to_persist(plan: &RepairPlan) -> Result<bool, Failure> {
    let undoable = doctor::undoable_changes()?;
    Ok(!plan.changes_nothing() || undoable.is_some_and(|undoable| !undoable.changes.is_empty()))
}

/// Undoes the changes of `--fix`.
pub(super) fn undo(args: &DoctorArgs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let Some(undoable) = doctor::undoable_changes()? else {
        terminal.report_step("Undone", "nothing: goflame has changed no kernel setting here");
        return Ok(ExitCode::SUCCESS);
    };
    for change in &undoable.changes {
        terminal.report_step("Plan", &format!("{}: back to {}", change.setting.name(), change.before));
    }
    if undoable.persisted {
        terminal.report_step("Plan", "/etc/sysctl.d/99-goflame.conf: restore the previous content");
    }
    confirm(args, terminal, "--undo", "Undo these changes?")?;
    let steps = doctor::undo()?;
    print_steps(&steps, "Undone", terminal);
    let failed = steps.iter().any(|step| step.problem.is_some());
    Ok(if failed { exit::UNEXPECTED.into() } else { ExitCode::SUCCESS })
}

/// Returns how to call goflame in a command that the user pastes. The directories that sudo searches do not include
/// Cargo's.
pub(super) fn goflame_command(sudo: bool) -> &'static str {
    if sudo { "sudo \"$(command -v goflame)\"" } else { "goflame" }
}

/// Checks that the user is root and agrees, on a terminal or by `--yes`.
fn confirm(args: &DoctorArgs, terminal: &Terminal, flags: &str, question: &str) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::NotRoot { command: format!("{} doctor {flags}", goflame_command(true)) });
    }
    if args.yes {
        return Ok(());
    }
    match terminal.confirm(question) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Declined),
        None => Err(Failure::NoConfirmation),
    }
}

fn print_steps(steps: &[RepairStep], verb: &str, terminal: &Terminal) {
    for step in steps {
        match &step.problem {
            None => terminal.report_step(verb, &step.description),
            Some(problem) => terminal.warn(&format!("{}: {problem}", step.description)),
        }
    }
}
