//! The Istio objects of every cluster as last seen, packed: for routes whose worker comes later, or is at rest.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    istio::{ObjectKind, lens},
    plan::ObjectKey,
    rollout::{OWNER, is_ours},
};

use super::{Live, held::version, packed::Packed};

/// The objects by cluster, kind and name.
#[derive(Default)]
pub(super) struct Objects(HashMap<(String, ObjectKind), HashMap<ObjectKey, Stored>>);

/// One object.
struct Stored {
    uid: Option<Box<str>>,
    version: Option<u64>,
    /// Whether it is the answer to a write, which the watch has not shown yet: what it shows before that is older.
    answered: bool,
    /// The owner that it names, where it is one of ours.
    owner: Option<Box<str>>,
    packed: Packed,
}

impl Stored {
    fn of(live: &Value) -> Self {
        let owner = lens::annotation(live, OWNER).filter(|_| is_ours(live));
        let (uid, owner) = (lens::uid(live).map(Into::into), owner.map(Into::into));
        Self { uid, version: version(live), answered: false, owner, packed: Packed::of(live) }
    }

    /// Whether that is the same object as it was before this one, or this very one.
    fn is_past(&self, live: &Value) -> bool {
        self.uid.as_deref() == lens::uid(live) && version(live).zip(self.version).is_some_and(|(live, own)| live <= own)
    }
}

impl Objects {
    /// Takes in an object as a write was answered with it; none: it is gone. The watch may have shown a newer one.
    pub(super) fn answered(&mut self, cluster: &str, kind: ObjectKind, key: &ObjectKey, live: Option<&Value>) {
        let objects = self.0.entry((cluster.to_owned(), kind)).or_default();
        let Some(live) = live else { return drop(objects.remove(key)) };
        if !objects.get(key).is_some_and(|old| old.is_past(live)) {
            objects.insert(key.clone(), Stored { answered: true, ..Stored::of(live) });
        }
    }

    /// Takes in an object that a watch shows; none: it is gone. Returns whether that is news: with many clusters the watches
    /// lag behind what was written, and show all that it was meanwhile.
    pub(super) fn put(&mut self, cluster: &str, kind: ObjectKind, key: &ObjectKey, live: Option<&Value>) -> bool {
        let objects = self.0.entry((cluster.to_owned(), kind)).or_default();
        let Some(live) = live else { return objects.remove(key).is_some() };
        if let Some(old) = objects.get_mut(key) {
            if old.answered && old.is_past(live) {
                old.answered = version(live) != old.version;
                return false;
            }
            if old.packed.holds(live) {
                return false;
            }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROUTE: ObjectKind = ObjectKind::VirtualService;

    fn object(uid: &str, version: &str) -> Value {
        json!({"metadata": {"uid": uid, "resourceVersion": version}})
    }

    #[test]
    fn what_a_watch_shows_of_the_time_before_an_answer_is_no_news() {
        let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
        let (mut objects, key) = (Objects::default(), &key);
        assert!(objects.put("east", ROUTE, key, Some(&object("a", "5"))));
        objects.answered("east", ROUTE, key, Some(&object("a", "9")));
        let mut sees = |live: &Value| objects.put("east", ROUTE, key, Some(live));
        assert!(!sees(&object("a", "7")) && !sees(&object("a", "9")), "the echo and what was before it");
        assert!(sees(&object("a", "8")), "a store that was set back is read as it is");
        assert!(sees(&object("b", "3")), "another object of the name");
        objects.answered("east", ROUTE, key, Some(&object("b", "2")));
        assert_eq!(objects.get("east", ROUTE, key).as_deref(), Some(&object("b", "3")), "the watch was faster");
        objects.answered("east", ROUTE, key, Some(&object("c", "11")));
        assert!(objects.put("east", ROUTE, key, Some(&object("b", "12"))));
        objects.answered("east", ROUTE, key, None);
        assert_eq!(objects.get("east", ROUTE, key), None);
    }
}
