//! What an onlooker of one of several clusters can say: others' positions and clocks count there, too.

use std::collections::BTreeSet;

use tidegate::{
    plan::{Plan, Traffic, VersionName},
    rollout::{Journal, Phase},
};

use super::{
    super::{
        position::{Position, total},
        wrote::{Verdict, Wrote, ensure},
    },
    Ledger, WAIT_MS,
};

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
}
