//! What the running process knows, put together when somebody asks: standing still costs nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    cluster::{Announcer, Answer, Asking, Cluster, Member, ProxyWatch, Role, Verb},
    git::Operation,
    istio::live_shares,
    plan::{Finding, ObjectKey, Plan, PlanKey, Revision, Severity, Traffic, VersionName},
    rollout::{ClusterName, Fight, ImageChange, Journal, Owner, Phase, Reason, Restore},
};

use super::{RestoreState, Sight, Tally, Worker, engine::Engine, fleet::FileReport};

/// A question for the present report.
#[derive(Debug)]
pub struct Ask {
    /// Whether plans, findings and tally are asked for; the rest costs next to nothing.
    pub whole: bool,
    /// Where the answer goes; whoever stopped waiting is not answered.
    pub answer: oneshot::Sender<Report>,
}

/// Everything at one instant.
#[derive(Clone, Debug)]
pub struct Report {
    /// When, by the process's clock.
    pub at: Timestamp,
    /// Whether Git and every cluster have been read once.
    pub ready: bool,
    /// The plan repositories; none where a guard asks none.
    pub repositories: Vec<RepositoryReport>,
    /// Who leads; none where this process is the only one.
    pub lease: Option<LeaseReport>,
    /// The configuration file, where there is one.
    pub configuration: Option<FileReport>,
    /// The clusters.
    pub clusters: Vec<ClusterReport>,
    /// Every plan that is in force, refused, removed but not let go, or live without a plan; by owner.
    pub plans: Vec<PlanReport>,
    /// What was counted since the start.
    pub tally: Tally,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseReport {
    /// Who holds the lease; none: nobody is known to.
    pub holder: Option<Arc<str>>,
    /// Whether that is this process, and it is sure of it.
    pub leads: bool,
    /// The lease's term, where it is.
    pub term: Option<u64>,
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
    /// Looks at it so far, by what was seen.
    pub looks: BTreeMap<&'static str, u64>,
    /// How often each operation on it had each outcome.
    pub requests: Vec<(Operation, &'static str, u64)>,
}

/// How one cluster stands.
#[derive(Clone, Debug)]
pub struct ClusterReport {
    /// Its name.
    pub name: ClusterName,
    /// What plans may choose it by.
    pub labels: BTreeMap<String, String>,
    /// The mesh that it shares its endpoints in.
    pub mesh: Option<String>,
    /// What it is there.
    pub role: Role,
    /// Whether its caches have been complete once.
    pub synced: bool,
    /// Why it is away; none while it answers.
    pub away: Option<String>,
    /// Since when it is away.
    pub away_since: Option<Timestamp>,
    /// How long its API server's last answer took, in milliseconds; none before the first.
    pub answer_ms: Option<u64>,
    /// Who is asked whether the proxies have what was written.
    pub asking: Asking,
    /// Requests so far.
    pub requests: BTreeMap<(Verb, Answer), u64>,
    /// Events that were never published.
    pub events_dropped: u64,
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
    /// How far the restore of its document has come; none where nothing is to be restored.
    pub restoring: Option<RestoreState>,
    /// What each cluster reached.
    pub reached: BTreeMap<ClusterName, Reached>,
}

/// What one cluster reached.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The position, as it was last seen.
    pub position: Option<Arc<Position>>,
    /// What callers get, as far as the route is of the plan's form.
    pub live: Option<Traffic>,
    /// Ready endpoints that the versions of the way back have now, where that is known.
    pub way_back_ready: BTreeMap<VersionName, u32>,
    /// A fight over one of its objects.
    pub fight: Option<Box<Fight>>,
    /// Whether the plan was taken out of this cluster and is being let go there.
    pub leaves: bool,
}

/// What a journal says, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// Whose it is.
    pub owner: Owner,
    /// The plan in force.
    pub plan: Arc<Plan>,
    /// The commit that gave it its digest.
    pub revision: Revision,
    /// Where the walk stands.
    pub phase: Phase,
    /// The step that was entered, while walking: its name, and percent of the rising versions.
    pub step: Option<(Option<String>, u8)>,
    /// Percent that the versions which rise have here, and of how much; none where nothing rises.
    pub risen: Option<(u8, u8)>,
    /// How many of how many waves of clusters have it, where not all do, and whether this cluster does.
    pub wave: Option<(usize, usize, bool)>,
    /// The versions of what was reached and of the plan in force.
    pub versions: Box<[VersionName]>,
    /// What was reached.
    pub desired: Traffic,
    /// Where a failure would lead; none where there is nothing to go back from.
    pub way_back: Option<Traffic>,
    /// Ready endpoints of its versions when the walk first raised anything.
    pub way_back_ready: BTreeMap<VersionName, u32>,
    /// Versions behind which other images run than those that were proven or tested.
    pub images: Option<Box<BTreeMap<VersionName, ImageChange>>>,
    /// What Git should say again.
    pub restore: Option<Box<Restore>>,
    /// When the present position was entered.
    pub entered: Timestamp,
    /// When the proxies had it.
    pub converged: Option<Timestamp>,
}

