//! When which worker wants to be woken: one instant each, the earliest first.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use jiff::Timestamp;

/// The instants that were asked for, one a key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    by_instant: BTreeSet<(Timestamp, K)>,
    by_worker: HashMap<K, Timestamp>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_instant: BTreeSet::new(), by_worker: HashMap::new() }
    }
}

impl<K: Clone + Ord + Hash> Timers<K> {
    /// Replaces the instant of a worker; none: it does not want to be woken.
    pub(super) fn set(&mut self, worker: &K, at: Option<Timestamp>) {
        if let Some(before) = self.by_worker.remove(worker) {
            self.by_instant.remove(&(before, worker.clone()));
        }
        if let Some(at) = at {
            self.by_worker.insert(worker.clone(), at);
            self.by_instant.insert((at, worker.clone()));
        }
    }

    /// The instant of a worker.
    pub(super) fn get(&self, worker: &K) -> Option<Timestamp> {
        self.by_worker.get(worker).copied()
    }

    /// The workers that want to be woken.
    pub(super) fn workers(&self) -> impl Iterator<Item = &K> {
        self.by_worker.keys()
    }

    /// The earliest instant.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_instant.first().map(|(at, _)| *at)
    }

    /// Takes out one worker whose instant has come.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<K> {
        if self.by_instant.first().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, worker) = self.by_instant.pop_first()?;
        self.by_worker.remove(&worker);
        Some(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ObjectKey;

    #[test]
    fn a_worker_has_one_instant_and_the_earliest_comes_first() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = |name: &str| ObjectKey { namespace: "shop".into(), name: name.into() };
        let mut timers = Timers::default();
        timers.set(&key("a"), Some(at(10)));
        timers.set(&key("b"), Some(at(20)));
        timers.set(&key("a"), Some(at(30)));
        assert_eq!((timers.next(), timers.due(at(19))), (Some(at(20)), None));
        assert_eq!(timers.due(at(20)), Some(key("b")));
        timers.set(&key("a"), None);
        assert_eq!((timers.next(), timers.due(at(99))), (None, None));
    }
}
