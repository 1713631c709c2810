//! `--fix` and `--undo`: print the changes, ask the user, and print the results.

use std::process::ExitCode;

use crate::cli::args::DoctorArgs;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::doctor::{self, RepairPlan, RepairStep};

/// Makes the repairs that are possible on this machine. Returns true if a repair was tried, so that the caller checks
/// the machine again.
pub(super) fn fix(plan: &RepairPlan, args: &DoctorArgs, terminal: &Terminal) -> Result<bool, Failure> {
    for by_hand in &plan.by_hand {
        let place = if by_hand.on_host { " on the host" } else { "" };
        terminal.step("Manual", &format!("{}{place}: {}", by_hand.ids.join(", "), by_hand.command));
    }
    let persists = args.persist && has_changes_to_persist(plan)?;
    if plan.is_empty() && !persists {
        terminal.step("Fixed", "nothing: no kernel setting prevents profiling");
        return Ok(false);
    }
    for change in &plan.changes {
        terminal.step("Plan", &format!("{}: {} -> {}", change.setting.name(), change.before, change.after));
    }
    if args.persist {
        terminal.step("Plan", "keep the settings after a reboot: /etc/sysctl.d/99-goflame.conf");
    }
    let flags = if args.persist { "--fix --persist" } else { "--fix" };
    confirm(args, terminal, flags, "Make these changes?")?;
    print_steps(&doctor::carry_out(plan, args.persist)?, "Fixed", terminal);
    if let Some(undoable) = doctor::undoable()? {
        terminal.step("Saved", &format!("the previous values, for `goflame doctor --undo`: {}", undoable.file));
    }
    Ok(true)
}

/// Whether there are changes, new or earlier, that can be kept after a reboot.
fn has_changes_to_persist(plan: &RepairPlan) -> Result<bool, Failure> {
    let undoable = doctor::undoable()?;
    Ok(!plan.is_empty() || undoable.is_some_and(|undoable| !undoable.changes.is_empty()))
}

/// Undoes the changes of `--fix`.
pub(super) fn undo(args: &DoctorArgs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let Some(undoable) = doctor::undoable()? else {
        terminal.step("Undone", "nothing: goflame has changed no kernel setting here");
        return Ok(ExitCode::SUCCESS);
    };
    for change in &undoable.changes {
        terminal.step("Plan", &format!("{}: back to {}", change.setting.name(), change.before));
    }
    if undoable.persisted {
        terminal.step("Plan", "/etc/sysctl.d/99-goflame.conf: restore the previous content");
    }
    confirm(args, terminal, "--undo", "Undo these changes?")?;
    let steps = doctor::undo()?;
    print_steps(&steps, "Undone", terminal);
    let failed = steps.iter().any(|step| step.problem.is_some());
    Ok(if failed { exit::UNEXPECTED.into() } else { ExitCode::SUCCESS })
}

/// Name of goflame in a command to paste. sudo searches its own list of directories, which does not include Cargo's.
pub(super) fn goflame(sudo: bool) -> &'static str {
    if sudo { "sudo \"$(command -v goflame)\"" } else { "goflame" }
}

/// Checks that the user is root and agrees, on a terminal or by `--yes`.
fn confirm(args: &DoctorArgs, terminal: &Terminal, flags: &str, question: &str) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::NotRoot { command: format!("{} doctor {flags}", goflame(true)) });
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
            None => terminal.step(verb, &step.what),
            Some(problem) => terminal.warn(&format!("{}: {problem}", step.what)),
        }
    }
}
