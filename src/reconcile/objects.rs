//! The Istio objects of every cluster as last seen, packed: for routes whose worker comes later, or is at rest.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    istio::{ObjectKind, lens},
    plan::ObjectKey,
    rollout::{OWNER, is_ours},
};

use super::{Live, packed::Packed};

/// The objects by cluster, kind and name.
#[derive(Default)]
pub(super) struct Objects(HashMap<(String, ObjectKind), HashMap<ObjectKey, Stored>>);

/// One object.
struct Stored {
    uid: Option<Box<str>>,
    /// The owner that it names, where it is one of ours.
    owner: Option<Box<str>>,
    packed: Packed,
}

impl Stored {
    fn of(live: &Value) -> Self {
        let owner = lens::annotation(live, OWNER).filter(|_| is_ours(live));
        Self { uid: lens::uid(live).map(Into::into), owner: owner.map(Into::into), packed: Packed::of(live) }
    }
}

impl Objects {
    /// Takes in an object; none: it is gone. Returns whether that is news.
    pub(super) fn put(&mut self, cluster: &str, kind: ObjectKind, key: &ObjectKey, live: Option<&Value>) -> bool {
        let objects = self.0.entry((cluster.to_owned(), kind)).or_default();
        let Some(live) = live else { return objects.remove(key).is_some() };
        if objects.get(key).is_some_and(|old| old.packed.holds(live)) {
            return false;
        }
        objects.insert(key.clone(), Stored::of(live));
        true
    }

    fn stored(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey) -> Option<&Stored> {
        self.0.get(&(cluster.to_owned(), kind))?.get(key)
    }

    /// The object as last seen.
    pub(super) fn get(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey) -> Live {
        self.packed(cluster, kind, key)?.unpacked()
    }

    /// The object as last seen, in the least space.
    pub(super) fn packed(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey) -> Option<Packed> {
        Some(self.stored(cluster, kind, key)?.packed.clone())
    }

    /// The object's uid.
    pub(super) fn uid(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey) -> Option<String> {
        self.stored(cluster, kind, key)?.uid.as_deref().map(str::to_owned)
    }

    /// Forgets a cluster.
    pub(super) fn forget(&mut self, cluster: &str) {
        self.0.retain(|(place, _), _| place != cluster);
    }

    /// The VirtualServices of any cluster whose owner's name starts so.
    pub(super) fn owned_by(&self, prefix: &str) -> impl Iterator<Item = (&ObjectKey, &Packed)> {
        let routes = self.0.iter().filter(|((_, kind), _)| *kind == ObjectKind::VirtualService);
        let owned = move |stored: &Stored| stored.owner.as_ref().is_some_and(|owner| owner.starts_with(prefix));
        let ours = routes.flat_map(|(_, objects)| objects).filter(move |(_, stored)| owned(stored));
        ours.map(|(key, stored)| (key, &stored.packed))
    }
}
