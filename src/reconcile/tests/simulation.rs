//! A model API server, a model Git and a clock of their own, driving one real worker in one thread.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    around::Around,
    draft::{Draft, traffic},
};
use crate::{
    cluster::Outcome,
    git::{Note, Position},
    istio::{self, Edit, ObjectKind, Writer},
    plan::{ObjectKey, Revision, Span},
    reconcile::{Effect, Event, Live, News, RestoreOrder, RestoreState, Worker, packed::Packed, simulation::Api},
    rollout::{self, GitSight, Image, Images, Journal, Owner, Reason, Settings, Wanted},
};

pub(super) const CLUSTER: &str = "east";

/// A write that moved weights, with what could be known then.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) weights: String,
    pub(super) object: Arc<Value>,
    pub(super) around: Around,
}

#[derive(Clone)]
pub(super) struct Sim {
    pub(super) now: Timestamp,
    pub(super) api: Api,
    pub(super) around: Around,
    pub(super) wanted: Wanted,
    pub(super) wake_at: Option<Timestamp>,
    /// Every write as `kind weights`, without those that change the journal alone.
    pub(super) writes: Vec<String>,
    pub(super) patches: usize,
    /// How often traffic waited for the answer to a write of the journal alone.
    pub(super) hurried: usize,
    pub(super) news: Vec<News>,
    /// What Git should say again, as it was ordered.
    pub(super) orders: Vec<Option<RestoreOrder>>,
    /// What was noted, and where the plan stands by that; notes are kept where the settings say so.
    pub(super) notes: Vec<Note>,
    pub(super) position: Option<String>,
    /// Why the notes cannot be read.
    pub(super) unread: Option<String>,
    /// How often they were asked.
    pub(super) recalls: usize,
    /// Answers the next writes in this way instead of performing them.
    pub(super) refuse: VecDeque<Outcome>,
    /// The next write happens, and its answer is lost.
    pub(super) lose_answer: bool,
    /// The next such write is not done as yet, and its answer is lost.
    pub(super) holds_back: Option<fn(&Edit) -> bool>,
    /// What was held back.
    pub(super) held_back: Option<Edit>,
    /// What the server stores instead of a VirtualService that is written.
    pub(super) mutate: Option<fn(&mut Value)>,
    /// Who is filed as the other writer.
    pub(super) writer: Option<Writer>,
    /// What was live when it was asked who made it so.
    pub(super) asked: Vec<String>,
    /// What the proxies were asked about.
    pub(super) questions: Vec<(ObjectKind, Live)>,
    /// What was written and what could be known, at each write that moved weights.
    pub(super) checks: Vec<Written>,
    pub(super) settings: Settings,
    pub(super) worker: Worker,
    pub(super) queue: VecDeque<Event>,
    commits: u64,
}

impl Sim {
    pub(super) fn new() -> Self {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let git = GitSight { last_look: Some(now), max_age_s: 300, refused: None };
        let around = Around {
            repository: Some("plans".into()),
            ready: BTreeMap::new(),
            shares: false,
            beyond: None,
            images: BTreeMap::new(),
            git,
            lease: rollout::Lease::Alone,
            offset_ms: Some(0),
            living: Vec::new(),
            claims: Vec::new(),
            proxies: None,
        };
        let mut sim = Self {
            now,
            api: Api::default(),
            around,
            wanted: Wanted::Unknown,
            wake_at: None,
            writes: Vec::new(),
            patches: 0,
            hurried: 0,
            news: Vec::new(),
            orders: Vec::new(),
            notes: Vec::new(),
            position: None,
            unread: None,
            recalls: 0,
            refuse: VecDeque::new(),
            lose_answer: false,
            holds_back: None,
            held_back: None,
            mutate: None,
            writer: None,
            asked: Vec::new(),
            questions: Vec::new(),
            checks: Vec::new(),
            settings: Settings::default(),
            worker: new_worker([CLUSTER]),
            queue: VecDeque::new(),
            commits: 0,
        };
        sim.look_at_everything();
        sim
    }

    fn look_at_everything(&mut self) {
        for kind in [ObjectKind::VirtualService, ObjectKind::DestinationRule] {
            let live = self.api.objects.get(&kind).cloned();
            self.queue.push_back(Event::Object { cluster: CLUSTER.into(), kind, live });
        }
        self.queue.push_back(Event::Wanted(self.wanted.clone()));
    }

