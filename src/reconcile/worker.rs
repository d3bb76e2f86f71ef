//! One route's worker: events and an instant in, effects out. It does no I/O, so a simulation drives the same code.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    cluster::Outcome,
    git::Note,
    istio::{Edit, Next, ObjectKind, Writer},
    plan::{ObjectKey, Plan},
    rollout::{
        Altered, ClusterName, Decision, Fight, Goal, Journal, JournalError, Owner, Reason, Settings, Transition,
        Wanted, decide,
    },
};

use super::{
    Reached, Sight, due,
    fence::{self, Fenced, May},
    fights::Fights,
    held::Held,
    proxies, rest,
    restoring::{RestoreOrder, RestoreState, Restoring},
};

/// An object as it was seen; none where there is none.
pub type Live = Option<Arc<serde_json::Value>>;

/// Something that happened to a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Git asks for something else.
    Wanted(Wanted),
    /// An object was seen, by watch or by look; none: it is gone.
    Object {
        /// Where.
        cluster: ClusterName,
        /// Which of the two.
        kind: ObjectKind,
        /// As it is.
        live: Live,
    },
    /// A write was answered.
    Written {
        /// Where.
        cluster: ClusterName,
        /// Which object.
        kind: ObjectKind,
        /// How.
        outcome: Outcome,
    },
    /// A look at both objects was answered; `Err` where the server did not.
    Looked {
        /// Where.
        cluster: ClusterName,
        /// VirtualService and DestinationRule.
        found: Result<(Live, Live), String>,
    },
    /// It was answered who wrote an object last; none: nobody else is filed, or it is not known.
    Writer {
        /// Where.
        cluster: ClusterName,
        /// Which object.
        kind: ObjectKind,
        /// Who.
        by: Option<Writer>,
    },
    /// The API server went away, or answers again.
    Reach {
        /// Which.
        cluster: ClusterName,
        /// Since when it is away; none: it answers.
        away_since: Option<Timestamp>,
    },
    /// How far the last [`Effect::Restore`] has come.
    Restored(RestoreState),
    /// What the repository's notes say of the plan's position.
    Recalled {
        /// Where.
        cluster: ClusterName,
        /// Of which plan.
        owner: Owner,
        /// The journal's text, if there is one; `Err` where they cannot be read.
        found: Result<Option<String>, String>,
    },
    /// Endpoints, claims or the sight of Git changed, or an instant that the worker asked for has come.
    Look,
}

/// Something that the worker wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write, and answer with [`Event::Written`].
    Write {
        /// Where.
        cluster: ClusterName,
        /// What.
        edit: Arc<Edit>,
        /// Whether the lease has to be held when it is sent.
        leased: bool,
    },
    /// Traffic is to move once what is being recorded is answered: that write does not wait behind others any more.
    Hurry,
    /// Get both objects, and answer with [`Event::Looked`].
    Look {
        /// Where.
        cluster: ClusterName,
        /// The VirtualService.
        virtual_service: ObjectKey,
        /// The DestinationRule.
        destination_rule: ObjectKey,
    },
    /// Ask whether the proxies have an object as it is, or that it is gone; news of it comes as [`Event::Look`].
    AskProxies {
        /// Where.
        cluster: ClusterName,
        /// Which of the two.
        kind: ObjectKind,
        /// Its name.
        object: ObjectKey,
        /// As it is.
        live: Live,
    },
    /// Ask who wrote an object last, and answer with [`Event::Writer`].
    AskWriter {
        /// Where.
        cluster: ClusterName,
        /// Which of the two.
        kind: ObjectKind,
        /// Its name.
        object: ObjectKey,
    },
    /// Send [`Event::Look`] at that instant; replaces the one asked for before.
    WakeAt(Option<Timestamp>),
    /// Tell people, as a Kubernetes Event and a log line.
    Announce {
        /// Where.
        cluster: ClusterName,
        /// What.
        news: News,
    },
    /// The reason why the route stands where it stands is another one.
    Reason(Reason),
    /// What Git should say again, answered with [`Event::Restored`]; none: nothing any more. Replaces the one before.
    Restore(Option<RestoreOrder>),
    /// What came of a commit, to be noted in the repository; nothing is answered.
    Note(Box<Note>),
    /// Ask the repository's notes where the plan was, and answer with [`Event::Recalled`], also where they cannot be read.
    Recall(ClusterName, Owner),
}

