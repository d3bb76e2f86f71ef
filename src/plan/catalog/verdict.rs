//! Which of the new versions of a commit may be put in force next to the plans that stay.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    claim::{Claim, destination_rule},
    force::Force,
    refusal::Refusal,
    tip::Written,
};
use crate::plan::{Plan, PlanKey};

/// A new version and what it claims.
struct Wanted {
    path: String,
    claims: BTreeSet<Claim>,
}

/// The new versions of one commit: documents without errors that differ from what is in force.
pub(super) struct Newcomers {
    wanted: BTreeMap<PlanKey, Wanted>,
    by_claim: BTreeMap<Claim, Vec<PlanKey>>,
    identity: BTreeMap<PlanKey, Refusal>,
}

impl Newcomers {
    /// Collects them. Who is refused for its own sake alone stands in nobody's way.
    pub(super) fn new<'a>(
        force: &Force,
        documents: impl Iterator<Item = &'a Written>,
        own: impl Fn(&Plan) -> Option<Refusal>,
    ) -> Self {
        let mut newcomers = Self { wanted: BTreeMap::new(), by_claim: BTreeMap::new(), identity: BTreeMap::new() };
        for written in documents {
            let Some(good) = &written.good else { continue };
            let key = &good.plan.key;
            let moved = || force.plan(key).and_then(|present| identity(present, &good.plan));
            if let Some(refusal) = own(&good.plan).or_else(moved) {
                newcomers.identity.insert(key.clone(), refusal);
                continue;
            }
            let claims = Claim::of(&good.plan);
            for claim in claims.iter().filter(|claim| force.holder(claim) != Some(key)) {
                newcomers.by_claim.entry(claim.clone()).or_default().push(key.clone());
            }
            newcomers.wanted.insert(key.clone(), Wanted { path: written.path.clone(), claims });
        }
        newcomers
    }

    /// Why newcomers are refused if exactly the plans `gone` give up what they hold; no entry: accepted.
    ///
    /// What a plan would give up is never free in the same commit, so no verdict depends on another one.
    pub(super) fn judge(&self, force: &Force, gone: &BTreeSet<PlanKey>) -> BTreeMap<PlanKey, Vec<Refusal>> {
        let mut found: BTreeMap<PlanKey, BTreeMap<PlanKey, Refusal>> = BTreeMap::new();
        // One finding for each other plan is enough; of several, a move says most.
        let mut note = |key: &PlanKey, other: &PlanKey, refusal: Refusal| {
            let of_key = found.entry(key.clone()).or_default();
            let moves = matches!(refusal, Refusal::MovedHere { .. } | Refusal::MovedAway { .. });
            if moves || !of_key.contains_key(other) {
                of_key.insert(other.clone(), refusal);
            }
        };
        for (claim, keys) in &self.by_claim {
            let holder = force.holder(claim).filter(|holder| !gone.contains(*holder));
            for key in keys {
                if let Some(holder) = holder {
                    if self.wanted.get(holder).is_some_and(|wanted| !wanted.claims.contains(claim)) {
                        note(key, holder, Refusal::MovedHere { claim: claim.clone(), from: holder.clone() });
                        note(holder, key, Refusal::MovedAway { claim: claim.clone(), to: key.clone() });
                    } else {
                        let path = force.path(holder).unwrap_or_default().to_owned();
                        note(key, holder, Refusal::Held { claim: claim.clone(), by: holder.clone(), path });
                    }
                    continue;
                }
                for other in keys.iter().filter(|other| *other != key) {
                    let path = self.wanted.get(other).map_or_else(String::new, |wanted| wanted.path.clone());
                    note(key, other, Refusal::Contested { claim: claim.clone(), by: other.clone(), path });
                }
            }
        }
        let mut refusals: BTreeMap<PlanKey, Vec<Refusal>> =
            found.into_iter().map(|(key, others)| (key, others.into_values().collect())).collect();
        refusals.extend(self.identity.iter().map(|(key, refusal)| (key.clone(), vec![refusal.clone()])));
        refusals
    }

    /// The plans among `gone` whose VirtualService an accepted newcomer takes over.
    pub(super) fn inherited(
        &self,
        force: &Force,
        gone: &BTreeSet<PlanKey>,
        refusals: &BTreeMap<PlanKey, Vec<Refusal>>,
    ) -> BTreeSet<PlanKey> {
        self.by_claim
            .iter()
            .filter(|(claim, _)| matches!(claim, Claim::VirtualService(_)))
            .filter(|(_, keys)| keys.iter().any(|key| !refusals.contains_key(key)))
            .filter_map(|(claim, _)| force.holder(claim))
            .filter(|holder| gone.contains(*holder))
            .cloned()
            .collect()
    }
}

fn identity(present: &Plan, wanted: &Plan) -> Option<Refusal> {
    let pairs = [
        ("service", present.routing.service.to_string(), wanted.routing.service.to_string()),
        ("VirtualService", present.object().to_string(), wanted.object().to_string()),
        ("DestinationRule", destination_rule(present).to_string(), destination_rule(wanted).to_string()),
    ];
    pairs.into_iter().find(|(_, is, wanted)| is != wanted).map(|(what, is, wanted)| Refusal::Identity {
        what,
        is,
        wanted,
    })
}
