//! The loop: it hands every event to the worker it concerns and performs what the workers ask for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Display,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    cluster::{self, Announcer, Outcome},
    git::{self, Sight as GitLook},
    istio::{Edit, ObjectKind, Writer},
    plan::{Allow, Catalog, Finding, ObjectKey, PlanKey, Revision, Touched},
    rollout::{ClusterName, GitSight, Lease, Owner, Settings, Wanted},
};

use super::{
    Clock, Effect, Event, Live, RestoreOrder, RestoreState, Worker, announce,
    backlog::Backlog,
    committer::{Question, Trouble},
    election::Election,
    fleet::Fleet,
    links::Links,
    meshes::Meshes,
    mirror::{Mirror, Mirrored},
    notes::Notes,
    objects::Objects,
    plans,
    restores::{Ended, Restores},
    tally::{OnTheirWay, Stage, Tally},
    timers::Timers,
    trace,
    view::{Server, View},
    writes::Writes,
};

/// Something that comes back to the loop.
pub(super) enum Incoming {
    Written { worker: ObjectKey, server: Server, edit: Arc<Edit>, outcome: Outcome, began: Instant },
    Looked { worker: ObjectKey, server: Server, found: Result<(Live, Live), String> },
    Writer { worker: ObjectKey, server: Server, kind: ObjectKind, by: Option<Writer> },
    Published { worker: ObjectKey, order: Box<RestoreOrder>, ended: Ended },
    Restored { worker: ObjectKey, state: RestoreState },
    Noted { notes: Vec<git::Note>, ended: Result<bool, Trouble> },
    Found { questions: Vec<Question>, found: Result<Vec<Option<String>>, Trouble> },
    Recalled { worker: ObjectKey, cluster: ClusterName, owner: Owner, found: Result<Option<String>, String> },
    Plain { server: Server, kind: String, key: ObjectKey, failure: Option<String> },
    RetryPlain,
    Namespace { server: Server, namespace: String, missing: bool },
    Mirrored(Server, Mirrored),
    Linked { link: u64, cluster: cluster::Cluster },
    Unlinked { link: u64, cluster: ClusterName, error: String },
}

/// All workers, and what they share.
pub(super) struct Engine {
    pub(super) clock: Clock,
    pub(super) repository: String,
    /// What the repository's plans may be about.
    pub(super) allow: Allow,
    pub(super) branch: String,
    pub(super) git_meter: git::GitMeter,
    pub(super) catalog: Catalog,
    pub(super) view: View,
    pub(super) workers: HashMap<ObjectKey, Worker>,
    pub(super) links: Links,
    pub(super) timers: Timers<ObjectKey>,
    pub(super) objects: Objects,
    /// Whether an accepted tip was read.
    pub(super) tip: Option<Revision>,
    pub(super) git_error: Option<String>,
    pub(super) synced: BTreeSet<ClusterName>,
    /// The routes that wait for something: as long as there are any, silence is noticed soon.
    pub(super) restless: HashSet<ObjectKey>,
    pub(super) in_flight: usize,
    pub(super) backlog: Backlog,
    /// The workers that have taken in events of several clusters and are still to decide, or only to be looked after.
    pub(super) gathered: BTreeMap<ObjectKey, bool>,
    /// How long they took to decide the last time.
    pub(super) settled_in: Duration,
    /// Kept only where they are printed at the end.
    pub(super) files: Option<BTreeMap<String, git::Content>>,
    settings: Settings,
    pub(super) allow_removal: Option<usize>,
    /// The folder of the repository's mirror.
    pub(super) mirror: PathBuf,
    pub(super) fleet: Fleet,
    pub(super) announcers: HashMap<ClusterName, Announcer>,
    pub(super) writes: Writes,
    pub(super) sender: mpsc::UnboundedSender<Incoming>,
    pub(super) plain_retry: bool,
    /// The CanaryPlan resources; none where they are not wanted.
    pub(super) resources: Option<Mirror>,
    /// What is to be committed; none where nothing is pushed.
    pub(super) restores: Option<Restores>,
    /// What is to be noted and asked of the repository's notes; none where nothing is.
    pub(super) notes: Option<Notes>,
    /// The lease; none where this process is the only one.
    pub(super) election: Option<Election>,
    pub(super) tally: Tally,
    /// Looks at the repository so far, by what was seen.
    pub(super) looks: BTreeMap<&'static str, u64>,
    pub(super) on_their_way: OnTheirWay,
}