impl Position {
    /// What this journal says.
    pub fn of(journal: &Journal) -> Self {
        let step = match journal.phase {
            Phase::Walking { weight } => {
                let step = journal.plan.steps.iter().find(|step| step.weight == weight);
                Some((step.and_then(|step| step.name.clone()), weight))
            }
            _ => None,
        };
        let rises = !journal.rising.is_empty();
        let routings = [&*journal.state.routing, &journal.plan.routing];
        let versions: BTreeSet<&VersionName> =
            routings.into_iter().flat_map(|routing| &routing.versions).map(|version| &version.name).collect();
        Self {
            versions: versions.into_iter().cloned().collect(),
            owner: journal.owner.clone(),
            plan: journal.plan.clone(),
            revision: journal.revision.clone(),
            phase: journal.phase.clone(),
            step,
            risen: rises.then(|| (journal.risen(&journal.state.traffic), journal.risen(&journal.plan.traffic))),
            wave: journal.waves(),
            desired: journal.state.traffic.clone(),
            way_back: journal.way_back.as_ref().map(|settled| settled.state.traffic.clone()),
            way_back_ready: journal.way_back_ready.clone(),
            images: Some(journal.image_changes()).filter(|changes| !changes.is_empty()).map(Box::new),
            restore: journal.restore.clone().map(Box::new),
            entered: journal.entered,
            converged: journal.converged,
        }
    }
}

impl Position {
    /// Ready endpoints that the versions of the way back have now, where that is known.
    pub(super) fn way_back_left(&self, cluster: &str, sight: &impl Sight) -> BTreeMap<VersionName, u32> {
        let routing = &self.plan.routing;
        let ready = |name: &VersionName| {
            let (service, namespace) = routing.service.service()?;
            let labels = &routing.version(name)?.labels;
            Some((name.clone(), sight.ready(cluster, namespace, service, labels)?))
        };
        self.way_back_ready.keys().filter_map(ready).collect()
    }
}

impl Reached {
    /// What a journal and the VirtualService beside it say.
    pub(super) fn of(journal: Option<&Arc<Journal>>, live: Option<&Value>) -> Self {
        let shares = |journal: &Arc<Journal>| live_shares(live?, &journal.state.routing).traffic;
        Self {
            position: journal.map(|journal| Arc::new(Position::of(journal))),
            live: journal.and_then(shares),
            way_back_ready: BTreeMap::new(),
            fight: None,
            leaves: false,
        }
    }
}

