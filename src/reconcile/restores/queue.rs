//! Which restore is committed when: one at a time in the order they came, refused ones slowly, none while the
//! repository is away. It does no I/O.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::plan::ObjectKey;

use super::super::{RestoreOrder, RestoreState};

/// The first pause after a server said no, or after a commit could not be made; it doubles up to the other.
pub(in super::super) const REFUSED_S: i64 = 30;
pub(in super::super) const REFUSED_S_MAX: i64 = 600;
/// The same for a repository that does not answer.
pub(in super::super) const AWAY_S: i64 = 1;
pub(in super::super) const AWAY_S_MAX: i64 = 60;

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Ended {
    /// The branch has it.
    Landed { commit: String },
    /// The branch says something else by now.
    Nothing { why: String },
    /// It is on a branch of its own.
    Branch { name: String, why: String },
    /// The server said no.
    Refused { words: String },
    /// No commit could be made.
    Failed { error: String },
    /// The repository does not answer, or wants to be left alone for so many seconds.
    Unreachable { error: String, least_s: i64 },
}

impl Ended {
    /// The outcome as a metric label.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Landed { .. } => "landed",
            Self::Nothing { .. } => "dropped",
            Self::Branch { .. } => "branch",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

/// All that is to be committed.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<ObjectKey, Entry>,
    came: u64,
    busy: bool,
    away: Option<Away>,
}

#[derive(Debug)]
struct Entry {
    order: RestoreOrder,
    came: u64,
    /// None: nothing is left to do.
    due: Option<Timestamp>,
    failures: u32,
}

#[derive(Debug)]
struct Away {
    until: Timestamp,
    /// Not before, whatever a look finds.
    least: Timestamp,
    failures: u32,
}

impl Queue {
    /// Takes in what Git should say of a plan again; it replaces what was asked before.
    pub(super) fn set(&mut self, key: &ObjectKey, order: Option<RestoreOrder>, now: Timestamp) {
        self.entries.remove(key);
        if let Some(order) = order {
            self.came += 1;
            self.entries.insert(key.clone(), Entry { order, came: self.came, due: Some(now), failures: 0 });
        }
    }

    /// The next one, if it is due; it is under way until [`Queue::ended`].
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(ObjectKey, RestoreOrder)> {
        if self.wake_at().is_none_or(|at| at > now) {
            return None;
        }
        let due = self.entries.iter().filter(|(_, entry)| entry.due.is_some_and(|due| due <= now));
        let (key, entry) = due.min_by_key(|(_, entry)| (entry.due, entry.came))?;
        self.busy = true;
        Some((key.clone(), entry.order.clone()))
    }

    /// When the next one is due.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        if self.busy {
            return None;
        }
        let due = self.entries.values().filter_map(|entry| entry.due).min()?;
        Some(self.away.as_ref().map_or(due, |away| due.max(away.until)))
    }

    /// Takes in what came of the one that was under way; returns how far which plans have come by that.
    pub(super) fn ended(
        &mut self,
        key: &ObjectKey,
        order: &RestoreOrder,
        ended: Ended,
        now: Timestamp,
    ) -> Vec<(ObjectKey, RestoreState)> {
        self.busy = false;
        let failures = self.entries.get(key).map_or(0, |entry| entry.failures);
        let until = later(now, REFUSED_S, REFUSED_S_MAX, failures);
        let (state, due) = match ended {
            Ended::Landed { commit } => (RestoreState::Landed { commit }, None),
            // What stood in its way may be gone by then.
            Ended::Branch { name, why } => (RestoreState::Branch { name, why }, Some(until)),
            // The worker takes the order back once it has seen the same; a branch that went to and fro is looked at again.
            Ended::Nothing { why } => (RestoreState::Dropped { why }, Some(until)),
            Ended::Refused { words } => (RestoreState::Refused { words, until }, Some(until)),
            Ended::Failed { error } => (RestoreState::Failed { error, until }, Some(until)),
            Ended::Unreachable { error, least_s } => return self.stays_away(&error, least_s, now),
        };
        self.away = None;
        // It may have been replaced or taken back meanwhile.
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.order == *order) else { return Vec::new() };
        entry.failures = failures.saturating_add(1);
        entry.due = due;
        vec![(key.clone(), state)]
    }

    fn stays_away(&mut self, error: &str, least_s: i64, now: Timestamp) -> Vec<(ObjectKey, RestoreState)> {
        let failures = self.away.as_ref().map_or(0, |away| away.failures);
        let least = now.checked_add(SignedDuration::from_secs(least_s)).unwrap_or(Timestamp::MAX);
        let until = later(now, AWAY_S, AWAY_S_MAX, failures).max(least);
        self.away = Some(Away { until, least, failures: failures.saturating_add(1) });
        let open = self.entries.iter().filter(|(_, entry)| entry.due.is_some());
        open.map(|(key, _)| (key.clone(), RestoreState::Unreachable { error: error.to_owned(), until })).collect()
    }

    /// The repository answers again.
    pub(super) fn answers(&mut self, now: Timestamp) {
        if let Some(away) = &mut self.away {
            away.until = away.until.min(now).max(away.least);
        }
    }
}

