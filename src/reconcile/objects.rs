//! The Istio objects of every cluster as last seen, for routes whose worker comes later.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use crate::{
    istio::{ObjectKind, lens},
    plan::ObjectKey,
    rollout::{OWNER, is_ours},
};

use super::Live;

/// The objects by cluster, kind and name.
#[derive(Default)]
pub(super) struct Objects(HashMap<(String, ObjectKind), HashMap<ObjectKey, Arc<Value>>>);

impl Objects {
    /// Takes in an object; none: it is gone.
    pub(super) fn put(&mut self, cluster: &str, kind: ObjectKind, key: &ObjectKey, live: Live) {
        let objects = self.0.entry((cluster.to_owned(), kind)).or_default();
        match live {
            Some(live) => objects.insert(key.clone(), live),
            None => objects.remove(key),
        };
    }

    /// The object as last seen.
    pub(super) fn get(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey) -> Live {
        self.0.get(&(cluster.to_owned(), kind))?.get(key).cloned()
    }

    /// The object's uid.
    pub(super) fn uid(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey) -> Option<String> {
        lens::uid(&*self.get(cluster, kind, key)?).map(str::to_owned)
    }

    /// The VirtualServices of any cluster whose owner's name starts so.
    pub(super) fn owned_by(&self, prefix: &str) -> impl Iterator<Item = (&ObjectKey, &Arc<Value>)> {
        let routes = self.0.iter().filter(|((_, kind), _)| *kind == ObjectKind::VirtualService);
        routes.flat_map(|(_, objects)| objects).filter_map(move |(key, live)| {
            let owner = lens::annotation(live, OWNER)?;
            (is_ours(live) && owner.starts_with(prefix)).then_some((key, live))
        })
    }
}
