//! An object in the least space: most of what a cluster holds is not worked with at any one time.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use serde_json::Value;

use crate::rollout::{deflate_quickly, inflate};

use super::Live;

/// The most bytes that an object unpacks to: more than any API server takes.
const BYTES_MAX: usize = 64 << 20;
/// What most texts take, in bytes.
const TEXT_BYTES: usize = 8 * 1024;

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
        let text = text(object);
        // An empty text is unpacked to no object, as if it had not been seen.
        Self { hash: hash(&text), deflated: deflate_quickly(&text).unwrap_or_default().into() }
    }

    /// Whether it is this very object.
    pub(super) fn holds(&self, object: &Value) -> bool {
        self.hash == hash(&text(object))
    }

    /// The object again; none is for text that no object gave.
    pub(super) fn unpacked(&self) -> Live {
        let text = inflate(&self.deflated, BYTES_MAX).ok()?;
        serde_json::from_slice(&text).ok().map(Arc::new)
    }
}

fn text(object: &Value) -> Vec<u8> {
    let mut text = Vec::with_capacity(TEXT_BYTES);
    // Values serialize, and writing to memory does not fail.
    let _ = serde_json::to_writer(&mut text, object);
    text
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    hasher.finish()
}
