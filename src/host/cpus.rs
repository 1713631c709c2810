//! The numbers of this machine's CPUs.

use std::collections::BTreeSet;
use std::path::Path;

use super::parse;
use super::reading::{Reading, read_text, read_value};

/// Returns the numbers of the online CPUs, and of all CPUs that any file names. `status` is the text of
/// `/proc/self/status`.
///
/// Each file alone can be wrong: a container can lack `/sys`, and lxcfs shows only the container's CPUs in `online` and
/// `/proc/stat`. A CPU that is not online does no harm, because the kernel refuses its event.
pub(super) fn read_cpus(root: &Path, status: &Reading<String>) -> (Reading<Vec<u32>>, Vec<u32>) {
    let directory = root.join("sys/devices/system/cpu");
    let [online, possible] =
        ["online", "possible"].map(|file| read_value(&directory.join(file), parse::parse_cpu_list));
    let counted = read_text(&root.join("proc/stat")).and_then(|stat| match parse::cpus_in_stat(&stat) {
        cpus if cpus.is_empty() => Reading::Absent,
        cpus => Reading::Value(cpus),
    });
    let allowed = parse::parse_field(status, "Cpus_allowed_list", parse::parse_cpu_list);
    let lists = [&online, &possible, &counted, &allowed];
    let all: BTreeSet<u32> = lists.into_iter().filter_map(Reading::value).flatten().copied().collect();
    let online = if online == Reading::Absent { counted } else { online };
    (online, all.into_iter().collect())
}
