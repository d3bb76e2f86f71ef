//! How news of the clusters and of Git reach the process: late, in order, and not at all while a watch is broken.

use std::sync::Arc;

use serde_json::Value;
use tidegate::{istio::ObjectKind, reconcile::Event};

use super::world::{Item, World};

const KINDS: [ObjectKind; 2] = [ObjectKind::VirtualService, ObjectKind::DestinationRule];

impl World {
    /// What Git is at reaches the process, if it can see it.
    pub(super) fn tell_git(&mut self) {
        let Some(process) = self.process.as_ref().filter(|_| !self.lease.is_guard()) else { return };
        let life = process.life;
        self.soon(Item::Git { life });
    }

    /// An API server went away, or answers again: the process notices.
    pub(super) fn reach(&mut self, place: usize, after_ms: i64) {
        let Some(process) = &self.process else { return };
        self.at(self.now_ms + after_ms, Item::Reach { life: process.life, place });
        self.troubled(after_ms);
    }

    /// The watches of a cluster begin anew with a list.
    pub(super) fn lists_later(&mut self, place: usize, after_ms: i64) {
        self.places[place].epoch += 1;
        let epoch = self.places[place].epoch;
        let Some(process) = &self.process else { return };
        let life = process.life;
        let at_ms = self.now_ms + after_ms + self.dice.between(1, 60);
        self.at(at_ms, Item::Lists { life, place, epoch });
    }

    pub(super) fn lists(&mut self, place: usize) {
        self.places[place].watch_broken = false;
        for kind in KINDS {
            let live = self.places[place].api.objects.get(&kind).cloned();
            self.shows(place, kind, live);
        }
        // A server counts as back once its lists were read.
        self.reach(place, 0);
    }

    /// A watch shows an object.
    pub(super) fn shows(&mut self, place: usize, kind: ObjectKind, live: Option<Arc<Value>>) {
        let cluster = self.places[place].name.clone();
        // As in the loop: what is stored already is no news.
        let seen = self.places[place].seen.get(&kind);
        if live.as_ref().zip(seen).is_some_and(|(live, seen)| Arc::ptr_eq(live, seen)) {
            return;
        }
        match &live {
            Some(live) => self.places[place].seen.insert(kind, live.clone()),
            None => self.places[place].seen.remove(&kind),
        };
        self.deliver(Event::Object { cluster, kind, live });
    }

    /// An object has changed: the watch tells it after a while, in order.
    pub(super) fn watched(&mut self, place: usize, kind: ObjectKind) {
        let Some(process) = &self.process else { return };
        let life = process.life;
        let delay_ms = if self.dice.chance(10) { self.dice.between(60, 900) } else { self.dice.between(1, 60) };
        let there = &mut self.places[place];
        if there.away || there.watch_broken {
            return;
        }
        let due = there.due_ms.entry(kind).or_default();
        *due = (self.now_ms + delay_ms).max(*due);
        let (at_ms, epoch, live) = (*due, there.epoch, there.api.objects.get(&kind).cloned());
        self.at(at_ms, Item::Watch { life, place, epoch, kind, live });
    }
}
