//! The clusters of a route as its plan chooses them: those that join it, and those that it is taken out of.
//!
//! ```text
//!  chosen ─► in step ─(taken out)─► leaving: in step ─(settled there)─► parting: let go as a removed plan ─► none
//!                                       └─(away, or writes refused)────────┘
//! ```
//!
//! What is let go holds nothing up: it is a worker of its own, with one cluster.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    istio::lens,
    rollout::{ClusterName, ClusterView, Journal, OWNER, Phase, Settings, Wanted},
};

use super::{Effect, Event, Reached, Sight, Worker, held::Held};

impl Event {
    /// The cluster that it happened in; none: it concerns all of them.
    fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::Object { cluster, .. }
            | Self::Written { cluster, .. }
            | Self::Looked { cluster, .. }
            | Self::Writer { cluster, .. }
            | Self::Reach { cluster, .. }
            | Self::Recalled { cluster, .. } => Some(cluster),
            Self::Wanted(_) | Self::Restored(_) | Self::Look => None,
        }
    }
}

/// A cluster that was let go, as one in which nothing of the plan ever was: it joins anew.
pub(super) fn anew(view: ClusterView) -> ClusterView {
    if !matches!(&view.journal, Some(Ok(journal)) if journal.is_let_go()) {
        return view;
    }
    ClusterView { virtual_service: None, journal: None, copy: None, memory: None, was_ours: false, ..view }
}

/// Whether a VirtualService says that it is of a plan of this repository, and was not let go.
fn stands(live: &Value, repository: &str) -> bool {
    let of = |owner: &str| owner.strip_prefix(repository).is_some_and(|rest| rest.starts_with('/'));
    let let_go = || matches!(Journal::on(live), Some(Ok(journal)) if matches!(journal.phase, Phase::Released { .. }));
    lens::annotation(live, OWNER).is_some_and(of) && !let_go()
}

/// Whether a cluster has the position of a plan that goes on.
fn has_position(held: &Held) -> bool {
    matches!(&held.journal, Some(Ok(journal)) if !journal.is_let_go())
}

