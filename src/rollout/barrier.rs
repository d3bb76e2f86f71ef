//! Clusters that a step does not wait for: those that do not answer, where the plan is content with a quorum of the others.
//! They stay where they are, enter it once they answer again, and nothing goes further or settles before they have.

use std::{borrow::Cow, collections::BTreeSet};

use super::{ClusterName, ClusterView, Journal, Phase, World};

/// The clusters that a raise may leave behind: none unless a quorum answers and, of each wave, at least one. What stands in
/// each of them has to be known, and no more than the present position: so none is ever more than one step behind.
pub(super) fn absent(world: &World, journal: &Journal) -> BTreeSet<ClusterName> {
    let Some(quorum) = journal.plan.quorum else { return BTreeSet::new() };
    let (away, answering): (Vec<_>, Vec<_>) = world.clusters.iter().partition(|(_, view)| view.away_since.is_some());
    let wave = |(name, _): &(&ClusterName, &ClusterView)| journal.plan.wave(name);
    let reached: BTreeSet<usize> = answering.iter().map(wave).collect();
    if answering.len() < usize::try_from(quorum).unwrap_or(usize::MAX)
        || !away.iter().all(|it| reached.contains(&wave(it)))
    {
        return BTreeSet::new();
    }
    let stands = |(name, view): &(&ClusterName, &ClusterView)| is_known(journal, name, view);
    away.into_iter().filter(stands).map(|(name, _)| name.clone()).collect()
}

/// The clusters whose convergence nothing waits for: of a step those that it leaves behind, of the target only those that
/// have not entered it, for what settles has converged in all.
pub(super) fn passed_over(world: &World, journal: &Journal) -> BTreeSet<ClusterName> {
    let mut absent = absent(world, journal);
    if matches!(journal.phase, Phase::Target) {
        absent.retain(|name| journal.apart.as_ref().is_some_and(|apart| apart.clusters.contains_key(name)));
    }
    absent
}

/// Whether what stands in a cluster that does not answer is known, as it was when it did.
fn is_known(journal: &Journal, name: &str, view: &ClusterView) -> bool {
    if let Some(apart) = journal.apart.as_deref().filter(|apart| apart.clusters.contains_key(name)) {
        return !apart.fallen.contains(name);
    }
    let there = view.journal.as_ref().and_then(|there| there.as_ref().ok()).filter(|_| !view.unanswered);
    there.is_some_and(|there| there.state == journal.state)
}

/// The world without some clusters.
pub(super) fn without<'a>(world: &'a World, absent: &BTreeSet<ClusterName>) -> Cow<'a, World> {
    if absent.is_empty() {
        return Cow::Borrowed(world);
    }
    let mut present = world.clone();
    present.clusters.retain(|name, _| !absent.contains(name));
    Cow::Owned(present)
}
