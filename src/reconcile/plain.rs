//! Plain Istio objects beside the plans: applied as they stand, never pruned, tried again where they fail.

use std::time::Duration;

use crate::{cluster, plan::ObjectKey, rollout::ClusterName};

use super::{
    engine::{Engine, Incoming},
    view::Pending,
};

/// How often plain objects that could not be applied are tried again.
const PLAIN_RETRY: Duration = Duration::from_secs(5);

impl Engine {
    /// Applies an object in every cluster; until it is, plans that name it do not rise. Only who leads applies any.
    pub(super) fn apply_plain(&mut self, kind: &str, key: &ObjectKey) {
        for name in self.view.places.keys().cloned().collect::<Vec<_>>() {
            self.apply_plain_in(&name, kind, key);
        }
    }

    /// Applies all of them in a cluster.
    pub(super) fn apply_all_plain_in(&mut self, cluster: &ClusterName) {
        let objects: Vec<_> =
            self.catalog.plain_objects().map(|object| (object.kind.clone(), object.key.clone())).collect();
        for (kind, key) in objects {
            self.apply_plain_in(cluster, &kind, &key);
        }
    }

    fn apply_plain_in(&mut self, name: &ClusterName, kind: &str, key: &ObjectKey) {
        if !self.leads() {
            return;
        }
        let Some(object) = self.catalog.plain_object(kind, key).cloned() else { return };
        if let Some(place) = self.view.places.get(name) {
            let id = (name.clone(), kind.to_owned(), key.clone());
            self.view.pending.entry(id).or_insert_with(|| Pending::of(&object));
            if place.cluster.is_silent() {
                // All that is pending there is applied once it answers. One that answers and may not be watched takes it.
                return;
            }
            let (sender, cluster, server) = (self.sender.clone(), place.cluster.clone(), place.server());
            let (kind, key) = (kind.to_owned(), key.clone());
            self.in_flight += 1;
            tokio::spawn(async move {
                let failure = match cluster::apply(&cluster, &object.value, false).await {
                    cluster::Applied::Applied(_) => None,
                    cluster::Applied::Conflict { managers, message } => {
                        Some(format!("{} set other values: {message}", managers.join(", ")))
                    }
                    cluster::Applied::Rejected { message, .. } | cluster::Applied::Unknown { message } => Some(message),
                };
                // The loop has ended where nobody receives.
                let _ = sender.send(Incoming::Plain { server, kind, key, failure });
            });
        }
    }

    /// Tries again what could not be applied.
    pub(super) fn retry_plain(&mut self) {
        self.plain_retry = false;
        for (cluster, kind, key) in self.view.pending.keys().cloned().collect::<Vec<_>>() {
            self.apply_plain_in(&cluster, &kind, &key);
        }
    }

    /// A cluster answers: applies there what is pending.
    pub(super) fn retry_plain_in(&mut self, name: &str) {
        let pending = self.view.pending.keys().filter(|(cluster, ..)| cluster == name);
        for (cluster, kind, key) in pending.cloned().collect::<Vec<_>>() {
            self.apply_plain_in(&cluster, &kind, &key);
        }
    }

    /// Takes in how applying an object went.
    pub(super) fn plain(&mut self, cluster: ClusterName, kind: String, key: ObjectKey, failure: Option<String>) {
        let id = (cluster, kind, key);
        let Some(message) = failure else {
            if self.view.pending.remove(&id).is_some() {
                tracing::info!(cluster = %id.0, kind = %id.1, object = %id.2, "applied");
                self.look_all();
            }
            return;
        };
        if self.catalog.plain_object(&id.1, &id.2).is_none() {
            self.view.pending.remove(&id);
            return;
        }
        self.tally.error("plain_object");
        if let Some(pending) = self.view.pending.get_mut(&id)
            && pending.message != message
        {
            tracing::warn!(cluster = %id.0, kind = %id.1, object = %id.2, "cannot apply: {message}");
            pending.message = message;
        }
        if !std::mem::replace(&mut self.plain_retry, true) {
            let sender = self.sender.clone();
            tokio::spawn(async move {
                tokio::time::sleep(PLAIN_RETRY).await;
                // The loop has ended where nobody receives.
                let _ = sender.send(Incoming::RetryPlain);
            });
        }
    }
}
