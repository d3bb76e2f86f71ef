//! Which CanaryPlan resources of one cluster are to be looked at when: paced, a few at a time, without I/O.
//!
//! ```text
//!  mark(plan) ─► due ─► Step::Try(plan) ─► (written, if another) ─► done(plan, Published)
//!                        Step::List at the first ─► listed          Off: all wait, and it is asked again
//! ```

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    cluster::{Published, Written},
    plan::PlanKey,
};

use super::timers::Timers;

/// Requests that are under way at once: resources wait, weights do not.
const WRITES_MAX: usize = 4;
/// What happens to a plan in this time is one write.
const GATHER: SignedDuration = SignedDuration::from_millis(250);
/// A plan's resource is not written more often.
const PACE: SignedDuration = SignedDuration::from_secs(1);
/// How long all of them wait while the cluster takes none, and how long a foreign one is left alone.
const OFF: SignedDuration = SignedDuration::from_mins(5);
/// A commit asks again sooner, but not more often than this.
const OFF_MIN: SignedDuration = SignedDuration::from_secs(5);
const RETRY_S_MAX: i64 = 60;

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// List what is there, and answer with [`Outbox::listed`].
    List,
    /// Compare what this plan's resource should say with [`Outbox::written`].
    Try(PlanKey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// What is there is not known; to be listed from that instant on.
    Unlisted {
        from: Timestamp,
        failures: u32,
    },
    Listing {
        failures: u32,
    },
    Open,
    /// The cluster takes none.
    Off {
        since: Timestamp,
        until: Timestamp,
    },
}

/// The resources of one cluster.
#[derive(Debug)]
pub(super) struct Outbox {
    state: State,
    due: Timers<PlanKey>,
    busy: HashSet<PlanKey>,
    written: HashMap<PlanKey, Written>,
    rests: HashMap<PlanKey, Timestamp>,
    foreign: HashMap<PlanKey, Timestamp>,
    failures: HashMap<PlanKey, u32>,
    off_said: bool,
}

/// What people are told of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// From now on resources are written.
    On,
    /// The cluster takes none.
    Off(String),
    /// This resource is somebody else's.
    Foreign,
    /// The server does not take this one.
    Refused(String),
}