impl Engine {
    pub(super) fn new(
        source: Option<&git::Source>,
        mirror: PathBuf,
        settings: Settings,
        max_git_age_s: u64,
        fleet: Fleet,
        sender: mpsc::UnboundedSender<Incoming>,
    ) -> Self {
        Self {
            clock: Clock::start(),
            repository: source.map(|source| source.name.clone()).unwrap_or_default(),
            allow: Allow::default(),
            branch: source.map(|source| source.branch.clone()).unwrap_or_default(),
            git_meter: source.map(|source| source.meter.clone()).unwrap_or_default(),
            catalog: Catalog::new(),
            view: View {
                repository: source.map(|source| source.name.as_str().into()),
                places: BTreeMap::new(),
                remotes: BTreeMap::new(),
                meshes: Meshes::default(),
                local: BTreeMap::new(),
                away: HashMap::new(),
                git: GitSight { last_look: None, max_age_s: max_git_age_s, refused: None },
                lease: Lease::Alone,
                living: Default::default(),
                pending: HashMap::new(),
                namespaces: HashMap::new(),
            },
            workers: HashMap::new(),
            links: Links::default(),
            timers: Timers::default(),
            objects: Objects::default(),
            tip: None,
            git_error: None,
            synced: BTreeSet::new(),
            restless: HashSet::new(),
            in_flight: 0,
            backlog: Backlog::default(),
            gathered: BTreeMap::new(),
            settled_in: Duration::ZERO,
            files: None,
            settings,
            allow_removal: None,
            mirror,
            fleet,
            announcers: HashMap::new(),
            writes: Writes::default(),
            sender,
            plain_retry: false,
            resources: None,
            restores: None,
            notes: None,
            election: None,
            tally: Tally::default(),
            looks: BTreeMap::new(),
            on_their_way: OnTheirWay::default(),
        }
    }

    /// Whether anybody is asked about proxies from now on.
    pub(super) fn asks_proxies(&mut self, asks: bool) {
        self.settings.asks_proxies = asks;
        self.workers.values_mut().for_each(|worker| worker.settings.asks_proxies = asks);
    }

    /// Takes in a look at the plan repository.
    pub(super) fn git(&mut self, seen: git::Seen) {
        let at = self.clock.at(seen.at);
        self.tally.took(Stage::Look, seen.at.elapsed());
        let outcome = match &seen.outcome {
            Ok(GitLook::Unchanged { .. }) => "unchanged",
            Ok(GitLook::Moved(_)) => "moved",
            Ok(GitLook::Refused(_)) => "refused",
            Ok(GitLook::BranchGone) => "branch_gone",
            Ok(GitLook::Empty) => "empty",
            Err(_) => "error",
        };
        *self.looks.entry(outcome).or_default() += 1;
        trace::span(Stage::Look, seen.at, &[("repository", &self.repository), ("outcome", &outcome)]);
        match seen.outcome {
            Ok(GitLook::Unchanged { .. }) => self.looked(at, None),
            Ok(GitLook::Refused(refused)) => self.looked(at, Some(&refused)),
            Ok(GitLook::Moved(snapshot)) => {
                if snapshot.rewritten {
                    tracing::warn!(branch = %self.branch, tip = %snapshot.tip, "history was rewritten; this tip is followed");
                }
                self.allow_removal = snapshot.allow_removal;
                let told = self.findings();
                let began = Instant::now();
                let touched = plans::take(&mut self.catalog, &self.branch, &snapshot, &self.allow);
                self.tally.took(Stage::Read, began.elapsed());
                if let Some(files) = &mut self.files {
                    let now = |change: &git::Change| change.now.clone();
                    files.extend(
                        snapshot.changes.iter().filter_map(|(path, change)| Some((path.clone(), now(change)?))),
                    );
                }
                self.pass_on(&snapshot.tip);
                let first = self.tip.is_none();
                self.tip = Some(Revision { branch: self.branch.clone(), commit: snapshot.tip.clone() });
                tracing::info!(revision = %snapshot.tip, files = snapshot.changes.len(), plans = touched.objects.len(), "read the plan repository");
                for (code, file, message) in self.findings().difference(&told) {
                    tracing::warn!(code, file, "{message}");
                }
                let changed = self.saw_git(at, snapshot.refused.as_ref());
                self.touched(touched, seen.at);
                if changed {
                    self.look_all();
                }
                if first {
                    self.find_orphans();
                }
            }
            Ok(GitLook::BranchGone) => self.lost_git("not_found", "the branch is gone".to_owned()),
            Ok(GitLook::Empty) => self.lost_git("not_found", "the repository has no branch".to_owned()),
            Err(error) => return self.lost_git(error.category(), format!("{error}; {}", error.hint())),
        }
        self.caught_up();
    }

    /// What is wrong with the plans, without the places: those move with each edit.
    fn findings(&self) -> BTreeSet<(&'static str, String, String)> {
        let file = |finding: &Finding| finding.place.as_ref().map(|place| place.file.clone()).unwrap_or_default();
        self.catalog.findings().map(|finding| (finding.code, file(finding), finding.message.clone())).collect()
    }

