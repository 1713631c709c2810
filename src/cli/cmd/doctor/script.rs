//! `--print-script`: prints the repairs as a shell script, for repositories that set up machines.
//!
//! The script is POSIX sh and as careful as `--fix`. It does not write a setting that is missing or is not a number,
//! and it keeps a value that is already good enough. A second run changes nothing.

use std::fmt::Write as _;

use crate::doctor::{Bound, RepairPlan, Setting};
use crate::process::quote_command;

/// First lines of every script.
const SCRIPT_HEAD: &str = include_str!("../../../../templates/doctor-head.sh");

pub(super) fn repair_script(plan: &RepairPlan, persist: bool) -> String {
    let command = format!("goflame doctor --print-script{}", if persist { " --persist" } else { "" });
    let mut text = SCRIPT_HEAD.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@COMMAND@", &command);
    // Writing to a string cannot fail.
    for by_hand in &plan.manual_repairs {
        let place = if by_hand.on_host { "on the host of this container" } else { "by hand" };
        let _ = writeln!(text, "# {}: {place}:\n#   {}", by_hand.ids.join(", "), by_hand.command.replace('\n', " "));
    }
    if plan.settings.is_empty() {
        text.push_str("say 'no kernel setting prevented profiling when this script was printed'\n");
        return text;
    }
    for setting in &plan.settings {
        let _ = writeln!(text, "{} {} {}", function_name(setting), setting.sysctl.name(), setting.value);
    }
    if persist {
        let lines: Vec<_> = plan.settings.iter().map(Setting::sysctl_line).collect();
        let _ = writeln!(text, "persist {}", quote_command(&lines));
    }
    text
}

/// Returns the name of the script's function that applies the setting: as a maximum or as a minimum.
fn function_name(setting: &Setting) -> &'static str {
    match setting.bound {
        Bound::AtMost => "at_most",
        Bound::AtLeast => "at_least",
    }
}
