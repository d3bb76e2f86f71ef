//! Which events tell a worker nothing that it could act on now.

use super::{Event, Worker, held::Held};

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
}
