//! When the proxies have what is applied: as istiod says, or, where it can't be asked, a stated wait after the live objects
//! were seen to carry it.

use jiff::{SignedDuration, Timestamp};

use crate::{
    istio::{self, Marks},
    plan::Version,
};

use super::{ClusterView, Journal, Reason, World, barrier, newcomer};

/// When the proxies had the live objects as they were last seen; none while they have not, while a write of the present
/// state is still to come, or one is not answered: until its outcome is known, what was seen is what was there before.
pub(super) fn one(world: &World, journal: &Journal, view: &ClusterView, kept: &[Version]) -> Option<Timestamp> {
    let state = &journal.state;
    let live = view.virtual_service.as_deref().filter(|_| !view.unanswered)?;
    let drift = istio::drift(live, &state.routing, &state.traffic);
    let rule = view.destination_rule.as_deref();
    let owned = istio::Owned { traffic_policy: journal.owns_traffic_policy, ..istio::Owned::default() };
    let stands = istio::destinations_edit(rule, &state.routing, kept, &owned, &Marks::default()).is_none();
    if drift.spec_differs || drift.weights_differ || view.away_since.is_some() || !stands {
        return None;
    }
    let seen = view.spec_seen?;
    let seen = view.subsets_seen.map_or(seen, |subsets| seen.max(subsets));
    if let Some(proxies) = &view.proxies {
        return Some(proxies.since()?.max(seen));
    }
    seen.checked_add(SignedDuration::from_millis(world.settings.convergence_wait_ms)).ok()
}

/// Why the proxies of a cluster that has the present state may not have it.
pub(super) fn lag(world: &World) -> Option<Reason> {
    let waited = |(name, view): (&String, &ClusterView)| {
        let lag = Some(view.proxies.as_ref().filter(|_| !view.unanswered)?.why()?);
        Some(Reason::Converging { until: None, lag }.of(name))
    };
    world.clusters.iter().find_map(waited)
}

/// Whether every cluster has the journal with all that happened, but those that a quorum leaves behind: where one had another
/// past, what settles for all would be no more proven than what that one knows. Of one cluster there is but one.
pub(super) fn on_record(world: &World, journal: &Journal) -> bool {
    let has = |view: &ClusterView| matches!(&view.journal, Some(Ok(there)) if there.transitions == journal.transitions);
    let mut without = world.clusters.iter().filter(|(_, view)| !has(view)).peekable();
    if world.clusters.len() < 2 || without.peek().is_none() {
        return true;
    }
    let passed_over = barrier::passed_over(world, journal);
    without.all(|(name, _)| passed_over.contains(name))
}

/// When every cluster has the present state; none while one that is new to the plan has nothing of it. Those that
/// a quorum leaves behind are passed over.
pub(super) fn all(world: &World, journal: &Journal) -> Option<Timestamp> {
    if newcomer::joins(world) {
        return None;
    }
    let kept = journal.kept_subsets();
    let passed_over = barrier::passed_over(world, journal);
    let counted = world.clusters.iter().filter(|(name, _)| !passed_over.contains(*name));
    let each = counted.map(|(name, view)| match journal.as_in(name) {
        Some(apart) => one(world, &apart, view, &apart.kept_subsets()),
        None => one(world, journal, view, &kept),
    });
    each.collect::<Option<Vec<_>>>()?.into_iter().max()
}
