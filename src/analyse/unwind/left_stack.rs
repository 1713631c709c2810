//! The callers of generated code that runs on other memory than the goroutine's stack.
//!
//! Only assembly can go on in such code: a Go function calls an assembly function, which jumps to an address in a register.
//! The innermost return address of the goroutine's stack is that of this call. Below it are words of calls that have
//! returned. They are told apart by the tables, with which each frame must lead to the next one up to the root, and by the
//! calls, each of which must be one of the function that was called.

use std::rc::Rc;

use super::{Registers, StackCopy, StackRoot, Unwinder, WalkEnd};
use crate::analyse::address_space::AddressSpace;

/// Maximum distance of the words of a stack, in bytes.
const MAX_BYTES: u64 = 1 << 16;

impl Unwinder<'_, '_> {
    /// The return addresses on a stack that its thread has left, the innermost first. `content` is the position of `words`,
    /// the words of the stack that are addresses of code. Empty if the callers are unknown.
    pub(in crate::analyse) fn callers_on(
        &mut self,
        content: u32,
        words: &[(u64, u64)],
        space: &AddressSpace,
    ) -> Rc<[u64]> {
        let key = (space.version(), content);
        if let Some(known) = self.left.get(&key) {
            return Rc::clone(known);
        }
        let callers: Rc<[u64]> = self.find_callers_on(words, space).unwrap_or_default().into();
        self.left.insert(key, Rc::clone(&callers));
        callers
    }

    fn find_callers_on(&mut self, words: &[(u64, u64)], space: &AddressSpace) -> Option<Vec<u64>> {
        let ((low, _), (high, _)) = (words.first()?, words.last()?);
        let size = high.checked_sub(*low).filter(|size| *size <= MAX_BYTES)?.checked_add(8)?;
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        for (slot, word) in words {
            let at = usize::try_from(slot.checked_sub(*low)?).ok()?;
            *bytes.get_mut(at..)?.first_chunk_mut()? = word.to_le_bytes();
        }
        let copy = StackCopy { sp: *low, bytes: &bytes };
        words.iter().find_map(|(slot, address)| {
            let (binary, in_file) = self.walker.binary(space, *address)?;
            if !binary.calls_jump(in_file) {
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
        let [one, other] = addresses.map(|address| self.walker.go(space, address.saturating_sub(1)).map(|go| go.entry));
        one.is_some() && one == other
    }

    /// Whether these return addresses, the innermost first, can be those of calls of one another, up to a goroutine's root.
    fn are_calls(&mut self, callers: &[u64], space: &AddressSpace) -> bool {
        let can_call = |pair: &[u64]| {
            let [inner, outer] = *pair.first_chunk()?;
            let (binary, in_file) = self.walker.binary(space, inner.checked_sub(1)?)?;
            let called = binary.unwind(in_file)?.entry;
            // Go code of one program calls Go code of another one, of a plugin, through registers only.
            let (of_outer, return_address) = self.walker.binary(space, outer)?;
            Some(!std::ptr::eq(binary, of_outer) || binary.may_call(return_address, called))
        };
        let linked = callers.windows(2).all(|pair| can_call(pair) == Some(true));
        let outermost =
            callers.last_chunk().map(|[inner, root]| [root, inner].map(|address| address.saturating_sub(1)));
        linked && outermost.is_some_and(|outermost| matches!(self.root(outermost, space), StackRoot::Goroutine { .. }))
    }
}
