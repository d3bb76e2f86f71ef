//! What a worker holds of one cluster: the objects as last seen, the write in hand, and when to try again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    cluster::{NO_RIGHT, Outcome},
    istio::{self, Change, Edit, ObjectKind, Writer, lens},
    plan::ObjectKey,
    rollout::{Altered, ClusterView, Journal, JournalError, Noted, Phase, Proxies, Taken, Transition, What, is_ours},
};

use super::{
    fence::Strange,
    fights::Fights,
    gone::Gone,
    late::Late,
    marks,
    noting::Asked,
    rest::Rest,
    worker::{Live, News},
    written::{LedBack, read},
};

/// The first pause before something is tried again, in milliseconds; doubles up to the longest.
const RETRY_MS: i64 = 500;
const RETRY_MS_MAX: i64 = 60_000;

/// How often in a row a write that met a newer object is repeated without a pause.
const STALE_AT_ONCE: u32 = 3;

/// How often in a row a write is answered with another object before people are told.
const ALTERED_TOLD: u32 = 3;

/// One cluster of one route.
#[derive(Clone, Default)]
pub(super) struct Held {
    pub(super) away_since: Option<Timestamp>,
    pub(super) memory: Option<Arc<Journal>>,
    pub(super) look_due: Option<Timestamp>,
    pub(super) virtual_service: Option<Live>,
    pub(super) destination_rule: Option<Live>,
    pub(super) journal: Option<Result<Arc<Journal>, JournalError>>,
    pub(super) copy: Option<Arc<Journal>>,
    /// The journal that was last written down, with its text: an object that shows the text carries this journal.
    pub(super) written_down: Option<Box<(Arc<Journal>, Arc<str>)>>,
    /// The way back that was last rendered.
    pub(super) led_back: Option<Box<LedBack>>,
    /// What the repository's notes say; none: they were not asked. Let go once a journal stands.
    pub(super) noted: Option<Box<Asked>>,
    /// The journal that was last looked at for what is to be noted of it.
    pub(super) told: Option<Arc<Journal>>,
    /// What the objects and all that was read off them became, while nothing is to be done.
    pub(super) resting: Option<Box<Rest>>,
    was_ours: bool,
    spec_seen: Option<Timestamp>,
    subsets_seen: Option<Timestamp>,
    gone_at: Option<Timestamp>,
    pub(super) gone: Gone,
    in_flight: Option<InFlight>,
    looking: bool,
    asking: Option<ObjectKind>,
    pub(super) fights: Fights,
    /// The last answer that was another object than was written, and how many there were in a row.
    altered: Option<Box<(Altered, u32)>>,
    attempts: u32,
    stale: u32,
    pub(super) standing: Option<Arc<Journal>>,
    refused: Option<Refused>,
    pub(super) late: Late,
    /// The commit of the position, where this process may not have seen it in Git.
    pub(super) strange: Option<Box<Strange>>,
}

#[derive(Clone)]
struct InFlight {
    edit: Arc<Edit>,
    before: Option<Arc<Journal>>,
    corrects: bool,
    /// The object was seen to be gone meanwhile: what the answer shows may have been there before.
    gone: bool,
}

#[derive(Clone)]
struct Refused {
    edit: Arc<Edit>,
    message: String,
    forbidden: bool,
    retry_at: Timestamp,
}

impl Held {
    /// Whether both objects were seen, or seen not to be there.
    pub(super) fn is_known(&self) -> bool {
        self.virtual_service.is_some() && self.destination_rule.is_some()
    }

    /// Whether nothing is put off, refused or missing.
    pub(super) fn is_quiet(&self) -> bool {
        self.look_due.is_none()
            && self.refused.is_none()
            && self.altered.is_none()
            && self.attempts == 0
            && self.gone.is_empty()
    }