    fn revision(&mut self) -> Revision {
        self.commits += 1;
        Revision { branch: "main".into(), commit: format!("{:02x}{}", self.commits, "0".repeat(38)) }
    }

    /// A commit that brings the plan in, without letting anything happen yet.
    pub(super) fn commit(&mut self, draft: Draft) {
        let plan = draft.done();
        let repository = self.around.repository.as_deref().unwrap_or("plans").to_owned();
        let owner = Owner { repository, plan: plan.key.clone() };
        let revision = self.revision();
        self.wanted = Wanted::Plan { plan, revision, owner, newer_invalid: false };
        self.queue.push_back(Event::Wanted(self.wanted.clone()));
    }

    /// A commit, and everything that is due at this instant.
    pub(super) fn push(&mut self, draft: Draft) -> &mut Self {
        self.commit(draft);
        self.settle_now();
        self
    }

    pub(super) fn remove(&mut self) -> &mut Self {
        let revision = self.revision();
        self.wanted = Wanted::Removed { revision, elsewhere: false };
        self.queue.push_back(Event::Wanted(self.wanted.clone()));
        self.settle_now();
        self
    }

    /// Whoever writes commits answers.
    pub(super) fn restored(&mut self, state: RestoreState) -> &mut Self {
        self.queue.push_back(Event::Restored(state));
        self.settle_now();
        self
    }

    /// The same world with a worker that notes what came of commits.
    pub(super) fn noting(mut self) -> Self {
        self.settings.notes = true;
        self.crash();
        self
    }

    /// The notes are read at last.
    pub(super) fn read_notes(&mut self) -> &mut Self {
        let Wanted::Plan { owner, .. } = self.wanted.clone() else { return self };
        let found = self.unread.clone().map_or(Ok(self.position.clone()), Err);
        self.queue.push_back(Event::Recalled { cluster: CLUSTER.into(), owner, found });
        self.settle_now();
        self
    }

    /// Both objects and everything that the process knows are lost.
    pub(super) fn lose_cluster(&mut self) -> &mut Self {
        self.api.objects.clear();
        self.crash()
    }

    /// Kills the process and starts another one that knows only what the API server and Git hold.
    pub(super) fn crash(&mut self) -> &mut Self {
        self.worker = a_worker([CLUSTER], self.settings);
        self.queue.clear();
        self.wake_at = None;
        self.look_at_everything();
        self
    }

    /// A person changes an object by hand.
    pub(super) fn edit(&mut self, kind: ObjectKind, change: impl FnOnce(&mut Value)) -> &mut Self {
        let mut object = Value::clone(&self.api.objects[&kind]);
        change(&mut object);
        let live = self.api.put(kind, object);
        self.queue.push_back(Event::Object { cluster: CLUSTER.into(), kind, live: Some(live) });
        self.settle_now();
        self
    }

    /// A person deletes an object by hand.
    pub(super) fn delete(&mut self, kind: ObjectKind) -> &mut Self {
        self.api.objects.remove(&kind);
        self.queue.push_back(Event::Object { cluster: CLUSTER.into(), kind, live: None });
        self.settle_now();
        self
    }

    pub(super) fn set_weights(&mut self, text: &str) -> &mut Self {
        let routing = self.journal().state.routing.clone();
        let spec = istio::virtual_service(&routing, &traffic(text))["spec"].clone();
        self.edit(ObjectKind::VirtualService, |object| object["spec"] = spec)
    }

    /// The same, where the journal may be gone: the routing is the plan's.
    pub(super) fn set_weights_of(&mut self, draft: &Draft, text: &str) -> &mut Self {
        let spec = istio::virtual_service(&draft.0.routing, &traffic(text))["spec"].clone();
        self.edit(ObjectKind::VirtualService, |object| object["spec"] = spec)
    }

    /// Whether what is live exposes callers, by the journal that this process knows.
    pub(super) fn exposes(&self) -> bool {
        let live = |kind| self.api.objects.get(&kind).map(|object| &**object);
        let mut worker = self.worker.clone();
        worker.get_up();
        let journal = worker.journal().expect("a journal");
        rollout::exposes(journal, live(ObjectKind::VirtualService), live(ObjectKind::DestinationRule))
    }

    /// Something that is asked for, not told, has changed.
    pub(super) fn look(&mut self) -> &mut Self {
        self.queue.push_back(Event::Look);
        self.settle_now();
        self
    }

