//! The kernel's permission for this process to sample user space and the kernel.

use super::fix::Setting;
use super::inputs::Inputs;
use crate::config::Kernel;
use crate::host::{Capability, HostFacts, Reading, Sysctl};

/// Which parts of this user's processes the kernel permits goflame to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// No sampling.
    Nothing,
    /// User space only.
    User,
    /// User space and the kernel.
    UserAndKernel,
    /// The level could not be read.
    Unknown,
}

/// Whether capabilities permit all sampling, as in `perfmon_capable()` of include/linux/capability.h.
pub(super) fn is_perfmon_capable(facts: &HostFacts) -> bool {
    facts.has_capability(Capability::Perfmon) || facts.has_capability(Capability::SysAdmin)
}

/// The permission at the current paranoid level. The mainline kernel has the levels -1 to 2
/// (Documentation/admin-guide/sysctl/kernel.rst) and treats higher values as 2. The kernels of Debian and Ubuntu permit
/// nothing at higher levels without `CAP_SYS_ADMIN`, not even with `CAP_PERFMON`. The level does not show which kernel
/// is running. So the result of the probe decides, if there is one.
pub(super) fn sampling_permission(inputs: &Inputs) -> Permission {
    let facts = inputs.facts;
    let Reading::Value(level) = facts.perf_event_paranoid else { return Permission::Unknown };
    if level > 2 && !facts.has_capability(Capability::SysAdmin) {
        let refused = match &inputs.probe {
            Some(probe) => probe.opened_event.is_none(),
            None => is_restricted_kernel(facts),
        };
        if refused {
            return Permission::Nothing;
        }
    }
    if level >= 2 && !is_perfmon_capable(facts) { Permission::User } else { Permission::UserAndKernel }
}

/// Whether the profile is expected to contain kernel samples.
pub(super) fn expects_kernel_samples(inputs: &Inputs) -> bool {
    match (inputs.record.kernel, &inputs.probe) {
        (Kernel::No, _) => false,
        (_, Some(probe)) if probe.opened_event.is_some() => probe.has_kernel_samples,
        // If no event could be opened, the probe does not show whether kernel samples are permitted.
        _ => matches!(sampling_permission(inputs), Permission::UserAndKernel | Permission::Unknown),
    }
}

/// Whether the kernel comes from a distribution that restricts perf events further. Judged by the kernel's version
/// text, because `/etc/os-release` can belong to a container.
pub(super) fn is_restricted_kernel(facts: &HostFacts) -> bool {
    let named = facts.kernel_version.value().is_some_and(|text| text.contains("Debian") || text.contains("Ubuntu"));
    named || facts.kernel_release.value().is_some_and(|text| text.ends_with("-generic"))
}

/// The paranoid level that the configured kernel stacks need.
pub(super) fn needed_level(kernel: Kernel) -> Setting {
    let level = match kernel {
        Kernel::No => 2,
        Kernel::Auto | Kernel::Yes => 1,
    };
    Setting::at_most(Sysctl::PerfEventParanoid, level)
}
