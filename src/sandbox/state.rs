//! Holds all objects of the sandbox: a state machine without I/O that is told the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::history::{Change, History, Key};
use super::object::Object;
use super::refusal::{Named, Refusal};
use super::resource::{RESOURCES, Resource};
use super::selector::Selector;

/// One resource: its objects by key and its last changes.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) objects: BTreeMap<Key, Arc<Object>>,
    pub(super) history: History,
    /// The resourceVersion of the last change here.
    pub(super) latest: u64,
}

/// Every object, and the one counter of resourceVersions.
#[derive(Debug)]
pub struct State {
    pub(super) tables: BTreeMap<&'static str, Table>,
    pub(super) version: u64,
    pub(super) seed: std::hash::RandomState,
}

/// Where a list goes on: (resourceVersion of the list, last key that was returned).
pub type Mark = (u64, Key);

/// What to list.
#[derive(Debug, Default)]
pub struct Listing {
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// Which objects.
    pub selector: Selector,
    /// The most objects to return, 0 for all.
    pub limit: usize,
    /// Where the last page ended.
    pub from: Option<Mark>,
    /// A past state instead of the present one.
    pub exact: Option<u64>,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The objects, by namespace and name.
    pub objects: Vec<Arc<Object>>,
    /// The state that they were read from.
    pub version: u64,
    /// Where the next page starts, if there is one.
    pub next: Option<Mark>,
    /// How many objects are left for later pages.
    pub remaining: usize,
}

impl State {
    /// Returns an empty state that remembers at most that many changes of each resource.
    pub fn new(history_changes_max: usize) -> Self {
        let table = || Table { objects: BTreeMap::new(), history: History::new(history_changes_max), latest: 0 };
        Self {
            tables: RESOURCES.iter().map(|resource| (resource.plural, table())).collect(),
            version: 1,
            seed: std::hash::RandomState::new(),
        }
    }

    /// Returns the newest resourceVersion.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the resourceVersion of the last change of a resource, 0 before the first.
    pub fn latest(&self, resource: &'static Resource) -> u64 {
        self.tables.get(resource.plural).map_or(0, |table| table.latest)
    }

