//! Finds out whether a plan lacks endpoints because its namespace is not there at all.

use std::{collections::hash_map::Entry, time::Duration};

use crate::{
    cluster,
    plan::ObjectKey,
    rollout::{ClusterName, Reason},
};

use super::{
    Event,
    engine::{Engine, Incoming},
};

/// How long after a namespace was missing it is asked for again.
const AGAIN: Duration = Duration::from_secs(30);

/// What is known of a namespace that was asked for and is not known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    /// It was asked for the first time.
    Asked,
    /// It does not exist.
    Missing,
}

impl Engine {
    /// Asks for the namespace of a route of which nothing is live, where endpoints are missing.
    pub(super) fn ask_namespace(&mut self, route: &ObjectKey, reason: &Reason) {
        let nothing_live = self.workers.get(route).is_some_and(|worker| worker.journal().is_none());
        if !matches!(reason.plainly(), Reason::Endpoints { .. }) || !nothing_live {
            return;
        }
        for cluster in self.view.places.keys().cloned().collect::<Vec<_>>() {
            let place = (cluster.clone(), route.namespace.clone());
            if let Entry::Vacant(unasked) = self.view.namespaces.entry(place) {
                unasked.insert(Namespace::Asked);
                self.in_flight += 1;
                self.spawn_namespace(cluster, route.namespace.clone(), Duration::ZERO);
            }
        }
    }

    /// Takes in whether a namespace is missing.
    pub(super) fn namespace(&mut self, cluster: ClusterName, namespace: String, missing: bool) {
        let place = (cluster.clone(), namespace.clone());
        // What was forgotten meanwhile is not asked for any more.
        if !self.view.namespaces.contains_key(&place) {
            return;
        }
        let before = match missing {
            true => self.view.namespaces.insert(place, Namespace::Missing),
            false => self.view.namespaces.remove(&place),
        };
        // The first question is one that a single round waits for.
        if before == Some(Namespace::Asked) {
            self.in_flight -= 1;
        }
        if missing != (before == Some(Namespace::Missing)) {
            let here: Vec<ObjectKey> = self.workers.keys().filter(|key| key.namespace == namespace).cloned().collect();
            here.iter().for_each(|key| self.hand(key, Event::Look));
        }
        if missing {
            self.spawn_namespace(cluster, namespace, AGAIN);
        }
    }

    /// Forgets what was asked of a cluster; the answers find nobody any more.
    pub(super) fn forget_namespaces(&mut self, name: &str) {
        let asked = &mut self.in_flight;
        self.view.namespaces.retain(|(cluster, _), namespace| {
            *asked -= usize::from(cluster == name && *namespace == Namespace::Asked);
            cluster != name
        });
    }

    fn spawn_namespace(&self, cluster: ClusterName, namespace: String, after: Duration) {
        let Some(place) = self.view.places.get(&cluster) else { return };
        let (client, server, sender) = (place.cluster.clone(), place.server(), self.sender.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let missing = cluster::lacks_namespace(&client, &namespace).await;
            // The loop has ended where nobody receives.
            let _ = sender.send(Incoming::Namespace { server, namespace, missing });
        });
    }
}