impl Outbox {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            state: State::Unlisted { from: now, failures: 0 },
            due: Timers::default(),
            busy: HashSet::new(),
            written: HashMap::new(),
            rests: HashMap::new(),
            foreign: HashMap::new(),
            failures: HashMap::new(),
            off_said: false,
        }
    }

    /// Something happened to a plan.
    pub(super) fn mark(&mut self, key: &PlanKey, now: Timestamp) {
        let gathered = after(now, GATHER);
        let at = self.rests.get(key).map_or(gathered, |rest| gathered.max(*rest));
        if self.due.get(key).is_none_or(|before| before > at) {
            self.due.set(key, Some(at));
        }
    }

    /// A commit came: a good moment to ask again.
    pub(super) fn commit(&mut self, now: Timestamp) {
        if let State::Off { since, until } = self.state {
            self.state = State::Off { since, until: until.min(after(since, OFF_MIN).max(now)) };
        }
    }

    /// The run ends: what waits for its pace does so no longer.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        for key in self.due.workers().cloned().collect::<Vec<_>>() {
            self.due.set(&key, Some(now));
        }
    }

    /// When there is something to do; none: not before an answer or another mark.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let due = self.due.next()?;
        match self.state {
            State::Unlisted { from, .. } => Some(due.max(from)),
            State::Off { until, .. } => Some(due.max(until)),
            State::Open if self.busy.len() < WRITES_MAX => Some(due),
            State::Open | State::Listing { .. } => None,
        }
    }

    /// The next thing to do at this instant.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Step> {
        if self.wake_at().is_none_or(|at| at > now) {
            return None;
        }
        match self.state {
            State::Unlisted { failures, .. } => self.state = State::Listing { failures },
            State::Off { .. } => self.state = State::Listing { failures: 0 },
            State::Open => {
                let key = self.due.due(now)?;
                if self.busy.contains(&key) || self.foreign.get(&key).is_some_and(|until| *until > now) {
                    self.due.set(&key, self.busy.contains(&key).then(|| after(now, GATHER)));
                    return self.next(now);
                }
                return Some(Step::Try(key));
            }
            State::Listing { .. } => return None,
        }
        Some(Step::List)
    }

    /// What the plan's resource says, as far as it is known.
    pub(super) fn written(&self, key: &PlanKey) -> Option<&Written> {
        self.written.get(key)
    }

    /// A request about the plan's resource is under way; what was known of it is handed over.
    pub(super) fn begin(&mut self, key: &PlanKey) -> Option<Written> {
        self.busy.insert(key.clone());
        self.written.remove(key)
    }

    /// Whether nothing is under way, and nothing waits but for the cluster to take it.
    pub(super) fn rests(&self) -> bool {
        let waits = self.due.next().is_some() || matches!(self.state, State::Listing { .. });
        self.busy.is_empty() && (matches!(self.state, State::Off { .. }) || !waits)
    }

    /// Takes in what is there; every one of them is looked at.
    pub(super) fn listed(&mut self, found: Published<Vec<(PlanKey, Written)>>, now: Timestamp) -> Option<Said> {
        let State::Listing { failures } = self.state else { return None };
        match found {
            Published::Done(found) => {
                self.state = State::Open;
                found.iter().for_each(|(key, _)| self.mark(key, now));
                self.written = found.into_iter().collect();
                std::mem::take(&mut self.off_said).then_some(Said::On)
            }
            Published::Off(why) | Published::Rejected(why) => self.off(why, now),
            Published::Foreign | Published::NoNamespace | Published::Unknown(_) => {
                self.state = State::Unlisted { from: after(now, backoff(failures)), failures: failures + 1 };
                None
            }
        }
    }

    /// Takes in the answer about one resource; none: it is gone.
    pub(super) fn done(&mut self, key: PlanKey, answer: Published<Option<Written>>, now: Timestamp) -> Option<Said> {
        self.busy.remove(&key);
        self.rests.retain(|_, rest| *rest > now);
        self.rests.insert(key.clone(), after(now, PACE));
        let failures = self.failures.remove(&key);
        match answer {
            Published::Done(Some(written)) => {
                self.foreign.remove(&key);
                self.written.insert(key, written);
                None
            }
            // A plan without its namespace says so itself, and comes again when it moves.
            Published::Done(None) | Published::NoNamespace => None,
            Published::Foreign => self.foreign.insert(key, after(now, OFF)).is_none().then_some(Said::Foreign),
            Published::Off(why) => {
                self.due.set(&key, Some(now));
                self.off(why, now)
            }
            Published::Rejected(why) => {
                self.failures.insert(key, 1);
                failures.is_none().then_some(Said::Refused(why))
            }
            Published::Unknown(_) => {
                let failures = failures.unwrap_or(0);
                self.due.set(&key, Some(after(now, backoff(failures))));
                self.failures.insert(key, failures + 1);
                None
            }
        }
    }

    fn off(&mut self, why: String, now: Timestamp) -> Option<Said> {
        self.state = State::Off { since: now, until: after(now, OFF) };
        // Whatever comes is listed anew.
        for key in std::mem::take(&mut self.written).into_keys() {
            self.mark(&key, now);
        }
        (!std::mem::replace(&mut self.off_said, true)).then_some(Said::Off(why))
    }
}

fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn backoff(failures: u32) -> SignedDuration {
    SignedDuration::from_secs(1_i64.checked_shl(failures).unwrap_or(RETRY_S_MAX).clamp(1, RETRY_S_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> PlanKey {
        PlanKey { namespace: "shop".into(), name: name.into() }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    fn open() -> Outbox {
        let mut outbox = Outbox::new(at(0));
        outbox.mark(&key("a"), at(0));
        assert_eq!(outbox.next(at(250)), Some(Step::List));
        assert_eq!(outbox.listed(Published::Done(vec![]), at(260)), None);
        assert_eq!(outbox.next(at(260)), Some(Step::Try(key("a"))));
        outbox
    }

    #[test]
    fn nothing_is_asked_before_something_happened_nor_after_all_is_done() {
        let mut outbox = Outbox::new(at(0));
        assert_eq!((outbox.wake_at(), outbox.next(at(9_000))), (None, None));
        assert_eq!(open().wake_at(), None);
    }

    #[test]
    fn what_happens_in_a_row_is_one_write_and_a_plan_is_written_once_a_second() {
        let mut outbox = open();
        outbox.begin(&key("a"));
        outbox.done(key("a"), Published::Done(None), at(300));
        outbox.mark(&key("a"), at(310));
        outbox.mark(&key("a"), at(400));
        assert_eq!(outbox.next(at(1_299)), None);
        assert_eq!((outbox.next(at(1_300)), outbox.next(at(1_300))), (Some(Step::Try(key("a"))), None));
    }

    #[test]
    fn no_more_than_a_few_are_under_way_and_one_plan_once() {
        let mut outbox = open();
        outbox.begin(&key("a"));
        for name in ["a", "b", "c", "d", "e"] {
            outbox.mark(&key(name), at(1_000));
        }
        for name in ["b", "c", "d"] {
            assert_eq!(outbox.next(at(2_000)), Some(Step::Try(key(name))));
            outbox.begin(&key(name));
        }
        assert_eq!((outbox.next(at(3_000)), outbox.wake_at()), (None, None));
        outbox.done(key("a"), Published::Done(None), at(3_000));
        assert!(matches!(outbox.next(at(3_000)), Some(Step::Try(_))));
    }

    #[test]
    fn a_cluster_that_takes_none_is_said_once_and_asked_again_seldom_or_after_a_commit() {
        let mut outbox = open();
        outbox.begin(&key("a"));
        let off = || Published::Off("no such resource".into());
        assert_eq!(outbox.done(key("a"), off(), at(1_000)), Some(Said::Off("no such resource".into())));
        assert_eq!((outbox.next(at(300_999)), outbox.wake_at()), (None, Some(at(301_000))));
        outbox.commit(at(2_000));
        assert_eq!((outbox.next(at(5_999)), outbox.next(at(6_000))), (None, Some(Step::List)));
        assert_eq!(outbox.listed(Published::Off("still".into()), at(11_010)), None);
        assert_eq!(outbox.next(at(311_010)), Some(Step::List));
        assert_eq!(outbox.listed(Published::Done(vec![]), at(311_020)), Some(Said::On));
        assert_eq!(outbox.next(at(311_020)), Some(Step::Try(key("a"))));
    }

    #[test]
    fn a_lost_answer_is_tried_again_ever_later_and_a_refusal_is_not() {
        let mut outbox = open();
        let mut now = 1_000;
        for pause_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            outbox.begin(&key("a"));
            outbox.done(key("a"), Published::Unknown("torn".into()), at(now));
            assert_eq!(outbox.wake_at(), Some(at(now + pause_s * 1_000)));
            now += pause_s * 1_000;
            assert_eq!(outbox.next(at(now)), Some(Step::Try(key("a"))));
        }
        outbox.begin(&key("b"));
        let refused = || Published::Rejected("no".into());
        assert_eq!(outbox.done(key("b"), refused(), at(now)), Some(Said::Refused("no".into())));
        assert_eq!((outbox.wake_at(), outbox.done(key("b"), refused(), at(now))), (None, None));
    }

    #[test]
    fn a_foreign_resource_is_said_once_and_left_alone() {
        let mut outbox = open();
        outbox.begin(&key("a"));
        assert_eq!(outbox.done(key("a"), Published::Foreign, at(1_000)), Some(Said::Foreign));
        outbox.mark(&key("a"), at(2_000));
        assert_eq!((outbox.next(at(9_000)), outbox.wake_at()), (None, None));
    }
}
