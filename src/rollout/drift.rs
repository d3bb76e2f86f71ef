//! Drift that is a stop, drift that is left as it stands, and drift that never is: what could give callers something
//! unproven, or nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    istio::{self, Marks, ObjectKind, Owned},
    plan::{DriftPolicy, Version},
};

use super::{Altered, ClusterName, ClusterView, Journal, Reason, World};

/// Whether the live objects expose callers (law 4): a version gets more than both the journal and its proof say,
/// requests are led elsewhere or nowhere, or a version that they reach lacks its subset. Objects that are gone do:
/// without routes every pod of the Service is reached.
pub fn exposes(journal: &Journal, route: Option<&Value>, rule: Option<&Value>) -> bool {
    let (Some(route), Some(rule)) = (route, rule) else { return true };
    let state = &journal.state;
    let above = || {
        istio::live_shares(route, &state.routing).per_version_max.into_iter().any(|(name, weight)| {
            let proven = state.routing.version(&name).map_or(0, |version| journal.proven(version));
            weight > state.traffic.weight(&name).max(proven)
        })
    };
    istio::route_strays(route, &state.routing)
        || istio::subsets_stray(rule, &state.routing, &state.reached())
        || above()
}

/// Which unproven version is live below what the journal says it has: a stop, never corrected upwards (law 4).
pub(super) fn lowered(world: &World, journal: &Journal) -> Option<String> {
    for (cluster, view) in &world.clusters {
        let Some(live) = view.virtual_service.as_deref().filter(|_| view.away_since.is_none()) else { continue };
        // What was written there, not what is written elsewhere meanwhile.
        // Where its journal was taken off, that is what this process knows of it.
        let own = view.journal.as_ref().and_then(|journal| journal.as_deref().ok()).or(view.memory.as_deref());
        let state = own.map_or(&journal.state, |own| &own.state);
        let drift = istio::drift(live, &state.routing, &state.traffic);
        let raised = own.unwrap_or(journal).is_raised();
        if (drift.weights_differ || drift.spec_differs) && raised && renders(live, own.unwrap_or(journal)) {
            return Some(format!("the way-back patch was applied in cluster {cluster}"));
        }
        if !drift.weights_differ {
            continue;
        }
        let shares = istio::live_shares(live, &state.routing);
        for (name, weight) in state.traffic.iter() {
            let proven = state.routing.version(name).map_or(0, |version| journal.proven(version));
            let live = shares.per_version_min.get(name).copied().unwrap_or(0);
            if weight > proven && live < weight {
                return Some(format!("version {name} from {weight} to {live} in cluster {cluster}"));
            }
        }
    }
    None
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
    if matches!(reason, Reason::NoWayBack { .. } | Reason::CannotServe { .. } | Reason::Rejected { .. }) {
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
