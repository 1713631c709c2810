//! Where the kernel tells about itself: symbols, debug symbols, types, tracepoints.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::parse;
use super::reading::{Reading, missing, single, text_up_to};

/// What can be known of the running kernel's own code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSymbols {
    /// Whether `/proc/kallsyms` shows this process real addresses (`false`: zeros).
    pub kallsyms_shown: Reading<bool>,
    /// The kernel with its debug symbols, where distributions put it; absent: nowhere.
    pub vmlinux: Reading<PathBuf>,
    /// Whether the kernel describes its types. `/sys/kernel/btf/vmlinux`.
    pub btf: Reading<bool>,
    /// The number of the tracepoint `sched:sched_switch`, which whoever reads it may open. Absent: tracefs is not
    /// mounted.
    pub tracepoint: Reading<u64>,
}

/// Reads it under `root`, for a kernel of this release.
pub(super) fn kernel_symbols(root: &Path, release: Option<&str>) -> KernelSymbols {
    KernelSymbols {
        kallsyms_shown: kallsyms_shown(root),
        vmlinux: release.map_or(Reading::Absent, |release| vmlinux(root, release)),
        btf: match std::fs::metadata(root.join("sys/kernel/btf/vmlinux")) {
            Ok(metadata) => Reading::Value(metadata.is_file()),
            Err(error) => missing(&error),
        },
        tracepoint: tracepoint(root),
    }
}

/// The whole file is 10 MiB and zeros throughout when it hides; its beginning tells.
fn kallsyms_shown(root: &Path) -> Reading<bool> {
    text_up_to(&root.join("proc/kallsyms"), 64 << 10)
        .and_then(|text| parse::kallsyms_shown(&text).map_or_else(|| Reading::garbage(&text), Reading::Value))
}

/// The places that perf searches too (`vmlinux_paths`, tools/perf/util/symbol.c), and Fedora's.
fn vmlinux(root: &Path, release: &str) -> Reading<PathBuf> {
    [
        format!("boot/vmlinux-{release}"),
        format!("usr/lib/debug/boot/vmlinux-{release}"),
        format!("usr/lib/debug/boot/vmlinux-{release}.debug"),
        format!("usr/lib/debug/lib/modules/{release}/vmlinux"),
        format!("usr/lib/debug/usr/lib/modules/{release}/vmlinux"),
        format!("lib/modules/{release}/build/vmlinux"),
    ]
    .into_iter()
    .find(|file| root.join(file).is_file())
    .map_or(Reading::Absent, |file| Reading::Value(Path::new("/").join(file)))
}

/// tracefs has a mount point of its own since Linux 4.1, and lies in debugfs as well.
fn tracepoint(root: &Path) -> Reading<u64> {
    let id =
        |mount: &str| single(&root.join(mount).join("events/sched/sched_switch/id"), |text| text.parse::<u64>().ok());
    match id("sys/kernel/tracing") {
        Reading::Absent => id("sys/kernel/debug/tracing"),
        found => found,
    }
}
