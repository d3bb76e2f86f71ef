//! Keeps the CanaryPlan resources of every cluster as the plans are. Weights go first, and nothing here is ever waited for.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    cluster::{self, CanaryPlan, Published, Written},
    istio::lens,
    plan::{ObjectKey, PlanKey},
    rollout::{ClusterName, Journal, OWNER, Phase},
};

use super::{
    engine::{Engine, Incoming},
    outbox::{Outbox, Said, Step},
    resource,
};

/// Resources that are put together before the loop looks at anything else.
const TURN_MAX: usize = 8;
/// How long resources wait for weights that are on their way.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);
/// When they are looked for again meanwhile.
const PAUSE: SignedDuration = SignedDuration::from_millis(100);

/// The resources of all clusters.
pub(super) struct Mirror {
    outboxes: BTreeMap<ClusterName, Outbox>,
    /// Routes of plans that the catalog does not know, taken up from their objects.
    routes: HashMap<PlanKey, ObjectKey>,
    started: Timestamp,
    not_before: Option<Timestamp>,
    /// Since when resources have been waiting for weights.
    yields_since: Option<Timestamp>,
}

/// What came back about a resource.
pub(super) enum Mirrored {
    Listed(Published<Vec<(PlanKey, Written)>>),
    Done(PlanKey, Published<Option<Written>>),
}

/// What a plan's resource should be.
enum Wish {
    /// It should say this.
    Be(Box<CanaryPlan>),
    /// There should be none.
    Gone,
    /// It stays as it is: what it should say is not known.
    Stay,
}

impl Mirror {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { outboxes: BTreeMap::new(), routes: HashMap::new(), started: now, not_before: None, yields_since: None }
    }

    pub(super) fn join(&mut self, cluster: &str, now: Timestamp) {
        self.outboxes.insert(cluster.to_owned(), Outbox::new(now));
    }

    /// A cluster that is none any more.
    pub(super) fn part(&mut self, cluster: &str) {
        self.outboxes.remove(cluster);
    }

    /// Everything in a cluster is to be looked at.
    fn mark_in(&mut self, cluster: &str, key: &PlanKey, now: Timestamp) {
        if let Some(outbox) = self.outboxes.get_mut(cluster) {
            outbox.mark(key, now);
        }
    }

    /// Something happened to a plan.
    fn mark(&mut self, key: &PlanKey, now: Timestamp) {
        self.outboxes.values_mut().for_each(|outbox| outbox.mark(key, now));
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let at = self.outboxes.values().filter_map(Outbox::wake_at).min()?;
        Some(self.not_before.map_or(at, |not_before| at.max(not_before)))
    }
}

impl Engine {
    /// When resources are to be looked at; none: not before something happens.
    pub(super) fn mirror_wake(&self) -> Option<Timestamp> {
        self.resources.as_ref().filter(|_| self.leads()).and_then(Mirror::wake_at)
    }

    /// Notes that something happened to a route's plan.
    pub(super) fn mirror_route(&mut self, route: &ObjectKey) {
        let now = self.clock.now();
        if let Some(key) = self.mirrored_plan(route)
            && let Some(mirror) = &mut self.resources
        {
            mirror.mark(&key, now);
        }
    }

    /// A cluster whose resources are not known: it came just now, or is reached otherwise. Those of the others are.
    pub(super) fn mirror_join(&mut self, cluster: &str, now: Timestamp) {
        let Some(mirror) = &mut self.resources else { return };
        mirror.join(cluster, now);
        for route in self.workers.keys().cloned().collect::<Vec<_>>() {
            if let Some(key) = self.mirrored_plan(&route)
                && let Some(mirror) = &mut self.resources
            {
                mirror.mark_in(cluster, &key, now);
            }
        }
    }

    /// The plan of a route, by Git or by its journal.
    fn mirrored_plan(&mut self, route: &ObjectKey) -> Option<PlanKey> {
        let mirror = self.resources.as_mut()?;
        if let Some(entry) = self.catalog.entry(route) {
            return Some(entry.plan.key.clone());
        }
        let key = self.workers.get(route)?.journaled_plan()?.key.clone();
        mirror.routes.insert(key.clone(), route.clone());
        Some(key)
    }