    /// Takes in a look that brought no plans.
    fn looked(&mut self, at: jiff::Timestamp, refused: Option<&git::Refused>) {
        if self.saw_git(at, refused) {
            self.look_all();
        }
    }

    /// Notes that Git was seen, and whether what it is at counts; returns whether that may let something rise, or not
    /// any more. A tip that does not count is a good look: it is known what the branch is at.
    fn saw_git(&mut self, at: jiff::Timestamp, refused: Option<&git::Refused>) -> bool {
        if self.git_error.take().is_some() {
            tracing::info!(branch = %self.branch, "the plan repository is read again");
            self.restores_hurry();
            self.notes_hurry();
        }
        let blind = |last: jiff::Timestamp| {
            at.as_second() - last.as_second() > i64::try_from(self.view.git.max_age_s).unwrap_or(i64::MAX)
        };
        let was_blind = self.view.git.last_look.is_none_or(blind);
        self.view.git.last_look = Some(at);
        let refused = refused.map(|refused| Arc::from(format!("{refused}; {}", refused.hint())));
        let judged = self.view.git.refused != refused;
        if judged {
            match &refused {
                Some(why) => {
                    tracing::warn!(branch = %self.branch, "{why}; the last accepted plans stay in force and nothing rises")
                }
                None => tracing::info!(branch = %self.branch, "the tip is accepted again"),
            }
            self.view.git.refused = refused;
        }
        was_blind || judged
    }

    /// The last good plans stay in force; nothing rises once the last look is too old.
    fn lost_git(&mut self, category: &str, error: String) {
        self.tally.error(format!("git_{category}"));
        if self.git_error.as_ref() != Some(&error) {
            tracing::warn!(branch = %self.branch, "cannot read the plan repository: {error}; the last good plans stay in force");
        }
        self.git_error = Some(error);
    }

    pub(super) fn touched(&mut self, touched: Touched, looked: Instant) {
        for object in &touched.objects {
            let living = self.catalog.entry(object).filter(|entry| entry.removed.is_none());
            let owner = living.map(|entry| self.owner(&entry.plan.key).to_string());
            self.view.living.set(object, owner);
        }
        for (kind, key) in touched.plain {
            self.apply_plain(&kind, &key);
        }
        for object in &touched.objects {
            self.on_their_way.seen(object, looked);
        }
        self.backlog.want(touched.objects.into_iter());
        self.catch_up();
        self.mirror_commit(touched.plans.iter());
    }

    pub(super) fn owner(&self, plan: &PlanKey) -> Owner {
        Owner { repository: self.repository.clone(), plan: plan.clone() }
    }

    /// Tells a route's worker what Git asks for.
    pub(super) fn want(&mut self, object: &ObjectKey) {
        let Some(entry) = self.catalog.entry(object) else { return };
        let wanted = match &entry.removed {
            Some(revision) => Wanted::Removed { revision: revision.clone(), elsewhere: false },
            None => Wanted::Plan {
                plan: entry.plan.clone(),
                revision: entry.revision.clone(),
                owner: self.owner(&entry.plan.key),
                newer_invalid: entry.newer_invalid,
            },
        };
        let unknown = self.choose(object);
        self.hand(object, Event::Wanted(wanted));
        self.meet(object, unknown);
    }

    pub(super) fn all_synced(&self) -> bool {
        self.fleet.known().keys().all(|name| self.synced.contains(name))
    }

