//! What a decision about a route is made of: its objects as they were seen, and what the shell knows beside them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    istio::ObjectKind,
    plan::{ObjectKey, VersionName},
    rollout::{ClusterView, Endpoints, GitSight, Taken, Wanted, World},
};

use super::worker::{Worker, object};

/// What the shell knows beside the events, asked at each decision.
pub trait Sight {
    /// Ready endpoints of the pods of a Service that carry the labels; none: unknown.
    fn ready(&self, cluster: &str, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<u32>;
    /// VirtualServices other than `own` that claim one of the hosts on one of the gateways.
    fn claims(&self, cluster: &str, own: &ObjectKey, wanted: &crate::plan::Routing) -> Vec<ObjectKey>;
    /// A DestinationRule of somebody else that stands in front of `own` for some callers.
    fn shadow(&self, _cluster: &str, _own: &ObjectKey, _wanted: &crate::plan::Routing) -> Option<ObjectKey> {
        None
    }
    /// Our wall clock minus the API server's, in milliseconds.
    fn clock_offset_ms(&self, cluster: &str) -> Option<i64>;
    /// A plain object that the routing names and that is not applied, with what is in the way.
    fn dependency(&self, cluster: &str, wanted: &crate::plan::Routing) -> Option<String>;
    /// How far the proxies are with an object of this generation, or with its being gone; none: nobody can be asked.
    fn taken(&self, _cluster: &str, _kind: ObjectKind, _key: &ObjectKey, _generation: Option<i64>) -> Option<Taken> {
        None
    }
    /// When Git was last seen.
    fn git(&self) -> GitSight;
    /// Whether the cluster is known to have no such namespace.
    fn lacks_namespace(&self, _cluster: &str, _namespace: &str) -> bool {
        false
    }
    /// Plans that exist, as `repository/namespace/name`.
    fn lives(&self, owner: &str) -> bool;
}

impl Worker {
    /// Everything that a decision at this instant sees.
    pub(super) fn world(&mut self, now: Timestamp, sight: &impl Sight) -> World {
        self.get_up();
        let versions = self.versions();
        let service = self.service();
        let destination_rule = self.destination_rule();
        let own = service.as_ref().and_then(|host| host.service());
        let living_owners =
            self.journal().map(|journal| journal.owner.to_string()).filter(|owner| sight.lives(owner)).into_iter();
        let living_owners = living_owners.collect();
        let mut clusters = BTreeMap::new();
        for (name, held) in &mut self.clusters {
            let mut endpoints = BTreeMap::new();
            for (version, labels) in &versions {
                let ready = own.and_then(|(service, namespace)| sight.ready(name, namespace, service, labels));
                let none_since = held.none_since(version, ready, now);
                endpoints.insert(version.clone(), Endpoints { ready, none_since });
            }
            let (claims, shadow, dependency) = match &self.wanted {
                Wanted::Plan { plan, .. } => {
                    let shadow = sight.shadow(name, &destination_rule, &plan.routing);
                    (sight.claims(name, &self.key, &plan.routing), shadow, sight.dependency(name, &plan.routing))
                }
                Wanted::Unknown | Wanted::Removed { .. } => (Vec::new(), None, None),
            };
            let clock_offset_ms = sight.clock_offset_ms(name);
            let fight = held.fights.fight(|kind| object(kind, &self.key, &destination_rule));
            let taken =
                |kind, generation| sight.taken(name, kind, &object(kind, &self.key, &destination_rule), generation);
            let proxies = if self.settings.asks_proxies { held.proxies(taken) } else { None };
            let view =
                ClusterView { endpoints, claims, shadow, dependency, clock_offset_ms, fight, proxies, ..held.view() };
            clusters.insert(name.clone(), view);
        }
        let (wanted, former) = (self.wanted.clone(), self.former.clone());
        World { wanted, former, living_owners, git: sight.git(), clusters, settings: self.settings }
    }

    /// The labels of every version in question: what is applied decides, then the plan, then older states.
    fn versions(&self) -> BTreeMap<VersionName, BTreeMap<String, String>> {
        let mut versions = BTreeMap::new();
        let mut add = |routing: &crate::plan::Routing, only: Option<&BTreeSet<&VersionName>>| {
            for version in &routing.versions {
                if only.is_none_or(|only| only.contains(&version.name)) {
                    versions.entry(version.name.clone()).or_insert_with(|| version.labels.clone());
                }
            }
        };
        let journal = self.journal().or_else(|| self.clusters.values().find_map(|held| held.noted_position()));
        if let Some(journal) = journal {
            add(&journal.state.routing, Some(&journal.state.reached()));
        }
        if let Wanted::Plan { plan, .. } = &self.wanted {
            add(&plan.routing, None);
        }
        if let Some(journal) = journal {
            let settled = journal.settled.iter().rev().chain(&journal.way_back);
            settled.for_each(|settled| add(&settled.state.routing, None));
            add(&journal.plan.routing, None);
        }
        versions
    }
}
