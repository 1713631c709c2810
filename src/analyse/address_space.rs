//! Address spaces of processes: mapped files and functions of generated code, at the current time of the recording.

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
    /// Address at which the first byte of the file would be, if the whole file were mapped.
    base: u64,
    image: ImageId,
}

/// The address space of one process.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressSpace {
    mappings: RangeMap<MappedFile>,
    generated: Arc<RangeMap<GeneratedId>>,
    /// Version number of the contents. A change gives a number that no address space had before.
    version: u64,
}

/// The mapping of the last lookup, which is tried first: most addresses of a stack are in the same mapping.
#[derive(Debug, Default)]
pub(super) struct LookupHint(Option<(Range<u64>, MappedFile)>);

/// Maximum number of mappings and generated functions that are copied because parent and child share an address space
/// that one of them changes. Beyond this number, the changing process loses its mappings. Only a crafted recording
/// reaches it.
const MAX_COPIED_MAPPINGS: usize = 4_000_000;

/// The address spaces of all processes.
#[derive(Debug)]
pub(super) struct AddressSpaces<'g> {
    /// A child shares its parent's address space until one of them changes.
    by_process: HashMap<u32, Rc<AddressSpace>, RandomState>,
    generated: &'g GeneratedCode<'g>,
    /// Number of mappings and generated functions that were copied because a shared address space changed.
    copied: usize,
    /// Number of changes of all address spaces.
    changes: u64,
}

impl AddressSpace {
    /// The image that is mapped at an address, and the offset of the address in the image's file.
    pub(super) fn find(&self, address: u64, hint: &mut LookupHint) -> Option<(ImageId, u64)> {
        let mapping = match &hint.0 {
            Some((range, mapping)) if range.contains(&address) => *mapping,
            _ => hint.0.insert(self.mappings.find(address)?).1,
        };
        Some((mapping.image, address.wrapping_sub(mapping.base)))
    }

    /// The function of generated code at an address.
    pub(super) fn find_generated(&self, address: u64) -> Option<GeneratedId> {
        self.generated.find(address).map(|(_, id)| id)
    }

    /// Version number of the contents. Equal numbers mean the same address space without a change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

impl<'g> AddressSpaces<'g> {
    pub(super) fn new(generated: &'g GeneratedCode<'g>) -> Self {
        Self { by_process: HashMap::default(), generated, copied: 0, changes: 0 }
    }

    /// Maps a file. Replaces earlier mappings at these addresses, like `mmap(MAP_FIXED)`.
    pub(super) fn map(&mut self, pid: u32, start: u64, length: u64, offset: u64, image: ImageId) {
        let Some(end) = start.checked_add(length) else { return };
        self.get_mut(pid).mappings.insert(start..end, MappedFile { base: start.wrapping_sub(offset), image });
    }

    /// Adds a function of generated code at these addresses.
    pub(super) fn add_generated(&mut self, pid: u32, range: Range<u64>, id: GeneratedId) {
        Arc::make_mut(&mut self.get_mut(pid).generated).insert(range, id);
    }

    /// The address space of a process, for a change. Gives it a new version.
    fn get_mut(&mut self, pid: u32) -> &mut AddressSpace {
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

    /// Gives a child process the contents of its parent. Functions without a known time that the child made, if any,
    /// replace the parent's generated functions.
    pub(super) fn fork(&mut self, parent: u32, child: u32) {
        let inherited = self.by_process.get(&parent).cloned().unwrap_or_default();
        self.by_process.insert(child, inherited);
        if let Some(own) = self.generated.untimed_functions(child) {
            self.get_mut(child).generated = own;
        }
    }

    /// Removes the address space of a process that has executed another program.
    pub(super) fn exec(&mut self, pid: u32) {
        self.by_process.remove(&pid);
    }

    /// The address space of a process. `None` if no record has described it since the last `exec` of the process.
    pub(super) fn get(&self, pid: u32) -> Option<&AddressSpace> {
        self.by_process.get(&pid).map(Rc::as_ref)
    }
}

/// An address space without mappings, with the generated functions whose times are unknown. The last program of the
/// process wrote the file that names these functions.
fn new_space(generated: &GeneratedCode<'_>, pid: u32) -> AddressSpace {
    AddressSpace { generated: generated.untimed_functions(pid).unwrap_or_default(), ..AddressSpace::default() }
}

#[cfg(test)]
mod tests {
    use super::{AddressSpaces, GeneratedCode, ImageId, LookupHint};

    const A: ImageId = ImageId(0);
    const B: ImageId = ImageId(1);

    impl AddressSpaces<'_> {
        fn find(&self, pid: u32, address: u64) -> Option<(ImageId, u64)> {
            self.get(pid)?.find(address, &mut LookupHint::default())
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
