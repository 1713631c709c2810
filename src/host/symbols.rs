//! Symbols, debug symbols, types and tracepoints of the running kernel.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::parse;
use super::reading::{Reading, read_text_up_to, read_value, reading_from_error};

/// Information about the kernel's code that this machine offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelTracingFacts {
    /// Whether `/proc/kallsyms` shows real addresses to this process, not zeros.
    pub kallsyms_shown: Reading<bool>,
    /// The kernel image with debug symbols, in one of the usual directories.
    pub vmlinux: Reading<PathBuf>,
    /// Whether `/sys/kernel/btf/vmlinux`, which describes the kernel's types, is a file.
    pub btf: Reading<bool>,
    /// The id of the tracepoint `sched:sched_switch`. Absent if tracefs is not mounted.
    pub tracepoint: Reading<u64>,
}

/// Reads the facts below the directory `root`. `release` is the kernel's release.
pub(super) fn read_kernel_tracing(root: &Path, release: Option<&str>) -> KernelTracingFacts {
    KernelTracingFacts {
        kallsyms_shown: kallsyms_shown(root),
        vmlinux: release.map_or(Reading::Absent, |release| find_vmlinux(root, release)),
        btf: match std::fs::metadata(root.join("sys/kernel/btf/vmlinux")) {
            Ok(metadata) => Reading::Value(metadata.is_file()),
            Err(error) => reading_from_error(&error),
        },
        tracepoint: read_tracepoint_id(root),
    }
}

/// Reads only the first 64 KiB of about 10 MiB. That is enough: the kernel hides all addresses or none.
fn kallsyms_shown(root: &Path) -> Reading<bool> {
    read_text_up_to(&root.join("proc/kallsyms"), 64 << 10)
        .and_then(|text| parse::shows_kernel_addresses(&text).map_or_else(|| Reading::garbage(&text), Reading::Value))
}

/// Looks for the kernel image in the paths that perf knows (`vmlinux_paths`, tools/perf/util/symbol.c), and in Fedora's.
fn find_vmlinux(root: &Path, release: &str) -> Reading<PathBuf> {
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

/// Reads the id of the tracepoint from tracefs, which has a mount point since Linux 4.1, or from debugfs.
fn read_tracepoint_id(root: &Path) -> Reading<u64> {
    let id = |mount: &str| {
        read_value(&root.join(mount).join("events/sched/sched_switch/id"), |text| text.parse::<u64>().ok())
    };
    match id("sys/kernel/tracing") {
        Reading::Absent => id("sys/kernel/debug/tracing"),
        found => found,
    }
}
