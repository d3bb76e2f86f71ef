//! How often each object was put back, who it is that changes it, and when it may be put back again.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::{
    istio::{ObjectKind, Writer},
    plan::ObjectKey,
    rollout::{FIGHT_CORRECTIONS, FIGHT_QUIET_S, FIGHT_WINDOW_S, Fight},
};

/// The pauses before the corrections of drift that exposes nobody, in milliseconds: the first is at once.
const PAUSES_MS: [i64; FIGHT_CORRECTIONS] = [0, 500, 1_000, 2_000, 4_000];

/// The longest pause before drift that exposes callers is put back, in milliseconds (law 4). Until the fight is
/// established there is none; then it doubles up to this from a second.
const EXPOSED_MS_MAX: i64 = 10_000;

/// The corrections of both objects of one route in one cluster. They are kept in memory alone: a fight that is forgotten
/// by a restart is found again.
#[derive(Clone, Debug, Default)]
pub(super) struct Fights(BTreeMap<ObjectKind, Corrections>);

#[derive(Clone, Debug, Default)]
struct Corrections {
    /// The last ones, at most [`FIGHT_CORRECTIONS`].
    at: VecDeque<Timestamp>,
    total: u32,
    established: bool,
    asked: bool,
    by: Option<Writer>,
    /// Drift stands that waits for its time.
    waits: bool,
}

impl Corrections {
    fn last(&self) -> Timestamp {
        self.at.back().copied().unwrap_or(Timestamp::MIN)
    }

    fn recent(&self, now: Timestamp) -> usize {
        self.at.iter().filter(|at| **at > ago(now, FIGHT_WINDOW_S)).count()
    }

    fn quiet_at(&self) -> Timestamp {
        after(self.last(), FIGHT_QUIET_S.saturating_mul(1_000))
    }
}

impl Fights {
    /// When the object may be put back next; none where nothing was yet. `exposes`: whether its drift may not stand.
    pub(super) fn due(&self, kind: ObjectKind, exposes: impl FnOnce() -> bool, now: Timestamp) -> Option<Timestamp> {
        let corrections = self.0.get(&kind)?;
        let pause_ms = match (corrections.established, exposes()) {
            (false, true) => 0,
            (false, false) => PAUSES_MS.get(corrections.recent(now)).copied().unwrap_or(EXPOSED_MS_MAX),
            (true, true) => {
                let more = corrections.total.saturating_sub(u32::try_from(FIGHT_CORRECTIONS).unwrap_or(u32::MAX));
                1_000_i64.saturating_mul(1 << more.min(10)).min(EXPOSED_MS_MAX)
            }
            (true, false) => return Some(corrections.quiet_at()),
        };
        Some(after(corrections.last(), pause_ms))
    }

    /// Drift of the object stands until its time has come.
    pub(super) fn wait(&mut self, kind: ObjectKind) {
        if let Some(corrections) = self.0.get_mut(&kind) {
            corrections.waits = true;
        }
    }

    /// Whether the next correction establishes the fight and nobody has asked yet who it is with. The other's name is
    /// lost once its change is put back, so it has to be asked before.
    pub(super) fn wants_writer(&self, kind: ObjectKind, now: Timestamp) -> bool {
        let is_near = |corrections: &Corrections| {
            !corrections.asked && !corrections.established && corrections.recent(now) + 1 >= FIGHT_CORRECTIONS
        };
        self.0.get(&kind).is_some_and(is_near)
    }

    /// Takes in who it is with.
    pub(super) fn writer(&mut self, kind: ObjectKind, by: Option<Writer>) {
        if let Some(corrections) = self.0.get_mut(&kind) {
            corrections.asked = true;
            corrections.by = by;
        }
    }

