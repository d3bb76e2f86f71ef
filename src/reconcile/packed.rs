//! An object in the least space: most of what a cluster holds is not worked with at any one time.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use serde_json::Value;

use crate::rollout::{deflate, inflate};

use super::Live;

/// The most bytes that an object unpacks to: more than any API server takes.
const BYTES_MAX: u64 = 64 << 20;

/// An object as deflated JSON text: a thirtieth of the space that the tree takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Of the text: whether an object is another one is told without unpacking.
    hash: u64,
    deflated: Arc<[u8]>,
}

impl Packed {
    /// Packs an object.
    pub fn of(object: &Value) -> Self {
        let text = object.to_string();
        // An empty text is unpacked to no object, as if it had not been seen.
        Self { hash: hash(&text), deflated: deflate(text.as_bytes()).unwrap_or_default().into() }
    }

    /// Whether it is this very object.
    pub(super) fn holds(&self, object: &Value) -> bool {
        self.hash == hash(&object.to_string())
    }

    /// The object again; none is for text that no object gave.
    pub(super) fn unpacked(&self) -> Live {
        let text = inflate(&self.deflated, BYTES_MAX).ok()?;
        serde_json::from_slice(&text).ok().map(Arc::new)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}
