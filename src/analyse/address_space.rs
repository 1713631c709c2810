//! Address spaces of processes: the files that are mapped at the current time of the recording, and the functions that the
//! program has made there.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::files::ImageId;
use super::generated::{GeneratedCode, GeneratedId};
use super::range_map::RangeMap;

#[derive(Debug, Clone, Copy)]
struct MappedFile {
    /// The address of the file's first byte if that were mapped too.
    base: u64,
    image: ImageId,
}

/// The address space of one process.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressSpace {
    mappings: RangeMap<MappedFile>,
    /// Functions that the program made while it ran.
    generated: Arc<RangeMap<GeneratedId>>,
    /// Version number of the contents. It changes with every change, and no two address spaces have the same number.
    version: u64,
}

/// The mapping of the last lookup. Most addresses of a stack lie in the same mapping.
#[derive(Debug, Default)]
pub(super) struct Hint(Option<(Range<u64>, MappedFile)>);

/// Maximum number of mappings and generated functions that are copied for child processes. Only a crafted recording
/// reaches it. After that, children start with no mappings.
const MAX_COPIED_MAPPINGS: usize = 4_000_000;

/// The address spaces of all processes.
#[derive(Debug)]
pub(super) struct AddressSpaces<'g> {
    /// A child shares its parent's address space until one of them changes.
    by_process: HashMap<u32, Rc<AddressSpace>, RandomState>,
    generated: &'g GeneratedCode<'g>,
    /// Number of mappings that were copied because a shared address space changed.
    copied: usize,
    /// Number of changes of all address spaces.
    changes: u64,
}

impl AddressSpace {
    /// The image that is mapped at an address, and the offset of the address in its file.
    pub(super) fn find(&self, address: u64, hint: &mut Hint) -> Option<(ImageId, u64)> {
        let mapping = match &hint.0 {
            Some((range, mapping)) if range.contains(&address) => *mapping,
            _ => hint.0.insert(self.mappings.find(address)?).1,
        };
        Some((mapping.image, address.wrapping_sub(mapping.base)))
    }

    /// The function that the program has made at an address.
    pub(super) fn find_generated(&self, address: u64) -> Option<GeneratedId> {
        self.generated.find(address).map(|(_, id)| id)
    }

    /// A number that changes with every change of the contents. No two address spaces have the same.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

impl<'g> AddressSpaces<'g> {
    /// No process has an address space yet.
    pub(super) fn new(generated: &'g GeneratedCode<'g>) -> Self {
        Self { by_process: HashMap::default(), generated, copied: 0, changes: 0 }
    }

    /// Maps a file. Replaces earlier mappings at these addresses, like `mmap(MAP_FIXED)`.
    pub(super) fn map(&mut self, pid: u32, start: u64, length: u64, offset: u64, image: ImageId) {
        let Some(end) = start.checked_add(length) else { return };
        self.change(pid).mappings.insert(start..end, MappedFile { base: start.wrapping_sub(offset), image });
    }

    /// The program has made a function at these addresses.
    pub(super) fn add_generated(&mut self, pid: u32, range: Range<u64>, id: GeneratedId) {
        Arc::make_mut(&mut self.change(pid).generated).insert(range, id);
    }

    /// The address space of a process, which is about to change.
    fn change(&mut self, pid: u32) -> &mut AddressSpace {
        let space = self.by_process.entry(pid).or_insert_with(|| Rc::new(new_space(self.generated, pid)));
        if Rc::strong_count(space) > 1 {
            self.copied = self.copied.saturating_add(space.mappings.len()).saturating_add(space.generated.len());
            if self.copied > MAX_COPIED_MAPPINGS {
                *space = Rc::default();
            }
        }
        let space = Rc::make_mut(space);
        self.changes += 1;
        space.version = self.changes;
        space
    }

    /// Gives a child process the contents of its parent.
    pub(super) fn fork(&mut self, parent: u32, child: u32) {
        let inherited = self.by_process.get(&parent).cloned().unwrap_or_default();
        self.by_process.insert(child, inherited);
        if let Some(own) = self.generated.untimed(child) {
            self.change(child).generated = own;
        }
    }

    /// Removes the contents of a process, which has executed another program.
    pub(super) fn exec(&mut self, pid: u32) {
        self.by_process.remove(&pid);
    }

    /// The address space of a process. `None` if nothing was mapped.
    pub(super) fn get(&self, pid: u32) -> Option<&AddressSpace> {
        self.by_process.get(&pid).map(Rc::as_ref)
    }
}

/// A space without mappings. Nobody knows when the functions without time came: a file that names them is written by the
/// last program of a process.
fn new_space(generated: &GeneratedCode<'_>, pid: u32) -> AddressSpace {
    AddressSpace { generated: generated.untimed(pid).unwrap_or_default(), ..AddressSpace::default() }
}

#[cfg(test)]
mod tests {
    use super::{AddressSpaces, GeneratedCode, Hint, ImageId};

    const A: ImageId = ImageId(0);
    const B: ImageId = ImageId(1);

    impl AddressSpaces<'_> {
        fn find(&self, pid: u32, address: u64) -> Option<(ImageId, u64)> {
            self.get(pid)?.find(address, &mut Hint::default())
        }
    }

    #[test]
    fn an_address_is_resolved_to_an_offset_in_a_file() {
        let code = GeneratedCode::default();
        let mut spaces = AddressSpaces::new(&code);
        spaces.map(1, 0x1000, 0x1000, 0x400, A);
        assert_eq!(spaces.find(1, 0x1000), Some((A, 0x400)));
        assert_eq!(spaces.find(1, 0x1fff), Some((A, 0x13ff)));
        assert_eq!(spaces.find(1, 0x2000), None);
        assert_eq!(spaces.find(1, 0xfff), None);
        assert_eq!(spaces.find(2, 0x1000), None);
    }

    #[test]
    fn a_new_mapping_replaces_the_middle_of_an_old_one() {
        let code = GeneratedCode::default();
        let mut spaces = AddressSpaces::new(&code);
        spaces.map(1, 0x1000, 0x3000, 0, A);
        spaces.map(1, 0x2000, 0x1000, 0, B);
        assert_eq!(spaces.find(1, 0x1800), Some((A, 0x800)));
        assert_eq!(spaces.find(1, 0x2800), Some((B, 0x800)));
        assert_eq!(spaces.find(1, 0x3800), Some((A, 0x2800)));
    }

    #[test]
    fn a_fork_copies_mappings_and_an_exec_removes_them() {
        let code = GeneratedCode::default();
        let mut spaces = AddressSpaces::new(&code);
        spaces.map(1, 0x1000, 0x1000, 0, A);
        spaces.fork(1, 2);
        spaces.exec(1);
        assert_eq!(spaces.find(1, 0x1000), None);
        assert_eq!(spaces.find(2, 0x1000), Some((A, 0)));
    }

    #[test]
    fn mappings_that_are_empty_or_overflow_are_ignored() {
        let code = GeneratedCode::default();
        let mut spaces = AddressSpaces::new(&code);
        spaces.map(1, u64::MAX, 2, 0, A);
        spaces.map(1, 5, 0, 0, A);
        assert_eq!(spaces.find(1, 5), None);
        assert_eq!(spaces.find(1, u64::MAX), None);
    }
}
