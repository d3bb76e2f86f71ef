//! The world of one story: clusters, Git, the process if it lives, and everything that is on its way between them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate::{
    cluster::Outcome,
    istio::{Edit, ObjectKind},
    plan::ObjectKey,
    reconcile::{Effect, Event, RestoreOrder, Worker},
    rollout::Settings,
};

use super::{
    dice::Dice,
    document::{CLUSTERS, Document},
    git::Git,
    lease::Lease,
    place::Place,
    serving::DEADLINE_MS,
    story::{Act, Story},
    wrote::{Knowledge, Verdict},
};

/// After so long without any disturbance nothing is put off any more: pauses end at a minute.
const CALM_MS: i64 = 61_000;
/// How many events one instant may have before the worker counts as spinning.
const SPIN: u32 = 300;

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub law: &'static str,
    pub what: String,
    pub at_ms: i64,
}

/// What a story came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    pub writes: u64,
    /// Targets that were entered through steps and settled, and positions that were left again for a way back.
    pub walks: u64,
    pub kills: u64,
    /// Restores that have landed in Git.
    pub restores: u64,
}

/// Something that is on its way.
pub(super) enum Item {
    Act(Act),
    /// A write reaches the API server.
    Arrive {
        life: u32,
        place: usize,
        edit: Arc<Edit>,
        knowledge: Knowledge,
        answered: bool,
    },
    LookArrives {
        life: u32,
        place: usize,
    },
    /// Something reaches the process.
    Event {
        life: u32,
        event: Event,
    },
    Watch {
        life: u32,
        place: usize,
        epoch: u32,
        kind: ObjectKind,
        live: Option<Arc<Value>>,
    },
    Lists {
        life: u32,
        place: usize,
        epoch: u32,
    },
    /// It is noticed whether an API server answers.
    Reach {
        life: u32,
        place: usize,
    },
    /// Git is looked at.
    Git {
        life: u32,
    },
    Wake {
        life: u32,
        turn: u64,
    },
    /// A restore is pushed.
    Push {
        life: u32,
        order: u64,
    },
    Start {
        skew_ms: i64,
    },
    /// If nothing has disturbed it since, this holds.
    Check {
        troubles: u64,
        check: Check,
    },
}

/// What holds a while after something happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// A commit that raises nothing is live (law 3).
    Back(Document),
    /// Nothing is above what was written or has stood (law 4).
    Covered,
    /// A version has had no more than the way back gives it (law 2): it runs other images.
    Fallen { version: usize, most: u8, since_ms: i64 },
}

/// A process.
pub(super) struct Process {
    pub(super) worker: Worker,
    pub(super) life: u32,
    pub(super) skew_ms: i64,
    /// When it last saw Git.
    pub(super) git_ms: Option<i64>,
    /// Which wake counts.
    turn: u64,
    /// What Git should say again, and which order of it counts.
    order: Option<RestoreOrder>,
    pub(super) orders: u64,
}

/// The world of one story.
pub struct World {
    pub(super) now_ms: i64,
    sequence: u64,
    queue: BTreeMap<(i64, u64), Item>,
    pub(super) dice: Dice,
    pub(super) places: Vec<Place>,
    pub(super) git: Git,
    pub(super) lease: Lease,
    pub(super) process: Option<Process>,
    lives: u32,
    kill_after: Option<(usize, i64, i64)>,
    /// When something last went otherwise than in a calm world.
    trouble_ms: i64,
    troubles: u64,
    /// What has happened that content can fail of.
    pub(super) happened: Happened,
    same_instant: u32,
    pub(super) broken: Option<Broken>,
    trace: Option<Vec<String>>,
    pub(super) tally: Tally,
}

/// What has happened that content can fail of.
#[derive(Default)]
pub(super) struct Happened {
    pub(super) invalid: bool,
    pub(super) unready: bool,
    pub(super) gone: bool,
    pub(super) lowered: bool,
    pub(super) stopped: bool,
    /// Other images ran: what is proven depends on when that was known.
    pub(super) images: bool,
    /// Journals or marks were taken away: what is lost is not guessed.
    pub(super) stripped: bool,
}

