//! The subsets of a live DestinationRule: which there are, and which keep their definition while requests drain.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    istio::lens,
    plan::{Version, VersionName},
};

use super::{ClusterView, Journal, State, World};

/// The names of the subsets that are live in any cluster.
pub(super) fn live(world: &World) -> BTreeSet<VersionName> {
    let views = world.clusters.values().filter_map(|view| view.destination_rule.as_deref());
    views.flat_map(lens::subsets).map(VersionName::new).collect()
}

/// Files these subsets, and those that are still live, as tidegate's own.
pub(super) fn own(journal: &mut Journal, world: &World, names: &BTreeSet<VersionName>) {
    // What stands in a cluster that has not answered is not known, nor what comes of a write whose answer was lost.
    if world.clusters.values().all(|view| view.away_since.is_none() && !view.unanswered && !view.rule_late) {
        let live = live(world);
        journal.subsets.retain(|name| live.contains(name));
    }
    journal.subsets.extend(names.iter().cloned());
    journal.owns_traffic_policy |= journal.state.routing.traffic_policy.is_some();
    journal.convergence_wait_ms = Some(world.settings.convergence_wait_ms);
    let asked = world.clusters.values().any(|view| view.proxies.is_some());
    journal.asks_proxies = world.settings.asks_proxies && asked;
}

/// Whether a subset of tidegate's own is live beside these. The journal may name some that are gone already: that alone
/// is no reason to write it.
pub(super) fn surplus(journal: &Journal, world: &World, names: &BTreeSet<VersionName>) -> bool {
    let mut surplus = journal.subsets.difference(names).peekable();
    surplus.peek().is_some() && {
        let live = live(world);
        surplus.any(|name| live.contains(name))
    }
}

/// The subsets with the definitions that still stand where nothing is to reach them any more: under requests on
/// their way, another definition would be a removal. None where the live ones are as kept.
pub(super) fn standing(kept: &[Version], state: &State, view: &ClusterView) -> Option<Vec<Version>> {
    let live = view.destination_rule.as_deref()?.get("spec")?.get("subsets")?.as_array()?;
    let reached = state.reached();
    let other = |version: &Version| -> Option<Version> {
        let is_it = |subset: &&Value| subset.get("name").and_then(Value::as_str) == Some(version.name.as_str());
        let there = live.iter().find(is_it)?;
        let labels = there.get("labels")?;
        let same = labels.as_object().is_some_and(|live| {
            live.len() == version.labels.len()
                && version.labels.iter().all(|(key, value)| live.get(key).and_then(Value::as_str) == Some(value))
        });
        let labels = if same { None } else { serde_json::from_value(labels.clone()).ok() }?;
        Some(Version { labels, traffic_policy: there.get("trafficPolicy").cloned(), ..version.clone() })
    };
    let drains = |version: &Version| if reached.contains(&version.name) { None } else { other(version) };
    let changed: Vec<Option<Version>> = kept.iter().map(drains).collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    Some(kept.iter().zip(changed).map(|(version, changed)| changed.unwrap_or_else(|| version.clone())).collect())
}
