//! What an onlooker of one of several clusters can say: others' positions and clocks count there, too.

use std::collections::BTreeSet;

use tidegate::{
    plan::{Plan, Routing, Traffic, VersionName},
    rollout::{Journal, Phase, What},
};

use super::{
    super::{
        position::{Position, hold_ms, total, traffic_of},
        wrote::{Verdict, Wrote, ensure},
    },
    Ledger, WAIT_MS,
};

/// Whether a cluster that stood apart stands with the others after that.
pub(super) fn ends_apart(what: What) -> bool {
    matches!(
        what,
        What::WaveEntered | What::TakenBack | What::Settled | What::WentBack | What::Applied | What::Released
    )
}

/// The shortest hold of a plan.
fn shortest_ms(plan: &Plan) -> i64 {
    let holds = plan.steps.iter().map(|step| step.hold).chain([plan.settle]);
    holds.map(|hold| hold_ms(hold.seconds())).min().unwrap_or(0)
}

impl Ledger {
    /// Another branch of what happened: another cluster's, or a journal that was lost and restored from a copy. Nothing
    /// is above what has stood.
    pub(super) fn restored(&mut self, before: &Journal, journal: &Journal, wrote: &Wrote<'_>) -> Verdict {
        self.hold_ms = None;
        // The other cluster entered by a decision of its own what stands here too, and has settled it for both.
        if !wrote.alone && matches!(journal.phase, Phase::Settled) && journal.state == before.state {
            self.prove(&journal.state.routing, &journal.state.traffic);
        }
        let copied = || wrote.copy.and_then(|rule| Journal::on(rule)?.ok()).filter(|copy| copy.state == journal.state);
        if wrote.knowledge.is_none() {
            return Ok(());
        }
        if let Some(copy) = copied() {
            // The newest that is left of it: what came after is not known any more.
            self.prove(&copy.state.routing, &copy.state.traffic);
            self.failed.clone_from(&copy.failed);
            return Ok(());
        }
        for (name, weight) in journal.state.traffic.iter() {
            let most = before.state.traffic.weight(name).max(self.proven_by_name(&journal.state.routing, name));
            ensure(weight <= most, "law 2", || format!("{name} was restored at {weight}, above {most}"))?;
        }
        Ok(())
    }

    /// A raise in one of several clusters: others' positions and clocks count too, but its weight is one of the plan's.
    pub(super) fn declared(&self, position: &Position, traffic: &Traffic, plan: &Plan) -> Verdict {
        let gains = |name: &&VersionName| traffic.weight(name) > position.traffic.weight(name);
        let gaining: BTreeSet<VersionName> = traffic.iter().map(|(name, _)| name).filter(gains).cloned().collect();
        let is_step = |of: &BTreeSet<VersionName>| {
            let to = total(traffic, of);
            to == total(&plan.traffic, of) || plan.steps.iter().any(|step| step.weight == to)
        };
        // What has stood in this cluster may not have in another: there it rises, too.
        let declared = is_step(&self.rising(position, plan)) || is_step(&gaining);
        ensure(declared, "law 2", || format!("{traffic} is no step towards {}", plan.traffic))
    }

    /// What the first waves had alone was taken back from them.
    pub(super) fn taken_back(&mut self, position: &Position, routing: &Routing, traffic: &Traffic) -> Verdict {
        self.hold_ms = None;
        let to_last = self.last_settled.as_ref() == Some(traffic);
        for (name, weight) in traffic.iter().filter(|_| !to_last) {
            let most = position.traffic.weight(name).max(self.proven_by_name(routing, name));
            ensure(weight <= most, "law 2", || format!("{name} is taken back to {weight}, above {most}"))?;
        }
        Ok(())
    }

