//! The CPU mode in the header of a record.

use super::abi::misc;

/// CPU mode when the record was written, from `misc` in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CpuMode {
    /// Not given, or a number that goflame does not know.
    #[default]
    Unknown,
    /// Kernel.
    Kernel,
    /// User.
    User,
    /// Hypervisor.
    Hypervisor,
    /// Kernel of a guest.
    GuestKernel,
    /// User space of a guest.
    GuestUser,
}

impl CpuMode {
    /// Reads the mode from `misc` of a header.
    pub fn from_misc(bits: u16) -> Self {
        match bits & misc::CPUMODE_MASK {
            1 => Self::Kernel,
            2 => Self::User,
            3 => Self::Hypervisor,
            4 => Self::GuestKernel,
            5 => Self::GuestUser,
            _ => Self::Unknown,
        }
    }

    /// The mode as bits of `misc` in a header.
    pub fn to_misc(self) -> u16 {
        match self {
            Self::Unknown => 0,
            Self::Kernel => 1,
            Self::User => 2,
            Self::Hypervisor => 3,
            Self::GuestKernel => 4,
            Self::GuestUser => 5,
        }
    }
}
