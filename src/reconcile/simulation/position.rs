//! What stands in a cluster, as plans and transitions tell it.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use tidegate::{
    istio,
    plan::{Plan, Routing, Traffic, VersionName},
    rollout::{Journal, Transition, What},
};

use super::wrote::{Verdict, ensure};

/// The routing that a walk of the plan writes: its own, and of what it does not declare any more that of before.
pub(super) fn carried(plan: &Plan, position: &Position) -> Arc<Routing> {
    let mut routing = plan.routing.clone();
    let left = position.routing.versions.iter().filter(|version| plan.routing.version(&version.name).is_none());
    routing.versions.extend(left.cloned());
    Arc::new(routing)
}

/// What stands in a cluster.
pub(super) struct Position {
    pub(super) routing: Arc<Routing>,
    pub(super) traffic: Traffic,
}

/// Whether a transition of the journal comes of another document, of its end, or of other images, and moved nothing.
pub(super) fn moves_nothing(journal: &Journal, there: &Transition) -> bool {
    let moved = |pair: &[Transition]| pair[1] == *there && pair[0].traffic != pair[1].traffic;
    let told_alone =
        [What::Accepted, What::Applied, What::WentBack, What::Released, What::RestoreLanded, What::RestoreDropped];
    told_alone.contains(&there.what) && !journal.transitions.windows(2).any(moved)
}

pub(super) fn total(traffic: &Traffic, of: &BTreeSet<VersionName>) -> u8 {
    of.iter().map(|name| traffic.weight(name)).sum()
}

/// The totals that any of these versions may have together, none of them included.
pub(super) fn sums(traffic: &Traffic, of: &BTreeSet<VersionName>) -> BTreeSet<u8> {
    let mut sums = BTreeSet::from([0]);
    for name in of {
        let with: Vec<u8> = sums.iter().map(|sum| sum + traffic.weight(name)).collect();
        sums.extend(with);
    }
    sums
}

pub(super) fn hold_ms(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / 1_000) * 1_000
}

/// Weights as a transition tells them.
pub(super) fn traffic_of(text: &str) -> Traffic {
    let leg = |part: &str| {
        let (name, weight) = part.split_once('=').unwrap();
        (VersionName::new(name), weight.parse().unwrap())
    };
    Traffic::new(text.split_whitespace().map(leg)).unwrap()
}

/// Law 1.
pub(super) fn adds_up(live: &Value, journal: &Journal) -> Verdict {
    for route in live["spec"]["http"].as_array().into_iter().flatten() {
        let legs = route["route"].as_array().map_or(&[][..], Vec::as_slice);
        let sum: u64 = legs.iter().map(|leg| leg["weight"].as_u64().unwrap_or(0)).sum();
        let alone = legs.len() == 1 && legs[0]["weight"].is_null();
        ensure(alone || sum == 100, "law 1", || format!("weights add up to {sum}: {route}"))?;
    }
    let shares = istio::live_shares(live, &journal.state.routing);
    ensure(shares.traffic.as_ref() == Some(&journal.state.traffic), "law 1", || {
        format!("live is {:?}, the journal says {}", shares.traffic, journal.state.traffic)
    })
}
