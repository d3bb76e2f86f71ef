//! One cluster: its API server, its endpoints, its watches, and the ledger of what was written there.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;
use tidegate::{
    istio::{Edit, ObjectKind},
    reconcile::Packed,
};

use super::{
    api::Api,
    ledger::{Ledger, WAIT_MS},
    objects::{changed_for_others, referenced, subsets},
    story::Fault,
    world::World,
    wrote::Verdict,
};

/// How long after a hand has changed something the order of writes is not judged: it may be the hand's.
const HANDS_MS: i64 = 60_000;

/// One cluster.
pub struct Place {
    pub name: String,
    pub api: Api,
    pub ledger: Ledger,
    pub ready: [Option<u32>; 3],
    /// What their pods run, as a set of two bits.
    pub images: [u8; 3],
    pub away: bool,
    /// Whether the process has heard of it.
    pub known_away: bool,
    pub faults: VecDeque<Fault>,
    /// Events of an older watch never arrive.
    pub epoch: u32,
    pub watch_broken: bool,
    /// Watch events of one kind keep their order.
    pub due_ms: BTreeMap<ObjectKind, i64>,
    /// The objects as the process saw them last.
    pub seen: BTreeMap<ObjectKind, Arc<Value>>,
    /// VirtualServices of a while ago.
    pub past: VecDeque<Arc<Value>>,
    pub hand_ms: i64,
    /// What was packed last: as in the loop, an object is packed once.
    packed: RefCell<BTreeMap<ObjectKind, (Arc<Value>, Packed)>>,
    /// Since when each subset is defined as it is, and since when no route refers to it.
    defined_ms: BTreeMap<String, i64>,
    left_ms: BTreeMap<String, i64>,
}

impl Place {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            api: Api::default(),
            ledger: Ledger::default(),
            ready: [Some(2); 3],
            images: [1; 3],
            away: false,
            known_away: false,
            faults: VecDeque::new(),
            epoch: 0,
            watch_broken: false,
            due_ms: BTreeMap::new(),
            seen: BTreeMap::new(),
            past: VecDeque::new(),
            hand_ms: i64::MIN / 2,
            packed: RefCell::default(),
            defined_ms: BTreeMap::new(),
            left_ms: BTreeMap::new(),
        }
    }

    pub fn live(&self, kind: ObjectKind) -> Option<&Value> {
        self.api.objects.get(&kind).map(|object| &**object)
    }

    /// What can be known of the images of a version: without pods nothing is.
    pub fn run(&self, version: usize) -> Option<u8> {
        self.ready[version].filter(|count| *count > 0).map(|_| self.images[version])
    }

    /// The object as the process saw it last, packed.
    pub fn packed(&self, kind: ObjectKind) -> Option<Packed> {
        let seen = self.seen.get(&kind)?;
        let mut packed = self.packed.borrow_mut();
        match packed.get(&kind) {
            Some((of, packed)) if Arc::ptr_eq(of, seen) => Some(packed.clone()),
            _ => {
                let anew = Packed::of(seen);
                packed.insert(kind, (seen.clone(), anew.clone()));
                Some(anew)
            }
        }
    }

    /// Notes since when what is defined is defined, after anybody's change.
    pub fn changed(&mut self, kind: ObjectKind, before: Option<&Value>, now_ms: i64) {
        let after = self.api.objects.get(&kind).map(|object| &**object);
        match kind {
            ObjectKind::VirtualService => {
                let (was, is) = (referenced(before), referenced(after));
                for name in was.difference(&is) {
                    self.left_ms.insert((*name).to_owned(), now_ms);
                }
            }
            ObjectKind::DestinationRule => {
                let was = subsets(before);
                for (name, labels) in subsets(after) {
                    if was.get(name) != Some(&labels) {
                        self.defined_ms.insert(name.to_owned(), now_ms);
                    }
                }
            }
        }
    }

    /// Make before break, and law 9, for a write of tidegate's that took place.
    pub fn judge(&self, edit: &Edit, before: Option<&Value>, now_ms: i64) -> Verdict {
        let after = self.live(edit.kind);
        if let (Some(before), Some(after)) = (before, after)
            && let Some(what) = changed_for_others(edit.kind, before, after)
        {
            return Err(("law 9", format!("{:?}: {what}", edit.kind)));
        }
        if now_ms - self.hand_ms < HANDS_MS {
            return Ok(());
        }
        let age_ms = |ages: &BTreeMap<String, i64>, name: &str| ages.get(name).map_or(i64::MAX, |at| now_ms - at);
        match edit.kind {
            ObjectKind::VirtualService => {
                let defined = subsets(self.live(ObjectKind::DestinationRule));
                for name in referenced(after).difference(&referenced(before)) {
                    if !defined.contains_key(name) {
                        return Err(("order", format!("subset {name} gets requests and is not defined")));
                    }
                    let age_ms = age_ms(&self.defined_ms, name);
                    if age_ms < WAIT_MS {
                        return Err(("order", format!("subset {name} gets requests, defined {age_ms} ms ago")));
                    }
                }
            }
            ObjectKind::DestinationRule => {
                let (served, is) = (referenced(self.live(ObjectKind::VirtualService)), subsets(after));
                for (name, labels) in subsets(before) {
                    if is.get(name) == Some(&labels) {
                        continue;
                    }
                    let left_ms = age_ms(&self.left_ms, name);
                    if served.contains(name) || left_ms < WAIT_MS {
                        return Err(("order", format!("subset {name} goes, left {left_ms} ms ago")));
                    }
                }
            }
        }
        Ok(())
    }
}

impl World {
    /// The cluster of that name.
    pub(super) fn place(&self, cluster: &str) -> usize {
        self.places.iter().position(|place| place.name == cluster).unwrap()
    }
}
