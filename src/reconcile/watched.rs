//! Takes in what the watches of the clusters see, and hands it to the workers that it concerns.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    cluster::Seen,
    istio::ObjectKind,
    plan::{Host, ObjectKey},
    rollout::ClusterName,
};

use super::{Event, Live, engine::Engine, fleet::Link};

/// That a cluster does not answer.
#[derive(Clone, Debug)]
pub(super) struct Away {
    pub(super) why: String,
    pub(super) since: Timestamp,
}

impl Engine {
    /// Notes why a cluster is away; returns whether it was there before. Since when it is away another error does not change.
    pub(super) fn is_away(&mut self, cluster: &str, why: String, since: Timestamp) -> bool {
        if let Some(away) = self.view.away.get_mut(cluster) {
            away.why = why;
            return false;
        }
        self.view.away.insert(cluster.to_owned(), Away { why, since });
        true
    }

    /// Takes in what a watch saw; what one saw that has been replaced meanwhile is nothing.
    pub(super) fn seen(&mut self, link: &Link, seen: Seen) {
        let Some(cluster) = self.fleet.current(link) else { return };
        match seen {
            Seen::Object { kind, key, live } => self.object(cluster, kind, key, live),
            Seen::Endpoints { namespace, service } => {
                self.look_at_service(&Host::resolve(&service, &namespace));
            }
            Seen::ClusterLocal(hosts) => self.cluster_local(cluster, hosts),
            Seen::Synced => {
                tracing::info!(%cluster, "the caches are complete");
                self.synced.insert(cluster.clone());
                self.arrived(&cluster);
                self.backlog.show(self.workers.keys().cloned(), &cluster);
                self.catch_up();
                self.take_up();
                self.find_orphans();
            }
            Seen::Away { error, since } => {
                tracing::warn!(%cluster, %since, "the cluster is away: {error}");
                self.tally.error("cluster_away");
                if self.is_away(&cluster, error, since) {
                    self.reach(&cluster, Some(since));
                    self.look_in_mesh(&cluster);
                }
                self.renew(&cluster);
            }
            // Before it is read, it is not known what is there.
            Seen::Back if self.fleet.is_new(&cluster) => {}
            Seen::Back => {
                self.fleet.rest(&cluster);
                tracing::info!(%cluster, "the cluster answers again");
                self.view.away.remove(&cluster);
                // A revert that came meanwhile is told before anything goes on.
                self.catch_up();
                self.reach(&cluster, None);
                self.look_in_mesh(&cluster);
                self.retry_plain_in(&cluster);
            }
        }
    }

    /// Keeps a vigil over all clusters as long as some route does not rest: whatever it waits for, a cluster that has gone
    /// is no reason to go on.
    pub(super) fn watch_over(&mut self, key: &ObjectKey, rests: bool) {
        let before = self.restless.is_empty();
        match rests {
            true => drop(self.restless.remove(key)),
            false if !self.restless.contains(key) => drop(self.restless.insert(key.clone())),
            false => {}
        }
        let empty = self.restless.is_empty();
        if empty != before {
            let primaries = self.view.places.values().map(|place| &place.cluster);
            let remotes = self.view.remotes.values().map(|remote| &remote.cluster);
            primaries.chain(remotes).for_each(|cluster| cluster.keep_vigil(!empty));
        }
    }

    pub(super) fn reach(&mut self, cluster: &str, away_since: Option<Timestamp>) {
        for key in self.workers.keys().cloned().collect::<Vec<_>>() {
            self.hand(&key, Event::Reach { cluster: cluster.to_owned(), away_since });
        }
    }

    fn object(&mut self, cluster: ClusterName, kind: ObjectKind, key: ObjectKey, live: Live) {
        let mut shared = BTreeSet::new();
        if kind == ObjectKind::VirtualService
            && let Some(place) = self.view.places.get_mut(&cluster)
        {
            shared = place.claims.see(&key, live.as_deref());
        }
        if kind == ObjectKind::DestinationRule
            && let Some(place) = self.view.places.get_mut(&cluster)
        {
            let hosts = place.shadows.see(&key, live.as_deref());
            hosts.iter().for_each(|host| self.look_at_service(host));
        }
        let news = self.objects.put(&cluster, kind, &key, live.as_deref());
        if !self.synced.contains(&cluster) {
            return;
        }
        // Who claims what is told by the watch alone, also where it shows what was written here.
        for other in shared.into_iter().filter(|other| *other != key) {
            if self.workers.contains_key(&other) {
                self.hand(&other, Event::Look);
            }
        }
        if !news {
            return;
        }
        self.guards(kind, &key, &live);
        let concerned: Vec<ObjectKey> = match kind {
            ObjectKind::VirtualService => self.workers.contains_key(&key).then(|| key.clone()).into_iter().collect(),
            ObjectKind::DestinationRule => self.links.of_rule(&key),
        };
        for worker in concerned {
            self.hand(&worker, Event::Object { cluster: cluster.clone(), kind, live: live.clone() });
        }
    }

    fn look_at_service(&mut self, host: &Host) {
        for key in self.links.of_service(host) {
            self.hand(&key, Event::Look);
        }
    }

    /// Shows a worker both of its objects in a cluster whose caches are complete.
    pub(super) fn show(&mut self, key: &ObjectKey, cluster: &str) {
        let Some(worker) = self.workers.get_mut(key) else { return };
        if !worker.holds(cluster) {
            let live = self.objects.get(cluster, ObjectKind::VirtualService, key);
            if !live.is_some_and(|live| worker.meet(cluster, &live)) {
                return;
            }
        }
        let rule = worker.destination_rule();
        for (kind, object) in [(ObjectKind::DestinationRule, &rule), (ObjectKind::VirtualService, key)] {
            let live = self.objects.get(cluster, kind, object);
            self.hand(key, Event::Object { cluster: cluster.to_owned(), kind, live });
        }
    }
}
