//! An object in the least space: most of what a cluster holds is not worked with at any one time.

use std::sync::Arc;

use serde_json::Value;

use super::Live;

/// An object as JSON text: a tenth of the space that the tree takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed(Arc<[u8]>);

impl Packed {
    /// Packs an object.
    pub fn of(object: &Value) -> Self {
        Self(object.to_string().into_bytes().into())
    }

    /// The object again; none is for text that no object gave.
    pub(super) fn unpacked(&self) -> Live {
        serde_json::from_slice(&self.0).ok().map(Arc::new)
    }
}
