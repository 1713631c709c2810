//! A BPF program in the kernel that keeps the samples of a control group and drops all others.
//!
//! An event on a control group has a cost at each context switch: the kernel stops and starts the event whenever a CPU
//! changes between the group and other tasks. An event on a whole CPU continues. Two processes that wake each other need
//! 5 µs per round without sampling and with a filtered event, and 15 µs with an event on the group (`cpu-clock`, Linux
//! 6.18).
//!
//! Sources, in the Linux kernel: `include/uapi/linux/bpf.h` and `kernel/bpf/syscall.c`.

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;

/// A loaded program. Events that use it keep it in the kernel.
pub(super) struct GroupFilter(OwnedFd);

impl GroupFilter {
    /// Loads a filter for the group with this directory, and for the groups below it. Needs Linux 4.9, `CAP_BPF` and
    /// `CAP_PERFMON` (before Linux 5.8, `CAP_SYS_ADMIN`), and cgroup version 2.
    pub(super) fn load(group: &File) -> io::Result<Self> {
        let groups = create_group_array()?;
        set_group(&groups, group)?;
        load_program(&keep_samples_of_group(groups.as_raw_fd())).map(Self)
    }
}

impl AsRawFd for GroupFilter {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// An instruction: `struct bpf_insn`.
#[repr(C)]
#[derive(Default)]
struct Instruction {
    code: u8,
    /// The destination register in the low half, the source register in the high half.
    registers: u8,
    offset: i16,
    constant: i32,
}

/// `BPF_FUNC_current_task_under_cgroup`. Arguments: the array in register 1, an index in register 2. Returns 1 if the
/// current task is in the group or below it, otherwise 0 or a negative number.
const CURRENT_TASK_UNDER_CGROUP: i32 = 37;

/// The program. Its result in register 0 is 1 for samples to keep, and 0 for samples to drop.
fn keep_samples_of_group(array: RawFd) -> [Instruction; 7] {
    const LOAD_CONSTANT_64: u8 = 0x18; // takes two instructions
    const MOVE_CONSTANT: u8 = 0xb7;
    const CALL: u8 = 0x85;
    const JUMP_IF_EQUAL: u8 = 0x15;
    const EXIT: u8 = 0x95;
    const IS_MAP: u8 = 1 << 4; // BPF_PSEUDO_MAP_FD as source register: the constant is a file descriptor
    let code = |code| Instruction { code, ..Instruction::default() };
    [
        Instruction { registers: IS_MAP | 1, constant: array, ..code(LOAD_CONSTANT_64) },
        code(0),
        Instruction { registers: 2, ..code(MOVE_CONSTANT) },
        Instruction { constant: CURRENT_TASK_UNDER_CGROUP, ..code(CALL) },
        Instruction { offset: 1, constant: 1, ..code(JUMP_IF_EQUAL) },
        code(MOVE_CONSTANT),
        code(EXIT),
    ]
}

/// Creates an array with one element, a control group.
fn create_group_array() -> io::Result<OwnedFd> {
    /// The first fields of `union bpf_attr` for the command `BPF_MAP_CREATE`.
    #[repr(C)]
    struct Create {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    }
    const BPF_MAP_CREATE: libc::c_int = 0;
    const BPF_MAP_TYPE_CGROUP_ARRAY: u32 = 8;
    let create = Create { map_type: BPF_MAP_TYPE_CGROUP_ARRAY, key_size: 4, value_size: 4, max_entries: 1 };
    #[expect(unsafe_code, reason = "system call")]
    // SAFETY: `create` has no pointers. The command returns a new descriptor.
    unsafe {
        call_bpf(BPF_MAP_CREATE, &create).map(|array| OwnedFd::from_raw_fd(array))
    }
}

fn set_group(array: &OwnedFd, group: &File) -> io::Result<()> {
    /// The first fields of `union bpf_attr` for the command `BPF_MAP_UPDATE_ELEM`. Pointers have 64 bits.
    #[repr(C)]
    struct Update {
        map_fd: u32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
    let (key, value) = (0_u32, group.as_raw_fd());
    let update = Update {
        map_fd: array.as_raw_fd().unsigned_abs(),
        padding: 0,
        key: address(&raw const key),
        value: address(&raw const value),
        flags: 0,
    };
    #[expect(unsafe_code, reason = "system call")]
    // SAFETY: `key` and `value` have the sizes of the array and live until the call returns.
    unsafe {
        call_bpf(BPF_MAP_UPDATE_ELEM, &update).map(drop)
    }
}

fn load_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    /// The first fields of `union bpf_attr` for the command `BPF_PROG_LOAD`. Pointers have 64 bits.
    #[repr(C)]
    struct Load {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
    }
    const BPF_PROG_LOAD: libc::c_int = 5;
    const BPF_PROG_TYPE_PERF_EVENT: u32 = 7;
    let license = c"Dual MIT/GPL";
    let load = Load {
        prog_type: BPF_PROG_TYPE_PERF_EVENT,
        insn_cnt: u32::try_from(instructions.len()).unwrap_or_default(),
        insns: address(instructions.as_ptr()),
        license: address(license.as_ptr()),
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    #[expect(unsafe_code, reason = "system call")]
    // SAFETY: `instructions` and `license` live until the call returns. The command returns a new descriptor.
    unsafe {
        call_bpf(BPF_PROG_LOAD, &load).map(|program| OwnedFd::from_raw_fd(program))
    }
}

/// A pointer as the kernel's 64-bit number.
fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// The system call `bpf`. The kernel takes the fields after the end of `attr` as 0.
///
/// # Safety
/// `attr` must have the layout of the command. Its pointers must be valid for the sizes that the kernel reads.
#[expect(unsafe_code, reason = "system call")]
unsafe fn call_bpf<T>(command: libc::c_int, attr: &T) -> io::Result<RawFd> {
    // SAFETY: the kernel only reads `attr`, for commands in this file. The rest is required from the caller.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attr, size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { RawFd::try_from(answer).map_err(io::Error::other) }
}
