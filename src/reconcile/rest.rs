//! A route at rest: nothing is to be done, so its objects are packed and what was read off them is let go.
//!
//! Most routes are at rest at any one time. The next event unpacks them, which costs a fraction of a millisecond.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use crate::{
    istio::{ObjectKind, lens},
    plan::{ObjectKey, Plan, Version, VersionName},
    rollout::{ClusterName, Images, JOURNAL, Journal, Phase, Reason, Wanted},
};

use super::{Event, Live, Sight, Worker, fights::Fights, held::Held, marks, packed::Packed, report::Reached};

/// What a route at rest keeps of one cluster.
#[derive(Clone)]
pub(super) struct Rest {
    virtual_service: Packed,
    destination_rule: Packed,
    stands: bool,
    /// Whether every version in question is one of the plan's.
    planned: bool,
    pub(super) reached: Reached,
}

/// What runs behind the labels in each cluster, as one number: a route at rest keeps no more of it.
pub(super) fn mark<'a>(clusters: impl Iterator<Item = (&'a ClusterName, &'a BTreeMap<VersionName, Images>)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    clusters.for_each(|known| known.hash(&mut hasher));
    hasher.finish()
}

impl Held {
    /// Whether nothing is held that both objects do not tell.
    fn may_lie_down(&self, notes: bool) -> bool {
        let told = match (&self.journal, &self.memory) {
            (Some(Ok(journal)), Some(memory)) => Arc::ptr_eq(journal, memory) && journal.phase == Phase::Settled,
            _ => false,
        };
        // What was not noted yet, as another replica has the lease, is not forgotten.
        let noted = !notes || self.told.is_some();
        told && noted && self.is_quiet() && (self.standing.is_none() || self.standing == self.memory)
    }

    /// Puts both objects away, if they are these two.
    fn lie_down(&mut self, plan: &Arc<Plan>, planned: bool, virtual_service: Packed, destination_rule: Packed) {
        let same = |live: Option<&serde_json::Value>, packed: &Packed| live.is_some_and(|live| packed.holds(live));
        if !same(self.virtual_service(), &virtual_service) || !same(self.destination_rule(), &destination_rule) {
            return;
        }
        let stands = self.standing.is_some();
        let mut reached = Reached::of(self.memory.as_ref(), self.virtual_service());
        // The same plan as Git has it is held once.
        if let Some(position) = reached.position.as_mut().and_then(Arc::get_mut).filter(|one| one.plan == *plan) {
            position.plan = plan.clone();
        }
        self.resting = Some(Box::new(Rest { virtual_service, destination_rule, stands, planned, reached }));
        (self.virtual_service, self.destination_rule) = (None, None);
        (self.journal, self.memory, self.copy, self.standing, self.told) = (None, None, None, None, None);
        (self.written_down, self.led_back) = (None, None);
    }

    /// Takes both objects out again.
    fn get_up(&mut self) {
        let Some(rest) = self.resting.take() else { return };
        let (route, rule) = (rest.virtual_service.unpacked(), rest.destination_rule.unpacked());
        let on = |live: &Live| live.as_deref().and_then(Journal::on).and_then(Result::ok).map(Arc::new);
        let journal = on(&route);
        let copy = if text(&route) == text(&rule) { journal.clone() } else { on(&rule) };
        self.copy = copy.filter(|_| rule.as_deref().is_some_and(marks::is_marked));
        self.journal = journal.clone().map(Ok);
        self.memory.clone_from(&journal);
        // Whatever rests was looked at.
        self.told.clone_from(&journal);
        self.standing = journal.filter(|_| rest.stands);
        (self.virtual_service, self.destination_rule) = (Some(route), Some(rule));
    }
}

fn text(live: &Live) -> Option<&str> {
    lens::annotation(live.as_deref()?, JOURNAL)
}

