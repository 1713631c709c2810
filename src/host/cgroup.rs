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

/// The control groups that limit the CPU time of a process: the process's own group and all groups above it.
pub(super) struct CpuGroups {
    /// Directories of the groups, topmost group first.
    pub(super) dirs: Vec<PathBuf>,
    /// Whether the groups are of cgroup version 1, not 2.
    pub(super) is_version_1: bool,
}

impl CpuGroups {
    /// Finds the control groups of a process. `process` is a process id or `self`. Uses cgroup version 1 if it has the
    /// `cpu` controller, else version 2 (Documentation/admin-guide/cgroup-v2.rst).
    pub(super) fn find(root: &Path, process: &str) -> Reading<Self> {
        read_text(&root.join("proc").join(process).join("cgroup")).and_then(|groups| {
            let mounts = root.join("sys/fs/cgroup");
            let mut unified = None;
            for line in groups.lines() {
                let mut parts = line.splitn(3, ':').skip(1);
                match (parts.next(), parts.next()) {
                    (Some(""), Some(group)) => unified = Some(group),
                    (Some(controllers), Some(group)) if controllers.split(',').any(|name| name == "cpu") => {
                        let base = [mounts.join(controllers), mounts.join("cpu")].into_iter().find(|dir| dir.is_dir());
                        return base.map_or(Reading::Absent, |base| {
                            Reading::Value(Self { dirs: dirs_down_to(&base, group), is_version_1: true })
                        });
                    }
                    _ => {}
                }
            }
            match unified {
                Some(group) if mounts.is_dir() => {
                    Reading::Value(Self { dirs: dirs_down_to(&mounts, group), is_version_1: false })
                }
                _ => Reading::Absent,
            }
        })
    }

    /// The CPU limit of the group at `dir`. `Value(None)` if the group has no limit.
    pub(super) fn read_limit(&self, dir: &Path) -> Reading<Option<CpuQuota>> {
        if self.is_version_1 { read_limit_v1(dir) } else { read_limit_v2(dir) }
    }
}

/// The lowest CPU limit of this process's control group and the groups above it. `Value(None)` if there is no limit.
pub(super) fn cpu_quota(root: &Path) -> Reading<Option<CpuQuota>> {
    CpuGroups::find(root, "self").and_then(|groups| {
        let mut found: Option<CpuQuota> = None;
        for dir in &groups.dirs {
            match groups.read_limit(dir) {
                Reading::Value(Some(quota)) if found.is_none_or(|other| quota.cpus() < other.cpus()) => {
                    found = Some(quota);
                }
                // A group can be absent: in a container, the paths can be those of the host, while only the container's own
                // groups are mounted.
                Reading::Value(_) | Reading::Absent => {}
                missing => return missing,
            }
        }
        Reading::Value(found)
    })
}

/// The directories from `base` down to `group`.
fn dirs_down_to(base: &Path, group: &str) -> Vec<PathBuf> {
    let mut dirs = vec![base.to_owned()];
    // `..` means a group outside of this cgroup namespace, which is not visible here.
    if !group.split('/').any(|part| part == "..") {
        let mut dir = base.to_owned();
        for part in group.split('/').filter(|part| !part.is_empty()) {
            dir.push(part);
            dirs.push(dir.clone());
        }
    }
    dirs
}

/// Reads `cpu.max`: `max 100000` or `150000 100000`. The root group has no such file.
fn read_limit_v2(dir: &Path) -> Reading<Option<CpuQuota>> {
    read_value(&dir.join("cpu.max"), |text| {
        let (quota, period) = text.split_once(' ')?;
        let period_us = period.parse().ok().filter(|&period| period > 0)?;
        if quota == "max" { Some(None) } else { Some(Some(CpuQuota { quota_us: quota.parse().ok()?, period_us })) }
    })
}

/// Reads `cpu.cfs_quota_us` (-1: no limit) and `cpu.cfs_period_us`.
fn read_limit_v1(dir: &Path) -> Reading<Option<CpuQuota>> {
    read_value(&dir.join("cpu.cfs_quota_us"), |text| text.parse::<i64>().ok()).and_then(|quota| {
        let Ok(quota_us) = u64::try_from(quota) else { return Reading::Value(None) };
        read_value(&dir.join("cpu.cfs_period_us"), |text| text.parse().ok().filter(|&period| period > 0))
            .and_then(|period_us| Reading::Value(Some(CpuQuota { quota_us, period_us })))
    })
}
