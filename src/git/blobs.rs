//! Remembers the bytes of files by their blob id, within a limit, so that a revert reads nothing twice.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The most bytes remembered.
const BYTES_MAX: usize = 32 << 20;

/// The bytes of files read lately; the oldest are forgotten first.
#[derive(Default)]
pub(super) struct Blobs {
    bytes: HashMap<String, Arc<[u8]>>,
    order: VecDeque<String>,
    total: usize,
}

impl Blobs {
    /// The remembered bytes, or those that `read` gives.
    pub(super) fn get<E>(&mut self, blob: &str, read: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Arc<[u8]>, E> {
        if let Some(bytes) = self.bytes.get(blob) {
            return Ok(bytes.clone());
        }
        let bytes: Arc<[u8]> = read()?.into();
        self.total += bytes.len();
        self.bytes.insert(blob.to_owned(), bytes.clone());
        self.order.push_back(blob.to_owned());
        while self.total > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.total -= self.bytes.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_read_once_until_it_is_forgotten() {
        let mut blobs = Blobs::default();
        let read = |size: usize| move || Ok::<_, ()>(vec![0; size]);
        let refuse = || Err(());
        assert_eq!(blobs.get("a", read(4)).unwrap().len(), 4);
        assert_eq!(blobs.get("a", refuse).unwrap().len(), 4);
        blobs.get("b", read(BYTES_MAX)).unwrap();
        assert!(blobs.get("a", refuse).is_err());
        assert_eq!(blobs.get("b", refuse).unwrap().len(), BYTES_MAX);
        assert_eq!(blobs.total, BYTES_MAX);
    }
}
