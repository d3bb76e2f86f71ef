//! What a worker would decide now, without doing anything: for `status`, `why` and `diff`.

use std::{collections::BTreeMap, collections::HashSet, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cluster::Snapshot,
    istio::{ObjectKind, lens},
    plan::{ObjectKey, Routing, VersionName},
    rollout::{Decision, GitSight, Images, Journal, OWNER, Settings, Taken, Wanted, decide, is_ours},
};

use super::{Live, Position, Sight, claims::Claims, worker::Worker};

/// A cluster that stands still.
pub struct Still<'a> {
    cluster: String,
    snapshot: &'a Snapshot,
    claims: Claims,
    git: GitSight,
    living: HashSet<String>,
    clock_offset_ms: Option<i64>,
}

impl<'a> Still<'a> {
    /// The cluster of that name as the snapshot shows it, with Git seen just now and these plans living.
    pub fn new(
        cluster: &str,
        snapshot: &'a Snapshot,
        living: HashSet<String>,
        clock_offset_ms: Option<i64>,
        now: Timestamp,
    ) -> Self {
        let mut claims = Claims::default();
        for ((kind, key), live) in &snapshot.objects {
            if *kind == ObjectKind::VirtualService {
                claims.see(key, Some(live));
            }
        }
        let git = GitSight { last_look: Some(now), max_age_s: 300, refused: None };
        Self { cluster: cluster.to_owned(), snapshot, claims, git, living, clock_offset_ms }
    }

    /// The VirtualServices that tidegate manages, with the owner that each names.
    pub fn routes(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<Value>, &str)> {
        self.snapshot.objects.iter().filter_map(|((kind, key), live)| {
            let ours = *kind == ObjectKind::VirtualService && is_ours(live);
            ours.then(|| (key, live, lens::annotation(live, OWNER).unwrap_or_default()))
        })
    }

    /// Ready endpoints that the versions of a position's way back have, where that is known.
    pub fn way_back_left(&self, position: &Position) -> BTreeMap<VersionName, u32> {
        position.way_back_left(&self.cluster, self)
    }

    /// An object as it stands.
    pub fn object(&self, kind: ObjectKind, key: &ObjectKey) -> Live {
        self.snapshot.objects.get(&(kind, key.clone())).cloned()
    }

    /// What a worker of this route would decide. Without `wanted` the plan in force is taken from the journal, and so is
    /// the convergence wait of whoever wrote it.
    pub fn outlook(&self, key: &ObjectKey, wanted: Option<Wanted>, now: Timestamp) -> Decision {
        let cluster = self.cluster.clone();
        let route = self.object(ObjectKind::VirtualService, key);
        let journal = route.as_deref().and_then(Journal::on).and_then(Result::ok);
        let wanted = wanted.or_else(|| journal.as_ref().map(in_force)).unwrap_or(Wanted::Unknown);
        let mut settings = Settings::default();
        if let Some(wait_ms) = journal.as_ref().and_then(|journal| journal.convergence_wait_ms) {
            settings.convergence_wait_ms = wait_ms;
        }
        settings.asks_proxies = journal.as_ref().is_some_and(|journal| journal.asks_proxies);
        let mut worker = Worker::new(key.clone(), settings, [cluster.clone()]);
        worker.want(wanted);
        // When the present spec was written, as far as the object itself tells.
        let since = journal.map_or(now, |journal| journal.entered);
        let rule = self.object(ObjectKind::DestinationRule, &worker.destination_rule());
        worker.see(&cluster, ObjectKind::VirtualService, route, since);
        worker.see(&cluster, ObjectKind::DestinationRule, rule, since);
        decide(&worker.world(now, self), now)
    }
}

fn in_force(journal: &Journal) -> Wanted {
    Wanted::Plan {
        plan: journal.plan.clone(),
        revision: journal.revision.clone(),
        owner: journal.owner.clone(),
        newer_invalid: false,
    }
}

impl Sight for Still<'_> {
    fn ready(&self, _: &str, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<u32> {
        self.snapshot.endpoints.ready(namespace, service, labels)
    }

    fn images(&self, _: &str, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<Images> {
        self.snapshot.endpoints.images(namespace, service, labels)
    }

    fn claims(&self, _: &str, own: &ObjectKey, wanted: &Routing) -> Vec<ObjectKey> {
        self.claims.others(own, wanted)
    }

    fn dependency(&self, _: &str, _: &Routing) -> Option<String> {
        None
    }

    fn clock_offset_ms(&self, _: &str) -> Option<i64> {
        self.clock_offset_ms
    }

    /// Only the process that asks them knows.
    fn taken(&self, _: &str, _: ObjectKind, _: &ObjectKey, _: Option<i64>) -> Option<Taken> {
        Some(Taken::Unasked)
    }

    fn git(&self) -> GitSight {
        self.git.clone()
    }

    fn lives(&self, owner: &str) -> bool {
        self.living.contains(owner)
    }
}
