//! What the running process knows, put together when somebody asks: standing still costs nothing.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::{
    istio::live_shares,
    plan::{Finding, ObjectKey, Plan, Revision, Traffic},
    rollout::{ClusterName, Fight, Journal, Owner, Reason},
};

use super::{Worker, engine::Engine};

/// A question for the present report; whoever stopped waiting is not answered.
pub type Ask = oneshot::Sender<Report>;

/// Everything at one instant.
#[derive(Clone, Debug)]
pub struct Report {
    /// When, by the process's clock.
    pub at: Timestamp,
    /// Whether Git and every cluster have been read once.
    pub ready: bool,
    /// The plan repositories.
    pub repositories: Vec<RepositoryReport>,
    /// The clusters.
    pub clusters: Vec<ClusterReport>,
    /// Every plan that is in force, removed but not let go, or live without a plan; by owner.
    pub plans: Vec<PlanReport>,
}

/// How one plan repository stands.
#[derive(Clone, Debug)]
pub struct RepositoryReport {
    /// Its name in plan ids.
    pub name: String,
    /// The branch that is followed.
    pub branch: String,
    /// The accepted tip; none before the first.
    pub revision: Option<Revision>,
    /// The last good look; none before the first.
    pub last_look: Option<Timestamp>,
    /// Why the last look was not good.
    pub error: Option<String>,
    /// What is wrong with its plans at the accepted tip.
    pub findings: Vec<Finding>,
}

/// How one cluster stands.
#[derive(Clone, Debug)]
pub struct ClusterReport {
    /// Its name.
    pub name: ClusterName,
    /// Whether its caches have been complete once.
    pub synced: bool,
    /// Why it is away; none while it answers.
    pub away: Option<String>,
}

/// How one plan stands.
#[derive(Clone, Debug)]
pub struct PlanReport {
    /// `repository/namespace/name`; none where a journal that cannot be read hides it.
    pub owner: Option<Owner>,
    /// The VirtualService.
    pub route: ObjectKey,
    /// The plan in force, with the commit that gave it its digest; none where Git was not read or has none.
    pub plan: Option<(Arc<Plan>, Revision)>,
    /// Whether the tip holds a newer version that is refused.
    pub newer_invalid: bool,
    /// Why it stands where it stands; none before the first decision.
    pub reason: Option<Reason>,
    /// When it looks again by itself.
    pub next: Option<Timestamp>,
    /// What each cluster reached.
    pub reached: BTreeMap<ClusterName, Reached>,
}

/// What one cluster reached.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The position, as it was last seen.
    pub journal: Option<Arc<Journal>>,
    /// What callers get, as far as the route is of the plan's form.
    pub live: Option<Traffic>,
    /// A fight over one of its objects.
    pub fight: Option<Fight>,
}

impl Engine {
    /// Everything at this instant; its cost grows with the number of plans.
    pub(super) fn report(&self) -> Report {
        let mut plans: Vec<PlanReport> =
            self.workers.iter().map(|(route, worker)| self.plan_report(route, worker)).collect();
        plans.sort_by(|one, two| (&one.owner, &one.route).cmp(&(&two.owner, &two.route)));
        let cluster = |name: &ClusterName| ClusterReport {
            name: name.clone(),
            synced: self.synced.contains(name),
            away: self.away.get(name).cloned(),
        };
        let repository = RepositoryReport {
            name: self.repository.clone(),
            branch: self.branch.clone(),
            revision: self.tip.clone(),
            last_look: self.view.git.last_look,
            error: self.git_error.clone(),
            findings: self.catalog.findings().cloned().collect(),
        };
        Report {
            at: self.clock.now(),
            ready: self.is_informed(),
            repositories: vec![repository],
            clusters: self.view.places.keys().map(cluster).collect(),
            plans,
        }
    }

    pub(super) fn plan_report(&self, route: &ObjectKey, worker: &Worker) -> PlanReport {
        let entry = self.catalog.entry(route);
        let living = entry.filter(|entry| entry.removed.is_none());
        let journaled = || worker.journal().map(|journal| journal.owner.clone());
        let reached = worker.seen().map(|(cluster, journal, live)| {
            let shares = |journal: &Arc<Journal>| live_shares(live?, &journal.state.routing).traffic;
            let (journal, live) = (journal.cloned(), journal.and_then(shares));
            (cluster.clone(), Reached { journal, live, fight: worker.fight(cluster) })
        });
        PlanReport {
            owner: entry.map(|entry| self.owner(&entry.plan.key)).or_else(journaled),
            route: route.clone(),
            plan: living.map(|entry| (entry.plan.clone(), entry.revision.clone())),
            newer_invalid: living.is_some_and(|entry| entry.newer_invalid),
            reason: worker.reason().cloned(),
            next: worker.reason().and_then(Reason::until).or(worker.wake_at()),
            reached: reached.collect(),
        }
    }
}
