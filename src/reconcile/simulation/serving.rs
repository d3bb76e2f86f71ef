//! How API servers take writes, with the faults of the story, and how each write that took place is judged.

use std::sync::Arc;

use serde_json::Value;
use tidegate::{
    cluster::Outcome,
    istio::{Edit, ObjectKind},
    plan::Traffic,
    reconcile::Event,
    rollout::{Cause, Journal, Transition, What},
};

use super::{
    lease::led_back,
    ledger::Ledger,
    story::Fault,
    world::{Item, World},
    wrote::{Knowledge, Wrote},
};

/// More writes than any story needs: whoever makes them spins.
const WRITES_MAX: u64 = 3_000;

/// The deadline of a request.
pub(super) const DEADLINE_MS: i64 = 10_000;

impl World {
    /// A write reaches its API server.
    pub(super) fn arrive(&mut self, life: u32, place: usize, edit: &Arc<Edit>, knowledge: Knowledge, answered: bool) {
        let fault = if answered { None } else { self.places[place].faults.pop_front() };
        if fault.is_some() || self.places[place].away {
            self.troubled(0);
        }
        let unknown = |message: &str| Outcome::Unknown { message: message.into() };
        let rejected = |message: &str, code| Outcome::Rejected { message: message.into(), code };
        let lost = || (DEADLINE_MS, unknown("no answer in 10s"));
        let (after_ms, outcome) = match fault {
            _ if self.places[place].away => lost(),
            Some(Fault::Conflict) => (0, Outcome::Stale),
            Some(Fault::Invalid) => {
                self.happened.invalid = true;
                (0, rejected("spec.http is invalid", 422))
            }
            Some(Fault::Busy) => (0, unknown("the API server takes no more requests now (429)")),
            Some(Fault::Broken) => (0, unknown("internal error (500)")),
            Some(Fault::LostBefore) => lost(),
            Some(Fault::Late) => {
                let edit = Arc::clone(edit);
                let late = Item::Arrive { life, place, edit, knowledge, answered: true };
                self.at(self.now_ms + DEADLINE_MS + 2_000, late);
                lost()
            }
            Some(Fault::LostAfter) => {
                self.write(place, edit, knowledge);
                lost()
            }
            None => (0, self.write(place, edit, knowledge)),
        };
        self.say(|world| {
            let fault = fault.map(|fault| format!(" ({fault:?})")).unwrap_or_default();
            let name = outcome_name(&outcome);
            format!("{} {:?}{fault}: {name}", world.places[place].name, edit.kind)
        });
        if after_ms > 0 {
            self.troubled(after_ms);
        }
        if !answered {
            let event = Event::Written { cluster: self.places[place].name.clone(), kind: edit.kind, outcome };
            let at_ms = self.now_ms + after_ms + self.dice.between(1, 60);
            self.at(at_ms, Item::Event { life, event });
        }
    }

