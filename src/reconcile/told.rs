//! What a worker takes in without deciding anything, and which events tell it nothing that it could act on now.

use jiff::Timestamp;

use crate::{istio::ObjectKind, rollout::Wanted};

use super::{Event, Live, Worker, held::Held};

impl Worker {
    /// Whether an event tells nothing: a watch shows what the answer to a write has shown.
    pub(super) fn is_told(&self, event: &Event) -> bool {
        let Event::Object { cluster, kind, live } = event else { return false };
        self.clusters.get(cluster).is_some_and(|held| held.resting.is_none() && held.is_outdated(*kind, live))
    }

    /// Whether nothing that a watch shows could be acted on before the answers that every cluster is to give, which are
    /// decided on: writes of traffic are on their way, or it shows what was written before the answer does.
    pub(super) fn waits_for_answers(&self, event: &Event) -> bool {
        let Event::Object { cluster, kind, live } = event else { return false };
        let all = |waits: fn(&Held) -> bool| self.clusters.values().all(|held| waits(held));
        let shows = || self.clusters.get(cluster).is_some_and(|held| held.was_sent(*kind, live));
        all(Held::is_moving) || (all(Held::is_writing) && shows())
    }

    /// Takes in what Git asks for, without deciding anything.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.forget_notes(&wanted);
        let before = std::mem::replace(&mut self.wanted, wanted);
        self.remember(&before);
        self.former = match (&self.wanted, before) {
            (Wanted::Removed { .. }, Wanted::Plan { plan, .. }) => Some(plan),
            (Wanted::Removed { .. }, _) => self.former.take(),
            (Wanted::Unknown | Wanted::Plan { .. }, _) => None,
        };
    }

    /// Takes in an object, without deciding anything.
    pub(super) fn see(&mut self, cluster: &str, kind: ObjectKind, live: Live, now: Timestamp) {
        if let Some(held) = self.clusters.get_mut(cluster) {
            held.see(kind, live, now);
        }
    }

    /// Takes in since when a cluster does not answer, without deciding anything.
    pub(super) fn miss(&mut self, cluster: &str, away_since: Option<Timestamp>) {
        if let Some(held) = self.clusters.get_mut(cluster) {
            held.away_since = away_since;
        }
    }
}