/// The end of a pause that doubles with each failure. Its milliseconds follow the instant, so that two processes that
/// failed together do not try again together.
pub(in super::super) fn later(now: Timestamp, least_s: i64, most_s: i64, failures: u32) -> Timestamp {
    let whole_ms = least_s.saturating_mul(1 << failures.min(20)).min(most_s).saturating_mul(1_000);
    let jitter_ms = now.as_millisecond().rem_euclid(1_000).saturating_mul(whole_ms) / 5_000;
    now.checked_add(SignedDuration::from_millis(whole_ms.saturating_sub(jitter_ms))).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Digest, PlanKey, Revision, Traffic, VersionName},
        rollout::{Owner, Restore},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: name.into() }
    }

    fn order(name: &str) -> RestoreOrder {
        let plan = PlanKey { namespace: "shop".into(), name: name.into() };
        let restore = Restore {
            failed: Digest::of(&serde_json::json!(name)),
            undoes: Revision { branch: "main".into(), commit: "4f".repeat(20) },
            to: None,
            traffic: Traffic::all(VersionName::new("v1")),
            reason: "version v2 had no ready endpoint".into(),
            at: at(0),
        };
        RestoreOrder { owner: Owner { repository: "plans".into(), plan }, restore }
    }

    fn queue(names: &[&str]) -> Queue {
        let mut queue = Queue::default();
        names.iter().for_each(|name| queue.set(&key(name), Some(order(name)), at(0)));
        queue
    }

    fn take(queue: &mut Queue, now: i64) -> Option<String> {
        queue.next(at(now)).map(|(key, _)| key.name)
    }

    fn ended(queue: &mut Queue, name: &str, ended: Ended, now: i64) -> Vec<String> {
        let told = queue.ended(&key(name), &order(name), ended, at(now));
        told.into_iter().map(|(key, state)| format!("{} {}", key.name, state.name())).collect()
    }

    fn landed() -> Ended {
        Ended::Landed { commit: "4f".into() }
    }

    #[test]
    fn many_are_committed_one_after_the_other_in_the_order_they_came() {
        let mut queue = queue(&["c", "a", "b"]);
        for name in ["c", "a", "b"] {
            assert_eq!(take(&mut queue, 0).as_deref(), Some(name));
            assert_eq!((take(&mut queue, 0), queue.wake_at()), (None, None), "one is under way");
            assert_eq!(ended(&mut queue, name, landed(), 0), [format!("{name} Landed")]);
        }
        assert_eq!((take(&mut queue, 1_000), queue.wake_at()), (None, None), "and none of them twice");
    }

    #[test]
    fn a_refusal_holds_up_its_plan_alone_and_is_tried_ever_more_slowly() {
        let mut queue = queue(&["a", "b"]);
        assert_eq!(take(&mut queue, 0).as_deref(), Some("a"));
        assert_eq!(ended(&mut queue, "a", Ended::Refused { words: "no".into() }, 0), ["a Refused"]);
        assert_eq!(take(&mut queue, 0).as_deref(), Some("b"));
        ended(&mut queue, "b", landed(), 0);
        let (mut now, mut tries) = (0, 0);
        while now < 86_400 {
            now = queue.wake_at().unwrap().as_second();
            assert_eq!(take(&mut queue, now).as_deref(), Some("a"));
            ended(&mut queue, "a", Ended::Refused { words: "no".into() }, now);
            tries += 1;
        }
        assert!((140..=160).contains(&tries), "{tries} in a day: every ten minutes after the first few");
        queue.set(&key("a"), None, at(now));
        assert_eq!(queue.wake_at(), None);
    }

    #[test]
    fn a_repository_that_wants_to_be_left_alone_is_though_looks_succeed() {
        let mut queue = queue(&["a"]);
        take(&mut queue, 0);
        ended(&mut queue, "a", Ended::Unreachable { error: "busy".into(), least_s: 90 }, 0);
        queue.answers(at(10));
        assert_eq!(queue.wake_at(), Some(at(90)));
    }

    #[test]
    fn while_the_repository_is_away_nothing_is_tried_and_all_are_told() {
        let mut queue = queue(&["a", "b"]);
        take(&mut queue, 0);
        let away = || Ended::Unreachable { error: "gone".into(), least_s: 0 };
        assert_eq!(ended(&mut queue, "a", away(), 0), ["a Unreachable", "b Unreachable"]);
        assert_eq!(take(&mut queue, 0), None);
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..10 {
            let next = queue.wake_at().unwrap().as_second();
            pauses.push(next - now);
            now = next;
            take(&mut queue, now).unwrap();
            ended(&mut queue, "a", away(), now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(take(&mut queue, now), None);
        queue.answers(at(now));
        assert_eq!(take(&mut queue, now).as_deref(), Some("a"), "once it answers, at once");
        ended(&mut queue, "a", landed(), now);
        assert_eq!(take(&mut queue, now).as_deref(), Some("b"));
    }

    #[test]
    fn what_was_taken_back_or_replaced_meanwhile_is_told_nothing() {
        let mut queue = queue(&["a"]);
        take(&mut queue, 0);
        let mut newer = order("a");
        newer.restore.failed = Digest::of(&serde_json::json!("newer"));
        queue.set(&key("a"), Some(newer), at(1));
        assert_eq!((take(&mut queue, 1), ended(&mut queue, "a", landed(), 2)), (None, Vec::new()));
        assert_eq!(take(&mut queue, 2).as_deref(), Some("a"), "the newer one is still to be committed");
    }
}