    /// Notes what a commit touched.
    pub(super) fn mirror_commit<'a>(&mut self, plans: impl Iterator<Item = &'a PlanKey>) {
        let now = self.clock.now();
        let Some(mirror) = &mut self.resources else { return };
        plans.for_each(|key| mirror.mark(key, now));
        mirror.outboxes.values_mut().for_each(|outbox| outbox.commit(now));
    }

    /// Does what is due, as long as no weight waits for it.
    pub(super) fn mirror_turn(&mut self) {
        let now = self.clock.now();
        // Between the first DestinationRules and the routes that need them nothing may be in flight.
        let (informed, writing) = (self.is_informed(), self.in_flight > 0 || !self.on_their_way.is_empty());
        let Some(mirror) = &mut self.resources else { return };
        let impatient = |since: Timestamp| now.duration_since(since) >= PATIENCE;
        let yields_since = mirror.yields_since.filter(|_| writing).unwrap_or(now);
        mirror.yields_since = writing.then_some(yields_since);
        if (!informed && !impatient(mirror.started)) || (writing && !impatient(yields_since)) {
            mirror.not_before = now.checked_add(PAUSE).ok();
            return;
        }
        mirror.not_before = None;
        for _ in 0..TURN_MAX {
            let Some(mirror) = &mut self.resources else { return };
            let step = mirror.outboxes.iter_mut().find_map(|(name, outbox)| Some((name.clone(), outbox.next(now)?)));
            match step {
                Some((cluster, Step::List)) => self.list_resources(cluster),
                Some((cluster, Step::Try(key))) => self.try_resource(cluster, key, now),
                None => return,
            }
        }
    }

    /// Takes in what came back.
    pub(super) fn mirrored(&mut self, name: &ClusterName, mirrored: Mirrored) {
        let now = self.clock.now();
        let Some(outbox) = self.resources.as_mut().and_then(|mirror| mirror.outboxes.get_mut(name)) else { return };
        if let Mirrored::Listed(Published::Unknown(why)) | Mirrored::Done(_, Published::Unknown(why)) = &mirrored {
            tracing::debug!(cluster = %name, "CanaryPlan resources are tried again: {why}");
        }
        let (plan, said) = match mirrored {
            Mirrored::Listed(found) => (String::new(), outbox.listed(found, now)),
            Mirrored::Done(key, answer) => (key.to_string(), outbox.done(key, answer, now)),
        };
        match said {
            None => {}
            Some(Said::On) => tracing::info!(cluster = %name, "CanaryPlan resources are written from now on"),
            Some(Said::Off(why)) => {
                tracing::info!(cluster = %name, "no CanaryPlan resources are written, and nothing else depends on them: {why}");
            }
            Some(Said::Foreign) => {
                tracing::warn!(cluster = %name, plan, "a CanaryPlan of this name was made by somebody else; it is left alone");
            }
            Some(Said::Refused(why)) => {
                tracing::warn!(cluster = %name, plan, "the API server refused the CanaryPlan resource: {why}");
            }
        }
    }

    /// The run ends: whatever waits for its pace is due now.
    pub(super) fn mirror_hurry(&mut self) {
        let now = self.clock.now();
        let Some(mirror) = &mut self.resources else { return };
        mirror.outboxes.values_mut().for_each(|outbox| outbox.hurry(now));
    }

    /// Whether every resource says what it should, as far as the clusters take them.
    pub(super) fn mirror_rests(&self) -> bool {
        !self.leads() || self.resources.as_ref().is_none_or(|mirror| mirror.outboxes.values().all(Outbox::rests))
    }

    fn list_resources(&self, cluster: ClusterName) {
        let Some(place) = self.view.places.get(&cluster) else { return };
        let (client, server) = (place.cluster.clone(), place.server());
        let (sender, repository) = (self.sender.clone(), self.repository.clone());
        tokio::spawn(async move {
            let found = cluster::list_canaryplans(&client, &repository).await;
            // The loop has ended where nobody receives.
            let _ = sender.send(Incoming::Mirrored(server, Mirrored::Listed(found)));
        });
    }

    fn try_resource(&mut self, cluster: ClusterName, key: PlanKey, now: Timestamp) {
        let wish = self.wish(&cluster, &key);
        let Some(place) = self.view.places.get(&cluster) else { return };
        let (client, server, sender) = (place.cluster.clone(), place.server(), self.sender.clone());
        let Some(outbox) = self.resources.as_mut().and_then(|mirror| mirror.outboxes.get_mut(&cluster)) else { return };
        match wish {
            Wish::Be(plan) if outbox.written(&key).is_none_or(|written| !plan.is(written)) => {
                let written = outbox.begin(&key);
                tokio::spawn(async move {
                    let answer = cluster::write_canaryplan(&client, &plan, written, now).await.map(Some);
                    // The loop has ended where nobody receives.
                    let _ = sender.send(Incoming::Mirrored(server, Mirrored::Done(key, answer)));
                });
            }
            Wish::Gone => {
                let Some(written) = outbox.written(&key).cloned() else { return };
                outbox.begin(&key);
                if let Some(mirror) = &mut self.resources {
                    mirror.routes.remove(&key);
                }
                tokio::spawn(async move {
                    let answer = cluster::remove_canaryplan(&client, &key, &written).await.map(|()| None);
                    // The loop has ended where nobody receives.
                    let _ = sender.send(Incoming::Mirrored(server, Mirrored::Done(key, answer)));
                });
            }
            Wish::Be(_) | Wish::Stay => {}
        }
    }

    fn wish(&self, cluster: &str, key: &PlanKey) -> Wish {
        let orphan = || self.resources.as_ref().and_then(|mirror| mirror.routes.get(key));
        let route = self.catalog.plan_object(key).or_else(orphan);
        if let Some((route, worker)) = route.and_then(|route| Some((route, self.workers.get(route)?))) {
            let report = self.plan_report(route, worker);
            // Another plan may have taken over the route.
            if report.owner.as_ref().is_some_and(|owner| owner.plan == *key) {
                if !report.reached.contains_key(cluster) {
                    return if self.is_informed() { Wish::Gone } else { Wish::Stay };
                }
                let plan = resource::of(&report, cluster, &self.branch, self.catalog.findings_of(key));
                return plan.map_or(Wish::Stay, |plan| Wish::Be(Box::new(plan)));
            }
        }
        if self.catalog.is_written(key) && !self.catalog.has_plan(key) {
            let report = self.refused_report(key);
            if !report.reached.contains_key(cluster) {
                return if self.is_informed() { Wish::Gone } else { Wish::Stay };
            }
            let plan = resource::of(&report, cluster, &self.branch, self.catalog.findings_of(key));
            return plan.map_or(Wish::Stay, |plan| Wish::Be(Box::new(plan)));
        }
        let owner = self.owner(key).to_string();
        let released = |live: &Value| matches!(Journal::on(live), Some(Ok(journal)) if matches!(journal.phase, Phase::Released { .. }));
        // A route that nobody works on and that was not let go belongs to a repository of the same name.
        let mut strange = self.objects.owned_by(&owner).filter_map(|(_, packed)| packed.unpacked());
        let strange = strange.any(|live| lens::annotation(&live, OWNER) == Some(&owner) && !released(&live));
        let known = self.catalog.plan_object(key).is_some() || strange;
        if known || !self.is_informed() { Wish::Stay } else { Wish::Gone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_in_one_cluster_is_looked_at_there_alone() {
        let now = Timestamp::UNIX_EPOCH;
        let mut mirror = Mirror::new(now);
        let key = PlanKey { namespace: "shop".into(), name: "web".into() };
        mirror.join("east", now);
        mirror.join("west", now);
        mirror.mark_in("west", &key, now);
        assert!(mirror.outboxes["east"].wake_at().is_none() && mirror.outboxes["west"].wake_at().is_some());
        mirror.mark(&key, now);
        assert!(mirror.outboxes["east"].wake_at().is_some());
    }
}