impl World {
    pub fn new(story: &Story, trace: bool) -> Self {
        let mut world = Self {
            now_ms: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            dice: Dice::new(story.seed ^ 0x5EED),
            places: CLUSTERS.iter().take(story.clusters).map(|name| Place::new(name)).collect(),
            git: Git::new(),
            lease: Lease::new(story.lease),
            process: None,
            lives: 0,
            kill_after: None,
            trouble_ms: i64::MIN / 2,
            troubles: 0,
            happened: Happened::default(),
            same_instant: 0,
            broken: None,
            trace: trace.then(Vec::new),
            tally: Tally::default(),
        };
        world.start(0);
        let mut at_ms = 0;
        for (gap_ms, act) in &story.acts {
            at_ms += gap_ms;
            world.at(at_ms, Item::Act(*act));
        }
        world
    }

    /// What was said on the way.
    pub fn trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }

    pub(super) fn say(&mut self, text: impl FnOnce(&Self) -> String) {
        let line = self.trace.is_some().then(|| format!("{:>9.3} s  {}", self.now_ms as f64 / 1e3, text(self)));
        if let Some(trace) = &mut self.trace {
            trace.extend(line);
        }
    }

    pub(super) fn judge(&mut self, verdict: Verdict) {
        if let (Err((law, what)), None) = (verdict, &self.broken) {
            self.say(|_| format!("BROKEN {law}: {what}"));
            self.broken = Some(Broken { law, what, at_ms: self.now_ms });
        }
    }

    pub(super) fn at(&mut self, at_ms: i64, item: Item) {
        self.sequence += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.sequence), item);
    }

    pub(super) fn soon(&mut self, item: Item) {
        let at_ms = self.now_ms + self.dice.between(1, 60);
        self.at(at_ms, item);
    }

    pub(super) fn check(&mut self, after_ms: i64, check: Check) {
        self.at(self.now_ms + after_ms, Item::Check { troubles: self.troubles, check });
    }

    /// Something goes otherwise than in a calm world, until so many milliseconds from now.
    pub(super) fn troubled(&mut self, for_ms: i64) {
        self.trouble_ms = self.trouble_ms.max(self.now_ms + for_ms);
        self.troubles += 1;
    }

    /// Whether nothing has disturbed it for so long that nothing is put off.
    pub(super) fn is_calm(&self) -> bool {
        self.process.is_some()
            && self.now_ms - self.trouble_ms > CALM_MS
            && self.places.iter().all(|place| !place.away && !place.watch_broken && place.faults.is_empty())
            && self.kill_after.is_none()
            && !self.lease.is_guard()
    }

    /// Lets everything happen up to an instant, or until a law is broken.
    pub fn run(&mut self, until_ms: i64) {
        while let Some(entry) = self.queue.first_entry() {
            let at_ms = entry.key().0;
            if at_ms > until_ms || self.broken.is_some() {
                break;
            }
            let item = entry.remove();
            self.same_instant = if at_ms == self.now_ms { self.same_instant + 1 } else { 0 };
            if self.same_instant > SPIN {
                self.judge(Err(("law 13", "the worker spins".into())));
                return;
            }
            self.now_ms = at_ms;
            self.happen(item);
        }
        self.now_ms = self.now_ms.max(until_ms);
    }

    /// When the last act of the story happens, or anything that the process asked for.
    pub fn last_ms(&self) -> i64 {
        self.queue.last_key_value().map_or(self.now_ms, |((at_ms, _), _)| *at_ms)
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Act(act) => self.act(act),
            Item::Arrive { life, place, edit, knowledge, answered } => {
                self.arrive(life, place, &edit, knowledge, answered);
            }
            Item::LookArrives { life, place } => {
                let there = &self.places[place];
                let cluster = there.name.clone();
                let object = |kind| there.api.objects.get(&kind).cloned();
                let found = Ok((object(ObjectKind::VirtualService), object(ObjectKind::DestinationRule)));
                if there.away {
                    let event = Event::Looked { cluster, found: Err("no answer".into()) };
                    self.troubled(DEADLINE_MS);
                    self.at(self.now_ms + DEADLINE_MS, Item::Event { life, event });
                } else {
                    self.soon(Item::Event { life, event: Event::Looked { cluster, found } });
                }
            }
            Item::Event { life, event } => {
                if self.is_alive(life) {
                    self.deliver(event);
                }
            }
            Item::Reach { life, place } => {
                let Some(process) = self.process.as_ref().filter(|process| process.life == life) else { return };
                let there = &self.places[place];
                if there.away != there.known_away {
                    let away_since = there.away.then(|| wall(self.now_ms, process.skew_ms));
                    self.deliver(Event::Reach { cluster: there.name.clone(), away_since });
                }
            }
            Item::Git { life } => {
                if self.is_alive(life) && self.git.up {
                    let event = if self.git.accepted { Event::Wanted(self.git.wanted()) } else { Event::Look };
                    self.deliver(event);
                }
            }
            Item::Watch { life, place, epoch, kind, live } => {
                if self.is_alive(life) && self.places[place].epoch == epoch {
                    self.shows(place, kind, live);
                }
            }
            Item::Lists { life, place, epoch } => {
                if self.is_alive(life) && self.places[place].epoch == epoch && !self.places[place].away {
                    self.lists(place);
                }
            }
            Item::Wake { life, turn } => {
                if self.is_alive(life) && self.process.as_ref().is_some_and(|process| process.turn == turn) {
                    self.deliver(Event::Look);
                }
            }
            Item::Push { life, order } => {
                let wanted = self.process.as_ref().filter(|process| process.life == life && process.orders == order);
                if let Some(order) = wanted.and_then(|process| process.order.clone()) {
                    self.push(life, &order);
                }
            }
            Item::Start { skew_ms } => self.start(skew_ms),
            Item::Check { troubles, check } => {
                if troubles == self.troubles && self.process.is_some() {
                    self.holds(check);
                }
            }
        }
    }

    /// Something that is asked for, not told, has changed.
    pub(super) fn look(&mut self) {
        let Some(process) = &self.process else { return };
        let life = process.life;
        self.soon(Item::Event { life, event: Event::Look });
    }

    fn is_alive(&self, life: u32) -> bool {
        self.process.as_ref().is_some_and(|process| process.life == life)
    }

    /// The process starts: it knows what the API servers and Git tell it.
    fn start(&mut self, skew_ms: i64) {
        self.lives += 1;
        let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
        let names = self.known();
        let worker = Worker::new(key, Settings::default(), names);
        self.process =
            Some(Process { worker, life: self.lives, skew_ms, git_ms: None, turn: 0, order: None, orders: 0 });
        self.troubled(0);
        for place in 0..self.places.len() {
            self.places[place].ledger.started(skew_ms);
            self.places[place].seen.clear();
            self.places[place].known_away = false;
            self.places[place].watch_broken = false;
            self.lists_later(place, 0);
            if self.places[place].away {
                self.reach(place, 1_000);
            }
        }
        self.tell_git();
    }

    /// The process dies. What it has sent may arrive, or not.
    pub(super) fn kill(&mut self, down_ms: i64, skew_ms: i64) {
        if self.process.take().is_none() {
            return;
        }
        self.tally.kills += 1;
        self.kill_after = None;
        self.say(|_| format!("the process dies; starts again in {down_ms} ms, its clock {skew_ms} ms off"));
        let dice = &mut self.dice;
        self.queue.retain(|_, item| !matches!(item, Item::Arrive { .. }) || dice.chance(50));
        self.at(self.now_ms + down_ms, Item::Start { skew_ms });
    }

    /// Dies once the worker has asked for so many more things; `None`: does not.
    pub(super) fn kill_after(&mut self, effects: Option<(usize, i64, i64)>) {
        self.kill_after = effects;
    }

    /// How far the wall clock of the process is off; none where there is no process.
    pub(super) fn skew_ms(&self) -> Option<i64> {
        self.process.as_ref().map(|process| process.skew_ms)
    }

    /// Hands an event to the worker and does what it asks for.
    pub(super) fn deliver(&mut self, event: Event) {
        let Some(mut process) = self.process.take() else { return };
        self.tally.events += 1;
        if self.git.up {
            process.git_ms = Some(self.now_ms);
        }
        match &event {
            Event::Reach { cluster, away_since } => {
                let place = self.places.iter_mut().find(|place| place.name == *cluster).unwrap();
                place.known_away = away_since.is_some();
                self.troubled(0);
            }
            Event::Written { cluster, kind, outcome: Outcome::Applied(live) } => {
                let place = self.places.iter_mut().find(|place| place.name == *cluster).unwrap();
                match live {
                    Some(live) => place.seen.insert(*kind, live.clone()),
                    None => place.seen.remove(kind),
                };
            }
            Event::Written { .. } | Event::Looked { found: Err(_), .. } => self.troubled(0),
            _ => {}
        }
        let now = wall(self.now_ms, process.skew_ms);
        let effects = process.worker.handle(event, now, &Self::eyes(&self.places, &self.git, self.lease, &process));
        let (knowledge, life) = (self.knowledge(&process), process.life);
        let mut dies = None;
        for effect in effects {
            let counts = matches!(effect, Effect::Write { .. } | Effect::Look { .. } | Effect::AskWriter { .. });
            if let Some((left, down_ms, skew_ms)) = self.kill_after.filter(|_| counts) {
                self.kill_after = Some((left - 1, down_ms, skew_ms));
                dies = (left == 1).then_some((down_ms, skew_ms));
            }
            self.perform(effect, life, &mut process, knowledge);
            if dies.is_some() {
                break;
            }
        }
        let places = &self.places;
        process.worker.lie_down(|cluster, kind, _| places.iter().find(|place| place.name == cluster)?.packed(kind));
        let until = process.worker.reason().and_then(|reason| reason.until());
        if let Some(until) = until.filter(|_| !process.worker.is_busy()) {
            let wakes = process.worker.wake_at();
            if wakes.is_none_or(|at| at > until) {
                let reason = process.worker.reason().map(ToString::to_string);
                self.judge(Err(("law 13", format!("{reason:?}, but it wakes at {wakes:?}"))));
            }
        }
        self.process = Some(process);
        self.catch_up();
        if let Some((down_ms, skew_ms)) = dies {
            self.troubled(0);
            self.kill(down_ms, skew_ms);
        }
    }

    fn perform(&mut self, effect: Effect, life: u32, process: &mut Process, knowledge: Knowledge) {
        match effect {
            Effect::Write { cluster, edit, .. } => {
                let place = self.place(&cluster);
                self.soon(Item::Arrive { life, place, edit, knowledge, answered: false });
            }
            Effect::Look { cluster, .. } => {
                let place = self.place(&cluster);
                self.soon(Item::LookArrives { life, place });
            }
            Effect::AskWriter { cluster, kind, .. } => {
                self.soon(Item::Event { life, event: Event::Writer { cluster, kind, by: None } });
            }
            Effect::WakeAt(at) => {
                process.turn += 1;
                let turn = process.turn;
                if let Some(at) = at {
                    self.at(at.as_millisecond() - BEGIN_MS - process.skew_ms, Item::Wake { life, turn });
                }
            }
            Effect::Restore(_) if self.lease.is_guard() => {}
            Effect::Restore(order) => {
                process.orders += 1;
                if let Some(order) = &order {
                    self.say(|_| format!("is to {}", order.restore));
                    let verdict = self.follows_traffic(&order.restore);
                    self.judge(verdict);
                    self.soon(Item::Push { life, order: process.orders });
                }
                process.order = order;
            }
            Effect::Announce { cluster, news } => self.say(|_| format!("{cluster}: {news:?}")),
            Effect::Reason(reason) => self.say(|_| format!("{}: {reason}", reason.name())),
            Effect::Hurry | Effect::AskProxies { .. } | Effect::Note(_) | Effect::Recall(..) => {}
        }
    }
}

/// When every story begins.
pub(super) const BEGIN_MS: i64 = 1_795_251_600_000;

pub(super) fn wall(at_ms: i64, skew_ms: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_millis(BEGIN_MS + at_ms + skew_ms)
}
