//! Commits what Git should say again, one plan after the other. Nothing waits for it.
//!
//! ```text
//!  Effect::Restore ─► Queue (which, when) ─► Committer (draft, push) ─► Queue ─► Event::Restored, a look at Git
//! ```

mod commit;
mod queue;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::plan::ObjectKey;

use super::{
    RestoreOrder, RestoreState,
    committer::{Committer, Task},
    engine::{Engine, Incoming},
};
use queue::Queue;

pub(super) use commit::commit;
pub(super) use queue::{AWAY_S, AWAY_S_MAX, Ended, REFUSED_S, REFUSED_S_MAX, later};

/// What is to be committed, and who does it.
pub(super) struct Restores {
    queue: Queue,
    committer: Committer,
    /// Its rise asks for a look at the repository.
    look: watch::Sender<u64>,
}

impl Restores {
    pub(super) fn new(committer: Committer, look: watch::Sender<u64>) -> Self {
        Self { queue: Queue::default(), committer, look }
    }
}

impl Engine {
    /// Takes in what Git should say of a plan again; none: no longer.
    pub(super) fn restore(&mut self, key: &ObjectKey, order: Option<RestoreOrder>) {
        let (now, leads) = (self.clock.now(), self.leads());
        match &mut self.restores {
            Some(restores) => restores.queue.set(key, order, now),
            // Whoever leads says what it would have committed.
            None if !leads => {}
            None => {
                let Some(RestoreOrder { restore, .. }) = order else { return };
                self.tally.restore("read_only");
                self.tell_restore(key.clone(), RestoreState::ReadOnly { would: restore.to_string() });
            }
        }
    }

    /// When the next commit is due; none while one is on its way, and where nothing is to be committed.
    pub(super) fn restores_wake(&self) -> Option<Timestamp> {
        self.restores.as_ref().filter(|_| self.leads())?.queue.wake_at()
    }

    /// Hands the next one out, if it is due.
    pub(super) fn restores_turn(&mut self) {
        let (now, leads) = (self.clock.now(), self.leads());
        // Whoever leads finds it in the journal.
        let Some(restores) = self.restores.as_mut().filter(|_| leads) else { return };
        let Some((key, order)) = restores.queue.next(now) else { return };
        if restores.committer.give(Task::Restore { worker: key.clone(), order: Box::new(order) }) {
            self.in_flight += 1;
            self.tell_restore(key, RestoreState::Trying { since: now });
        }
    }

    /// Takes in what came of one.
    pub(super) fn restored(&mut self, key: &ObjectKey, order: &RestoreOrder, ended: Ended) {
        let now = self.clock.now();
        let Some(restores) = &mut self.restores else { return };
        self.tally.restore(ended.name());
        if matches!(ended, Ended::Landed { .. } | Ended::Nothing { .. }) {
            restores.look.send_modify(|count| *count += 1);
        }
        if let Ended::Landed { commit } = &ended {
            tracing::info!(plan = %order.owner, commit, "committed: {}", order.restore);
        }
        for (key, state) in restores.queue.ended(key, order, ended, now) {
            self.tell_restore(key, state);
        }
    }

    /// The repository answers again: what waits for it waits no longer.
    pub(super) fn restores_hurry(&mut self) {
        let now = self.clock.now();
        if let Some(restores) = &mut self.restores {
            restores.queue.answers(now);
        }
    }

    /// Behind what is being performed now: the worker is told as by anybody else.
    fn tell_restore(&self, worker: ObjectKey, state: RestoreState) {
        // The loop has ended where nobody receives.
        let _ = self.sender.send(Incoming::Restored { worker, state });
    }
}