    /// Returns one object.
    ///
    /// # Errors
    /// Refuses if there is none of that name.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Result<Arc<Object>, Refusal> {
        self.find(resource, namespace, name).ok_or_else(|| Refusal::NotFound(Named::new(resource, name)))
    }

    pub(super) fn find(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.tables.get(resource.plural)?.objects.get(&key).map(Arc::clone)
    }

    /// Returns a page of objects, all as of one resourceVersion.
    ///
    /// # Errors
    /// Refuses a past state that is forgotten, and a future one.
    pub fn list(&self, resource: &'static Resource, listing: &Listing) -> Result<Page, Refusal> {
        let Some(table) = self.tables.get(resource.plural) else {
            return Err(Refusal::MethodNotAllowed);
        };
        let asked = listing.from.as_ref().map(|(version, _)| *version).or(listing.exact);
        let version = asked.unwrap_or(self.version);
        if version > self.version {
            return Err(Refusal::NotYet { asked: version, current: self.version });
        }
        let past;
        let objects = if version < table.latest {
            past = table
                .history
                .look_back(&table.objects, version)
                .map_err(|oldest| Refusal::Expired { asked: version, oldest })?;
            &past
        } else {
            &table.objects
        };
        let start: Key = match (&listing.from, &listing.namespace) {
            (Some((_, key)), _) => (key.0.clone(), format!("{}\0", key.1)),
            (None, Some(namespace)) => (namespace.clone(), String::new()),
            (None, None) => Key::default(),
        };
        let mut rest = objects
            .range(start..)
            .take_while(|(key, _)| listing.namespace.as_ref().is_none_or(|namespace| key.0 == *namespace))
            .filter(|(_, object)| listing.selector.picks(object));
        let limit = if listing.limit == 0 { usize::MAX } else { listing.limit };
        let picked: Vec<_> = rest.by_ref().take(limit).collect();
        let remaining = rest.count();
        let next = picked.last().filter(|_| remaining > 0).map(|(key, _)| (version, (*key).clone()));
        Ok(Page {
            objects: picked.into_iter().map(|(_, object)| Arc::clone(object)).collect(),
            version,
            next,
            remaining,
        })
    }

    /// Returns the changes of a resource after a resourceVersion and the version they reach up to.
    ///
    /// # Errors
    /// Refuses if some of them are forgotten.
    pub fn since(&self, resource: &'static Resource, version: u64) -> Result<(Vec<Change>, u64), Refusal> {
        let Some(table) = self.tables.get(resource.plural) else {
            return Err(Refusal::MethodNotAllowed);
        };
        let changes = table.history.since(version).map_err(|oldest| Refusal::Expired { asked: version, oldest })?;
        Ok((changes, self.version.max(version)))
    }

    /// Forgets all changes up to now, so that whoever resumes from an older version gets 410.
    pub fn forget_history(&mut self) {
        let version = self.version;
        for table in self.tables.values_mut() {
            table.history.forget(version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::object::Body;
    use crate::sandbox::owners::Owner;
    use crate::sandbox::resource::{Served, by_plural};
    use crate::sandbox::write::{Author, Preconditions};
    use proptest::prelude::*;
    use serde_json::json;

    fn author(served: &'static Served) -> Author {
        Author { owner: Owner::default(), served, now: "2026-01-01T00:00:00Z".into(), dry_run: false }
    }

    fn body(name: &str, hosts: u8) -> Body {
        json!({"metadata": {"name": name}, "spec": {"hosts": [hosts.to_string()]}}).as_object().unwrap().clone()
    }

    fn fresh() -> (State, &'static Resource, Author) {
        let mut state = State::new(1000);
        let namespaces = by_plural("namespaces").unwrap();
        let resource = by_plural("virtualservices").unwrap();
        state.create(namespaces, "", (body("shop", 0), None), &author(&namespaces.served[0])).unwrap();
        (state, resource, author(&resource.served[0]))
    }

    #[test]
    fn a_namespace_takes_its_objects_along() {
        let (mut state, resource, author) = fresh();
        state.create(resource, "shop", (body("web", 0), None), &author).unwrap();
        let namespaces = by_plural("namespaces").unwrap();
        state.delete(namespaces, ("", "shop"), &Preconditions::default(), &author.now, false).unwrap();
        assert!(state.get(resource, "shop", "web").is_err());
        let refusal = state.create(resource, "shop", (body("web", 0), None), &author).unwrap_err();
        assert_eq!(refusal.to_string(), "namespaces \"shop\" not found");
    }

    #[test]
    fn an_update_of_nothing_keeps_the_version() {
        let (mut state, resource, author) = fresh();
        let made = state.create(resource, "shop", (body("web", 7), None), &author).unwrap();
        let same = state.update(resource, ("shop", "web"), &author, |_| Ok((body("web", 7), None))).unwrap();
        assert_eq!(same.version, made.version);
        let moved = state.update(resource, ("shop", "web"), &author, |_| Ok((body("web", 8), None))).unwrap();
        assert!(moved.version > made.version);
    }

    proptest! {
        /// Whoever lists at some version and then applies every change since holds what the store holds; and looking
        /// back to that version from the end gives the list again.
        #[test]
        fn a_list_and_the_changes_since_make_the_present(
            steps in prop::collection::vec((0..4u8, 0..4u8, 0..3u8), 1..60),
            from in 0..60usize,
        ) {
            let (mut state, resource, author) = fresh();
            let listing = Listing::default();
            let mut listed = None;
            for (i, (name, hosts, action)) in steps.iter().enumerate() {
                if i == from.min(steps.len() - 1) {
                    listed = Some(state.list(resource, &listing).unwrap());
                }
                let name = format!("web-{name}");
                let before = state.version();
                let at = ("shop", name.as_str());
                // A refusal is as good a step as any other: it must change nothing.
                let done = match action {
                    0 => state.create(resource, "shop", (body(&name, *hosts), None), &author).is_ok(),
                    1 => state.update(resource, at, &author, |_| Ok((body(&name, *hosts), None))).is_ok(),
                    _ => state.delete(resource, at, &Preconditions::default(), &author.now, false).is_ok(),
                };
                prop_assert!(done || state.version() == before);
            }
            let listed = listed.unwrap();
            let mut held: BTreeMap<String, u64> =
                listed.objects.iter().map(|object| (object.meta("name").to_owned(), object.version)).collect();
            for change in state.since(resource, listed.version).unwrap().0 {
                if change.deleted {
                    prop_assert!(held.remove(&change.key.1).is_some());
                } else {
                    held.insert(change.key.1, change.version);
                }
            }
            let present = state.list(resource, &listing).unwrap();
            let present: BTreeMap<String, u64> =
                present.objects.iter().map(|object| (object.meta("name").to_owned(), object.version)).collect();
            prop_assert_eq!(held, present);
            let past = state.list(resource, &Listing { exact: Some(listed.version), ..Listing::default() }).unwrap();
            let versions = |page: &Page| page.objects.iter().map(|object| object.version).collect::<Vec<_>>();
            prop_assert_eq!(versions(&past), versions(&listed));
        }
    }
}
