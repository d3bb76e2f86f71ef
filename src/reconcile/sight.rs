//! What a decision about a route is made of: its objects as they were seen, and what the shell knows beside them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    istio::{ObjectKind, lens},
    plan::{ObjectKey, Plan, Version, VersionName},
    rollout::{ClusterView, GitSight, Images, Lease, OWNER, Taken, Wanted, World},
};

use super::{
    leaving,
    worker::{Worker, object},
};

/// What the shell knows beside the events, asked at each decision.
pub trait Sight {
    /// The name of the repository that is followed; none where that does not matter, as to a guard.
    fn repository(&self) -> Option<&Arc<str>> {
        None
    }
    /// Ready endpoints of the pods of a Service that carry the labels; none: unknown.
    fn ready(&self, cluster: &str, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<u32>;
    /// Whether those that callers in the cluster reach are all in other clusters; none: unknown.
    fn elsewhere(
        &self,
        _cluster: &str,
        _namespace: &str,
        _service: &str,
        _labels: &BTreeMap<String, String>,
    ) -> Option<bool> {
        None
    }
    /// What they run; none: unknown.
    fn images(
        &self,
        _cluster: &str,
        _namespace: &str,
        _service: &str,
        _labels: &BTreeMap<String, String>,
    ) -> Option<Images> {
        None
    }
    /// VirtualServices other than `own` that claim one of the hosts on one of the gateways.
    fn claims(&self, cluster: &str, own: &ObjectKey, wanted: &crate::plan::Routing) -> Vec<ObjectKey>;
    /// A DestinationRule of somebody else that stands in front of `own` for some callers.
    fn shadow(&self, _cluster: &str, _own: &ObjectKey, _wanted: &crate::plan::Routing) -> Option<ObjectKey> {
        None
    }
    /// What keeps the endpoints of this cluster's mesh from being one, for this plan.
    fn beyond(&self, _cluster: &str, _plan: &Plan) -> Option<String> {
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
    /// Whether this process may raise.
    fn lease(&self) -> Lease {
        Lease::Alone
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

/// A version's ready endpoints, whether they are elsewhere, and what they run.
type Ready = (VersionName, Option<u32>, Option<bool>, Option<Images>);

impl Worker {
    /// Everything that a decision at this instant sees.
    pub(super) fn world(&mut self, now: Timestamp, sight: &impl Sight) -> World {
        self.get_up();
        self.repository = sight.repository().cloned();
        let wanted = self.wanted_since(now, sight);
        let ready = self.ready(sight);
        let destination_rule = self.destination_rule();
        let journaled = self.journal().map(|journal| journal.owner.to_string());
        let rules = self.clusters.values().filter_map(|held| lens::annotation(held.destination_rule()?, OWNER));
        let named: BTreeSet<String> = journaled.into_iter().chain(rules.map(str::to_owned)).collect();
        let living_owners = named.into_iter().filter(|owner| sight.lives(owner)).collect();
        let mut clusters = BTreeMap::new();
        let (goes_on, lease) = (self.goes_on(), sight.lease());
        for ((name, held), ready) in self.clusters.iter_mut().zip(ready) {
            let (mut endpoints, mut elsewhere, mut images) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            for (version, mut ready, away, run) in ready {
                if lease == Lease::Guard {
                    ready = held.gone.alone(name, &version, ready, held.memory.as_deref());
                }
                elsewhere.extend(away.map(|away| (version.clone(), away)));
                images.extend(run.map(|run| (version.clone(), run)));
                let seen = held.gone.see(&version, ready, now);
                endpoints.insert(version, seen);
            }
            let (claims, shadow, dependency, beyond) = match &self.wanted {
                Wanted::Plan { plan, .. } => {
                    let shadow = sight.shadow(name, &destination_rule, &plan.routing);
                    let dependency = sight.dependency(name, &plan.routing);
                    (sight.claims(name, &self.key, &plan.routing), shadow, dependency, sight.beyond(name, plan))
                }
                Wanted::Unknown | Wanted::Removed { .. } => (Vec::new(), None, None, None),
            };
            let clock_offset_ms = sight.clock_offset_ms(name);
            let fight = held.fights.fight(|kind| object(kind, &self.key, &destination_rule));
            let taken =
                |kind, generation| sight.taken(name, kind, &object(kind, &self.key, &destination_rule), generation);
            let proxies = if self.settings.asks_proxies { held.proxies(taken) } else { None };
            let view = ClusterView {
                endpoints,
                elsewhere,
                images,
                claims,
                shadow,
                dependency,
                beyond,
                clock_offset_ms,
                fight,
                proxies,
                ..held.view()
            };
            clusters.insert(name.clone(), if goes_on { leaving::anew(view) } else { view });
        }
        let (former, git) = (self.former.clone(), sight.git());
        let repository = self.repository.clone();
        World { wanted, former, repository, living_owners, git, lease, clusters, settings: self.settings }
    }

    /// Ready endpoints of every version in question, and what they run, for each cluster in order.
    fn ready(&self, sight: &impl Sight) -> Vec<Vec<Ready>> {
        let versions = self.versions();
        let service = self.service();
        let own = service.as_ref().and_then(|host| host.service());
        let of = |cluster: &str| {
            let ready =
                |labels: &_| own.and_then(|(service, namespace)| sight.ready(cluster, namespace, service, labels));
            let images =
                |labels: &_| own.and_then(|(service, namespace)| sight.images(cluster, namespace, service, labels));
            let elsewhere =
                |labels: &_| own.and_then(|(service, namespace)| sight.elsewhere(cluster, namespace, service, labels));
            let of = |version: &&Version| {
                let labels = &version.labels;
                (version.name.clone(), ready(labels), elsewhere(labels), images(labels))
            };
            versions.iter().map(of).collect()
        };
        self.clusters.keys().map(|cluster| of(cluster)).collect()
    }

    /// The labels of every version in question: what is applied decides, then the plan, then older states.
    pub(super) fn versions(&self) -> Vec<&Version> {
        let journal = self.journal().or_else(|| self.clusters.values().find_map(|held| held.noted_position()));
        let planned = match &self.wanted {
            Wanted::Plan { plan, .. } => &plan.routing.versions[..],
            Wanted::Unknown | Wanted::Removed { .. } => &[],
        };
        let applied = journal.into_iter().flat_map(|journal| journal.state.reached_versions());
        let older = journal.into_iter().flat_map(|journal| journal.settled.iter().rev().chain(&journal.way_back));
        let older = older.flat_map(|settled| &settled.state.routing.versions);
        let former = journal.into_iter().flat_map(|journal| &journal.plan.routing.versions);
        let mut versions: Vec<&Version> = Vec::new();
        for version in applied.chain(planned).chain(older).chain(former) {
            if versions.iter().all(|there| there.name != version.name) {
                versions.push(version);
            }
        }
        versions
    }
}
