//! Shares the state between requests, watches and tests, and wakes the watches of what changed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::faults::{Effect, Fault, Ledger, Verb};
use super::object::inward;
use super::owners::Owner;
use super::refusal::Refusal;
use super::resource::{Origin, RESOURCES, Resource, by_kind, by_plural};
use super::state::State;
use super::write::{Author, Preconditions};

/// A handle to the objects of a sandbox; clones share them.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
    latest: BTreeMap<&'static str, watch::Sender<u64>>,
    round: watch::Sender<Round>,
    skew_s: AtomicI64,
}

/// Watches end when the round they began in does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    Open(u64),
    Closed,
}

const FIRST_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

impl Store {
    /// Returns a store with the namespaces of a fresh cluster and, if asked for, Istio's definitions.
    pub(super) fn new(istio: bool, history_changes_max: usize) -> Self {
        let store = Self(Arc::new(Shared {
            state: Mutex::new(State::new(history_changes_max)),
            ledger: Mutex::default(),
            latest: RESOURCES.iter().map(|resource| (resource.plural, watch::Sender::new(0))).collect(),
            round: watch::Sender::new(Round::Open(0)),
            skew_s: AtomicI64::new(0),
        }));
        let namespaces =
            FIRST_NAMESPACES.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        let definitions = RESOURCES.iter().filter(|row| istio && row.origin == Origin::Istio).map(definition);
        for object in namespaces.into_iter().chain(definitions) {
            if let Err(refusal) = store.put(object) {
                tracing::error!(%refusal, "a first object of the sandbox was refused");
            }
        }
        store
    }

    /// Runs a change of the state and wakes the watches of every resource that it changed.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let out = change(&mut state);
        for resource in RESOURCES {
            if let Some(latest) = self.0.latest.get(resource.plural) {
                let version = state.latest(resource);
                latest.send_if_modified(|known| std::mem::replace(known, version) != version);
            }
        }
        out
    }

    /// Runs a read of the state.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes_of(&self, resource: &'static Resource) -> Option<watch::Receiver<u64>> {
        self.0.latest.get(resource.plural).map(watch::Sender::subscribe)
    }

    pub(super) fn rounds(&self) -> watch::Receiver<Round> {
        self.0.round.subscribe()
    }

    pub(super) fn close(&self) {
        self.0.round.send_replace(Round::Closed);
    }

    pub(super) fn meet(&self, verb: Verb, resource: &'static str) -> Option<Effect> {
        self.ledger().meet(verb, resource)
    }

    /// Returns the instant by the server's clock.
    pub(super) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.0.skew_s.load(Ordering::Relaxed));
        Timestamp::now().checked_add(skew).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Sets the server's clock, and with it the `Date` header, that many seconds ahead of the machine's.
    pub fn skew_clock(&self, seconds: i64) {
        self.0.skew_s.store(seconds, Ordering::Relaxed);
    }

    /// Creates an object or replaces the one of that name, with its namespace if that is missing; returns what is stored.
    /// Status is kept as given.
    ///
    /// # Errors
    /// Refuses what the server would refuse, and kinds that are not in the table.
    pub fn put(&self, object: Value) -> Result<Value, Refusal> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text(object.get("apiVersion")), text(object.get("kind")));
        let (resource, served) = by_kind(&api_version, &kind)
            .ok_or_else(|| Refusal::BadRequest(format!("the sandbox has no kind {kind} in {api_version}")))?;
        let Value::Object(fields) = object else {
            return Err(Refusal::BadRequest("the object is no JSON object".into()));
        };
        let mut body = inward(served, fields);
        let meta = body.get("metadata").cloned().unwrap_or_default();
        let name = text(meta.get("name"));
        let namespace = match (resource.namespaced, text(meta.get("namespace"))) {
            (false, _) => String::new(),
            (true, given) if given.is_empty() => "default".to_owned(),
            (true, given) => given,
        };
        let status = body.remove("status").map(|status| (resource.status, status));
        let mut author = self.author("sandbox", served);
        self.write(|state| {
            let namespaces = by_plural("namespaces").filter(|_| resource.namespaced);
            if let Some(row) = namespaces.filter(|row| state.get(row, "", &namespace).is_err()) {
                let fields = json!({"metadata": {"name": namespace}});
                let fields = fields.as_object().cloned().unwrap_or_default();
                state.create(row, "", (fields, None), &author)?;
            }
            let at = (namespace.as_str(), name.as_str());
            let mut stored = if state.get(resource, at.0, at.1).is_ok() {
                state.update(resource, at, &author, |_| Ok((body, None)))?
            } else {
                state.create(resource, &namespace, (body, None), &author)?
            };
            if let Some((subresource, status)) = status {
                author.owner.status = subresource;
                stored = state.update(resource, at, &author, |old| {
                    let mut body = old.body.clone();
                    body.insert("status".into(), status);
                    Ok((body, None))
                })?;
            }
            Ok(stored.versioned(resource, served))
        })
    }

    /// Returns an object in its preferred version; the namespace is empty for what has none.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = by_plural(plural)?;
        let served = resource.served.first()?;
        let object = self.read(|state| state.get(resource, namespace, name)).ok()?;
        Some(object.versioned(resource, served))
    }

    /// Deletes an object and returns whether it was there.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) -> bool {
        let now = self.now_text();
        let at = (namespace, name);
        by_plural(plural).is_some_and(|resource| {
            self.write(|state| state.delete(resource, at, &Preconditions::default(), &now, false)).is_ok()
        })
    }

    /// Makes the next requests fail.
    pub fn inject(&self, fault: Fault) {
        self.ledger().inject(fault);
    }

    /// Drops the faults that have not befallen a request yet.
    pub fn clear_faults(&self) {
        self.ledger().clear();
    }

    /// Returns how many requests of that verb for that resource came since the last [`Store::reset_counts`].
    pub fn requests(&self, verb: Verb, plural: &str) -> u64 {
        self.ledger().count(verb, plural)
    }

    /// Returns how many requests that change something came, dry runs included.
    pub fn writes(&self) -> u64 {
        self.ledger().writes()
    }

    /// Starts counting requests anew.
    pub fn reset_counts(&self) {
        self.ledger().reset();
    }

    /// Ends every watch, as a restart of the API server does.
    pub fn end_watches(&self) {
        self.0.round.send_if_modified(|round| match round {
            Round::Open(number) => {
                *number += 1;
                true
            }
            Round::Closed => false,
        });
    }

    /// Forgets all changes, so that a watch from before now gets 410 Gone.
    pub fn forget_history(&self) {
        self.lock().forget_history();
    }

    pub(super) fn now_text(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    pub(super) fn author(&self, manager: &str, served: &'static super::resource::Served) -> Author {
        let owner = Owner { manager: manager.to_owned(), applied: false, status: false };
        Author { owner, served, now: self.now_text(), dry_run: false }
    }
}

fn definition(row: &Resource) -> Value {
    let versions: Vec<_> = row
        .served
        .iter()
        .enumerate()
        .map(|(i, served)| {
            json!({
                "name": served.version, "served": true, "storage": i == 0, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
            })
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", row.plural, row.group())},
        "spec": {
            "group": row.group(), "scope": "Namespaced", "versions": versions,
            "names": {"plural": row.plural, "singular": row.singular, "kind": row.kind, "listKind": format!("{}List", row.kind), "shortNames": row.short}
        },
        "status": {"conditions": [
            {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
            {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "message": "the initial names have been accepted"}
        ]}
    })
}
