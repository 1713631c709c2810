//! The kernel's functions by address, in one piece of bytes, which may be a mapped file: of 10^5 functions a profile names
//! few, and what is not looked at takes no memory then.

use std::fmt;
use std::sync::Arc;

/// The lines of all functions, and behind them a [`Row`] for each.
#[derive(Clone)]
pub(super) struct KernelTable {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    /// Where the lines end.
    lines: usize,
    rows: usize,
}

/// Where a function starts and where its line begins, little-endian. Rows are sorted by the former, which none has in
/// common with another.
type Row = [u8; 12];

impl KernelTable {
    /// Of functions in that order, and their lines.
    pub(super) fn new(functions: &[(u64, u32)], lines: String) -> Self {
        let (end, rows) = (lines.len(), functions.len());
        let mut bytes = lines.into_bytes();
        bytes.reserve_exact(rows * size_of::<Row>());
        for (start, line) in functions {
            bytes.extend(start.to_le_bytes());
            bytes.extend(line.to_le_bytes());
        }
        Self { bytes: Arc::new(bytes), lines: end, rows }
    }

    /// From the beginning of bytes that [`KernelTable::bytes`] gave, so many of which are lines. What they say of functions
    /// is taken as it is: bytes that somebody damaged give wrong names, or none.
    pub(super) fn from(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>, lines: usize, rows: usize) -> Option<Self> {
        let end = rows.checked_mul(size_of::<Row>())?.checked_add(lines)?;
        (end <= (*bytes).as_ref().len()).then_some(Self { bytes, lines, rows })
    }

    /// Lines and rows.
    pub(super) fn bytes(&self) -> &[u8] {
        &(*self.bytes).as_ref()[..self.lines + self.rows * size_of::<Row>()]
    }

    /// How many of these are lines, and the number of functions.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.lines, self.rows)
    }

    fn table(&self) -> &[Row] {
        self.bytes()[self.lines..].as_chunks().0
    }

    /// The last function that starts at an address or before it.
    pub(super) fn position(&self, address: u64) -> Option<usize> {
        self.table().partition_point(|row| start(row) <= address).checked_sub(1)
    }

    /// Where a function starts.
    pub(super) fn start(&self, at: usize) -> Option<u64> {
        self.table().get(at).map(start)
    }

    /// The line of a function.
    pub(super) fn line(&self, at: usize) -> Option<&str> {
        let from = usize::try_from(u32::from_le_bytes(*self.table().get(at)?.last_chunk()?)).ok()?;
        let line = self.bytes()[..self.lines].get(from..)?.split(|byte| *byte == b'\n').next()?;
        std::str::from_utf8(line).ok()
    }
}

fn start(row: &Row) -> u64 {
    row.first_chunk().map_or(0, |start| u64::from_le_bytes(*start))
}

impl fmt::Debug for KernelTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} functions", self.rows)
    }
}