    /// Notes that the object was put back; returns whether that was within a fight, and whether it establishes one.
    pub(super) fn corrected(&mut self, kind: ObjectKind, now: Timestamp) -> (bool, bool) {
        let corrections = self.0.entry(kind).or_default();
        let before = corrections.established;
        if corrections.at.len() == FIGHT_CORRECTIONS {
            corrections.at.pop_front();
        }
        corrections.at.push_back(now);
        corrections.waits = false;
        corrections.total = corrections.total.saturating_add(1);
        corrections.established |= corrections.recent(now) >= FIGHT_CORRECTIONS;
        (before, corrections.established && !before)
    }

    /// Both objects stand as they should.
    pub(super) fn stand(&mut self) {
        self.0.values_mut().for_each(|corrections| corrections.waits = false);
    }

    /// Ends the fights over objects that have stood long enough, and forgets old corrections.
    pub(super) fn calm(&mut self, now: Timestamp) {
        self.0.retain(|_, corrections| {
            let over = !corrections.waits && corrections.quiet_at() <= now;
            if corrections.established { !over } else { corrections.recent(now) > 0 }
        });
    }

    /// The fight that is established; `object` tells the name of the object of a kind.
    pub(super) fn fight(&self, object: impl Fn(ObjectKind) -> ObjectKey) -> Option<Fight> {
        let (kind, corrections) = self.0.iter().find(|(_, corrections)| corrections.established)?;
        Some(Fight {
            kind: *kind,
            object: object(*kind),
            corrections: corrections.total,
            by: corrections.by.clone(),
            until: corrections.quiet_at(),
        })
    }
}

fn after(at: Timestamp, ms: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
}

fn ago(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: ObjectKind = ObjectKind::VirtualService;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn key(_: ObjectKind) -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: "web".into() }
    }

    #[test]
    fn pauses_grow_with_each_correction_and_shrink_as_they_age() {
        let mut fights = Fights::default();
        assert_eq!(fights.due(ROUTE, || false, at(0)), None);
        let mut pauses = Vec::new();
        for correction in 0..4 {
            fights.corrected(ROUTE, at(correction));
            let due = fights.due(ROUTE, || false, at(correction)).unwrap();
            pauses.push(due.as_millisecond() - at(correction).as_millisecond());
            assert_eq!(fights.due(ROUTE, || true, at(correction)), Some(at(correction)), "what exposes is at once");
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000]);
        assert_eq!(fights.due(ROUTE, || false, at(3_602)), Some(at(3) + SignedDuration::from_millis(500)));
        fights.calm(at(3_604));
        assert_eq!(fights.due(ROUTE, || false, at(3_604)), None);
    }

    #[test]
    fn the_fifth_correction_establishes_a_fight_that_ends_once_the_object_is_left_alone() {
        let mut fights = Fights::default();
        let told: Vec<_> = (0..7).map(|second| fights.corrected(ROUTE, at(second))).collect();
        assert_eq!(told[3..6], [(false, false), (false, true), (true, false)]);
        assert_eq!(fights.due(ROUTE, || false, at(6)), Some(at(906)));
        assert_eq!(fights.due(ROUTE, || true, at(6)), Some(at(10)), "every 10 s at the least");
        fights.calm(at(905));
        assert_eq!(fights.fight(key).map(|fight| (fight.corrections, fight.until)), Some((7, at(906))));
        fights.wait(ROUTE);
        fights.calm(at(906));
        assert!(fights.fight(key).is_some(), "drift waits to be put back");
        fights.stand();
        fights.calm(at(906));
        assert!(fights.fight(key).is_none());
    }

    #[test]
    fn corrections_that_lie_far_apart_are_no_fight() {
        let mut fights = Fights::default();
        for correction in 0..50 {
            assert_eq!(fights.corrected(ROUTE, at(correction * 1_000)), (false, false));
        }
    }

    #[test]
    fn the_writer_is_asked_for_once_before_the_correction_that_counts() {
        let mut fights = Fights::default();
        let mut asked = Vec::new();
        for correction in 0..8 {
            if fights.wants_writer(ROUTE, at(correction)) {
                asked.push(correction);
                fights.writer(ROUTE, None);
            }
            fights.corrected(ROUTE, at(correction));
        }
        assert_eq!(asked, [4]);
    }
}
