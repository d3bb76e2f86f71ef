//! What a failure does to the position: traffic goes back and Git is to follow, or, where the plan says so, all stays.

use jiff::Timestamp;

use crate::plan::{OnFailure, VersionName};

use super::{Cause, Journal, Phase, Reason, Restore, What, World, accept, gates};

/// A step, or a target that has not settled, failed: what the plan says of that happens. Returns what stands in the way
/// of a way back.
pub(super) fn step(journal: &mut Journal, world: &World, cause: Cause, now: Timestamp) -> Result<(), Reason> {
    if journal.plan.on_failure == OnFailure::Rollback {
        return go_back(journal, world, cause, now);
    }
    if journal.failure.is_none() {
        journal.remember_failure(&cause);
        journal.failure = Some(cause.clone());
        accept::note(journal, now, What::FailureHeld, cause.to_string());
    }
    Err(Reason::FailureHeld { cause, retry: journal.retry() })
}

/// Records that the present content failed or was stopped and goes back, in every cluster. Returns what stands in the
/// way where no settled state can serve.
pub(super) fn go_back(journal: &mut Journal, world: &World, cause: Cause, now: Timestamp) -> Result<(), Reason> {
    let Some(refuge) = gates::refuge(world, journal).cloned() else {
        return Err(Reason::NoWayBack { cause: cause.to_string() });
    };
    // Content that has failed before was restored then, and a person brought it again: no loop with Git.
    let tested = |name: &VersionName| journal.under_test(name);
    let again = journal.failure.is_none() && journal.has_failed(&journal.plan, &journal.rising, tested);
    let restore = Restore::of(journal, &refuge, &cause, now).filter(|_| !again);
    if !matches!(cause, Cause::Stop(_)) {
        journal.remember_failure(&cause);
    }
    accept::go_back(journal, &refuge, now, Phase::WentBack { cause: cause.clone() });
    journal.restore = restore;
    accept::note(journal, now, What::WentBack, cause.to_string());
    Ok(())
}
