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
}

impl Operation {
    /// Its stable name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Fetch => "fetch",
        }
    }
}

/// Counters that are shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct GitMeter(Arc<Mutex<BTreeMap<(Operation, &'static str), u64>>>);

impl GitMeter {
    pub(super) fn count<T>(&self, operation: Operation, outcome: &Result<T, GitError>) {
        let outcome = outcome.as_ref().map_or_else(GitError::category, |_| "ok");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((operation, outcome)).or_default() += 1;
    }

    /// How often each operation had each outcome: `ok` or a [category](GitError::category).
    pub fn requests(&self) -> Vec<(Operation, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((operation, outcome), count)| (*operation, *outcome, *count)).collect()
    }
}
