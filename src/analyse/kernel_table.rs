//! Table of the kernel's functions by address, in one block of bytes, which can be a mapped file. A kernel has about 10^5
//! functions and a profile names few of them: the pages of a mapped file that are not read use no memory.

use std::fmt;
use std::sync::Arc;

/// Table of the kernel's functions: the lines of all functions, then a [`TableRow`] for each function.
#[derive(Clone)]
pub(super) struct KernelTable {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    sizes: TableSizes,
}

/// The sizes of the two parts of a [`KernelTable`].
#[derive(Debug, Clone, Copy)]
pub(super) struct TableSizes {
    /// Length of all lines, in bytes.
    pub(super) line_bytes: usize,
    /// Number of functions.
    pub(super) functions: usize,
}

/// The start address of a function (8 bytes) and the offset of its line (4 bytes), little-endian. Rows are sorted by
/// the start address, which is unique.
type TableRow = [u8; 12];

impl KernelTable {
    /// A table of functions. Each function is a start address and the offset of its line in `lines`. Sorted by address.
    pub(super) fn new(functions: &[(u64, u32)], lines: String) -> Self {
        let sizes = TableSizes { line_bytes: lines.len(), functions: functions.len() };
        let mut bytes = lines.into_bytes();
        bytes.reserve_exact(functions.len() * size_of::<TableRow>());
        for (start, line) in functions {
            bytes.extend(start.to_le_bytes());
            bytes.extend(line.to_le_bytes());
        }
        Self { bytes: Arc::new(bytes), sizes }
    }

    /// The table at the start of `bytes`, which [`KernelTable::bytes`] returned. `None` if `bytes` is too short. The content
    /// is not validated: damaged bytes give wrong names or no names.
    pub(super) fn from_bytes(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>, sizes: TableSizes) -> Option<Self> {
        let end = sizes.functions.checked_mul(size_of::<TableRow>())?.checked_add(sizes.line_bytes)?;
        (end <= (*bytes).as_ref().len()).then_some(Self { bytes, sizes })
    }

    /// The bytes of the table: lines, then rows.
    pub(super) fn bytes(&self) -> &[u8] {
        &(*self.bytes).as_ref()[..self.sizes.line_bytes + self.sizes.functions * size_of::<TableRow>()]
    }

    pub(super) fn sizes(&self) -> TableSizes {
        self.sizes
    }

    fn rows(&self) -> &[TableRow] {
        self.bytes()[self.sizes.line_bytes..].as_chunks().0
    }

    /// The position of the last function that starts at or before an address.
    pub(super) fn position(&self, address: u64) -> Option<usize> {
        self.rows().partition_point(|row| row_start(row) <= address).checked_sub(1)
    }

    pub(super) fn start_address(&self, at: usize) -> Option<u64> {
        self.rows().get(at).map(row_start)
    }

    pub(super) fn line(&self, at: usize) -> Option<&str> {
        let from = usize::try_from(u32::from_le_bytes(*self.rows().get(at)?.last_chunk()?)).ok()?;
        let line = self.bytes()[..self.sizes.line_bytes].get(from..)?.split(|byte| *byte == b'\n').next()?;
        std::str::from_utf8(line).ok()
    }
}

fn row_start(row: &TableRow) -> u64 {
    row.first_chunk().map_or(0, |start| u64::from_le_bytes(*start))
}

impl fmt::Debug for KernelTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} functions", self.sizes.functions)
    }
}