    /// Whether an answer is awaited.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some() || self.looking || self.asking.is_some()
    }

    /// Whether the answer to a write of records alone is awaited.
    pub(super) fn is_recording(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|sent| !sent.edit.moves_traffic())
    }

    /// Whether the answer to a write that moves traffic is awaited.
    pub(super) fn is_moving(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|sent| sent.edit.moves_traffic())
    }

    /// Whether the answer to any write is awaited.
    pub(super) fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether an object is what the write in hand makes of it, without anything that a person said meanwhile.
    pub(super) fn was_sent(&self, kind: ObjectKind, live: &Live) -> bool {
        let sent = self.in_flight.as_ref().filter(|sent| sent.edit.kind == kind);
        match (sent.map(|sent| &sent.edit.change), live) {
            (Some(Change::Create(meant) | Change::Patch { meant, .. }), Some(live)) => {
                lens::annotations(live) == lens::annotations(meant) && live.get("spec") == meant.get("spec")
            }
            _ => false,
        }
    }

    /// Whether the server refused the last write.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether nothing of a removed plan is left to write: its objects are gone or somebody else's, or its journal says
    /// that it was let go.
    pub(super) fn is_let_go(&self) -> bool {
        let gone = self.virtual_service().is_none() && !self.destination_rule().is_some_and(is_ours);
        let kept =
            matches!(&self.journal, Some(Ok(journal)) if matches!(journal.phase, Phase::Released { prune: false, .. }));
        let ours = self.was_ours && self.memory.is_some();
        let theirs = self.journal.is_none() && !ours && self.virtual_service().is_some_and(|it| !marks::is_marked(it));
        gone || kept || theirs
    }

    /// Whether the route is of a plan of another repository than the one that is followed.
    pub(super) fn is_anothers(&self, repository: Option<&str>) -> bool {
        matches!((&self.journal, repository), (Some(Ok(journal)), Some(own)) if journal.owner.repository != own)
    }

    pub(super) fn virtual_service(&self) -> Option<&Value> {
        self.virtual_service.as_ref()?.as_deref()
    }

    pub(super) fn destination_rule(&self) -> Option<&Value> {
        self.destination_rule.as_ref()?.as_deref()
    }

    pub(super) fn subsets_seen(&self) -> Option<Timestamp> {
        self.subsets_seen
    }

    /// When the VirtualService was seen to be gone.
    pub(super) fn gone_at(&self) -> Option<Timestamp> {
        self.gone_at
    }

    /// Another content is wanted, or the server is another: what was put off may be tried at once.
    pub(super) fn forgive(&mut self, now: Timestamp) {
        self.refused = None;
        self.altered = None;
        self.attempts = 0;
        self.look_due = self.look_due.map(|due| due.min(now));
    }

    /// Nothing is left to write: what was refused is not wanted any more.
    pub(super) fn rest(&mut self) {
        self.refused = None;
        self.altered = None;
        self.attempts = 0;
    }

    /// Both objects stand as this journal means them.
    pub(super) fn stand(&mut self, journal: Option<Arc<Journal>>) {
        self.fights.stand();
        self.standing = journal;
    }

    /// Whether both objects have once stood with this content; with its copy only where all of the journal is the same.
    pub(super) fn stood(&self, journal: &Journal, copied: bool) -> bool {
        let same = |stood: &Journal| stood.state == journal.state && stood.plan.digest == journal.plan.digest;
        self.standing.as_deref().is_some_and(|stood| if copied { stood == journal } else { same(stood) })
    }

    /// Whether this position was there, and its journal is not there any more.
    pub(super) fn lost(&self, journal: &Journal) -> bool {
        let was_there = self.memory.as_deref().is_some_and(|memory| memory.state == journal.state);
        was_there && !matches!(self.journal, Some(Ok(_)))
    }

    /// Who wrote an object last is being asked.
    pub(super) fn writer_asked(&mut self, kind: ObjectKind) {
        self.asking = Some(kind);
    }

    /// Takes in who wrote an object last.
    pub(super) fn writer(&mut self, kind: ObjectKind, by: Option<Writer>) {
        self.asking = None;
        self.fights.writer(kind, by);
    }

    /// Takes in an object as a watch saw it; one older than what is held is ignored.
    pub(super) fn see(&mut self, kind: ObjectKind, live: Live, now: Timestamp) {
        if !self.is_outdated(kind, &live) {
            if let Some(sent) = self.in_flight.as_mut().filter(|sent| live.is_none() && sent.edit.kind == kind) {
                sent.gone = true;
            }
            self.set(kind, live, now);
        }
    }

    /// Whether an object that a watch shows tells nothing: what is held is as new.
    pub(super) fn is_outdated(&self, kind: ObjectKind, live: &Live) -> bool {
        let held = match kind {
            ObjectKind::VirtualService => &self.virtual_service,
            ObjectKind::DestinationRule => &self.destination_rule,
        };
        match (held, live) {
            (Some(Some(held)), Some(live)) => {
                same_object(held, live) && version(live).zip(version(held)).is_some_and(|(live, held)| live <= held)
            }
            _ => false,
        }
    }

    fn set(&mut self, kind: ObjectKind, live: Live, now: Timestamp) {
        let held = match kind {
            ObjectKind::VirtualService => &mut self.virtual_service,
            ObjectKind::DestinationRule => &mut self.destination_rule,
        };
        let first = held.is_none();
        let before = held.take().flatten();
        let same_spec = match (&before, &live) {
            (Some(before), Some(live)) => before.get("spec") == live.get("spec"),
            (None, None) => true,
            _ => false,
        };
        if kind == ObjectKind::VirtualService {
            let same = before.as_deref().zip(live.as_deref()).is_some_and(|(before, live)| same_object(before, live));
            self.was_ours = live.as_deref().is_some_and(marks::is_marked) || (same && self.was_ours);
        }
        // What is gone at first sight may have gone just now, at the hands of the process before.
        let gone = (before.is_some() || first) && live.is_none();
        let found = live.as_deref().filter(|live| marks::is_marked(live));
        let known = match kind {
            ObjectKind::VirtualService => self.journal.as_ref().and_then(|journal| journal.as_ref().ok()),
            ObjectKind::DestinationRule => self.copy.as_ref(),
        };
        let found = found.and_then(|live| read(known, self.written_down.as_deref(), before.as_deref(), live));
        // A saved copy that somebody applied again says where the walk was, not where it is.
        let outdated = |journal: &Journal| self.memory.as_deref().is_some_and(|memory| journal.is_older_than(memory));
        let found = match found {
            Some(Ok(journal)) if kind == ObjectKind::VirtualService && outdated(&journal) => {
                Some(Err(JournalError::Broken("it is older than what this process has seen".to_owned())))
            }
            found => found,
        };
        self.late.saw(kind, before.as_deref(), &live);
        *held = Some(live);
        let seen = match kind {
            ObjectKind::VirtualService => {
                if let Some(Ok(journal)) = &found
                    && self.memory.as_ref() != Some(journal)
                {
                    self.memory = Some(journal.clone());
                }
                self.journal = match found {
                    Some(Ok(_)) => {
                        self.noted = None;
                        self.memory.clone().map(Ok)
                    }
                    Some(Err(error)) => Some(Err(error)),
                    None => None,
                };
                &mut self.spec_seen
            }
            ObjectKind::DestinationRule => {
                self.copy = found.and_then(Result::ok);
                &mut self.subsets_seen
            }
        };
        if !same_spec || seen.is_none() {
            *seen = Some(now);
        }
        if gone && kind == ObjectKind::VirtualService {
            self.gone_at = Some(now);
        }
        if let (Some(route), Some(rule)) = (&self.virtual_service, &self.destination_rule) {
            let journal = self.journal.as_ref().and_then(|journal| journal.as_deref().ok());
            self.late.meet(route.as_deref(), rule.as_deref(), journal);
        }
    }

    /// Takes in the answer to a look.
    pub(super) fn looked(&mut self, found: Result<(Live, Live), String>, now: Timestamp) {
        self.looking = false;
        match found {
            Ok((virtual_service, destination_rule)) => {
                self.set(ObjectKind::VirtualService, virtual_service, now);
                self.set(ObjectKind::DestinationRule, destination_rule, now);
            }
            Err(_) => self.look_due = Some(self.pause(now)),
        }
    }

    /// A look is on its way.
    pub(super) fn look_sent(&mut self) {
        self.looking = true;
        self.look_due = None;
    }

    /// A write is on its way; `corrects` where it only puts back what somebody changed.
    pub(super) fn write_sent(&mut self, edit: Edit, journal: Option<&Arc<Journal>>, corrects: bool) -> Arc<Edit> {
        let (edit, before) = (Arc::new(edit), self.memory.clone());
        let corrects = corrects && journal.is_some();
        self.in_flight = Some(InFlight { edit: edit.clone(), before, corrects, gone: false });
        edit
    }

    /// Takes in the answer to a write and returns what people should be told.
    pub(super) fn written(
        &mut self,
        kind: ObjectKind,
        outcome: Outcome,
        now: Timestamp,
        object: impl Fn(ObjectKind) -> ObjectKey,
    ) -> Vec<News> {
        let Some(sent) = self.in_flight.take() else { return Vec::new() };
        match outcome {
            Outcome::Applied(live) => {
                self.refused = None;
                self.stale = 0;
                let altered_at = match (&sent.edit.change, &live) {
                    (Change::Create(meant) | Change::Patch { meant, .. }, Some(live)) => istio::altered_at(live, meant),
                    (Change::Delete { .. }, None) => None,
                    _ => Some(String::new()),
                };
                if sent.gone && live.is_some() {
                    self.look_due = Some(now);
                }
                self.see(kind, live, now);
                let mut news = self.transitions(&sent, kind);
                match altered_at {
                    Some(at) => news.extend(self.altered(kind, at, now)),
                    None => {
                        self.attempts = 0;
                        self.altered = self.altered.take().filter(|last| last.0.kind != kind);
                        if sent.corrects {
                            let (in_fight, begins) = self.fights.corrected(kind, now);
                            if news.is_empty() {
                                let corrected = if in_fight { News::DriftHeldOff } else { News::DriftCorrected };
                                news.push(corrected(kind));
                            }
                            news.extend(self.fights.fight(object).filter(|_| begins).map(News::DriftFight));
                        }
                    }
                }
                news
            }
            Outcome::Stale => {
                // At once, unless it happens again and again.
                self.look_due = Some(if self.stale < STALE_AT_ONCE { now } else { self.pause(now) });
                self.stale = self.stale.saturating_add(1);
                Vec::new()
            }
            Outcome::Withheld => Vec::new(),
            Outcome::Unsent { .. } => {
                self.look_due = Some(self.pause(now));
                Vec::new()
            }
            Outcome::Unknown { .. } => {
                let live = match kind {
                    ObjectKind::VirtualService => &self.virtual_service,
                    ObjectKind::DestinationRule => &self.destination_rule,
                };
                self.late.lost(&sent.edit, live.as_ref().and_then(|live| live.as_deref()));
                self.look_due = Some(self.pause(now));
                Vec::new()
            }
            Outcome::Rejected { message, code } => {
                let retry_at = self.pause(now);
                let forbidden = code == 403 && message.contains(NO_RIGHT);
                self.refused = Some(Refused { edit: sent.edit, message, forbidden, retry_at });
                Vec::new()
            }
        }
    }

    /// Counts an answer that is another object than was written, and says when it is told.
    fn altered(&mut self, kind: ObjectKind, at: String, now: Timestamp) -> Option<News> {
        let until = self.pause(now);
        self.look_due = Some(until);
        let same = self.altered.as_ref().filter(|last| last.0.kind == kind && last.0.at == at);
        let times = same.map_or(0, |last| last.1).saturating_add(1);
        let altered = Altered { kind, at, until };
        self.altered = Some(Box::new((altered.clone(), times)));
        (times == ALTERED_TOLD).then_some(News::WriteAltered(altered))
    }

    /// The transitions that an answer shows.
    fn transitions(&self, sent: &InFlight, kind: ObjectKind) -> Vec<News> {
        if kind == ObjectKind::VirtualService {
            let old = sent.before.as_ref().map(|journal| journal.transitions.as_slice()).unwrap_or_default();
            let new = self.memory.as_ref().map(|journal| journal.transitions.as_slice()).unwrap_or_default();
            let fresh: Vec<&Transition> = new.iter().filter(|transition| !old.contains(transition)).collect();
            // One write is one piece of news: what a plan led to says also that it was accepted.
            let silent = |what: What| what == What::Accepted && fresh.iter().any(|other| other.what != What::Accepted);
            let told = fresh.iter().filter(|transition| !silent(transition.what));
            return told.map(|transition| News::Transition(Transition::clone(transition))).collect();
        }
        Vec::new()
    }

    /// Whether a write may be tried now, else when: what was refused is tried again only after a pause.
    pub(super) fn may_write(&self, edit: &Edit, now: Timestamp) -> Result<(), Timestamp> {
        match &self.refused {
            Some(refused) if refused.retry_at > now && (*refused.edit == *edit || self.attempts > 3) => {
                Err(refused.retry_at)
            }
            _ => Ok(()),
        }
    }

    fn pause(&mut self, now: Timestamp) -> Timestamp {
        let pause_ms = RETRY_MS.saturating_mul(1 << self.attempts.min(10)).min(RETRY_MS_MAX);
        self.attempts = self.attempts.saturating_add(1);
        now.checked_add(SignedDuration::from_millis(pause_ms)).unwrap_or(Timestamp::MAX)
    }

    /// How far the proxies are with both objects; nothing has to be taken where nothing is, unless it has just gone.
    pub(super) fn proxies(&self, taken: impl Fn(ObjectKind, Option<i64>) -> Option<Taken>) -> Option<Proxies> {
        let present = |kind, live: Option<&Value>| match live {
            Some(live) => taken(kind, lens::generation(live)),
            None if kind == ObjectKind::VirtualService && self.gone_at.is_some() => taken(kind, None),
            None => taken(kind, None).map(|_| Taken::Since(Timestamp::MIN)),
        };
        let route = present(ObjectKind::VirtualService, self.virtual_service())?;
        let rule = present(ObjectKind::DestinationRule, self.destination_rule())?;
        Some(Proxies { route, rule })
    }

    /// What a decision sees of this cluster, without endpoints, claims and clock.
    pub(super) fn view(&self) -> ClusterView {
        ClusterView {
            away_since: self.away_since,
            virtual_service: self.virtual_service.clone().flatten(),
            destination_rule: self.destination_rule.clone().flatten(),
            journal: self.journal.clone(),
            copy: self.copy.clone(),
            memory: self.memory.clone(),
            noted: self.noted.as_ref().map_or(Noted::UNASKED, |asked| asked.noted.clone()),
            was_ours: self.was_ours,
            spec_seen: self.spec_seen,
            subsets_seen: self.subsets_seen,
            rule_late: self.late.rule,
            unanswered: self.in_flight.is_some() || self.looking || self.look_due.is_some(),
            rejected: self.refused.as_ref().map(|refused| refused.message.clone()),
            forbidden: self.refused.as_ref().is_some_and(|refused| refused.forbidden),
            altered: self.altered.as_ref().filter(|last| last.1 >= ALTERED_TOLD).map(|last| last.0.clone()),
            ..ClusterView::empty()
        }
    }
}

fn same_object(one: &Value, two: &Value) -> bool {
    lens::uid(one) == lens::uid(two)
}

/// The resourceVersion as a number: API servers promise since Kubernetes 1.35 that it can be compared so.
pub(super) fn version(object: &Value) -> Option<u64> {
    object.get("metadata")?.get("resourceVersion")?.as_str()?.parse().ok()
}
