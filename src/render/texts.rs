//! What is shown of frames, each once, so that renderers compare numbers.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

use crate::profile::position;

/// A text by its position in [`Texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TextId(u32);

impl TextId {
    /// What stands for everything, and has none.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn at(at: usize) -> Self {
        Self(position(at))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Distinct texts, with whatever else tells frames apart that are shown alike.
pub(super) struct Texts<T> {
    pub(super) list: Vec<T>,
    ids: HashMap<T, TextId, RandomState>,
}

impl<T> Default for Texts<T> {
    fn default() -> Self {
        Self { list: Vec::new(), ids: HashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Texts<T> {
    pub(super) fn id(&mut self, text: T) -> TextId {
        let list = &mut self.list;
        *self.ids.entry(text).or_insert_with_key(|text| {
            list.push(text.clone());
            TextId::at(list.len() - 1)
        })
    }
}
