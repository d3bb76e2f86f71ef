//! What becomes of restores of the document: when they are asked for, and how the Git server takes them.

use tidegate::{
    reconcile::{Event, RestoreOrder, RestoreState},
    rollout::Restore,
};

use super::{
    git::Pushed,
    place::Place,
    story::Push,
    world::{Item, World, wall},
    wrote::Verdict,
};

/// How long after a push that failed it is tried again.
const RETRY_MS: i64 = 30_000;

impl World {
    /// Git follows traffic: every cluster that answers and takes writes went back first.
    pub(super) fn follows_traffic(&self, restore: &Restore) -> Verdict {
        let has = |place: &Place| place.ledger.has_gone_back(restore);
        let excused = |place: &Place| place.known_away || self.happened.invalid;
        let all = self.places.iter().all(|place| has(place) || excused(place));
        if self.happened.stripped || (all && self.places.iter().any(has)) {
            Ok(())
        } else {
            Err(("order", format!("before traffic: {restore}")))
        }
    }

    /// A restore reaches the Git server.
    pub(super) fn push(&mut self, life: u32, order: &RestoreOrder) {
        let Some(process) = &self.process else { return };
        let orders = process.orders;
        let until = wall(self.now_ms + RETRY_MS, process.skew_ms);
        let fault = if self.git.up { self.git.pushes.pop_front() } else { None };
        let state = match fault {
            _ if !self.git.up => RestoreState::Unreachable { error: "no answer".into(), until },
            Some(Push::Refused) => RestoreState::Refused { words: "the branch is protected".into(), until },
            unanswered => match self.git.push(&order.restore) {
                Pushed::Dropped => RestoreState::Dropped { why: "the branch holds another document".into() },
                Pushed::Landed { .. } if unanswered.is_some() => {
                    self.tally.restores += 1;
                    RestoreState::Unreachable { error: "no answer".into(), until }
                }
                Pushed::Landed { commit } => {
                    self.tally.restores += 1;
                    RestoreState::Landed { commit }
                }
            },
        };
        self.say(|_| format!("the restore {state}"));
        if matches!(state, RestoreState::Unreachable { .. } | RestoreState::Refused { .. }) {
            self.at(self.now_ms + RETRY_MS, Item::Push { life, order: orders });
        }
        self.troubled(0);
        self.soon(Item::Event { life, event: Event::Restored(state) });
        self.tell_git();
    }
}