impl Worker {
    /// Puts away what is settled and waits for nothing; `packed` are the objects as they were last seen.
    pub fn lie_down(&mut self, packed: impl Fn(&str, ObjectKind, &ObjectKey) -> Option<Packed>) {
        let rests = matches!(self.reason, Some(Reason::Settled | Reason::Away { .. }));
        let Some(plan) = self.followed_plan() else { return };
        if !rests
            || self.wake_at.is_some()
            || self.awaits_proxies
            || self.is_behind()
            || self.is_busy()
            || self.is_at_rest()
        {
            return;
        }
        let plan = plan.clone();
        let is_planned = |version: &&Version| {
            plan.routing.version(&version.name).is_some_and(|planned| planned.labels == version.labels)
        };
        let planned = self.versions().iter().all(is_planned);
        let (rule, notes) = (self.destination_rule(), self.settings.notes);
        for (cluster, held) in self.clusters.iter_mut().filter(|(_, held)| held.may_lie_down(notes)) {
            let route = packed(cluster, ObjectKind::VirtualService, &self.key);
            if let Some((route, rule)) = route.zip(packed(cluster, ObjectKind::DestinationRule, &rule)) {
                held.lie_down(&plan, planned, route, rule);
            }
        }
    }

    /// Whether all goes on resting in spite of an event: what is settled asks Git for the plan alone, and the rest of the
    /// world for endpoints that are gone or run something else.
    pub(super) fn rests_on(&mut self, event: &Event, sight: &impl Sight) -> bool {
        let tells_nothing = match event {
            Event::Wanted(wanted) => *wanted == self.wanted,
            Event::Look => true,
            _ => false,
        };
        let Some(plan) = self.followed_plan() else { return false };
        let rests = |held: &Held| held.resting.as_ref().is_some_and(|rest| rest.planned);
        if !tells_nothing
            || !matches!(self.reason, Some(Reason::Settled))
            || !self.clusters.values().all(|held| rests(held))
        {
            return false;
        }
        let Some((service, namespace)) = plan.routing.service.service() else { return false };
        let gone =
            |cluster: &str, version: &Version| sight.ready(cluster, namespace, service, &version.labels) == Some(0);
        let run = |cluster: &ClusterName| {
            let of = |version: &Version| {
                let images = sight.images(cluster, namespace, service, &version.labels)?;
                Some((version.name.clone(), images))
            };
            (cluster.clone(), plan.routing.versions.iter().filter_map(of).collect())
        };
        let run: Vec<(ClusterName, BTreeMap<VersionName, Images>)> = self.clusters.keys().map(run).collect();
        let others_run = mark(run.iter().map(|(cluster, images)| (cluster, images))) != self.ran;
        let goes_on = !others_run
            && !self.clusters.keys().any(|name| plan.routing.versions.iter().any(|version| gone(name, version)));
        if goes_on && matches!(event, Event::Wanted(_)) {
            self.clusters.values_mut().for_each(|held| held.fights = Fights::default());
        }
        goes_on
    }

    /// The plan that a route follows: Git's, or, where nothing is known of Git, as by a guard, that of its journal.
    fn followed_plan(&self) -> Option<&Arc<Plan>> {
        match &self.wanted {
            Wanted::Plan { plan, .. } => Some(plan),
            Wanted::Unknown => self.journaled_plan(),
            Wanted::Removed { .. } => None,
        }
    }

    /// The plan of the last journal seen in any cluster, put away or not.
    pub(super) fn journaled_plan(&self) -> Option<&Arc<Plan>> {
        let mut resting = self.clusters.values().filter_map(|held| held.resting.as_deref());
        let rests = || Some(&resting.find_map(|rest| rest.reached.position.as_deref())?.plan);
        self.journal().map(|journal| &journal.plan).or_else(rests)
    }

    /// Takes out what was put away.
    pub(super) fn get_up(&mut self) {
        self.clusters.values_mut().for_each(|held| held.get_up());
    }

    /// Whether all is put away.
    pub(super) fn is_at_rest(&self) -> bool {
        self.parting.is_empty() && self.clusters.values().all(|held| held.resting.is_some())
    }
}
