//! What a worker may ask beside its events, as a story sets it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    istio::ObjectKind,
    plan::{ObjectKey, Plan, Routing},
    reconcile::{Sight, meshes},
    rollout::{GitSight, Images, Lease, Taken},
};

use super::pair::{EAST, WEST};

/// What the worker may ask beside its events.
#[derive(Clone)]
pub(super) struct Around {
    /// The repository that is followed, but by a guard.
    pub(super) repository: Option<Arc<str>>,
    /// Ready endpoints by the label `version`, or by cluster and label; a label that is missing has two.
    pub(super) ready: BTreeMap<String, Option<u32>>,
    /// What they run, by `cluster/label` or by the label alone; what is missing is not known.
    pub(super) images: BTreeMap<String, Images>,
    /// Whether two clusters share their endpoints.
    pub(super) shares: bool,
    /// What is not known of a cluster that shares its endpoints with all of them.
    pub(super) beyond: Option<String>,
    pub(super) git: GitSight,
    pub(super) lease: Lease,
    pub(super) offset_ms: Option<i64>,
    pub(super) living: Vec<String>,
    pub(super) claims: Vec<ObjectKey>,
    /// How far the proxies are with a generation of an object; none: nobody can be asked.
    pub(super) proxies: Option<BTreeMap<ObjectKind, (Option<i64>, Taken)>>,
}

impl Around {
    /// Ready endpoints of a version in this cluster alone.
    fn own(&self, cluster: &str, label: &str) -> Option<u32> {
        let there = self.ready.get(&format!("{cluster}/{label}")).or_else(|| self.ready.get(label));
        there.copied().unwrap_or(Some(2))
    }
}

impl Sight for Around {
    fn repository(&self) -> Option<&Arc<str>> {
        self.repository.as_ref().filter(|_| self.lease != Lease::Guard)
    }

    fn ready(&self, cluster: &str, _: &str, _: &str, labels: &BTreeMap<String, String>) -> Option<u32> {
        let label = labels.get("version").unwrap();
        if self.shares {
            return meshes::sum([EAST, WEST].into_iter().map(|cluster| self.own(cluster, label)));
        }
        self.own(cluster, label)
    }

    fn elsewhere(&self, cluster: &str, _: &str, _: &str, labels: &BTreeMap<String, String>) -> Option<bool> {
        let label = labels.get("version").unwrap();
        let others = [EAST, WEST].into_iter().filter(|other| self.shares && *other != cluster);
        meshes::is_elsewhere(self.own(cluster, label)?, others.map(|other| self.own(other, label)))
    }

    fn beyond(&self, _: &str, _: &Plan) -> Option<String> {
        self.beyond.clone()
    }

    fn images(&self, cluster: &str, _: &str, _: &str, labels: &BTreeMap<String, String>) -> Option<Images> {
        let version = labels.get("version")?;
        self.images.get(&format!("{cluster}/{version}")).or(self.images.get(version)).cloned()
    }

    fn claims(&self, _: &str, _: &ObjectKey, _: &Routing) -> Vec<ObjectKey> {
        self.claims.clone()
    }

    fn clock_offset_ms(&self, _: &str) -> Option<i64> {
        self.offset_ms
    }

    fn dependency(&self, _: &str, _: &Routing) -> Option<String> {
        None
    }

    fn taken(&self, _: &str, kind: ObjectKind, _: &ObjectKey, generation: Option<i64>) -> Option<Taken> {
        let known = self.proxies.as_ref()?.get(&kind).filter(|known| known.0 == generation);
        Some(known.map_or(Taken::Unasked, |known| known.1.clone()))
    }

    fn git(&self) -> GitSight {
        self.git.clone()
    }

    fn lease(&self) -> Lease {
        self.lease.clone()
    }

    fn lives(&self, owner: &str) -> bool {
        self.living.iter().any(|living| living == owner)
    }
}
