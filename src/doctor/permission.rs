//! What the kernel's settings let this process sample.

use super::fix::Setting;
use super::inputs::Inputs;
use crate::config::Kernel;
use crate::host::{Capability, Facts, Reading, Sysctl};

/// How far sampling of an own process may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing may be sampled.
    Nothing,
    /// User space only.
    User,
    /// User space and the kernel.
    UserAndKernel,
    /// The setting could not be read.
    Unknown,
}

/// `perfmon_capable()` of include/linux/capability.h.
pub(super) fn perfmon_capable(facts: &Facts) -> bool {
    facts.holds(Capability::Perfmon) || facts.holds(Capability::SysAdmin)
}

/// What the level allows. Mainline knows -1 to 2 (Documentation/admin-guide/sysctl/kernel.rst) and treats higher values
/// as 2. Debian's and Ubuntu's kernels forbid everything above 2 to whoever lacks `CAP_SYS_ADMIN`; `CAP_PERFMON`
/// does not help there. The number alone does not tell which kernel it is, so a probe's experience comes first.
pub(super) fn reach(inputs: &Inputs) -> Reach {
    let facts = inputs.facts;
    let Reading::Value(level) = facts.perf_event_paranoid else { return Reach::Unknown };
    if level > 2 && !facts.holds(Capability::SysAdmin) {
        let refused = match &inputs.probe {
            Some(probe) => probe.opened.is_none(),
            None => distribution_kernel(facts),
        };
        if refused {
            return Reach::Nothing;
        }
    }
    if level >= 2 && !perfmon_capable(facts) { Reach::User } else { Reach::UserAndKernel }
}

/// Whether this profile will hold kernel samples, as far as is known.
pub(super) fn samples_kernel(inputs: &Inputs) -> bool {
    match (inputs.record.kernel, &inputs.probe) {
        (Kernel::No, _) => false,
        (_, Some(probe)) if probe.opened.is_some() => probe.kernel,
        // What was refused altogether says nothing about the kernel alone.
        _ => matches!(reach(inputs), Reach::UserAndKernel | Reach::Unknown),
    }
}

/// Whether the kernel was built by a distribution that restricts perf further. The kernel's own version text tells;
/// the distribution of the files may be a container's.
pub(super) fn distribution_kernel(facts: &Facts) -> bool {
    let named = facts.kernel_version.value().is_some_and(|text| text.contains("Debian") || text.contains("Ubuntu"));
    named || facts.kernel_release.value().is_some_and(|text| text.ends_with("-generic"))
}

/// The level that is enough for what is asked.
pub(super) fn level_needed(kernel: Kernel) -> Setting {
    let level = match kernel {
        Kernel::No => 2,
        Kernel::Auto | Kernel::Yes => 1,
    };
    Setting::at_most(Sysctl::PerfEventParanoid, level)
}