    /// Takes in what came back.
    pub(super) fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Written { worker, server, edit, outcome, began } => {
                crate::failpoint::pass("journal.answered");
                self.in_flight -= 1;
                self.writes.ended(&server.0, &worker, &edit);
                self.tally.written(&outcome, began.elapsed());
                let Some(cluster) = self.view.present(server) else { return self.catch_up() };
                let about: [(_, &dyn Display); 3] =
                    [("cluster", &cluster), ("kind", &edit.kind.kind()), ("object", &edit.key)];
                trace::span(Stage::Write, began, &about);
                announce::log_outcome(&cluster, &edit, &outcome);
                if let Outcome::Applied(answer) = &outcome {
                    self.objects.answered(&cluster, edit.kind, &edit.key, answer.as_deref());
                    self.wrote(&cluster, &edit, answer);
                }
                self.answer(&worker, Event::Written { cluster, kind: edit.kind, outcome });
            }
            Incoming::Looked { worker, server, found } => {
                self.in_flight -= 1;
                let Some(cluster) = self.view.present(server) else { return self.catch_up() };
                if let Err(error) = &found {
                    self.tally.error("look");
                    tracing::warn!(%cluster, route = %worker, "cannot look at the objects again: {error}");
                }
                self.answer(&worker, Event::Looked { cluster, found });
            }
            Incoming::Writer { worker, server, kind, by } => {
                self.in_flight -= 1;
                let Some(cluster) = self.view.present(server) else { return self.catch_up() };
                self.answer(&worker, Event::Writer { cluster, kind, by });
            }
            Incoming::Published { worker, order, ended } => {
                self.in_flight -= 1;
                self.restored(&worker, &order, ended);
            }
            Incoming::Restored { worker, state } => {
                self.answer(&worker, Event::Restored(state));
            }
            Incoming::Noted { notes, ended } => self.noted(notes, ended),
            Incoming::Found { questions, found } => self.found(questions, found),
            Incoming::Recalled { worker, cluster, owner, found } => {
                self.answer(&worker, Event::Recalled { cluster, owner, found });
            }
            Incoming::Plain { server, kind, key, failure } => {
                self.in_flight -= 1;
                if let Some(cluster) = self.view.present(server) {
                    self.plain(cluster, kind, key, failure);
                }
            }
            Incoming::RetryPlain => self.retry_plain(),
            Incoming::Namespace { server, namespace, missing } => {
                if let Some(cluster) = self.view.present(server) {
                    self.namespace(cluster, namespace, missing);
                }
            }
            Incoming::Mirrored(server, mirrored) => {
                if let Some(cluster) = self.view.present(server) {
                    self.mirrored(&cluster, mirrored);
                }
            }
            Incoming::Linked { link, cluster } => self.linked(link, cluster),
            Incoming::Unlinked { link, cluster, error } => self.unlinked(link, &cluster, error),
        }
        self.catch_up();
    }

    /// Wakes the workers whose instant has come.
    pub(super) fn wake(&mut self) {
        let now = self.clock.now();
        while let Some(key) = self.timers.due(now) {
            self.hand(&key, Event::Look);
        }
    }

    /// Wakes all that wait for something; what is settled waits for neither Git nor a plain object.
    pub(super) fn look_all(&mut self) {
        let waiting = self.workers.iter().filter(|(_, worker)| !worker.is_at_rest());
        for key in waiting.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.hand(&key, Event::Look);
        }
    }

    /// Hands an answer to the worker that asked. A route that was let go meanwhile is not taken up for it.
    fn answer(&mut self, key: &ObjectKey, event: Event) {
        if self.workers.contains_key(key) {
            self.hand(key, event);
        }
    }

    /// Hands an event to a worker, which is made if it is the first, and performs the effects.
    pub(super) fn hand(&mut self, key: &ObjectKey, event: Event) {
        if !self.workers.contains_key(key) {
            let clusters = self.chosen(key);
            self.workers.insert(key.clone(), Worker::new(key.clone(), self.settings, clusters));
            // The event first: it tells which DestinationRule belongs to the route.
            self.hand(key, event);
            for (cluster, away) in self.view.away.clone() {
                self.hand(key, Event::Reach { cluster, away_since: Some(away.since) });
            }
            for cluster in self.synced.clone() {
                self.show(key, &cluster);
            }
            return;
        }
        if self.gathers(key, &event) {
            return self.gather(key, event);
        }
        let now = self.clock.now();
        let Some(worker) = self.workers.get_mut(key) else { return };
        let (began, shows) = (Instant::now(), !matches!(event, Event::Look));
        let effects = worker.handle(event, now, &self.view);
        self.tally.took(Stage::Decide, began.elapsed());
        self.handed(key, effects, shows);
    }

    /// What follows from what a worker was handed.
    pub(super) fn handed(&mut self, key: &ObjectKey, effects: Vec<Effect>, shows: bool) {
        let behind = self.workers.get(key).is_some_and(Worker::is_behind);
        self.heed_behind(key, behind);
        if shows || !effects.is_empty() {
            self.mirror_route(key);
        }
        let Some(worker) = self.workers.get(key) else { return };
        let (done, busy) = (worker.is_done(), worker.is_busy());
        let renamed = self.links.set(key, worker.destination_rule(), worker.service());
        for effect in effects {
            self.perform(key, effect);
        }
        if !busy {
            self.on_their_way.rests(key);
        }
        if done {
            self.dismiss(key);
            self.catalog.forget(key);
        } else if renamed {
            for cluster in self.synced.clone() {
                self.show(key, &cluster);
            }
        } else if let Some(worker) = self.workers.get_mut(key) {
            worker.lie_down(|cluster, kind, object| self.objects.packed(cluster, kind, object));
            let rests = worker.is_at_rest();
            self.watch_over(key, rests);
        }
    }

    /// Ends a worker: its route is none of this repository's any more.
    pub(super) fn dismiss(&mut self, key: &ObjectKey) {
        self.workers.remove(key);
        self.watch_over(key, true);
        self.gathered.remove(key);
        self.links.forget(key);
        self.timers.set(key, None);
        self.restore(key, None);
        self.notes_forget(key);
    }
}