    /// Law 7 for the first of several clusters that rises: all of them had what is left for as long as it is to be held.
    pub(super) fn all_held(&self, position: &Position, traffic: &Traffic, plan: &Plan, wrote: &Wrote<'_>) -> Verdict {
        let answering = wrote.knowledge.and_then(|knowledge| knowledge.answering);
        let quorum = plan.quorum.map_or(usize::MAX, |quorum| usize::try_from(quorum).unwrap());
        ensure(answering.is_none_or(|answering| answering >= quorum), "law 8", || {
            format!("only {answering:?} clusters answer, and {traffic} is entered")
        })?;
        let Some(hold_ms) = self.hold_ms.filter(|_| !wrote.handled) else { return Ok(()) };
        let say = |what: &str| format!("{what}: from {} to {traffic}", position.traffic);
        let Some(others_ms) = wrote.others_ms else { return Err(("law 7", say("another cluster is elsewhere"))) };
        let stands_ms = wrote.now_ms - self.since_ms.max(others_ms) + (self.skews_ms.1 - self.skews_ms.0);
        ensure(stands_ms >= hold_ms + WAIT_MS, "law 7", || {
            say(&format!("all have stood {stands_ms} ms of {hold_ms} ms and the wait"))
        })
    }

    /// Law 7 for a later wave: those before it have had for as long as it is to be held what rises here.
    pub(super) fn after_others(&self, before: &Journal, journal: &Journal, wrote: &Wrote<'_>) -> Verdict {
        let Some(earlier_ms) = wrote.earlier_ms.filter(|_| journal.is_raised() && !wrote.handled) else {
            return Ok(());
        };
        let fresh = || journal.transitions.iter().rev().take_while(|there| !before.transitions.contains(there));
        // A wave that others entered and this one missed, before another document came, was judged there.
        let missed = |name: &VersionName| {
            let entered = fresh().skip(1).filter(|there| there.what == What::WaveEntered);
            entered.map(|there| traffic_of(&there.traffic).weight(name)).max().unwrap_or(0)
        };
        let gains = journal.state.traffic.iter().any(|(name, weight)| {
            let proven = self.proven_by_name(&journal.state.routing, name);
            weight > before.state.traffic.weight(name).max(proven).max(missed(name))
        });
        if !gains {
            return Ok(());
        }
        let held_ms = match journal.phase {
            Phase::Walking { weight } => {
                let step = journal.plan.steps.iter().find(|step| step.weight == weight);
                step.map_or(0, |step| hold_ms(step.hold.seconds()))
            }
            _ => hold_ms(journal.plan.settle.seconds()),
        };
        // What was entered before another commit came has been held by the plan of that time.
        let entered = fresh().filter(|there| there.what == What::WaveEntered);
        let entered = entered.filter_map(|there| (wrote.plan_of)(&there.commit));
        let held_ms = entered.map(|plan| shortest_ms(&plan)).fold(held_ms, i64::min);
        let say = |what: &str| format!("{what}: {} in a later wave", journal.state.traffic);
        let Some(since_ms) = earlier_ms else { return Err(("law 7", say("an earlier wave is elsewhere"))) };
        let stands_ms = wrote.now_ms - since_ms.max(i64::MIN / 2) + (self.skews_ms.1 - self.skews_ms.0);
        ensure(stands_ms >= held_ms + WAIT_MS, "law 7", || {
            say(&format!("those before it have stood {stands_ms} ms of {held_ms} ms and the wait"))
        })
    }

    /// Of a later wave, or fallen back alone: nothing rises here.
    pub(super) fn stays(&mut self, before: &Journal, journal: &Journal, wrote: &Wrote<'_>) -> Verdict {
        if journal.state.traffic != before.state.traffic {
            self.hold_ms = None;
            self.since_ms = wrote.now_ms;
            self.skews_ms = (self.skew_ms, self.skew_ms);
        }
        // What was settled for all while it did not answer had converged here, too.
        let mut told = journal.transitions.iter().filter(|there| !before.transitions.contains(there));
        if told.any(|there| there.what == What::Settled && there.traffic == before.state.traffic.to_string()) {
            self.prove(&before.state.routing, &before.state.traffic);
        }
        let to_last = self.last_settled.as_ref() == Some(&journal.state.traffic);
        for (name, weight) in journal.state.traffic.iter().filter(|_| !to_last) {
            let most = before.state.traffic.weight(name).max(self.proven_by_name(&journal.state.routing, name));
            ensure(weight <= most, "law 2", || {
                format!("{name} rises to {weight}, above {most}, apart from the front")
            })?;
        }
        Ok(())
    }
}
