//! Remembers the last changes of one resource, so that watches can resume and lists can look back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::object::Object;

/// The key of an object within its resource: namespace and name.
pub type Key = (String, String);

/// One change; the state after it is `None` if it was a deletion.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resourceVersion of the change.
    pub version: u64,
    /// Which object.
    pub key: Key,
    /// The state before, `None` for a creation.
    pub before: Option<Arc<Object>>,
    /// The state after, or, for a deletion, the last state with the version of the deletion.
    pub after: Arc<Object>,
    /// Whether the object is gone.
    pub deleted: bool,
}

/// The changes of one resource, oldest first, bounded in number.
#[derive(Debug)]
pub struct History {
    changes: VecDeque<Change>,
    limit: usize,
    forgotten: u64,
}

impl History {
    /// Returns an empty history that keeps at most that many changes.
    pub fn new(limit: usize) -> Self {
        Self { changes: VecDeque::new(), limit, forgotten: 0 }
    }

    /// Adds the newest change and forgets the oldest past the limit.
    pub fn push(&mut self, change: Change) {
        self.changes.push_back(change);
        while self.changes.len() > self.limit {
            if let Some(oldest) = self.changes.pop_front() {
                self.forgotten = oldest.version;
            }
        }
    }

    /// Forgets everything up to a resourceVersion, as a compaction does.
    pub fn forget(&mut self, version: u64) {
        self.changes.retain(|change| change.version > version);
        self.forgotten = self.forgotten.max(version);
    }

    /// Returns the changes after a resourceVersion, or the oldest version to resume from if some were forgotten.
    pub fn since(&self, version: u64) -> Result<Vec<Change>, u64> {
        if version < self.forgotten {
            return Err(self.forgotten);
        }
        let first = self.changes.partition_point(|change| change.version <= version);
        Ok(self.changes.range(first..).cloned().collect())
    }

    /// Returns the objects as they stood at a resourceVersion, or the oldest version if that is forgotten.
    pub fn look_back(&self, now: &BTreeMap<Key, Arc<Object>>, version: u64) -> Result<BTreeMap<Key, Arc<Object>>, u64> {
        if version < self.forgotten {
            return Err(self.forgotten);
        }
        let mut then = now.clone();
        for change in self.changes.iter().rev().take_while(|change| change.version > version) {
            match &change.before {
                Some(before) => then.insert(change.key.clone(), Arc::clone(before)),
                None => then.remove(&change.key),
            };
        }
        Ok(then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: u64, before: Option<u64>, deleted: bool) -> Change {
        let at = |version| Arc::new(Object { version, ..Object::default() });
        Change { version, key: ("shop".into(), "web".into()), before: before.map(at), after: at(version), deleted }
    }

    #[test]
    fn a_watch_resumes_after_its_version_until_that_is_forgotten() {
        let mut history = History::new(2);
        for version in 1..=3 {
            history.push(change(version, None, false));
        }
        assert_eq!(history.since(2).unwrap().iter().map(|c| c.version).collect::<Vec<_>>(), [3]);
        assert_eq!(history.since(1).unwrap().len(), 2);
        assert_eq!(history.since(0).unwrap_err(), 1);
        history.forget(3);
        assert_eq!(history.since(2).unwrap_err(), 3);
        assert!(history.since(3).unwrap().is_empty());
    }

    #[test]
    fn a_list_looks_back_through_changes_and_deletions() {
        let mut history = History::new(8);
        history.push(change(1, None, false));
        history.push(change(2, Some(1), false));
        history.push(change(3, Some(2), true));
        let now = BTreeMap::new();
        let versions = |at| history.look_back(&now, at).unwrap().values().map(|o| o.version).collect::<Vec<_>>();
        assert_eq!(versions(3), Vec::<u64>::new());
        assert_eq!(versions(2), [2]);
        assert_eq!(versions(1), [1]);
        assert_eq!(versions(0), Vec::<u64>::new());
    }
}
