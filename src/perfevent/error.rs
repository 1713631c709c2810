//! Errors of events and ring buffers.

use std::io;

use super::Source;

/// The kernel refused an event or a ring buffer, or an event failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `perf_event_open` failed.
    #[error("the kernel refused to open {source_name} on CPU {cpu}", source_name = event.name())]
    Open {
        /// The event.
        event: Source,
        /// The CPU.
        cpu: u32,
        /// Whether kernel samples were requested.
        kernel: bool,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// `mmap` failed even for the smallest ring buffer.
    #[error("the kernel refused a ring buffer of {kib} KiB for CPU {cpu}", kib = bytes / 1024)]
    Map {
        /// Size of the smallest buffer that was tried, without the control page.
        bytes: usize,
        /// The CPU.
        cpu: u32,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// An opened event could not be enabled.
    #[error("the kernel opened the event but refuses to start it")]
    Enable(#[source] io::Error),
    /// Waiting for records failed.
    #[error("waiting for perf records failed")]
    Poll(#[source] io::Error),
    /// There is no CPU to sample.
    #[error("no CPU is online")]
    NoCpu,
}

impl Error {
    /// The kernel's error number.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { source, .. } | Self::Map { source, .. } | Self::Enable(source) | Self::Poll(source) => {
                source.raw_os_error()
            }
            Self::NoCpu => None,
        }
    }

    /// Whether the kernel denied permission to open the event (EACCES, EPERM).
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Open { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// Whether the thread has ended (ESRCH).
    pub fn is_ended(&self) -> bool {
        self.errno() == Some(rustix::io::Errno::SRCH.raw_os_error())
    }

    /// Whether no more files can be opened (EMFILE, ENFILE).
    pub fn is_file_limit(&self) -> bool {
        [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
            .iter()
            .any(|errno| self.errno() == Some(errno.raw_os_error()))
    }

    /// Whether the kernel refused a ring buffer. The cause is a lack of locked memory, not of permissions.
    pub fn is_ring_buffer_refusal(&self) -> bool {
        matches!(self, Self::Map { .. })
    }

    /// Whether the CPU can be offline (ENODEV) or unknown to the kernel (EINVAL). The error can also have another cause.
    pub(super) fn can_be_absent_cpu(&self) -> bool {
        matches!(self, Self::Open { source, .. }
            if source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
                || source.kind() == io::ErrorKind::InvalidInput)
    }

    /// Whether the machine does not have the event (ENOENT, ENODEV, EOPNOTSUPP).
    pub fn is_absent_event(&self) -> bool {
        match self {
            Self::Open { source, .. } => matches!(
                source.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
                Some(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV | rustix::io::Errno::OPNOTSUPP)
            ),
            _ => false,
        }
    }

    /// Whether the kernel rejected the attribute (EINVAL, E2BIG): a field is too new for the kernel, or out of range.
    /// `perf-event2` reports E2BIG as `Unsupported`.
    pub fn is_unknown_attribute(&self) -> bool {
        matches!(self, Self::Open { source, .. }
            if matches!(source.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported))
    }

    /// Hints for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Open { source, .. } => match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => vec![
                    "`goflame doctor` shows which setting forbids it; often `sysctl kernel.perf_event_paranoid=1` \
                     or, in a container, `--cap-add PERFMON` helps"
                        .into(),
                ],
                Some(rustix::io::Errno::INVAL) => {
                    vec!["is the frequency above `sysctl kernel.perf_event_max_sample_rate`?".into()]
                }
                Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                    vec!["raise the limit of open files: `ulimit -n`".into()]
                }
                _ => Vec::new(),
            },
            Self::Map { .. } => vec![
                "ring buffers count against `sysctl kernel.perf_event_mlock_kb` (per CPU) plus `ulimit -l`; \
                 maybe another profiler of the same user has used up the budget"
                    .into(),
            ],
            Self::Enable(_) | Self::Poll(_) | Self::NoCpu => Vec::new(),
        }
    }
}
