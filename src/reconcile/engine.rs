//! The loop: it hands every event to the worker it concerns and performs what the workers ask for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use tokio::sync::{Semaphore, mpsc};

use crate::{
    cluster::{self, Announcement, Announcer, Outcome, Seen},
    git::{self, Sight as GitLook},
    istio::{Edit, ObjectKind},
    plan::{Catalog, Host, ObjectKey, PlanKey, Revision, Touched},
    rollout::{ClusterName, GitSight, Owner, Settings, Wanted},
};

use super::{
    Clock, Effect, Event, Live, News, Worker, announce,
    claims::Claims,
    links::Links,
    objects::Objects,
    plans,
    timers::Timers,
    view::{Place, View},
};

/// Writes that are under way at once in one cluster.
const WRITES_MAX: usize = 32;

/// Something that comes back to the loop.
pub(super) enum Incoming {
    Seen(ClusterName, Seen),
    Written { worker: ObjectKey, cluster: ClusterName, edit: Box<Edit>, outcome: Outcome },
    Looked { worker: ObjectKey, cluster: ClusterName, found: Result<(Live, Live), String> },
    Plain { cluster: ClusterName, kind: String, key: ObjectKey, failure: Option<String> },
    RetryPlain,
}

/// All workers, and what they share.
pub(super) struct Engine {
    pub(super) clock: Clock,
    pub(super) repository: String,
    pub(super) branch: String,
    pub(super) catalog: Catalog,
    pub(super) view: View,
    pub(super) workers: HashMap<ObjectKey, Worker>,
    links: Links,
    pub(super) timers: Timers,
    pub(super) objects: Objects,
    /// Whether an accepted tip was read.
    pub(super) tip: Option<Revision>,
    pub(super) git_error: Option<String>,
    pub(super) synced: BTreeSet<ClusterName>,
    pub(super) away: HashMap<ClusterName, String>,
    pub(super) in_flight: usize,
    /// Kept only where they are printed at the end.
    pub(super) files: Option<BTreeMap<String, git::Content>>,
    settings: Settings,
    pub(super) allow_removal: Option<usize>,
    /// The folder of the repository's mirror.
    pub(super) mirror: PathBuf,
    announcers: HashMap<ClusterName, Announcer>,
    writes: HashMap<ClusterName, Arc<Semaphore>>,
    pub(super) sender: mpsc::UnboundedSender<Incoming>,
    pub(super) plain_retry: bool,
}

impl Engine {
    pub(super) fn new(
        source: &git::Source,
        mirror: PathBuf,
        clusters: Vec<(cluster::Cluster, cluster::Endpoints)>,
        settings: Settings,
        max_git_age_s: u64,
        instance: Option<&str>,
        sender: mpsc::UnboundedSender<Incoming>,
    ) -> Self {
        let name = |cluster: &cluster::Cluster| cluster.name().to_owned();
        let announcers = clusters
            .iter()
            .map(|(cluster, _)| (name(cluster), Announcer::start(cluster, instance.map(str::to_owned))))
            .collect();
        let writes =
            clusters.iter().map(|(cluster, _)| (name(cluster), Arc::new(Semaphore::new(WRITES_MAX)))).collect();
        let places = clusters
            .into_iter()
            .map(|(cluster, endpoints)| (name(&cluster), Place { cluster, endpoints, claims: Claims::default() }))
            .collect();
        Self {
            clock: Clock::start(),
            repository: source.name.clone(),
            branch: source.branch.clone(),
            catalog: Catalog::new(),
            view: View {
                places,
                git: GitSight { last_look: None, max_age_s: max_git_age_s, refused: None },
                living: Default::default(),
                pending: HashMap::new(),
            },
            workers: HashMap::new(),
            links: Links::default(),
            timers: Timers::default(),
            objects: Objects::default(),
            tip: None,
            git_error: None,
            synced: BTreeSet::new(),
            away: HashMap::new(),
            in_flight: 0,
            files: None,
            settings,
            allow_removal: None,
            mirror,
            announcers,
            writes,
            sender,
            plain_retry: false,
        }
    }

