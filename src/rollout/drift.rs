//! Drift that is a stop, drift that is left as it stands, and drift that never is: what could give callers something
//! unproven, or nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    istio::{self, Marks, ObjectKind, Owned},
    plan::{DriftPolicy, Version},
};

use super::{Altered, ClusterName, ClusterView, Journal, Reason, World, sight};

/// Whether the live objects expose callers (law 4): a version gets more than both the journal and its proof say,
/// requests are led elsewhere or nowhere, or a version that they reach lacks its subset. Objects that are gone do:
/// without routes every pod of the Service is reached.
pub fn exposes(journal: &Journal, route: Option<&Value>, rule: Option<&Value>) -> bool {
    let (Some(route), Some(rule)) = (route, rule) else { return true };
    strays(journal, route) || istio::subsets_stray(rule, &journal.state.routing, &journal.state.reached())
}

/// Whether the routes alone do.
fn strays(journal: &Journal, route: &Value) -> bool {
    let state = &journal.state;
    let above = || {
        istio::live_shares(route, &state.routing).per_version_max.into_iter().any(|(name, weight)| {
            let proven = state.routing.version(&name).map_or(0, |version| journal.proven(version));
            weight > state.traffic.weight(&name).max(proven)
        })
    };
    istio::route_strays(route, &state.routing) || above()
}

/// Which unproven version is live below what the journal says it has: a stop, never corrected upwards (law 4).
pub(super) fn lowered(world: &World, journal: &Journal) -> Option<String> {
    world.clusters.iter().find_map(|(cluster, view)| {
        // Where nothing is known of it, it stands where the others know it to.
        let lost = !matches!(view.journal, Some(Ok(_))) && view.memory.is_none();
        let apart = if lost { journal.as_in(cluster) } else { None };
        lowered_in(cluster, view, apart.as_ref().unwrap_or(journal))
    })
}

fn lowered_in(cluster: &ClusterName, view: &ClusterView, journal: &Journal) -> Option<String> {
    // What somebody else made was never what the walk gives.
    let theirs = view.away_since.is_some() || sight::is_foreign(view);
    let live = view.virtual_service.as_deref().filter(|_| !theirs)?;
    let own = written(view, journal);
    let state = &own.state;
    let drift = istio::drift(live, &state.routing, &state.traffic);
    if (drift.weights_differ || drift.spec_differs) && own.is_raised() && renders(live, own) {
        return Some(format!("the way-back patch was applied in cluster {cluster}"));
    }
    if !drift.weights_differ {
        return None;
    }
    let shares = istio::live_shares(live, &state.routing);
    let lowered = state.traffic.iter().find_map(|(name, weight)| {
        // A newer plan may have taken away what was proven when this was written: lowering that was no stop.
        let proven = state.routing.version(name).map_or(0, |version| own.proven(version));
        let live = shares.per_version_min.get(name).copied().unwrap_or(0);
        (weight > proven && live < weight).then_some((name, weight, live))
    });
    lowered.map(|(name, weight, live)| format!("version {name} from {weight} to {live} in cluster {cluster}"))
}

/// What was written in a cluster, not what is written elsewhere meanwhile. Where its journal was taken off, that is
/// what this process knows of it.
fn written<'a>(view: &'a ClusterView, journal: &'a Journal) -> &'a Journal {
    view.journal.as_ref().and_then(|journal| journal.as_deref().ok()).or(view.memory.as_deref()).unwrap_or(journal)
}

/// What a hand has lowered in a cluster and writing the position would raise again: a stop without a state to go back
/// to, which stands all the same (law 4). What exposes callers at the same time is put back nevertheless.
pub(super) fn stands_lowered(cluster: &ClusterName, view: &ClusterView, journal: &Journal) -> Option<String> {
    if journal.is_settled() {
        return None;
    }
    let lowered = lowered_in(cluster, view, journal)?;
    let (live, state) = (view.virtual_service.as_deref()?, &journal.state);
    let shares = istio::live_shares(live, &state.routing);
    let raises = state.traffic.iter().any(|(name, weight)| {
        let proven = state.routing.version(name).map_or(0, |version| journal.proven(version));
        weight > proven && weight > shares.per_version_min.get(name).copied().unwrap_or(0)
    });
    (raises && !strays(written(view, journal), live)).then_some(lowered)
}

/// Whether the way-back state of a journal is what is live.
fn renders(live: &Value, journal: &Journal) -> bool {
    journal.way_back.as_ref().is_some_and(|settled| {
        let drift = istio::drift(live, &settled.state.routing, &settled.state.traffic);
        !drift.weights_differ && !drift.spec_differs
    })
}

/// Which object's spec somebody has changed, as far as it is tidegate's.
fn differs(view: &ClusterView, journal: &Journal, subsets: &[Version]) -> Option<ObjectKind> {
    let (Some(route), state) = (view.virtual_service.as_deref(), &journal.state) else { return None };
    let drift = istio::drift(route, &state.routing, &state.traffic);
    if drift.spec_differs || drift.weights_differ {
        return Some(ObjectKind::VirtualService);
    }
    let owned = Owned { subsets: BTreeSet::new(), traffic_policy: journal.owns_traffic_policy };
    let rule = view.destination_rule.as_deref();
    let edit = istio::destinations_edit(rule, &state.routing, subsets, &owned, &Marks::default());
    edit.map(|_| ObjectKind::DestinationRule)
}

/// Why drift in a cluster is left as it stands; none where there is none, or where it has to be put back. Only what
/// was written there and is other now is drift: what is still to be written is not.
pub(super) fn left(
    name: &ClusterName,
    view: &ClusterView,
    journal: &Journal,
    subsets: &[Version],
    now: Timestamp,
) -> Option<Reason> {
    let fight = view.fight.as_ref().filter(|fight| fight.until > now);
    let warns = journal.plan.drift == DriftPolicy::Warn;
    if !(warns || fight.is_some()) || view.memory.as_deref().is_none_or(|memory| memory.state != journal.state) {
        return None;
    }
    let kind = differs(view, journal, subsets)?;
    if exposes(journal, view.virtual_service.as_deref(), view.destination_rule.as_deref()) {
        return None;
    }
    let cluster = name.clone();
    Some(match fight {
        Some(fight) => Reason::DriftFight { cluster, fight: Box::new(fight.clone()) },
        None => Reason::Drift { cluster, kind },
    })
}

/// What stands before any other reason: somebody sets back what is written, or the server stores something else.
pub(super) fn disturbance(world: &World, reason: Reason) -> Reason {
    if matches!(reason.plainly(), Reason::NoWayBack { .. } | Reason::CannotServe { .. } | Reason::Rejected { .. }) {
        return reason;
    }
    let found = world.clusters.iter().find_map(|(name, view)| {
        let cluster = name.clone();
        let fight = view
            .fight
            .as_ref()
            .map(|fight| Reason::DriftFight { cluster: name.clone(), fight: Box::new(fight.clone()) });
        let Altered { kind, at, until } = match &view.altered {
            Some(altered) if fight.is_none() => altered.clone(),
            _ => return fight,
        };
        Some(Reason::WriteAltered { cluster, kind, at, until })
    });
    found.unwrap_or(reason)
}