/// What people are told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A transition that was written.
    Transition(Transition),
    /// Somebody's change was put back.
    DriftCorrected(ObjectKind),
    /// The same within a fight that was told: to be counted, not to be told again.
    DriftHeldOff(ObjectKind),
    /// An object was put back so often that nothing rises any more.
    DriftFight(Fight),
    /// The API server stores something else than is written.
    WriteAltered(Altered),
    /// Git does not take what it should say again.
    Restore(RestoreState),
}

/// The worker of one VirtualService.
#[derive(Clone)]
pub struct Worker {
    pub(super) key: ObjectKey,
    pub(super) wanted: Wanted,
    /// The repository that is followed; none: a guard follows none.
    pub(super) repository: Option<Arc<str>>,
    pub(super) former: Option<Arc<Plan>>,
    pub(super) settings: Settings,
    /// Boxed: a map's smallest node has room for eleven.
    pub(super) clusters: BTreeMap<ClusterName, Box<Held>>,
    pub(super) reason: Option<Reason>,
    pub(super) wake_at: Option<Timestamp>,
    waits_for_proxies: bool,
    /// Whether what istiod says next is acted on: such a route does not rest.
    pub(super) awaits_proxies: bool,
    pub(super) restoring: Option<Box<Restoring>>,
    /// Clusters that the plan was taken out of, in step until it has settled there.
    pub(super) leaving: BTreeSet<ClusterName>,
    /// Those where that is so: each lets its objects go as those of a removed plan.
    pub(super) parting: BTreeMap<ClusterName, Box<Worker>>,
    /// What ran behind the labels at the last decision, as [`rest::mark`] tells it.
    pub(super) ran: u64,
    pub(super) fenced: Fenced,
}

impl Worker {
    /// A worker that knows nothing yet. It acts once it has seen both objects of a cluster.
    pub fn new(key: ObjectKey, settings: Settings, clusters: impl IntoIterator<Item = ClusterName>) -> Self {
        let clusters = clusters.into_iter().map(|name| (name, Box::default())).collect();
        Self {
            key,
            wanted: Wanted::Unknown,
            repository: None,
            former: None,
            settings,
            clusters,
            reason: None,
            wake_at: None,
            waits_for_proxies: false,
            awaits_proxies: false,
            restoring: None,
            leaving: BTreeSet::new(),
            parting: BTreeMap::new(),
            ran: 0,
            fenced: Fenced::default(),
        }
    }

    /// The DestinationRule that belongs to this route, as far as it is known.
    pub fn destination_rule(&self) -> ObjectKey {
        let planned = match &self.wanted {
            Wanted::Plan { plan, .. } => Some(plan),
            Wanted::Unknown | Wanted::Removed { .. } => self.former.as_ref(),
        };
        let applied = || self.journal().map(|journal| &journal.state.routing.destination_rule);
        let planned = planned.map(|plan| &plan.routing.destination_rule).or_else(applied);
        let resting = || self.journaled_plan().map(|plan| &plan.routing.destination_rule);
        let name = planned.or_else(resting).map_or_else(|| self.key.name.clone(), |rule| rule.name.clone());
        ObjectKey { namespace: self.key.namespace.clone(), name }
    }

    /// The Service in front of the route, as far as it is known.
    pub fn service(&self) -> Option<crate::plan::Host> {
        match &self.wanted {
            Wanted::Plan { plan, .. } => Some(plan.routing.service.clone()),
            Wanted::Unknown | Wanted::Removed { .. } => self.journaled_plan().map(|plan| plan.routing.service.clone()),
        }
    }