    /// Takes in a look at the plan repository.
    pub(super) fn git(&mut self, seen: git::Seen) {
        let at = self.clock.at(seen.at);
        match seen.outcome {
            Ok(GitLook::Unchanged { .. }) => self.looked(at, None),
            Ok(GitLook::Refused(refused)) => self.looked(at, Some(&refused)),
            Ok(GitLook::Moved(snapshot)) => {
                if snapshot.rewritten {
                    tracing::warn!(branch = %self.branch, tip = %snapshot.tip, "history was rewritten; this tip is followed");
                }
                self.allow_removal = snapshot.allow_removal;
                let touched = plans::take(&mut self.catalog, &self.branch, &snapshot);
                if let Some(files) = &mut self.files {
                    let now = |change: &git::Change| change.now.clone();
                    files.extend(
                        snapshot.changes.iter().filter_map(|(path, change)| Some((path.clone(), now(change)?))),
                    );
                }
                let first = self.tip.is_none();
                self.tip = Some(Revision { branch: self.branch.clone(), commit: snapshot.tip.clone() });
                tracing::info!(revision = %snapshot.tip, files = snapshot.changes.len(), plans = touched.objects.len(), "read the plan repository");
                for finding in self.catalog.findings() {
                    let place = finding.place.as_ref().map_or("", |place| place.file.as_str());
                    tracing::warn!(code = finding.code, file = place, "{}", finding.message);
                }
                let changed = self.saw_git(at, snapshot.refused.as_ref());
                self.touched(touched);
                if changed {
                    self.look_all();
                }
                if first {
                    self.find_orphans();
                }
            }
            Ok(GitLook::BranchGone) => self.lost_git("the branch is gone".to_owned()),
            Ok(GitLook::Empty) => self.lost_git("the repository has no branch".to_owned()),
            Err(error) => self.lost_git(format!("{error}; {}", error.hint())),
        }
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
    fn lost_git(&mut self, error: String) {
        if self.git_error.as_ref() != Some(&error) {
            tracing::warn!(branch = %self.branch, "cannot read the plan repository: {error}; the last good plans stay in force");
        }
        self.git_error = Some(error);
    }

    fn touched(&mut self, touched: Touched) {
        for object in &touched.objects {
            let living = self.catalog.entry(object).filter(|entry| entry.removed.is_none());
            let owner = living.map(|entry| self.owner(&entry.plan.key).to_string());
            self.view.living.set(object, owner);
        }
        for (kind, key) in touched.plain {
            self.apply_plain(&kind, &key);
        }
        for object in touched.objects {
            self.want(&object);
        }
    }

    fn owner(&self, plan: &PlanKey) -> Owner {
        Owner { repository: self.repository.clone(), plan: plan.clone() }
    }

    /// Tells a route's worker what Git asks for.
    fn want(&mut self, object: &ObjectKey) {
        let Some(entry) = self.catalog.entry(object) else { return };
        let wanted = match &entry.removed {
            Some(revision) => Wanted::Removed { revision: revision.clone() },
            None => Wanted::Plan {
                plan: entry.plan.clone(),
                revision: entry.revision.clone(),
                owner: self.owner(&entry.plan.key),
                newer_invalid: entry.newer_invalid,
            },
        };
        self.hand(object, Event::Wanted(wanted));
    }

    pub(super) fn all_synced(&self) -> bool {
        self.view.places.keys().all(|name| self.synced.contains(name))
    }

    /// Takes in what came back.
    pub(super) fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Seen(cluster, seen) => self.seen(cluster, seen),
            Incoming::Written { worker, cluster, edit, outcome } => {
                self.in_flight -= 1;
                announce::log_outcome(&cluster, &edit, &outcome);
                if let Outcome::Applied(answer) = &outcome {
                    let live = (!answer.is_null()).then(|| Arc::new(answer.clone()));
                    self.objects.put(&cluster, edit.kind, &edit.key, live);
                }
                self.hand(&worker, Event::Written { cluster, kind: edit.kind, outcome });
            }
            Incoming::Looked { worker, cluster, found } => {
                self.in_flight -= 1;
                self.hand(&worker, Event::Looked { cluster, found });
            }
            Incoming::Plain { cluster, kind, key, failure } => {
                self.in_flight -= 1;
                self.plain(cluster, kind, key, failure);
            }
            Incoming::RetryPlain => self.retry_plain(),
        }
    }

    fn seen(&mut self, cluster: ClusterName, seen: Seen) {
        match seen {
            Seen::Object { kind, key, live } => self.object(cluster, kind, key, live),
            Seen::Endpoints { namespace, service } => {
                for key in self.links.of_service(&Host::resolve(&service, &namespace)) {
                    self.hand(&key, Event::Look);
                }
            }
            Seen::Synced => {
                tracing::info!(%cluster, "the caches are complete");
                self.synced.insert(cluster.clone());
                for key in self.workers.keys().cloned().collect::<Vec<_>>() {
                    self.show(&key, &cluster);
                }
                self.take_up();
                self.find_orphans();
            }
            Seen::Away { error, since } => {
                tracing::warn!(%cluster, %since, "the cluster is away: {error}");
                self.away.insert(cluster.clone(), error);
                self.reach(&cluster, Some(since));
            }
            Seen::Back => {
                tracing::info!(%cluster, "the cluster answers again");
                self.away.remove(&cluster);
                self.reach(&cluster, None);
            }
        }
    }

    fn reach(&mut self, cluster: &str, away_since: Option<jiff::Timestamp>) {
        for key in self.workers.keys().cloned().collect::<Vec<_>>() {
            self.hand(&key, Event::Reach { cluster: cluster.to_owned(), away_since });
        }
    }

    fn object(&mut self, cluster: ClusterName, kind: ObjectKind, key: ObjectKey, live: Live) {
        let mut shared = BTreeSet::new();
        if kind == ObjectKind::VirtualService
            && let Some(place) = self.view.places.get_mut(&cluster)
        {
            shared = place.claims.see(&key, live.as_deref());
        }
        self.objects.put(&cluster, kind, &key, live.clone());
        if !self.synced.contains(&cluster) {
            return;
        }
        let concerned: Vec<ObjectKey> = match kind {
            ObjectKind::VirtualService => self.workers.contains_key(&key).then(|| key.clone()).into_iter().collect(),
            ObjectKind::DestinationRule => self.links.of_rule(&key),
        };
        for worker in concerned {
            self.hand(&worker, Event::Object { cluster: cluster.clone(), kind, live: live.clone() });
        }
        for other in shared.into_iter().filter(|other| *other != key) {
            if self.workers.contains_key(&other) {
                self.hand(&other, Event::Look);
            }
        }
    }

    /// Shows a worker both of its objects in a cluster whose caches are complete.
    fn show(&mut self, key: &ObjectKey, cluster: &str) {
        let Some(worker) = self.workers.get(key) else { return };
        let rule = worker.destination_rule();
        for (kind, object) in [(ObjectKind::DestinationRule, &rule), (ObjectKind::VirtualService, key)] {
            let live = self.objects.get(cluster, kind, object);
            self.hand(key, Event::Object { cluster: cluster.to_owned(), kind, live });
        }
    }

    /// Wakes the workers whose instant has come.
    pub(super) fn wake(&mut self) {
        let now = self.clock.now();
        while let Some(key) = self.timers.due(now) {
            self.hand(&key, Event::Look);
        }
    }

    pub(super) fn look_all(&mut self) {
        for key in self.workers.keys().cloned().collect::<Vec<_>>() {
            self.hand(&key, Event::Look);
        }
    }

    /// Hands an event to a worker, which is made if it is the first, and performs the effects.
    pub(super) fn hand(&mut self, key: &ObjectKey, event: Event) {
        if !self.workers.contains_key(key) {
            let clusters = self.view.places.keys().cloned();
            self.workers.insert(key.clone(), Worker::new(key.clone(), self.settings, clusters));
            // The event first: it tells which DestinationRule belongs to the route.
            self.hand(key, event);
            for (cluster, error) in self.away.clone() {
                let since = self.clock.now();
                tracing::debug!(%cluster, error, "a new route in a cluster that is away");
                self.hand(key, Event::Reach { cluster, away_since: Some(since) });
            }
            for cluster in self.synced.clone() {
                self.show(key, &cluster);
            }
            return;
        }
        let now = self.clock.now();
        let Some(worker) = self.workers.get_mut(key) else { return };
        let effects = worker.handle(event, now, &self.view);
        let done = worker.is_done();
        let renamed = self.links.set(key, worker.destination_rule(), worker.service());
        for effect in effects {
            self.perform(key, effect);
        }
        if done {
            self.dismiss(key);
            self.catalog.forget(key);
        } else if renamed {
            for cluster in self.synced.clone() {
                self.show(key, &cluster);
            }
        }
    }

    /// Ends a worker: its route is none of this repository's any more.
    pub(super) fn dismiss(&mut self, key: &ObjectKey) {
        self.workers.remove(key);
        self.links.forget(key);
        self.timers.set(key, None);
    }

    fn perform(&mut self, key: &ObjectKey, effect: Effect) {
        match effect {
            Effect::Write { cluster, edit } => {
                let (Some(place), Some(writes)) = (self.view.places.get(&cluster), self.writes.get(&cluster)) else {
                    return;
                };
                let (client, writes, sender) = (place.cluster.clone(), writes.clone(), self.sender.clone());
                let worker = key.clone();
                self.in_flight += 1;
                tokio::spawn(async move {
                    let _permit = writes.acquire_owned().await;
                    let outcome = cluster::write(&client, &edit, false).await;
                    // The loop has ended where nobody receives.
                    let _ = sender.send(Incoming::Written { worker, cluster, edit, outcome });
                });
            }
            Effect::Look { cluster, virtual_service, destination_rule } => {
                let Some(place) = self.view.places.get(&cluster) else { return };
                let (client, sender, worker) = (place.cluster.clone(), self.sender.clone(), key.clone());
                self.in_flight += 1;
                tokio::spawn(async move {
                    let (route, rule) = tokio::join!(
                        cluster::look(&client, ObjectKind::VirtualService, &virtual_service),
                        cluster::look(&client, ObjectKind::DestinationRule, &destination_rule),
                    );
                    let found = match (route, rule) {
                        (Ok(route), Ok(rule)) => Ok((route.map(Arc::new), rule.map(Arc::new))),
                        (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
                    };
                    // The loop has ended where nobody receives.
                    let _ = sender.send(Incoming::Looked { worker, cluster, found });
                });
            }
            Effect::WakeAt(at) => self.timers.set(key, at),
            Effect::Announce { cluster, news } => self.announce(key, &cluster, &news),
            Effect::Reason(reason) => {
                if reason.needs_a_person() {
                    tracing::warn!(route = %key, reason = reason.name(), "{reason}");
                } else {
                    tracing::debug!(route = %key, reason = reason.name(), "{reason}");
                }
            }
        }
    }

    fn announce(&self, key: &ObjectKey, cluster: &str, news: &News) {
        let owner = self.workers.get(key).and_then(Worker::journal).map(|journal| journal.owner.to_string());
        announce::log(cluster, key, owner.as_deref().unwrap_or_default(), news);
        let uid = self.objects.uid(cluster, ObjectKind::VirtualService, key);
        if let (Some(announcer), Some(uid)) = (self.announcers.get(cluster), uid) {
            let Announcement { warning, reason, action, note, .. } = announce::event(cluster, news);
            let kind = ObjectKind::VirtualService;
            announcer.announce(Announcement { kind, key: key.clone(), uid, warning, reason, action, note });
        }
    }
}
