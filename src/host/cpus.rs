//! The numbers of the CPUs.

use std::collections::BTreeSet;
use std::path::Path;

use super::parse;
use super::reading::{Reading, read_text, read_value};

/// Returns the CPUs that are online, and all that may be. `status` is the text of `/proc/self/status`.
///
/// Each list alone can be wrong: a container may have no `/sys`, and lxcfs replaces `online` and `/proc/stat` by the
/// container's share. Only the kernel knows: it refuses an event on a CPU that is not online.
pub(super) fn cpus(root: &Path, status: &Reading<String>) -> (Reading<Vec<u32>>, Vec<u32>) {
    let directory = root.join("sys/devices/system/cpu");
    let [online, possible] = ["online", "possible"].map(|file| read_value(&directory.join(file), parse::cpu_list));
    let counted = read_text(&root.join("proc/stat")).and_then(|stat| match parse::cpus_in_stat(&stat) {
        cpus if cpus.is_empty() => Reading::Absent,
        cpus => Reading::Value(cpus),
    });
    let allowed = parse::field_of(status, "Cpus_allowed_list", parse::cpu_list);
    let lists = [&online, &possible, &counted, &allowed];
    let all: BTreeSet<u32> = lists.into_iter().filter_map(Reading::value).flatten().copied().collect();
    let online = if online == Reading::Absent { counted } else { online };
    (online, all.into_iter().collect())
}
