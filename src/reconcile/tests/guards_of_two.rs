//! A guard in one of two clusters, beside whoever raises in both.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    around::Around,
    pair::{EAST, Pair, WEST, both, settled, to_v2},
    simulation::{Sim, new_worker},
};
use crate::{
    istio::ObjectKind,
    plan::OnPartial,
    reconcile::{Effect, Event, Worker, packed::Packed},
    rollout::{Cause, Journal, Lease, Phase, STOP, Wanted, What},
};

/// The guard of WEST.
pub(super) struct Guard {
    pub(super) worker: Worker,
    around: Around,
    queue: Vec<Event>,
    pub(super) wake_at: Option<Timestamp>,
    /// Writes that it has done.
    pub(super) done: usize,
    /// Writes that met what somebody else has written.
    stale: usize,
}

impl Guard {
    pub(super) fn start(pair: &mut Pair) -> Self {
        let own = |(place, count): (&String, &Option<u32>)| Some((place.strip_prefix("west/")?.to_owned(), *count));
        let ready = pair.around.ready.iter().filter_map(own).collect();
        let around = Around { lease: Lease::Guard, ready, ..Sim::new().around };
        let queue = vec![Event::Wanted(Wanted::Unknown)];
        let mut guard = Self { worker: new_worker([WEST]), around, queue, wake_at: None, done: 0, stale: 0 };
        guard.turn(pair);
        guard
    }

    /// Sees what there is, and does what it wants done.
    pub(super) fn turn(&mut self, pair: &mut Pair) {
        for kind in [ObjectKind::VirtualService, ObjectKind::DestinationRule] {
            let live = pair.apis[WEST].objects.get(&kind).cloned();
            self.queue.insert(0, Event::Object { cluster: WEST.into(), kind, live });
        }
        if self.wake_at.is_some_and(|at| at <= pair.now) {
            self.wake_at = None;
            self.queue.insert(0, Event::Look);
        }
        while let Some(event) = self.queue.pop() {
            pair.now += jiff::SignedDuration::from_millis(1);
            for effect in self.worker.handle(event, pair.now, &self.around) {
                match effect {
                    Effect::Write { cluster, edit, leased } => {
                        assert!(!leased && cluster == WEST);
                        let outcome = pair.apis.get_mut(WEST).unwrap().write(&edit);
                        let applied = matches!(outcome, crate::cluster::Outcome::Applied(_));
                        self.done += usize::from(applied);
                        self.stale += usize::from(!applied);
                        self.queue.insert(0, Event::Written { cluster, kind: edit.kind, outcome });
                        if pair.away != Some(WEST) {
                            pair.show(WEST);
                        }
                    }
                    Effect::Look { cluster, .. } => {
                        let object = |kind| pair.apis[WEST].objects.get(&kind).cloned();
                        let found = Ok((object(ObjectKind::VirtualService), object(ObjectKind::DestinationRule)));
                        self.queue.insert(0, Event::Looked { cluster, found });
                    }
                    Effect::WakeAt(at) => self.wake_at = at,
                    _ => {}
                }
            }
            let apis = &pair.apis;
            self.worker.lie_down(|_, kind, _| apis[WEST].objects.get(&kind).map(|live| Packed::of(live)));
        }
    }

    /// What it wants done for an event.
    pub(super) fn tell(&mut self, pair: &Pair, event: Event) -> Vec<Effect> {
        self.worker.handle(event, pair.now, &self.around)
    }

    /// Seconds pass for both.
    pub(super) fn pass(&mut self, pair: &mut Pair, seconds: i64) {
        for _ in 0..seconds {
            pair.pass(1);
            self.turn(pair);
            pair.turn();
        }
    }

    /// It sees so many ready endpoints of a version in its cluster.
    pub(super) fn ready(&mut self, version: &str, count: u32) {
        self.around.ready.insert(version.into(), Some(count));
        self.queue.push(Event::Look);
    }

    pub(super) fn lose_v2(&mut self, pair: &mut Pair) {
        pair.ready("west/v2", Some(0));
        self.ready("v2", 0);
    }
}

fn journal(pair: &Pair, cluster: &str) -> Journal {
    Journal::on(&pair.object(cluster)).unwrap().unwrap()
}

pub(super) fn stop(pair: &mut Pair, cluster: &'static str) {
    let mut object = Value::clone(&pair.object(cluster));
    object["metadata"]["annotations"][STOP] = "Ann".into();
    pair.apis.get_mut(cluster).unwrap().put(ObjectKind::VirtualService, object);
}

/// How often traffic went back, by a journal.
fn ways_back(journal: &Journal) -> usize {
    journal.transitions.iter().filter(|there| there.what == What::WentBack).count()
}

/// Both at 10, and the guard's cluster out of the other's reach.
fn cut_off(on_partial: OnPartial) -> (Pair, Guard) {
    let mut pair = settled();
    pair.push(to_v2().with(|plan| plan.on_partial = on_partial));
    pair.pass(60);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    pair.leave(WEST);
    let guard = Guard::start(&mut pair);
    (pair, guard)
}

