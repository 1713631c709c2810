//! Is everything ready? The facts are gathered here, the judging is `doctor`'s.

use std::path::Path;

use crate::build::{self, GoTool, Mismatch};
use crate::config::{Config, EventChoice, Kernel};
use crate::doctor::{self, Finding, Inputs, ProbeResult, RingSize, Verdict};
use crate::host::{self, Facts};
use crate::perfevent::Source;
use crate::record::{EventWish, KernelWish, RING_SIZES, Settled, settle};

/// The state of the machine and the project.
#[derive(Debug)]
pub struct Readiness {
    /// The machine.
    pub facts: Facts,
    /// The checks.
    pub findings: Vec<Finding>,
    /// What can be sampled; `None`: nothing.
    pub settled: Option<Settled>,
}

impl Readiness {
    /// Whether to go on.
    pub fn verdict(&self, strict: bool) -> Verdict {
        doctor::verdict(&self.findings, strict)
    }
}

/// The CPUs that are online; of a machine that does not say, the first.
pub(super) fn online_cpus(facts: &Facts) -> Vec<u32> {
    facts.online_cpus.value().cloned().unwrap_or_else(|| vec![0])
}

/// Checks everything that is known by now. `go` is `None` outside of a project, `binary` before the build.
pub fn readiness(config: &Config, go: Option<&Result<GoTool, build::Error>>, binary: Option<&[Mismatch]>) -> Readiness {
    let facts = host::probe(Path::new("/"));
    let record = &config.record;
    let event = match record.event {
        EventChoice::Auto => EventWish::Auto,
        EventChoice::Cycles => EventWish::Exactly(Source::Cycles),
        EventChoice::CpuClock => EventWish::Exactly(Source::CpuClock),
    };
    let kernel = match record.kernel {
        Kernel::Auto => KernelWish::Auto,
        Kernel::Yes => KernelWish::Yes,
        Kernel::No => KernelWish::No,
    };
    let settled = settle(event, kernel, record.frequency, record.stack, &online_cpus(&facts));
    let probe = match &settled {
        Ok(settled) => ProbeResult {
            opened: Some(settled.spec.source.name().to_owned()),
            kernel: settled.spec.kernel,
            errno: None,
            message: settled.losses().into_iter().chain(settled.remark()).collect::<Vec<_>>().join("; "),
        },
        Err(error) => ProbeResult {
            opened: None,
            kernel: false,
            errno: error.errno(),
            message: match std::error::Error::source(error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
        },
    };
    let inputs = Inputs {
        facts: &facts,
        record,
        ring: RingSize { wanted: page_more(RING_SIZES.1), least: page_more(RING_SIZES.0) },
        probe: Some(probe),
        go: go.map(|go| match go {
            Ok(go) => Ok(go.version.clone()),
            Err(error) => Err(error.to_string()),
        }),
        go_pin: &config.toolchain.go,
        binary,
        ignore: &config.doctor.ignore,
    };
    let findings = doctor::check(&inputs);
    Readiness { findings, settled: settled.ok(), facts }
}

/// The kernel counts the control page of a ring buffer too.
fn page_more(bytes: usize) -> u64 {
    u64::try_from(bytes.saturating_add(rustix::param::page_size())).unwrap_or(u64::MAX)
}