    pub(super) fn ready(&mut self, label: &str, count: u32) -> &mut Self {
        self.around.ready.insert(label.into(), Some(count));
        self.look()
    }

    /// The pods with that label run these; without any nothing is known of them.
    pub(super) fn run(&mut self, label: &str, images: &[&str]) -> &mut Self {
        let pods = images.iter().filter_map(|image| Image::of([(*image, None)]));
        match Images::of(pods) {
            Some(images) => self.around.images.insert(label.into(), images),
            None => self.around.images.remove(label),
        };
        self.look()
    }

    /// Lets one event be handled and its effects happen. Returns whether there was one.
    pub(super) fn turn(&mut self) -> bool {
        let Some(event) = self.queue.pop_front() else { return false };
        let effects = self.worker.handle(event, self.now, &self.around);
        for effect in effects {
            match effect {
                Effect::Write { edit, .. } => self.write(&edit),
                Effect::Look { .. } => {
                    let object = |kind| self.api.objects.get(&kind).cloned();
                    let found = Ok((object(ObjectKind::VirtualService), object(ObjectKind::DestinationRule)));
                    self.queue.push_back(Event::Looked { cluster: CLUSTER.into(), found });
                }
                Effect::AskWriter { cluster, kind, .. } => {
                    self.asked.push(self.weights());
                    self.queue.push_back(Event::Writer { cluster, kind, by: self.writer.clone() });
                }
                Effect::WakeAt(at) => self.wake_at = at,
                Effect::Announce { news, .. } => self.news.push(news),
                Effect::Restore(order) => self.orders.push(order),
                Effect::Hurry => self.hurried += 1,
                Effect::AskProxies { kind, live, .. } => self.questions.push((kind, live)),
                Effect::Reason(_) => {}
                Effect::Note(note) => {
                    match &note.position {
                        Some(Position::At(text)) => self.position = Some(text.clone()),
                        Some(Position::Over) => self.position = None,
                        None => {}
                    }
                    self.notes.push(*note);
                }
                Effect::Recall(cluster, owner) => {
                    self.recalls += 1;
                    let found = self.unread.clone().map_or(Ok(self.position.clone()), Err);
                    self.queue.push_back(Event::Recalled { cluster, owner, found });
                }
            }
        }
        // As in the loop: what is settled rests between events.
        let objects = &self.api.objects;
        self.worker.lie_down(|_, kind, _| objects.get(&kind).map(|object| Packed::of(object)));
        true
    }

    /// Whether the worker has put its objects away.
    pub(super) fn is_at_rest(&self) -> bool {
        self.worker.is_at_rest()
    }

    fn write(&mut self, edit: &Edit) {
        self.patches += 1;
        let before = self.weights();
        if self.holds_back.take_if(|holds| holds(edit)).is_some() {
            self.held_back = Some(edit.clone());
            self.refuse.push_front(Outcome::Unknown { message: "no answer in 10s".into() });
        }
        let mut outcome = self.refuse.pop_front().unwrap_or_else(|| self.api.write(edit));
        if let (Some(mutate), Outcome::Applied(Some(live)), ObjectKind::VirtualService) =
            (self.mutate, &outcome, edit.kind)
        {
            let mut object = Value::clone(live);
            mutate(&mut object);
            outcome = Outcome::Applied(Some(self.api.put(edit.kind, object)));
        }
        if std::mem::take(&mut self.lose_answer) {
            outcome = Outcome::Unknown { message: "the answer was lost".into() };
        }
        let after = self.weights();
        match edit.kind {
            ObjectKind::VirtualService if before != after => {
                self.writes.push(format!("vs {after}"));
                if after != "-" {
                    let object = self.api.objects[&ObjectKind::VirtualService].clone();
                    self.checks.push(Written { weights: after, object, around: self.around.clone() });
                }
            }
            ObjectKind::VirtualService => {}
            ObjectKind::DestinationRule => self.writes.push(format!("dr {}", self.subsets())),
        }
        self.queue.push_back(Event::Written { cluster: CLUSTER.into(), kind: edit.kind, outcome });
    }

    /// What was held back reaches the API server after all; returns whether it was done.
    pub(super) fn lands(&mut self) -> bool {
        let edit = self.held_back.take().expect("a write was held back");
        let done = matches!(self.api.write(&edit), Outcome::Applied(_));
        let live = self.api.objects.get(&edit.kind).cloned();
        self.queue.push_back(Event::Object { cluster: CLUSTER.into(), kind: edit.kind, live });
        self.settle_now();
        done
    }

