//! Counts the tries of one push, and remembers what may have landed without anybody knowing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use git2::{Oid, Repository};

use super::{Order, PushError, Pushed};
use crate::git::GitError;
use crate::git::net::Rejection;

/// How often a push is tried while the branch moves.
const TRIES_MAX: u32 = 20;

/// How often it is tried where a server speaks of a lock and nothing moves.
const LOCKED_MAX: u32 = 5;

/// The longest pause before the second try; it doubles up to the other.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The tries of one push so far.
#[derive(Default)]
pub(super) struct Tries {
    count: u32,
    locked: u32,
    /// What was sent, and what it was built upon.
    sent: Vec<(Oid, Oid)>,
    rejected: Option<(Option<Oid>, Rejection)>,
    failed: Option<PushError>,
}

impl Tries {
    /// Where the branch stands, or why the last push failed if that cannot be looked at.
    pub(super) fn arrived<T>(&mut self, arrived: Result<T, PushError>) -> Result<T, PushError> {
        arrived.map_err(|error| self.failed.take().unwrap_or(error))
    }

    /// What was sent and is in the branch after all, with what it was built upon.
    pub(super) fn landed(&self, repository: &Repository, tip: Oid) -> Result<Option<(Oid, Oid)>, PushError> {
        for (commit, onto) in &self.sent {
            if *commit == tip || repository.graph_descendant_of(tip, *commit).map_err(GitError::Mirror)? {
                return Ok(Some((*commit, *onto)));
            }
        }
        Ok(None)
    }

    /// Begins the next try, after a pause if it is not the first; errs where it would be one too many.
    pub(super) fn next(&mut self, location: &str, tip: Option<Oid>) -> Result<(), PushError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let rejected = self.rejected.take();
        if let Some((onto, rejection)) = &rejected {
            self.locked = if *onto == tip { self.locked + 1 } else { 0 };
            let final_word = *onto == tip && !(is_lock(rejection) && self.locked < LOCKED_MAX);
            if final_word || self.count >= TRIES_MAX {
                return Err(PushError::refused(location, rejection));
            }
        }
        if self.count >= TRIES_MAX {
            return Err(PushError::Moved { location: location.to_owned(), tries: self.count });
        }
        if self.count > 0 {
            let most = PAUSE_MIN.saturating_mul(1 << self.count.min(10)).min(PAUSE_MAX);
            std::thread::sleep(most.mul_f64(chance()));
        }
        self.count += 1;
        Ok(())
    }

    /// Whether the order was carried out; else what came of it is known at the next try. Errs where no look can help.
    pub(super) fn pushed(&mut self, order: &Order, pushed: Result<Pushed, PushError>) -> Result<bool, PushError> {
        self.sent.push((order.commit, order.onto.unwrap_or(Oid::ZERO_SHA1)));
        match pushed {
            Ok(Pushed::Landed) => return Ok(true),
            Ok(Pushed::Elsewhere) => {}
            Ok(Pushed::Rejected(rejection)) => self.rejected = Some((order.onto, rejection)),
            Err(error @ PushError::Unreachable(_)) => self.failed = Some(error),
            Err(error) => return Err(error),
        }
        Ok(false)
    }
}

/// Whether a server says no because somebody else is writing the same reference.
fn is_lock(rejection: &Rejection) -> bool {
    let signs =
        ["failed to update ref", "failed to lock", "cannot lock ref", "fetch first", "non-fast-forward", "stale"];
    signs.iter().any(|sign| rejection.status.contains(sign))
}

/// A number in 0..1 that differs between processes and tries.
fn chance() -> f64 {
    f64::from((RandomState::new().build_hasher().finish() >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(onto: Oid) -> Order {
        Order { reference: "refs/heads/main".to_owned(), onto: Some(onto), commit: Oid::ZERO_SHA1 }
    }

    fn rejected(status: &str) -> Result<Pushed, PushError> {
        Ok(Pushed::Rejected(Rejection { status: status.to_owned(), said: "ask ada".to_owned() }))
    }

    fn tip(number: u8) -> Oid {
        Oid::from_bytes(&[number; 20]).unwrap()
    }

    #[test]
    fn a_no_counts_once_the_branch_stands_still_and_one_about_a_lock_a_little_later() {
        for (status, tries) in [("pre-receive hook declined", 1), ("failed to update ref", LOCKED_MAX)] {
            let mut so_far = Tries::default();
            let mut count = 0;
            let error = loop {
                if let Err(error) = so_far.next("plans", Some(tip(1))) {
                    break error;
                }
                count += 1;
                assert!(!so_far.pushed(&order(tip(1)), rejected(status)).unwrap());
            };
            assert_eq!((error.to_string(), count), (format!("plans refuses the push: {status} (ask ada)"), tries));
        }
    }

    #[test]
    fn a_branch_that_moves_each_time_ends_it() {
        let mut so_far = Tries::default();
        for number in 0..20 {
            so_far.next("plans", Some(tip(number))).unwrap();
            let pushed = if number % 2 == 0 { Ok(Pushed::Elsewhere) } else { rejected("no") };
            assert!(!so_far.pushed(&order(tip(number)), pushed).unwrap());
        }
        assert!(matches!(so_far.next("plans", Some(tip(20))), Err(PushError::Refused { .. })));
        so_far.pushed(&order(tip(20)), Ok(Pushed::Elsewhere)).unwrap();
        let error = so_far.next("plans", Some(tip(21))).unwrap_err();
        assert_eq!(error.to_string(), "plans moved at each of 20 tries to push");
    }
}
