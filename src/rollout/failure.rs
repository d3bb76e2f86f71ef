//! What a failure does to the position: traffic goes back and Git is to follow, or, where the plan says so, all stays.

use jiff::Timestamp;

use crate::plan::{OnFailure, OnPartial, VersionName};

use super::{Cause, Journal, Phase, Reason, Restore, What, World, accept, apart, failing::Failing, gates};

/// A step, or a target that has not settled, failed: what the plan says of that happens. Returns what stands in the way
/// of a way back.
///
/// Where it did not fail in all clusters that have it, the plan may say otherwise.
pub(super) fn step(
    journal: &mut Journal,
    world: &World,
    cause: Cause,
    failing: &Failing,
    now: Timestamp,
) -> Result<(), Reason> {
    let partial = apart::stands_elsewhere(journal, world, &failing.names()).then_some(journal.plan.on_partial);
    let holds = matches!(partial, Some(OnPartial::Hold | OnPartial::RollbackFailed));
    if journal.plan.on_failure == OnFailure::Rollback && !holds {
        return go_back(journal, world, cause, now);
    }
    let fell = partial == Some(OnPartial::RollbackFailed) && apart::fall(journal, world, &failing.names());
    let cause = failing.cause().filter(|_| fell).cloned().unwrap_or(cause);
    if journal.failure.is_none() || fell {
        journal.remember_failure(&cause);
        journal.failure = Some(cause.clone());
        accept::note(journal, now, What::FailureHeld, note(&cause, failing));
    }
    apart::stay(journal, world);
    Err(Reason::FailureHeld { cause, retry: journal.retry() })
}

/// The cause, which names its cluster where there are several, and the others in which it fails.
fn note(cause: &Cause, failing: &Failing) -> String {
    let others = failing.clusters.iter().filter(|(_, other)| *other != cause);
    let others: Vec<&str> = others.map(|(name, _)| name.as_str()).collect();
    if others.is_empty() { cause.to_string() } else { format!("{cause}; also in {}", others.join(", ")) }
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
