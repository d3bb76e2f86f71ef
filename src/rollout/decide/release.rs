//! What becomes of a plan that was removed.

use super::{
    super::{Decision, Goal, Journal, Phase, Reason, Wanted, What, accept, gates, sight},
    Draft,
};

impl Draft<'_> {
    /// The plan is gone: in mid-walk that is a way back (law 12); then the objects are let go.
    pub(super) fn released(mut self) -> Decision {
        let live = self.world.clusters.values().any(|cluster| cluster.virtual_service.is_some());
        // Before a plan there was nothing to go back to: what has never settled goes as what has.
        let first = self.journal.settled.is_empty();
        let prune = |journal: &Journal| journal.plan.prune && (first || matches!(journal.phase, Phase::Settled));
        let elsewhere = matches!(self.world.wanted, Wanted::Removed { elsewhere: true, .. });
        let gone = if elsewhere { "this cluster was taken out of the plan" } else { "the plan was removed" };
        match self.journal.phase {
            Phase::Released { .. } => {}
            _ if !live => {
                self.journal.phase = Phase::Released { prune: prune(&self.journal), elsewhere };
            }
            Phase::Settled | Phase::WentBack { .. } => {
                self.journal.phase = Phase::Released { prune: prune(&self.journal), elsewhere };
                accept::note(&mut self.journal, self.now, What::Released, gone.to_owned());
            }
            Phase::Starting | Phase::Walking { .. } | Phase::Target => {
                let note = match gates::refuge(self.world, &self.journal).cloned() {
                    Some(refuge) => {
                        accept::go_back(
                            &mut self.journal,
                            &refuge,
                            self.now,
                            Phase::Released { prune: false, elsewhere },
                        );
                        format!("{gone} in mid-walk")
                    }
                    None if first => {
                        self.journal.phase = Phase::Released { prune: prune(&self.journal), elsewhere };
                        format!("{gone} before it ever settled")
                    }
                    None => {
                        let cause = gone.to_owned();
                        return self.finish(Reason::NoWayBack { cause });
                    }
                };
                accept::note(&mut self.journal, self.now, What::Released, note);
            }
        }
        let Phase::Released { prune, .. } = self.journal.phase else { return self.finish(Reason::Released) };
        let (world, unchanged) = (self.world, self.journal == *self.found);
        let mut decision = self.finish(Reason::Released);
        for (name, goal) in &mut decision.goals {
            let view = world.clusters.get(name);
            let live = view.is_some_and(|cluster| cluster.virtual_service.is_some());
            let has_journal = view.is_some_and(|cluster| matches!(cluster.journal, Some(Ok(_))));
            // Another cluster may have missed the way back; what a person does to one that has it is theirs.
            let missed = has_journal && matches!(goal, Goal::Apply(apply) if apply.journal_changed);
            if view.is_some_and(sight::is_foreign) {
                *goal = Goal::Keep;
            } else if prune {
                *goal = Goal::Prune;
            } else if !live || (unchanged && !missed) {
                *goal = Goal::Keep;
            }
        }
        decision
    }
}
