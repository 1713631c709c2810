//! The CPU quota of this process's control groups.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::reading::{Reading, read_text, read_value};

/// A CPU bandwidth limit: `quota_us` of CPU time in every `period_us` of wall time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuQuota {
    /// Microseconds of CPU time per period.
    pub quota_us: u64,
    /// Microseconds of a period; not 0.
    pub period_us: u64,
}

impl CpuQuota {
    /// The quota as a number of CPUs.
    pub fn cpus(self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }
}

/// The lowest limit of this process's group and the groups above it; `Value(None)` if there is no limit.
///
/// Reads version 1 if it has the `cpu` controller, else version 2 (Documentation/admin-guide/cgroup-v2.rst).
pub(super) fn cpu_quota(root: &Path) -> Reading<Option<CpuQuota>> {
    read_text(&root.join("proc/self/cgroup")).and_then(|groups| {
        let mounts = root.join("sys/fs/cgroup");
        let mut unified = None;
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            match (parts.next(), parts.next()) {
                (Some(""), Some(group)) => unified = Some(group),
                (Some(controllers), Some(group)) if controllers.split(',').any(|name| name == "cpu") => {
                    let base = [mounts.join(controllers), mounts.join("cpu")].into_iter().find(|dir| dir.is_dir());
                    return base.map_or(Reading::Absent, |base| lowest(&base, group, version_1));
                }
                _ => {}
            }
        }
        match unified {
            Some(group) if mounts.is_dir() => lowest(&mounts, group, version_2),
            _ => Reading::Absent,
        }
    })
}

/// The lowest limit of the groups from `base` down to `group`. Skips groups without a directory: in a container,
/// `group` may be the path on the host, while `base` is already the container's own group.
fn lowest(base: &Path, group: &str, limit: fn(&Path) -> Reading<Option<CpuQuota>>) -> Reading<Option<CpuQuota>> {
    let mut dirs: Vec<PathBuf> = vec![base.to_owned()];
    // `..` means a group outside of this cgroup namespace, which is not visible here.
    if !group.split('/').any(|part| part == "..") {
        let mut dir = base.to_owned();
        for part in group.split('/').filter(|part| !part.is_empty()) {
            dir.push(part);
            dirs.push(dir.clone());
        }
    }
    let mut found: Option<CpuQuota> = None;
    for dir in dirs {
        match limit(&dir) {
            Reading::Value(Some(quota)) if found.is_none_or(|other| quota.cpus() < other.cpus()) => found = Some(quota),
            Reading::Value(_) | Reading::Absent => {}
            missing => return missing,
        }
    }
    Reading::Value(found)
}

/// Reads `cpu.max`: `max 100000` or `150000 100000`. The root group has no such file.
fn version_2(dir: &Path) -> Reading<Option<CpuQuota>> {
    read_value(&dir.join("cpu.max"), |text| {
        let (quota, period) = text.split_once(' ')?;
        let period_us = period.parse().ok().filter(|&period| period > 0)?;
        if quota == "max" { Some(None) } else { Some(Some(CpuQuota { quota_us: quota.parse().ok()?, period_us })) }
    })
}

/// Reads `cpu.cfs_quota_us` (-1: no limit) and `cpu.cfs_period_us`.
fn version_1(dir: &Path) -> Reading<Option<CpuQuota>> {
    read_value(&dir.join("cpu.cfs_quota_us"), |text| text.parse::<i64>().ok()).and_then(|quota| {
        let Ok(quota_us) = u64::try_from(quota) else { return Reading::Value(None) };
        read_value(&dir.join("cpu.cfs_period_us"), |text| text.parse().ok().filter(|&period| period > 0))
            .and_then(|period_us| Reading::Value(Some(CpuQuota { quota_us, period_us })))
    })
}