impl Worker {
    /// Takes an event in and returns what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp, sight: &impl Sight) -> Vec<Effect> {
        if self.parting.is_empty() && self.leaving.is_empty() {
            return if self.is_in_step(&event) { self.act(event, now, sight) } else { Vec::new() };
        }
        let before = self.wakes();
        let mut effects = Vec::new();
        match event.cluster().cloned() {
            Some(name) if self.clusters.contains_key(&name) => effects.extend(self.act(event, now, sight)),
            Some(name) => self.part_acts(&name, event, now, sight, &mut effects),
            None => {
                for name in self.parting.keys().cloned().collect::<Vec<_>>() {
                    self.part_acts(&name, Event::Look, now, sight, &mut effects);
                }
                effects.extend(self.act(event, now, sight));
            }
        }
        self.depart(now, sight, &mut effects);
        // One timer wakes them all.
        effects.retain(|effect| !matches!(effect, Effect::WakeAt(_)));
        let wakes = self.wakes();
        if wakes != before {
            effects.push(Effect::WakeAt(wakes));
        }
        effects
    }

    fn wakes(&self) -> Option<Timestamp> {
        self.parting.values().map(|part| part.wake_at).chain([self.wake_at]).flatten().min()
    }

    /// Hands an event to what is let go in a cluster, until nothing of it is left to do.
    fn part_acts(
        &mut self,
        name: &ClusterName,
        event: Event,
        now: Timestamp,
        sight: &impl Sight,
        effects: &mut Vec<Effect>,
    ) {
        let Some(part) = self.parting.get_mut(name) else { return };
        // Git and its notes tell of the plan where it goes on.
        let told = |effect: &Effect| !matches!(effect, Effect::Restore(_) | Effect::Note(_) | Effect::Recall(..));
        effects.extend(part.act(event, now, sight).into_iter().filter(told));
        if part.is_done() {
            self.parting.remove(name);
        }
    }

    /// Takes over which clusters a plan of the repository is for; `there` tells which there are at all. Returns those of
    /// which nothing is known yet.
    pub(super) fn choose(
        &mut self,
        chosen: &BTreeSet<ClusterName>,
        repository: &str,
        there: impl Fn(&str) -> bool,
    ) -> Vec<ClusterName> {
        let others: Vec<ClusterName> = self.clusters.keys().filter(|name| !chosen.contains(*name)).cloned().collect();
        if !others.is_empty() {
            self.get_up();
        }
        for name in others {
            // What an answer may still bring is of the plan, too.
            let held = self.clusters.get(&name).filter(|_| there(&name));
            let here = |live: &Value| stands(live, repository);
            if held.is_some_and(|held| held.is_busy() || held.virtual_service().is_some_and(here)) {
                self.leaving.insert(name);
            } else {
                self.clusters.remove(&name);
            }
        }
        self.parting.retain(|name, _| there(name));
        self.leaving.retain(|name| !chosen.contains(name) && self.clusters.contains_key(name));
        let mut unknown = Vec::new();
        for name in chosen {
            if self.clusters.contains_key(name) {
                continue;
            }
            let held = self.parting.remove(name).and_then(|mut part| part.clusters.remove(name));
            if held.is_none() {
                unknown.push(name.clone());
            }
            self.clusters.insert(name.clone(), held.unwrap_or_default());
        }
        unknown
    }

    /// What was reached where the plan is being let go.
    pub(super) fn let_go(&self) -> impl Iterator<Item = (&ClusterName, Reached)> {
        let reached =
            |held: &Held| Reached { leaves: true, ..Reached::of(held.memory.as_ref(), held.virtual_service()) };
        let parting = self.parting.values().flat_map(|part| &part.clusters);
        parting.map(move |(name, held)| (name, reached(held)))
    }

    /// Whether an event is of a cluster in step, and none is being let go: of many such events the last one is decided on.
    pub(super) fn is_in_step(&self, event: &Event) -> bool {
        let whole = self.parting.is_empty() && self.leaving.is_empty();
        whole && event.cluster().is_none_or(|name| self.clusters.contains_key(name))
    }

    /// Whether it has to do with a cluster.
    pub(super) fn holds(&self, cluster: &str) -> bool {
        self.clusters.contains_key(cluster) || self.parting.contains_key(cluster)
    }

    /// Takes up a cluster that the plan is not for, where its VirtualService there says that it was and was not let go:
    /// a process before did not come to that. Returns whether it does.
    pub(super) fn meet(&mut self, cluster: &str, live: &Value) -> bool {
        let Wanted::Plan { owner, .. } = &self.wanted else { return false };
        if !stands(live, &owner.repository) {
            return false;
        }
        self.clusters.insert(cluster.to_owned(), Box::default());
        self.leaving.insert(cluster.to_owned());
        true
    }

    /// Drops a cluster whose API server is another one from now on: what is there is not known, and it is as far away as
    /// it was. One that the plan was taken out of is none of its clusters.
    pub(super) fn lose(&mut self, cluster: &str) {
        self.parting.remove(cluster);
        if self.leaving.remove(cluster) {
            self.clusters.remove(cluster);
        } else if let Some(held) = self.clusters.get_mut(cluster) {
            let away_since = held.away_since;
            **held = Held::default();
            held.away_since = away_since;
        }
    }

    /// Whether some cluster has a position of a plan that is wanted: those that were let go join it anew.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.wanted, Wanted::Plan { .. }) && self.clusters.values().any(|held| has_position(held))
    }

    /// Lets the plan go where it is not for any more and has settled, or where that cannot be waited for. Its position
    /// must stand in a cluster that it is for before.
    fn depart(&mut self, now: Timestamp, sight: &impl Sight, effects: &mut Vec<Effect>) {
        let Wanted::Plan { plan, revision, .. } = self.wanted.clone() else { return };
        if self.leaving.is_empty() {
            return;
        }
        self.get_up();
        let stays = self.clusters.iter().any(|(name, held)| !self.leaving.contains(name) && has_position(held));
        let passed = |held: &Held| match &held.journal {
            Some(Ok(journal)) => journal.plan.digest == plan.digest && journal.is_settled() && journal.apart.is_none(),
            _ => false,
        };
        let may = |name: &&ClusterName| {
            let held = self.clusters.get(*name);
            held.is_some_and(|held| !held.is_busy() && (passed(held) || held.away_since.is_some() || held.is_refused()))
        };
        let parting: Vec<ClusterName> = self.leaving.iter().filter(|_| stays).filter(may).cloned().collect();
        for name in &parting {
            self.leaving.remove(name);
            let Some(held) = self.clusters.remove(name) else { continue };
            let settings = Settings { notes: false, ..self.settings };
            let mut part = Worker::new(self.key.clone(), settings, []);
            part.clusters = BTreeMap::from([(name.clone(), held)]);
            part.wanted = Wanted::Removed { revision: revision.clone(), elsewhere: true };
            part.former = Some(plan.clone());
            self.parting.insert(name.clone(), Box::new(part));
            self.part_acts(name, Event::Look, now, sight, effects);
        }
        if !parting.is_empty() {
            // They hold nothing up any more.
            effects.extend(self.act(Event::Look, now, sight));
        }
    }
}