impl Engine {
    /// What is known at this instant; the cost of a whole one grows with the number of plans.
    pub(super) fn report(&self, whole: bool) -> Report {
        let mut plans: Vec<PlanReport> =
            self.workers.iter().filter(|_| whole).map(|(route, worker)| self.plan_report(route, worker)).collect();
        plans.extend(self.catalog.refused().filter(|_| whole).map(|key| self.refused_report(key)));
        plans.sort_by(|one, two| (&one.owner, &one.route).cmp(&(&two.owner, &two.route)));
        let cluster = |member: &Member| {
            let name = &member.name;
            let client = self.view.client(name);
            let watch = self.view.places.get(name).and_then(|place| place.proxies.watch.as_ref());
            ClusterReport {
                labels: member.labels.clone(),
                mesh: member.mesh.clone(),
                role: member.role,
                synced: self.synced.contains(name),
                away: self.view.away.get(name).map(|away| away.why.clone()),
                away_since: self.view.away.get(name).map(|away| away.since),
                answer_ms: client.and_then(|client| u64::try_from(client.answered_in()?.as_millis()).ok()),
                asking: watch.map(ProxyWatch::asking).unwrap_or_default(),
                requests: client.map(Cluster::requests).unwrap_or_default(),
                events_dropped: self.announcers.get(name).map_or(0, Announcer::dropped),
                name: name.clone(),
            }
        };
        let repository = RepositoryReport {
            name: self.repository.clone(),
            branch: self.branch.clone(),
            revision: self.tip.clone(),
            last_look: self.view.git.last_look,
            error: self.git_error.clone(),
            findings: self.catalog.findings().filter(|_| whole).cloned().collect(),
            looks: self.looks.clone(),
            requests: self.git_meter.requests(),
        };
        Report {
            at: self.clock.now(),
            ready: self.is_informed(),
            repositories: if self.is_guard() { Vec::new() } else { vec![repository] },
            lease: self.lease_report(),
            configuration: self.fleet.file.clone(),
            clusters: self.fleet.members().map(cluster).collect(),
            plans,
            tally: if whole { self.tally.clone() } else { Tally::default() },
        }
    }

    /// The report of a plan that is refused and has no worker.
    pub(super) fn refused_report(&self, key: &PlanKey) -> PlanReport {
        let error = self.catalog.findings_of(key).find(|finding| finding.severity == Severity::Error);
        let why = error.map_or_else(String::new, |finding| format!("{}, {}", finding.code, finding.message));
        let clusters = self.catalog.asks_for(key).of(self.fleet.known());
        let nothing = |cluster: ClusterName| (cluster, Reached::default());
        PlanReport {
            owner: Some(self.owner(key)),
            route: ObjectKey { namespace: key.namespace.clone(), name: key.name.clone() },
            plan: None,
            newer_invalid: false,
            reason: Some(Reason::Refused { why }),
            next: None,
            restoring: None,
            reached: clusters.into_iter().map(nothing).collect(),
        }
    }

    pub(super) fn plan_report(&self, route: &ObjectKey, worker: &Worker) -> PlanReport {
        let entry = self.catalog.entry(route);
        let living = entry.filter(|entry| entry.removed.is_none());
        let reached: BTreeMap<ClusterName, Reached> = worker
            .reached()
            .map(|(cluster, reached)| {
                let position = reached.position.as_ref();
                let way_back_ready = position.map(|position| position.way_back_left(cluster, &self.view));
                let way_back_ready = way_back_ready.unwrap_or_default();
                let fight = worker.fight(cluster).map(Box::new);
                (cluster.clone(), Reached { fight, way_back_ready, ..reached })
            })
            .collect();
        let journaled = || Some(reached.values().find_map(|reached| reached.position.as_ref())?.owner.clone());
        PlanReport {
            owner: entry.map(|entry| self.owner(&entry.plan.key)).or_else(journaled),
            route: route.clone(),
            plan: living.map(|entry| (entry.plan.clone(), entry.revision.clone())),
            newer_invalid: living.is_some_and(|entry| entry.newer_invalid),
            reason: worker.reason().cloned(),
            next: worker.reason().and_then(Reason::until).or(worker.wake_at()),
            restoring: worker.restoring().cloned(),
            reached,
        }
    }
}
