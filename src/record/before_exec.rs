//! Drops the records that the exec gate caused before it became the program. The kernel cannot drop them for an event
//! of a control group.

use crate::perfdata::abi::{misc, record_type};
use crate::perfdata::{Attr, decode_time};

/// A record without its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldRecord {
    pub(super) kind: u32,
    pub(super) misc: u16,
    pub(super) body: Vec<u8>,
}

/// Collects records until the exec of the program is among them. Buffers of different CPUs are read one after the
/// other, so records of the program can be read before the exec.
#[derive(Debug)]
pub(super) struct ExecFilter {
    pid: i32,
    held: Vec<HeldRecord>,
}

impl ExecFilter {
    pub(super) fn new(pid: i32) -> Self {
        Self { pid, held: Vec::new() }
    }

    pub(super) fn push(&mut self, kind: u32, misc: u16, body: &[u8]) {
        self.held.push(HeldRecord { kind, misc, body: body.to_vec() });
    }

    /// Removes and returns the records since the exec. `None` if the program has not been executed yet.
    pub(super) fn take_since_exec(&mut self, attr: &Attr) -> Option<Vec<HeldRecord>> {
        let time = |record: &HeldRecord| decode_time(record.kind, &record.body, attr);
        let exec = self.held.iter().find(|record| self.is_exec(record)).and_then(time)?;
        self.held.retain(|record| time(record).is_none_or(|time| time >= exec));
        Some(std::mem::take(&mut self.held))
    }

    /// Whether a record is the COMM of the exec. It begins with the process id (`perf_event.h`).
    fn is_exec(&self, record: &HeldRecord) -> bool {
        record.kind == record_type::COMM
            && record.misc & misc::COMM_EXEC != 0
            && record.body.first_chunk() == Some(&self.pid.to_le_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::perfdata::abi::{flag, sample_type};

    const PID: i32 = 7;

    fn attr() -> Attr {
        Attr { sample_type: sample_type::TID | sample_type::TIME, flags: flag::SAMPLE_ID_ALL, ..Attr::default() }
    }

    /// A COMM record: process, thread and name, then the sample id (process, thread, time).
    fn comm(pid: i32, misc: u16, time: u64) -> HeldRecord {
        let task = [pid.to_le_bytes(), pid.to_le_bytes()].concat();
        let body = [&task, b"program\0".as_slice(), &task, &time.to_le_bytes()].concat();
        HeldRecord { kind: record_type::COMM, misc, body }
    }

    #[test]
    fn drops_records_before_the_exec_in_any_order() {
        let mut before = ExecFilter::new(PID);
        let (gate, program) = (comm(PID, 0, 10), comm(PID, 0, 30));
        for record in [&program, &gate, &comm(8, misc::COMM_EXEC, 5)] {
            before.push(record.kind, record.misc, &record.body);
        }
        assert_eq!(before.take_since_exec(&attr()), None, "another process executed a program");
        let exec = comm(PID, misc::COMM_EXEC, 20);
        before.push(exec.kind, exec.misc, &exec.body);
        assert_eq!(before.take_since_exec(&attr()), Some(vec![program, exec]));
    }
}