    /// Everything that is due at this instant; bounded, so that a worker that spins is seen.
    pub(super) fn settle_now(&mut self) {
        for _ in 0..200 {
            if !self.turn() {
                if self.wake_at.is_some_and(|at| at <= self.now) {
                    self.wake_at = None;
                    self.queue.push_back(Event::Look);
                } else {
                    return;
                }
            }
        }
        panic!("the worker spins: {:?} {:?}", self.reason(), self.writes);
    }

    /// Lets time pass, waking the worker when it asked for it. Git is seen all the while.
    pub(super) fn pass(&mut self, span: &str) -> &mut Self {
        let seconds = span.parse::<Span>().unwrap().seconds();
        self.pass_ms(i64::try_from(seconds).unwrap() * 1000)
    }

    pub(super) fn pass_ms(&mut self, ms: i64) -> &mut Self {
        let until = self.now + SignedDuration::from_millis(ms);
        self.settle_now();
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.see_git();
            self.settle_now();
        }
        self.now = until;
        self.see_git();
        self.settle_now();
        self
    }

    fn see_git(&mut self) {
        if self.around.git.last_look.is_some() {
            self.around.git.last_look = Some(self.now);
        }
    }

    /// Live weights of the last route, `-` where nothing is live.
    pub(super) fn weights(&self) -> String {
        let Some(object) = self.api.objects.get(&ObjectKind::VirtualService) else { return "-".into() };
        let routes = object["spec"]["http"].as_array().cloned().unwrap_or_default();
        let Some(legs) = routes.last().and_then(|route| route["route"].as_array().cloned()) else { return "?".into() };
        let leg = |leg: &Value| {
            let weight = leg["weight"].as_u64().unwrap_or(if legs.len() == 1 { 100 } else { 0 });
            format!("{}={weight}", leg["destination"]["subset"].as_str().unwrap_or("?"))
        };
        let mut parts: Vec<String> = legs.iter().map(leg).collect();
        parts.sort();
        parts.join(" ")
    }

    /// Another controller changes something that is not tidegate's, unseen as yet.
    pub(super) fn touch(&mut self) {
        let mut object = Value::clone(&self.api.objects[&ObjectKind::VirtualService]);
        object["metadata"]["labels"]["touched"] = json!(self.now.to_string());
        self.api.put(ObjectKind::VirtualService, object);
    }

    /// What tells one state of the world from another.
    pub(super) fn fingerprint(&self) -> String {
        let objects: Vec<&Arc<Value>> = self.api.objects.values().collect();
        let (asked, faults) = ((&self.wanted, &self.around.ready), (&self.refuse, self.lose_answer));
        format!("{objects:?} {:?} {asked:?} {faults:?} {:?} {:?}", self.queue, self.now, self.wake_at)
    }

    /// The world as the worker sees it.
    pub(super) fn world(&mut self) -> crate::rollout::World {
        self.worker.world(self.now, &self.around)
    }

    /// Names of the live subsets.
    pub(super) fn subsets(&self) -> String {
        let Some(object) = self.api.objects.get(&ObjectKind::DestinationRule) else { return "-".into() };
        let subsets = object["spec"]["subsets"].as_array().cloned().unwrap_or_default();
        subsets.iter().filter_map(|subset| subset["name"].as_str()).collect::<Vec<_>>().join(",")
    }

    pub(super) fn journal(&self) -> Journal {
        Journal::on(&self.api.objects[&ObjectKind::VirtualService]).expect("a journal").expect("a good one")
    }

    pub(super) fn reason(&self) -> Reason {
        self.worker.reason().cloned().expect("a reason")
    }

    pub(super) fn is_done(&self) -> bool {
        self.worker.is_done()
    }

    /// Weights written since the last call.
    pub(super) fn trace(&mut self) -> Vec<String> {
        let trace = self.writes.iter().filter_map(|write| write.strip_prefix("vs ")).map(str::to_owned).collect();
        self.writes.clear();
        trace
    }
}

pub(super) fn new_worker<const N: usize>(clusters: [&str; N]) -> Worker {
    a_worker(clusters, Settings::default())
}

fn a_worker<const N: usize>(clusters: [&str; N], settings: Settings) -> Worker {
    let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
    Worker::new(key, settings, clusters.map(str::to_owned))
}
