//! Of many clusters many answer at once, and a decision looks at all of them: what has come meanwhile is decided on
//! together, so that a commit costs as many decisions as there are rounds, and not as there are clusters.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::{cluster::Seen, plan::ObjectKey};

use super::{
    Event,
    engine::{Engine, Incoming},
    fleet::Link,
    tally::Stage,
};

/// How many events are taken in, and for how long, before what they lead to is decided: whoever else waits is heard
/// between, also while a huge cluster is read.
const AT_ONCE: usize = 1_024;
const ROUND: Duration = Duration::from_millis(10);
/// Where deciding takes longer than that, more is taken in before the next time, as long as this at most: else of each
/// route little would come together, and the loop would only decide.
const ROUND_MAX: Duration = Duration::from_millis(200);

impl Engine {
    /// Whether an event is only taken in now: the other clusters of the plan may be about to say the like.
    pub(super) fn gathers(&self, key: &ObjectKey, event: &Event) -> bool {
        matches!(event, Event::Object { .. } | Event::Written { .. })
            && self.workers.get(key).is_some_and(|worker| worker.clusters.len() > 1 && worker.is_in_step(event))
    }

    /// Takes an event in, to be decided on by [`Engine::settle_up`].
    pub(super) fn gather(&mut self, key: &ObjectKey, event: Event) {
        let now = self.clock.now();
        let Some(worker) = self.workers.get_mut(key) else { return };
        let Some((effects, decides)) = worker.take(event, now, &self.view) else { return };
        *self.gathered.entry(key.clone()).or_default() |= decides;
        for effect in effects {
            self.perform(key, effect);
        }
    }

    /// Takes in what has come besides.
    pub(super) fn take_more(
        &mut self,
        incoming: &mut mpsc::UnboundedReceiver<Incoming>,
        seen: &mut mpsc::Receiver<(Link, Seen)>,
    ) {
        let (began, round) = (Instant::now(), self.settled_in.clamp(ROUND, ROUND_MAX));
        for _ in 0..AT_ONCE {
            if began.elapsed() >= round {
                return;
            }
            if let Ok(event) = incoming.try_recv() {
                self.incoming(event);
            } else if let Ok((link, seen)) = seen.try_recv() {
                self.seen(&link, seen);
            } else {
                return;
            }
        }
    }

    /// Lets the workers decide that have taken something in.
    pub(super) fn settle_up(&mut self) {
        let began = Instant::now();
        while let Some((key, decides)) = self.gathered.pop_first() {
            let now = self.clock.now();
            let Some(worker) = self.workers.get_mut(&key) else { continue };
            let mut effects = Vec::new();
            if decides {
                let began = Instant::now();
                worker.decide(now, &self.view, &mut effects);
                self.tally.took(Stage::Decide, began.elapsed());
            }
            self.handed(&key, effects, true);
        }
        self.settled_in = began.elapsed();
    }
}
