//! What an onlooker of one of several clusters can say: others' positions and clocks count there, too.

use std::collections::BTreeSet;

use tidegate::{
    plan::{Plan, Traffic, VersionName},
    rollout::{Journal, Phase, What},
};

use super::{
    super::{
        position::{Position, hold_ms, sums, total},
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

/// The shortest hold that a plan may mean where it gives these weights: at its target, or at a step of such a sum.
fn shortest_ms(plan: &Plan, traffic: &Traffic) -> i64 {
    let sums = sums(traffic, &traffic.iter().map(|(name, _)| name.clone()).collect());
    let steps = plan.steps.iter().filter(|step| sums.contains(&step.weight)).map(|step| step.hold);
    let settle = (plan.traffic == *traffic).then_some(plan.settle);
    steps.chain(settle).map(|hold| hold_ms(hold.seconds())).min().unwrap_or(0)
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

    /// Law 7 for the first of several clusters that rises: all of them had what is left for as long as it is to be held.
    pub(super) fn all_held(&self, position: &Position, traffic: &Traffic, wrote: &Wrote<'_>) -> Verdict {
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
        let gains = journal.state.traffic.iter().any(|(name, weight)| {
            weight > before.state.traffic.weight(name).max(self.proven_by_name(&journal.state.routing, name))
        });
        if !gains {
            return Ok(());
        }
        // What was entered before another commit came has been held by the plan of that time.
        let entered = journal.transitions.iter().rev().take_while(|there| !before.transitions.contains(there));
        let entered =
            entered.filter(|there| there.what == What::WaveEntered).map(|there| (wrote.plan_of)(&there.commit));
        let held_ms = entered.flatten().map(|plan| shortest_ms(&plan, &journal.state.traffic)).min();
        let held_ms = held_ms.unwrap_or_else(|| match journal.phase {
            Phase::Walking { weight } => {
                let step = journal.plan.steps.iter().find(|step| step.weight == weight);
                step.map_or(0, |step| hold_ms(step.hold.seconds()))
            }
            _ => hold_ms(journal.plan.settle.seconds()),
        });
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
