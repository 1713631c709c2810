//! The callers of generated code that runs on other memory than the goroutine's stack (a left stack).
//!
//! Only assembly can start such code: a Go function calls an assembly function, which jumps to an address in a register. The
//! innermost return address on the goroutine's stack comes from this call. Below it are old words of calls that have
//! returned. Two checks find the right word: with the tables, each frame must lead to the next frame up to the root, and the
//! instruction before each return address must call the function of the inner frame.

use std::rc::Rc;

use super::{Registers, StackCopy, StackRoot, Unwinder, WalkEnd};
use crate::analyse::address_space::AddressSpace;

/// Maximum distance between the first and the last word of a left stack.
const MAX_STACK_BYTES: u64 = 1 << 16;

impl Unwinder<'_, '_> {
    /// The return addresses on a left stack, innermost first. Empty if the callers are unknown. `words` are the words of the
    /// stack that are addresses of code. `content` is the position of `words` among all contents.
    pub(in crate::analyse) fn callers_on_left_stack(
        &mut self,
        content: u32,
        words: &[(u64, u64)],
        space: &AddressSpace,
    ) -> Rc<[u64]> {
        let key = (space.version(), content);
        if let Some(known) = self.left_callers.get(&key) {
            return Rc::clone(known);
        }
        let callers: Rc<[u64]> = self.find_callers_on_left_stack(words, space).unwrap_or_default().into();
        self.left_callers.insert(key, Rc::clone(&callers));
        callers
    }

    fn find_callers_on_left_stack(&mut self, words: &[(u64, u64)], space: &AddressSpace) -> Option<Vec<u64>> {
        let ((low, _), (high, _)) = (words.first()?, words.last()?);
        let size = high.checked_sub(*low).filter(|size| *size <= MAX_STACK_BYTES)?.checked_add(8)?;
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        for (slot, word) in words {
            let at = usize::try_from(slot.checked_sub(*low)?).ok()?;
            *bytes.get_mut(at..)?.first_chunk_mut()? = word.to_le_bytes();
        }
        let copy = StackCopy { sp: *low, bytes: &bytes };
        words.iter().find_map(|(slot, address)| {
            let (binary, in_file) = self.walker.binary_at(space, *address)?;
            if !binary.calls_jumping_assembly(in_file) {
                return None;
            }
            let (ip, sp) = (address.checked_sub(1)?, slot.checked_add(8)?);
            let registers = Registers { ip, sp, bp: 0, link: None, goroutine: None };
            let is_whole = self.walker.walk(&registers, copy, space) == WalkEnd::Root;
            let mut callers = vec![*address];
            callers.extend(self.walker.callers.iter().map(|caller| caller.address));
            (is_whole && self.are_calls(&callers, space)).then_some(callers)
        })
    }

    /// Whether two return addresses are in the same Go function.
    pub(in crate::analyse) fn is_same_function(&mut self, addresses: [u64; 2], space: &AddressSpace) -> bool {
        let [one, other] =
            addresses.map(|address| self.walker.go_unwind_info(space, address.saturating_sub(1)).map(|go| go.entry));
        one.is_some() && one == other
    }

    /// Whether each of these functions can have called the function before it, up to a goroutine's root. `callers` are
    /// return addresses, innermost first.
    fn are_calls(&mut self, callers: &[u64], space: &AddressSpace) -> bool {
        let can_call = |pair: &[u64]| {
            let [inner, outer] = *pair.first_chunk()?;
            let (binary, in_file) = self.walker.binary_at(space, inner.checked_sub(1)?)?;
            let called = binary.unwind(in_file)?.entry;
            // Go code calls Go code of another file (a plugin) only through registers. So the called function cannot be
            // checked.
            let (of_outer, return_address) = self.walker.binary_at(space, outer)?;
            Some(!std::ptr::eq(binary, of_outer) || binary.can_call(return_address, called))
        };
        let linked = callers.windows(2).all(|pair| can_call(pair) == Some(true));
        let outermost =
            callers.last_chunk().map(|[inner, root]| [root, inner].map(|address| address.saturating_sub(1)));
        linked
            && outermost
                .is_some_and(|outermost| matches!(self.find_root(outermost, space), StackRoot::Goroutine { .. }))
    }
}