    /// Why the route stands where it stands, once decided.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// The last journal seen in any cluster, rather not in one that was let go.
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        let known = || self.clusters.values().filter_map(|held| held.memory.as_ref());
        known().find(|journal| !journal.is_let_go()).or_else(|| known().next())
    }

    /// When it looks again by itself.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.wake_at
    }

    /// What each cluster reached.
    pub fn reached(&self) -> impl Iterator<Item = (&ClusterName, Reached)> {
        let here = self.clusters.iter().map(|(name, held)| match &held.resting {
            Some(rest) => (name, rest.reached.clone()),
            None => (name, Reached::of(held.memory.as_ref(), held.virtual_service())),
        });
        here.chain(self.let_go())
    }

    /// The fight over an object of a cluster.
    pub fn fight(&self, cluster: &str) -> Option<Fight> {
        let rule = self.destination_rule();
        self.clusters.get(cluster)?.fights.fight(|kind| object(kind, &self.key, &rule))
    }

    /// Whether an answer is awaited, or the next write waits for the proxies to know its subsets.
    pub fn is_busy(&self) -> bool {
        self.waits_for_proxies
            || self.clusters.values().any(|held| held.is_busy())
            || self.parting.values().any(|part| part.is_busy())
    }

    /// Whether nothing is left to do for a removed plan.
    pub fn is_done(&self) -> bool {
        matches!(self.wanted, Wanted::Removed { .. })
            && matches!(self.reason, Some(Reason::Released))
            && !self.is_busy()
            && self.clusters.values().all(|held| held.is_let_go() || held.is_anothers(self.repository.as_deref()))
            && self.parting.is_empty()
    }

    /// Takes an event in for all clusters that are in step.
    pub(super) fn act(&mut self, event: Event, now: Timestamp, sight: &impl Sight) -> Vec<Effect> {
        let Some((mut effects, decides)) = self.take(event, now, sight) else { return Vec::new() };
        if decides {
            self.decide(now, sight, &mut effects);
        }
        effects
    }

    /// Takes an event in without deciding anything; returns what is to be done, and whether to decide. None where it told
    /// nothing. Of many clusters many answer at once, and each decision looks at all of them.
    pub(super) fn take(&mut self, event: Event, now: Timestamp, sight: &impl Sight) -> Option<(Vec<Effect>, bool)> {
        if self.is_told(&event) || self.rests_on(&event, sight) {
            return None;
        }
        self.get_up();
        let mut effects = Vec::new();
        let waits = self.waits_for_answers(&event);
        match event {
            Event::Wanted(wanted) => {
                self.want(wanted);
                for held in self.clusters.values_mut() {
                    held.forgive(now);
                    held.fights = Fights::default();
                }
            }
            Event::Object { cluster, kind, live } => self.see(&cluster, kind, live, now),
            Event::Looked { cluster, found } => {
                if let Some(held) = self.clusters.get_mut(&cluster) {
                    held.looked(found, now);
                }
            }
            Event::Written { cluster, kind, outcome } => {
                let (route, rule) = (self.key.clone(), self.destination_rule());
                if kind == ObjectKind::VirtualService && matches!(outcome, Outcome::Applied(None)) {
                    self.note_pruned(&cluster, &mut effects);
                }
                if let Some(held) = self.clusters.get_mut(&cluster) {
                    let news = held.written(kind, outcome, now, |kind| object(kind, &route, &rule));
                    effects.extend(news.into_iter().map(|news| Effect::Announce { cluster: cluster.clone(), news }));
                }
            }
            Event::Writer { cluster, kind, by } => {
                if let Some(held) = self.clusters.get_mut(&cluster) {
                    held.writer(kind, by);
                }
            }
            Event::Reach { cluster, away_since } => {
                if let Some(held) = self.clusters.get_mut(&cluster) {
                    held.away_since = away_since;
                    if away_since.is_none() {
                        held.forgive(now);
                    }
                }
            }
            Event::Restored(state) => self.restored(state, &mut effects),
            Event::Recalled { cluster, owner, found } => self.recalled(&cluster, &owner, found),
            Event::Look => {}
        }
        self.note(sight.lease().leads(now), &mut effects);
        Some((effects, !waits))
    }

    /// Decides on what was taken in.
    pub(super) fn decide(&mut self, now: Timestamp, sight: &impl Sight, effects: &mut Vec<Effect>) {
        let unknown = |held: &Held| !held.is_known() && held.away_since.is_none();
        if self.clusters.is_empty() || self.clusters.values().any(|held| unknown(held)) {
            return;
        }
        self.clusters.values_mut().for_each(|held| held.fights.calm(now));
        let mut world = self.world(now, sight);
        let mut decision = decide(&world, now);
        if self.settings.notes && self.recall(&decision.reason, now, effects) {
            world = self.world(now, sight);
            decision = decide(&world, now);
        }
        self.ran = rest::mark(world.clusters.iter().map(|(name, view)| (name, &view.images)));
        self.order(&decision, effects);
        let mut wake_at = decision.wake_at.into_iter().chain(self.recalls_at()).min();
        let Decision { goals, mut reason, journal, decided, withheld, .. } = decision;
        let due = self.fenced.due(&goals, withheld.as_ref(), now);
        let (key, destination_rule) = (self.key.clone(), self.destination_rule());
        self.waits_for_proxies = false;
        self.awaits_proxies = false;
        for (cluster, goal) in goals {
            let Some(held) = self.clusters.get_mut(&cluster) else { continue };
            let known = world.clusters.get(&cluster).and_then(|view| view.proxies.as_ref());
            if held.is_recording() && due::moves_traffic(held, &goal, &self.settings, known, now) {
                effects.push(Effect::Hurry);
            }
            if held.is_busy() || held.away_since.is_some() {
                continue;
            }
            if let Some(due) = held.look_due {
                if due <= now {
                    held.look_sent();
                    let (virtual_service, destination_rule) = (key.clone(), destination_rule.clone());
                    effects.push(Effect::Look { cluster, virtual_service, destination_rule });
                } else {
                    wake_at = earlier(wake_at, due);
                }
                continue;
            }
            let next = due::next_edit(held, &goal, &self.settings, known, now).unwrap_or_else(|error| {
                if let JournalError::TooLarge(bytes) = error {
                    reason = Reason::JournalTooLarge { bytes };
                }
                Next::Nothing
            });
            if let Some(known) = known.filter(|_| proxies::matter(journal.as_deref(), &goal, &next)) {
                effects.extend(proxies::ask(&cluster, held, known, &key, &destination_rule));
                self.awaits_proxies |= known.since().is_none();
            }
            let leased = match &next {
                Next::Write(edit) | Next::Seal(edit) => match fence::may(&goal, edit, withheld.as_ref(), due, now) {
                    May::Freely => false,
                    May::WithLease => true,
                    May::At(at) => {
                        wake_at = earlier(wake_at, at);
                        continue;
                    }
                    May::Not(why) => {
                        reason = if reason.needs_a_person() { reason } else { why };
                        continue;
                    }
                },
                Next::Wait { .. } | Next::Nothing => false,
            };
            match next {
                Next::Write(edit) => {
                    let corrected = match &goal {
                        Goal::Apply(apply) if !decided && due::corrects(held, &edit, apply) => Some(&apply.journal),
                        Goal::Apply(_) | Goal::Keep | Goal::Prune => None,
                    };
                    match due::may_write(held, &edit, corrected, now) {
                        Err(retry_at) => wake_at = earlier(wake_at, retry_at),
                        Ok(()) if corrected.is_some() && due::asks_writer(held, &edit, now) => {
                            held.writer_asked(edit.kind);
                            effects.push(Effect::AskWriter { cluster, kind: edit.kind, object: edit.key });
                        }
                        Ok(()) => {
                            let edit = held.write_sent(edit, journal.as_ref(), corrected.is_some());
                            effects.push(Effect::Write { cluster, edit, leased });
                        }
                    }
                }
                Next::Seal(edit) => match held.may_write(&edit, now) {
                    Err(retry_at) => wake_at = earlier(wake_at, retry_at),
                    Ok(()) => {
                        let edit = held.write_sent(edit, journal.as_ref(), false);
                        effects.push(Effect::Write { cluster, edit, leased });
                    }
                },
                Next::Wait { until_ms, .. } => {
                    if let Ok(until) = Timestamp::from_millisecond(until_ms) {
                        wake_at = earlier(wake_at, until);
                    }
                    self.waits_for_proxies = true;
                }
                Next::Nothing => {
                    held.rest();
                    match &goal {
                        Goal::Apply(apply) if apply.leave => {
                            held.fights.wait(ObjectKind::VirtualService);
                            held.fights.wait(ObjectKind::DestinationRule);
                        }
                        Goal::Apply(apply) => held.stand(Some(apply.journal.clone())),
                        Goal::Keep | Goal::Prune => held.stand(None),
                    }
                }
            }
        }
        if matches!(reason.plainly(), Reason::Endpoints { .. })
            && let Some(cluster) = self.clusters.keys().find(|name| sight.lacks_namespace(name, &self.key.namespace))
        {
            reason = Reason::NoNamespace { namespace: self.key.namespace.clone(), cluster: cluster.clone() };
        }
        if self.reason.as_ref() != Some(&reason) {
            effects.push(Effect::Reason(reason.clone()));
            self.reason = Some(reason);
        }
        if self.wake_at != wake_at {
            self.wake_at = wake_at;
            effects.push(Effect::WakeAt(wake_at));
        }
    }
}

fn earlier(one: Option<Timestamp>, two: Timestamp) -> Option<Timestamp> {
    Some(one.map_or(two, |one| one.min(two)))
}

/// Which of a route's two objects is of the kind.
pub(super) fn object(kind: ObjectKind, route: &ObjectKey, rule: &ObjectKey) -> ObjectKey {
    match kind {
        ObjectKind::VirtualService => route.clone(),
        ObjectKind::DestinationRule => rule.clone(),
    }
}
