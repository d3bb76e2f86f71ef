//! What a worker would decide now, without doing anything: for `status`, `why` and `diff`.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cluster::{Cluster, Snapshot},
    istio::{ObjectKind, lens},
    plan::{ObjectKey, Routing, VersionName},
    rollout::{ClusterName, Decision, GitSight, Images, Journal, OWNER, Settings, Taken, Wanted, decide, is_ours},
};

use super::{Live, Position, Sight, claims::Claims, meshes, worker::Worker};

/// Clusters that stand still, as snapshots show them, with Git seen just now.
pub struct Still<'a> {
    places: BTreeMap<ClusterName, Place<'a>>,
    /// Clusters that did not answer, and since when.
    away: BTreeMap<ClusterName, Timestamp>,
    git: GitSight,
    living: HashSet<String>,
}

struct Place<'a> {
    snapshot: &'a Snapshot,
    /// The mesh that it shares its endpoints in.
    mesh: Option<&'a str>,
    claims: Claims,
    clock_offset_ms: Option<i64>,
}

impl<'a> Still<'a> {
    /// No cluster yet; these plans live.
    pub fn new(living: HashSet<String>, now: Timestamp) -> Self {
        let git = GitSight { last_look: Some(now), max_age_s: 300, refused: None };
        Self { places: BTreeMap::new(), away: BTreeMap::new(), git, living }
    }

    /// Takes in a cluster as the snapshot shows it.
    pub fn see(&mut self, cluster: &Cluster, mesh: Option<&'a str>, snapshot: &'a Snapshot) {
        let mut claims = Claims::default();
        for ((kind, key), live) in &snapshot.objects {
            if *kind == ObjectKind::VirtualService {
                claims.see(key, Some(live));
            }
        }
        let clock_offset_ms = cluster.clock_offset_ms().map(|ahead| -ahead);
        self.places.insert(cluster.name().to_owned(), Place { snapshot, mesh, claims, clock_offset_ms });
    }

    /// Takes in that a cluster does not answer.
    pub fn miss(&mut self, cluster: &str, since: Timestamp) {
        self.away.insert(cluster.to_owned(), since);
    }

    /// The VirtualServices that tidegate manages in a cluster, with the owner that each names.
    pub fn routes(&self, cluster: &str) -> impl Iterator<Item = (&ObjectKey, &Arc<Value>, &str)> {
        self.places.get(cluster).into_iter().flat_map(|place| &place.snapshot.objects).filter_map(
            |((kind, key), live)| {
                let ours = *kind == ObjectKind::VirtualService && is_ours(live);
                ours.then(|| (key, live, lens::annotation(live, OWNER).unwrap_or_default()))
            },
        )
    }

    /// Ready endpoints that the versions of a position's way back have in a cluster, where that is known.
    pub fn way_back_left(&self, cluster: &str, position: &Position) -> BTreeMap<VersionName, u32> {
        position.way_back_left(cluster, self)
    }

    /// An object as it stands.
    pub fn object(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey) -> Live {
        self.places.get(cluster)?.snapshot.objects.get(&(kind, key.clone())).cloned()
    }

    /// What a worker of this route in these clusters would decide. Without `wanted` the plan in force is taken from the
    /// journal, and so is the convergence wait of whoever wrote it.
    pub fn outlook(
        &self,
        key: &ObjectKey,
        wanted: Option<Wanted>,
        clusters: &BTreeSet<ClusterName>,
        now: Timestamp,
    ) -> Decision {
        let route = |cluster: &ClusterName| self.object(cluster, ObjectKind::VirtualService, key);
        let journals = || clusters.iter().filter_map(|name| route(name).as_deref().and_then(Journal::on)?.ok());
        let journal = journals().find(|journal| !journal.is_let_go()).or_else(|| journals().next());
        let wanted = wanted.or_else(|| journal.as_ref().map(in_force)).unwrap_or(Wanted::Unknown);
        let mut settings = Settings::default();
        if let Some(wait_ms) = journal.as_ref().and_then(|journal| journal.convergence_wait_ms) {
            settings.convergence_wait_ms = wait_ms;
        }
        settings.asks_proxies = journal.as_ref().is_some_and(|journal| journal.asks_proxies);
        let mut worker = Worker::new(key.clone(), settings, clusters.iter().cloned());
        worker.want(wanted);
        // When the present spec was written, as far as the objects themselves tell.
        let since = journal.map_or(now, |journal| journal.entered);
        for name in clusters {
            worker.see(name, ObjectKind::VirtualService, route(name), since);
        }
        let rule = worker.destination_rule();
        for name in clusters {
            worker.see(name, ObjectKind::DestinationRule, self.object(name, ObjectKind::DestinationRule, &rule), since);
            worker.miss(name, self.away.get(name).copied());
        }
        decide(&worker.world(now, self), now)
    }

    /// The cluster, and the others of its mesh.
    fn sharing(&self, cluster: &str) -> impl Iterator<Item = &Place<'a>> {
        let own = self.places.get(cluster);
        let mesh = own.and_then(|own| own.mesh);
        let others =
            self.places.iter().filter(move |(name, there)| *name != cluster && mesh.is_some() && there.mesh == mesh);
        own.into_iter().chain(others.map(|(_, there)| there))
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
    fn ready(&self, cluster: &str, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<u32> {
        self.places.get(cluster)?;
        meshes::sum(self.sharing(cluster).map(|place| place.snapshot.endpoints.ready(namespace, service, labels)))
    }

    fn images(
        &self,
        cluster: &str,
        namespace: &str,
        service: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<Images> {
        meshes::united(self.sharing(cluster).map(|place| place.snapshot.endpoints.images(namespace, service, labels)))
    }

    fn claims(&self, cluster: &str, own: &ObjectKey, wanted: &Routing) -> Vec<ObjectKey> {
        self.places.get(cluster).map(|place| place.claims.others(own, wanted)).unwrap_or_default()
    }

    fn dependency(&self, _: &str, _: &Routing) -> Option<String> {
        None
    }

    fn clock_offset_ms(&self, cluster: &str) -> Option<i64> {
        self.places.get(cluster)?.clock_offset_ms
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
