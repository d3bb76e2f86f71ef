//! Where the present step fails, and of what.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::plan::VersionName;

use super::{
    Cause, ClusterName, ClusterView, Journal, Phase, Proxies, World, accept,
    gates::{after, answering},
    guard,
};

/// What fails, by cluster.
#[derive(Default)]
pub(super) struct Failing {
    pub(super) clusters: BTreeMap<ClusterName, Cause>,
    /// When endpoints that are gone now make it fail.
    pub(super) wake: Option<Timestamp>,
}

impl Failing {
    /// What is told of all of it: what was refused comes first, for it says most.
    pub(super) fn cause(&self) -> Option<&Cause> {
        let rank = |cause: &&Cause| match cause {
            Cause::Rejected(_) => 0,
            Cause::ProxyRefused(_) => 1,
            _ => 2,
        };
        self.clusters.values().min_by_key(rank)
    }

    /// The clusters in which it fails.
    pub(super) fn names(&self) -> BTreeSet<&ClusterName> {
        self.clusters.keys().collect()
    }
}

/// A version for people, with the cluster where there are several.
pub(super) fn place(version: &VersionName, cluster: Option<&ClusterName>, world: &World) -> String {
    placed(version, cluster.filter(|_| world.clusters.len() > 1))
}

fn placed(version: &VersionName, cluster: Option<&ClusterName>) -> String {
    match cluster {
        Some(cluster) => format!("{version} in cluster {cluster}"),
        None => version.to_string(),
    }
}

/// What of the present step fails in which cluster.
pub(super) fn failing(world: &World, journal: &Journal, now: Timestamp) -> Failing {
    let mut failing = Failing::default();
    if journal.is_settled() {
        return failing;
    }
    // All clusters of the plan are told what a guard finds in its own.
    let is_several = world.clusters.len() > 1 || guard::sees_a_part(journal, world);
    let said = |words: &str, cluster: &str| {
        if is_several { format!("cluster {cluster}: {words}") } else { words.to_owned() }
    };
    for (name, view) in &world.clusters {
        if let Some(message) = view.rejected.as_ref().filter(|_| !view.forbidden) {
            failing.clusters.insert(name.clone(), Cause::Rejected(said(message, name)));
        }
    }
    if matches!(journal.phase, Phase::Starting) {
        return failing;
    }
    // What proxies refuse is what stands, and that is about to be replaced where the plan has other routing by now.
    let asked =
        |view: &&ClusterView| !view.unanswered && view.proxies.as_ref().is_some_and(|it| it.refused().is_some());
    if world.clusters.values().any(|view| asked(&view))
        && accept::followed(world, journal).differs_in_weights_alone(&journal.state)
    {
        for (name, view) in world.clusters.iter().filter(|(_, view)| asked(view)) {
            let why = view.proxies.as_ref().and_then(Proxies::refused).map(ToString::to_string);
            let why = said(&why.unwrap_or_default(), name);
            failing.clusters.entry(name.clone()).or_insert(Cause::ProxyRefused(why));
        }
    }
    for (cluster, view) in answering(world) {
        let apart = journal.apart.as_ref().and_then(|apart| apart.clusters.get(cluster));
        for name in apart.unwrap_or(&journal.state).reached() {
            let here = view.endpoints(name);
            let Some(since) = here.none_since.filter(|_| here.known_gone()) else { continue };
            let fails = after(since, world.settings.endpoints_gone_s);
            if fails <= now {
                let gone = || Cause::EndpointsGone(placed(name, Some(cluster).filter(|_| is_several)));
                failing.clusters.entry(cluster.clone()).or_insert_with(gone);
            } else {
                failing.wake = Some(failing.wake.map_or(fails, |before| before.min(fails)));
            }
        }
    }
    failing
}
