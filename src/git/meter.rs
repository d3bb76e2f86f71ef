//! Counts what is asked of a repository, by operation and outcome.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::GitError;

/// What is asked of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Where the branch stands.
    Look,
    /// What the mirror lacks.
    Fetch,
    /// That a reference moves.
    Push,
}

impl Operation {
    /// Its stable name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Fetch => "fetch",
            Self::Push => "push",
        }
    }
}

/// Counters that are shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct GitMeter(Arc<Mutex<BTreeMap<(Operation, &'static str), u64>>>);

impl GitMeter {
    pub(super) fn count<T>(&self, operation: Operation, outcome: &Result<T, GitError>) {
        self.count_as(operation, outcome.as_ref().map_or_else(GitError::category, |_| "ok"));
    }

    pub(super) fn count_as(&self, operation: Operation, outcome: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((operation, outcome)).or_default() += 1;
    }

    /// How often each operation had each outcome: `ok` or a category of its error, and of a push that came too late
    /// `moved`.
    pub fn requests(&self) -> Vec<(Operation, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((operation, outcome), count)| (*operation, *outcome, *count)).collect()
    }
}
