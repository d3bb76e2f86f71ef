//! The end of every story: all faults are over, and what is live is what an undisturbed run would have come to.

use tidegate::{
    istio::{self, Marks, ObjectKind, Owned},
    rollout::{Journal, Phase, Reason},
};

use super::{
    document::Document,
    story::{Act, Hand},
    world::World,
    wrote::Verdict,
};

/// Longer than any walk takes, pauses and deadlines included.
const LONG_MS: i64 = 6 * 3_600_000;

impl World {
    /// Lets all faults end, waits until nothing moves any more, and judges what is there.
    pub fn end(&mut self) {
        self.run(self.last_ms());
        self.kill_after(None);
        self.run(self.last_ms().min(self.now_ms + LONG_MS));
        self.say(|_| "--- all faults are over".into());
        for place in 0..self.places.len() {
            self.places[place].faults.clear();
            self.act(Act::Away(place, false));
            for version in 0..3 {
                self.act(Act::Ready(place, version, Some(2)));
            }
            self.act(Act::Hand(place, Hand::Unstop));
        }
        self.git.pushes.clear();
        self.act(Act::Accepted(true));
        self.act(Act::Git(false));
        self.act(Act::Guard(None));
        self.act(Act::Lease(true));
        if self.skew_ms().is_none_or(|skew_ms| skew_ms.abs() > 5_000) {
            self.kill(0, 0);
        }
        self.run(self.now_ms + LONG_MS);
        if self.broken.is_none() {
            let verdict = self.has_ended_well();
            self.judge(verdict);
        }
    }

    fn has_ended_well(&self) -> Verdict {
        let Some(process) = &self.process else { return Err(("law 11", "no process lives".into())) };
        let reason = process.worker.reason();
        let fail = |what: &str| {
            let weights = self.places.iter().map(|place| place.ledger.journal().map(|j| j.state.traffic.to_string()));
            let weights: Vec<_> = weights.collect();
            let reason = reason.map(|reason| format!("{}: {reason}", reason.name()));
            Err(("law 11", format!("{what}; {weights:?}, {reason:?}")))
        };
        if process.worker.is_busy() {
            return fail("it still waits for an answer");
        }
        match reason {
            // What is lost is not guessed, and nobody's object is touched: a person has to say.
            Some(_) if self.happened.stripped => return Ok(()),
            _ => {}
        }
        // What was deleted with its plan has no position any more.
        let standing = self.places.iter().filter(|place| place.live(ObjectKind::VirtualService).is_some());
        let journals: Vec<&Journal> = standing.filter_map(|place| place.ledger.journal()).collect();
        let parts = self.git.tip().is_some_and(Document::may_part) && journals.iter().any(|one| one.failure.is_some());
        // Where nothing rises the later waves stay where they were.
        let parts = parts || self.git.tip().is_some_and(Document::pauses);
        if !parts && journals.windows(2).any(|pair| pair[0].state.traffic != pair[1].state.traffic) {
            return fail("the clusters differ");
        }
        match self.git.tip() {
            None if matches!(reason, Some(Reason::Released | Reason::GitUnknown) | None) => Ok(()),
            None => fail("it was removed"),
            Some(document) if document.pauses() => Ok(()),
            Some(document) => {
                let Some(journal) = journals.first() else { return fail("nothing is there") };
                match &journal.phase {
                    Phase::Settled => self.is_as_asked(document, &fail),
                    Phase::WentBack { .. } if self.may_have_failed(journal) => Ok(()),
                    // A person brought it again before anybody saw what was in between: to go on, they say so otherwise.
                    Phase::WentBack { .. } if journal.restore.as_ref().is_some_and(|r| self.git.brings_again(r)) => {
                        Ok(())
                    }
                    _ if (document.holds() || document.may_part()) && journal.failure.is_some() => Ok(()),
                    _ => fail("it does not arrive"),
                }
            }
        }
    }

    fn may_have_failed(&self, journal: &Journal) -> bool {
        let happened = &self.happened;
        let content = journal.failed.iter().any(|key| key.target == journal.plan.traffic);
        content && (happened.invalid || happened.gone || happened.lowered || happened.unready || happened.stopped)
    }

    /// Both objects are what the document renders, and nothing is left of anything else.
    fn is_as_asked(&self, document: Document, fail: &dyn Fn(&str) -> Verdict) -> Verdict {
        let plan = document.plan();
        for place in &self.places {
            let route = place.live(ObjectKind::VirtualService);
            let rule = place.live(ObjectKind::DestinationRule);
            let Some(route) = route else { return fail("the VirtualService is missing") };
            let drift = istio::drift(route, &plan.routing, &plan.traffic);
            if drift.weights_differ || drift.spec_differs {
                return fail(&format!("{} is not as the plan says", place.name));
            }
            let owned = Owned {
                subsets: ["v1", "v2", "v3"].map(tidegate::plan::VersionName::new).into_iter().collect(),
                traffic_policy: false,
            };
            let edit = istio::destinations_edit(rule, &plan.routing, &plan.routing.versions, &owned, &Marks::default());
            if let Some(edit) = edit {
                return fail(&format!("the DestinationRule in {} still needs {edit:?}", place.name));
            }
        }
        Ok(())
    }
}