pub(super) fn one_way_back(pair: &mut Pair, guard: &mut Guard) {
    pair.come_back();
    guard.pass(pair, 3_600);
    assert_eq!(pair.weights(), both("v1=100"), "the other cluster follows");
    let [east, west] = [EAST, WEST].map(|cluster| journal(pair, cluster));
    assert_eq!((ways_back(&east), ways_back(&west), guard.done), (1, 1, 1));
    assert_eq!((east.transitions.last(), &east.restore), (west.transitions.last(), &west.restore));
    assert!(east.restore.is_some());
}

#[test]
fn law_03_what_a_guard_took_back_in_one_cluster_the_others_follow() {
    let (mut pair, mut guard) = cut_off(OnPartial::RollbackAll);
    guard.lose_v2(&mut pair);
    guard.pass(&mut pair, 12);
    assert_eq!(pair.weights(), ["v1=90 v2=10", "v1=100"], "where it is cut off, the guard goes back alone");
    one_way_back(&mut pair, &mut guard);
    assert!(matches!(pair.phase(EAST), Phase::WentBack { cause: Cause::EndpointsGone(_) }));

    let (mut pair, mut guard) = cut_off(OnPartial::Hold);
    stop(&mut pair, WEST);
    guard.pass(&mut pair, 2);
    assert_eq!(pair.weights(), ["v1=90 v2=10", "v1=100"], "a stop is of the whole plan, whatever `onPartial` says");
    one_way_back(&mut pair, &mut guard);
}

#[test]
fn a_failure_that_the_plan_takes_back_where_it_happened_stays_there() {
    let (mut pair, mut guard) = cut_off(OnPartial::RollbackFailed);
    guard.lose_v2(&mut pair);
    guard.pass(&mut pair, 12);
    assert_eq!((pair.weights(), guard.done), (["v1=90 v2=10", "v1=100"].map(str::to_owned), 1));
    pair.come_back();
    guard.pass(&mut pair, 3_600);
    assert_eq!((pair.weights(), pair.reason()), (["v1=90 v2=10", "v1=100"].map(str::to_owned), "FailureHeld"));
    for cluster in [EAST, WEST] {
        let journal = journal(&pair, cluster);
        let apart = journal.apart.unwrap();
        assert!(apart.fallen.contains(WEST) && apart.fallen.len() == 1);
        // The guard was alone with it.
        let cause = format!("version v2 in cluster {WEST} had no ready endpoint");
        assert_eq!(journal.failure.map(|cause| cause.to_string()), Some(cause.clone()), "{cluster}");
        let held = journal.transitions.iter().find(|one| one.what == What::FailureHeld).unwrap();
        assert_eq!(held.note, cause, "{cluster}: once");
    }
    assert_eq!(guard.done, 1);
}

#[test]
fn a_failure_at_which_the_plan_holds_moves_nothing_and_is_told_once_the_cluster_is_back() {
    let (mut pair, mut guard) = cut_off(OnPartial::Hold);
    guard.lose_v2(&mut pair);
    guard.pass(&mut pair, 3_600);
    assert_eq!((pair.weights(), guard.done), (both("v1=90 v2=10"), 0));
    assert_eq!(guard.worker.reason().unwrap().name(), "FailureHeld");
    pair.come_back();
    guard.pass(&mut pair, 60);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=90 v2=10"), "FailureHeld"));
}

#[test]
fn law_02_a_guard_of_a_later_wave_does_not_bring_it_there() {
    let mut pair = settled();
    let waves = vec![vec![EAST.to_owned()], vec![WEST.to_owned()]];
    pair.push(to_v2().with(|plan| plan.waves = waves));
    pair.pass(200);
    pair.leave(WEST);
    let mut guard = Guard::start(&mut pair);
    guard.pass(&mut pair, 3_600);
    assert_eq!((pair.weights(), guard.done), (["v1=90 v2=10", "v1=100"].map(str::to_owned), 0));
    assert_eq!(guard.worker.reason().unwrap().name(), "GuardOnly");
    stop(&mut pair, WEST);
    guard.pass(&mut pair, 2);
    one_way_back(&mut pair, &mut guard);
}

#[test]
fn law_06_of_a_guard_and_whoever_raises_one_goes_back_and_the_other_looks() {
    // Whoever raises sees it: the guard gives it the first chance.
    let mut pair = settled();
    pair.push(to_v2());
    pair.pass(60);
    let mut guard = Guard::start(&mut pair);
    stop(&mut pair, WEST);
    pair.show(WEST);
    guard.turn(&mut pair);
    pair.turn();
    guard.pass(&mut pair, 60);
    assert_eq!((pair.weights(), guard.done, guard.stale), (both("v1=100"), 0, 0));
    assert_eq!(ways_back(&journal(&pair, WEST)), 1);

    // It is slow to see it: the guard has gone back meanwhile.
    let mut pair = settled();
    pair.push(to_v2());
    pair.pass(60);
    let mut guard = Guard::start(&mut pair);
    stop(&mut pair, WEST);
    guard.turn(&mut pair);
    pair.now += jiff::SignedDuration::from_secs(1);
    guard.turn(&mut pair);
    assert_eq!((pair.weights(), guard.done), (["v1=90 v2=10", "v1=100"].map(str::to_owned), 1));
    one_way_back(&mut pair, &mut guard);
}