    /// A write takes place, or meets another object; what it did is judged.
    fn write(&mut self, place: usize, edit: &Edit, knowledge: Knowledge) -> Outcome {
        let kind = edit.kind;
        let before = self.places[place].api.objects.get(&kind).cloned();
        let outcome = self.places[place].api.write(edit);
        let after = self.places[place].api.objects.get(&kind).cloned();
        let unchanged = match (&before, &after) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (None, None) => true,
            _ => false,
        };
        if !matches!(outcome, Outcome::Applied(_)) || unchanged {
            return outcome;
        }
        self.tally.writes += 1;
        let spins = self.tally.writes > WRITES_MAX;
        self.judge(if spins { Err(("law 11", "it writes on and on".into())) } else { Ok(()) });
        self.places[place].changed(kind, before.as_deref(), self.now_ms);
        let verdict = self.places[place].judge(edit, before.as_deref(), self.now_ms);
        self.judge(verdict);
        if let (ObjectKind::VirtualService, Some(after)) = (kind, &after) {
            self.account(place, before.as_deref(), after, knowledge);
            let past = &mut self.places[place].past;
            past.push_back(after.clone());
            if past.len() > 4 {
                past.pop_front();
            }
        }
        self.watched(place, kind);
        outcome
    }

    fn account(&mut self, place: usize, before: Option<&Value>, after: &Arc<Value>, knowledge: Knowledge) {
        let mut ledger = std::mem::take(&mut self.places[place].ledger);
        let settled = |ledger: &Ledger| ledger.journal().is_some_and(Journal::is_settled);
        let was_settled = settled(&ledger);
        let known = Journal::on(after).and_then(Result::ok).map(Arc::new);
        let elsewhere = known.as_ref().is_some_and(|journal| {
            self.places.iter().enumerate().any(|(there, other)| there != place && other.ledger.has(journal))
        });
        let left = ledger.journal().map(|journal| journal.state.traffic.clone());
        let others = self.places.iter().enumerate().filter(|(there, _)| *there != place);
        let others_ms = others
            .map(|(_, other)| {
                let since_ms = |traffic: &Traffic| other.ledger.since_ms(traffic, knowledge.at_ms);
                let there_already = known.as_ref().is_some_and(|known| since_ms(&known.state.traffic).is_some());
                if there_already { Some(i64::MIN) } else { since_ms(left.as_ref()?) }
            })
            .try_fold(i64::MIN, |latest, since_ms| Some(latest.max(since_ms?)));
        let earlier_ms =
            known.as_ref().and_then(|journal| self.earlier_ms(place, ledger.journal(), journal, knowledge.at_ms));
        let happened = &self.happened;
        let wrote = Wrote {
            earlier_ms,
            now_ms: self.now_ms,
            alone: self.places.len() == 1,
            others_ms,
            stripped: happened.stripped,
            handled: happened.lowered,
            images: happened.images,
            before,
            after,
            copy: self.places[place].live(ObjectKind::DestinationRule),
            journal: known,
            knowledge: (!elsewhere).then_some(knowledge),
            asked_for: &|plan| self.git.asked_for(plan),
            plan_of: &|commit| self.git.plan_of(commit),
            could_fail: &|cause| match cause {
                Cause::Stop(_) => happened.stopped,
                Cause::LoweredByHand(_) => happened.lowered,
                Cause::Rejected(_) => happened.invalid,
                Cause::EndpointsGone(_) => happened.gone,
                Cause::Deadline(_) => happened.unready,
                // Nobody can be asked about proxies here.
                Cause::ProxyRefused(_) => false,
                Cause::FailedBefore => happened.invalid || happened.gone || happened.lowered || happened.unready,
            },
        };
        let back = led_back(&ledger, &wrote, knowledge);
        let verdict = back.and(ledger.wrote(&wrote));
        self.tally.walks += u64::from(!was_settled && settled(&ledger));
        self.places[place].ledger = ledger;
        self.say(|world| {
            let journal = world.places[place].ledger.journal();
            let position = journal.map(|journal| format!("{} {:?}", journal.state.traffic, journal.phase));
            format!("{} now {}", world.places[place].name, position.unwrap_or_default())
        });
        self.judge(verdict);
    }
}

impl World {
    /// Since when all clusters of earlier waves have the traffic that is written here; none where there are none. Without
    /// waves, since when the first has it of those that had left this one behind.
    fn earlier_ms(
        &self,
        place: usize,
        before: Option<&Journal>,
        journal: &Journal,
        known_ms: i64,
    ) -> Option<Option<i64>> {
        if journal.plan.waves.len() < 2 {
            let others = self.places.iter().enumerate().filter(|(there, _)| *there != place);
            let since = others.filter_map(|(_, other)| other.ledger.since_ms(&journal.state.traffic, known_ms));
            let known = |there: &Transition| before.is_some_and(|before| before.transitions.contains(there));
            let mut entered = journal.transitions.iter().filter(|there| there.what == What::WaveEntered);
            return entered.any(|there| !known(there)).then(|| since.min());
        }
        let wave = |name: &str| {
            let waves = &journal.plan.waves;
            let there = waves.iter().position(|wave| wave.iter().any(|there| there == name));
            there.unwrap_or(waves.len().saturating_sub(1))
        };
        let own = wave(&self.places[place].name);
        let earlier = self.places.iter().filter(|other| wave(&other.name) < own);
        let since = earlier.map(|other| other.ledger.since_ms(&journal.state.traffic, known_ms));
        since.reduce(|one, other| Some(one?.max(other?)))
    }
}

fn outcome_name(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied(_) => "applied".into(),
        other => format!("{other:?}"),
    }
}
