//! A set of names that mostly holds one: a tree's smallest node has room for eleven.

use crate::plan::ObjectKey;

/// Names in their order, each once.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<ObjectKey>);

impl Keys {
    /// Takes one in.
    pub(super) fn insert(&mut self, key: &ObjectKey) {
        if let Err(place) = self.0.binary_search(key) {
            self.0.reserve_exact(1);
            self.0.insert(place, key.clone());
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, key: &ObjectKey) {
        if let Ok(place) = self.0.binary_search(key) {
            self.0.remove(place);
        }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ObjectKey> {
        self.0.iter()
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
