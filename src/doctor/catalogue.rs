//! Every check by id: the table of the README.

use super::binary::differences;
use super::finding::Group;

/// What a check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckDoc {
    /// Stable kebab-case id.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// A title of a few words.
    pub title: &'static str,
    /// The feature that needs it.
    pub feature: &'static str,
    /// Why it matters.
    pub why: &'static str,
}

pub(super) static IGNORE_LIST: CheckDoc = CheckDoc {
    id: "ignore-list",
    group: Group::Settings,
    title: "ids of ignored checks",
    feature: "readiness",
    why: "An id that names no check ignores nothing, so the check that was meant still counts.",
};
pub(super) static PARANOID: CheckDoc = CheckDoc {
    id: "perf-event-paranoid",
    group: Group::Kernel,
    title: "who may sample what",
    feature: "user and kernel stacks",
    why: "kernel.perf_event_paranoid decides what a process without privileges may sample.",
};
pub(super) static MLOCK: CheckDoc = CheckDoc {
    id: "perf-mlock-budget",
    group: Group::Kernel,
    title: "memory for ring buffers",
    feature: "sampling without losses",
    why: "The kernel counts ring buffers against kernel.perf_event_mlock_kb per CPU and then against RLIMIT_MEMLOCK; \
          beyond both, mapping one fails with EPERM, whatever perf_event_paranoid says.",
};
pub(super) static SAMPLE_RATE: CheckDoc = CheckDoc {
    id: "sample-rate",
    group: Group::Kernel,
    title: "sampling frequency",
    feature: "sampling",
    why: "A frequency above kernel.perf_event_max_sample_rate is refused with EINVAL, for root too; the kernel lowers \
          the limit by itself when sampling interrupts take long.",
};
pub(super) static MAX_STACK: CheckDoc = CheckDoc {
    id: "perf-max-stack",
    group: Group::Kernel,
    title: "depth of call chains",
    feature: "complete stacks",
    why: "Call chains are cut at kernel.perf_event_max_stack frames, and a cut one has lost its root.",
};
pub(super) static KPTR: CheckDoc = CheckDoc {
    id: "kptr-restrict",
    group: Group::Kernel,
    title: "kernel symbols",
    feature: "names of kernel functions",
    why: "Kernel frames get their names from /proc/kallsyms, where a reader without rights sees zeros as addresses.",
};
pub(super) static PMU: CheckDoc = CheckDoc {
    id: "pmu",
    group: Group::Sampling,
    title: "hardware counters",
    feature: "the cycles event",
    why: "Without a PMU, as in most virtual machines, there is no cycles event; cpu-clock samples by timer instead.",
};
pub(super) static PROBE: CheckDoc = CheckDoc {
    id: "live-probe",
    group: Group::Sampling,
    title: "sampling, tried out",
    feature: "sampling",
    why: "Settings say what should work; only opening an event shows what does, because security modules, containers \
          and distributions' kernels have their own say.",
};
pub(super) static GO_FOUND: CheckDoc = CheckDoc {
    id: "go-found",
    group: Group::Toolchain,
    title: "Go toolchain",
    feature: "building",
    why: "goflame builds the program that it profiles with the go command.",
};
pub(super) static GO_PIN: CheckDoc = CheckDoc {
    id: "go-pin",
    group: Group::Toolchain,
    title: "pinned Go version",
    feature: "comparable runs",
    why: "Two Go versions compile the same source differently, so runs compare only when both use the pinned one.",
};
pub(super) static BINARY: CheckDoc = CheckDoc {
    id: "binary-as-asked",
    group: Group::Binary,
    title: "the built binary, inspected",
    feature: "trustworthy profiles",
    why: "GOFLAGS, a wrapper or a cache can change what a build really did; a profile of another binary misleads. Each \
          difference has an id of its own that begins with binary-.",
};

static MACHINE: [&CheckDoc; 11] =
    [&IGNORE_LIST, &PARANOID, &MLOCK, &SAMPLE_RATE, &MAX_STACK, &KPTR, &PMU, &PROBE, &GO_FOUND, &GO_PIN, &BINARY];

/// Every check, in the order of the report.
pub fn catalogue() -> Vec<&'static CheckDoc> {
    MACHINE.into_iter().chain(differences()).collect()
}

/// The id that a misspelt one was probably meant to be.
pub(super) fn nearest(id: &str) -> Option<&'static str> {
    catalogue()
        .into_iter()
        .map(|doc| (strsim::jaro_winkler(doc.id, id), doc.id))
        .filter(|&(likeness, _)| likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, id)| id)
}
