//! One plan in two clusters: raises go in step and wait for both, ways back act where they can.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    around::Around,
    draft::{Draft, plan},
    simulation::{Sim, new_worker},
};
use crate::{
    cluster::Outcome,
    istio::ObjectKind,
    plan::{Revision, VersionName},
    reconcile::{Effect, Event, News, Worker, packed::Packed, simulation::Api},
    rollout::{Cause, Image, Images, JOURNAL, Journal, Owner, Phase, STOP, Wanted},
};

pub(super) const EAST: &str = "east";
pub(super) const WEST: &str = "west";
const STEPS: &str = "10:5m 25:10m 50:10m";

/// Two API servers; what is sent to one that is away gets no answer until it is back.
pub(super) struct Pair {
    pub(super) now: Timestamp,
    pub(super) apis: BTreeMap<&'static str, Api>,
    pub(super) away: Option<&'static str>,
    /// Writes there are done and not answered.
    pub(super) silent: Option<&'static str>,
    lost: Vec<(String, ObjectKind)>,
    /// Writes there are not taken for now, and tried again later.
    pub(super) throttles: Option<&'static str>,
    /// The next write there is refused.
    pub(super) refuses: Option<&'static str>,
    pub(super) around: Around,
    pub(super) worker: Worker,
    pub(super) queue: Vec<Event>,
    pub(super) wake_at: Option<Timestamp>,
    commits: u64,
    wanted: Option<Wanted>,
}

impl Pair {
    pub(super) fn new() -> Self {
        let sim = Sim::new();
        let mut pair = Self {
            now: sim.now,
            apis: BTreeMap::from([(EAST, Api::default()), (WEST, Api::default())]),
            away: None,
            silent: None,
            lost: Vec::new(),
            throttles: None,
            refuses: None,
            around: sim.around,
            worker: new_worker([EAST, WEST]),
            queue: Vec::new(),
            wake_at: None,
            commits: 0,
            wanted: None,
        };
        pair.show(EAST);
        pair.show(WEST);
        pair
    }

    pub(super) fn show(&mut self, cluster: &'static str) {
        for kind in [ObjectKind::VirtualService, ObjectKind::DestinationRule] {
            let live = self.apis[cluster].objects.get(&kind).cloned();
            self.queue.push(Event::Object { cluster: cluster.into(), kind, live });
        }
    }

    pub(super) fn push(&mut self, draft: Draft) {
        self.commits += 1;
        let plan = draft.done();
        let owner = Owner { repository: "plans".into(), plan: plan.key.clone() };
        let revision = Revision { branch: "main".into(), commit: format!("{:02x}{}", self.commits, "0".repeat(38)) };
        let wanted = Wanted::Plan { plan, revision, owner, newer_invalid: false };
        self.wanted = Some(wanted.clone());
        self.queue.push(Event::Wanted(wanted));
        self.turn();
    }

    /// The same commit, told to another process.
    fn push_again(&mut self) {
        if let Some(wanted) = self.wanted.clone() {
            self.queue.insert(0, Event::Wanted(wanted));
        }
        self.turn();
    }

    pub(super) fn remove(&mut self) {
        let revision = Revision { branch: "main".into(), commit: "f".repeat(40) };
        self.queue.push(Event::Wanted(Wanted::Removed { revision, elsewhere: false }));
        self.turn();
    }

    pub(super) fn is_done(&self) -> bool {
        self.worker.is_done()
    }

    /// Another process, and a cluster where nothing of the plan was ever made.
    pub(super) fn meets(&mut self, cluster: &'static str) {
        self.apis.insert(cluster, Api::default());
        self.restarts();
    }

    /// Another process takes over.
    pub(super) fn restarts(&mut self) {
        self.worker = new_worker([EAST, WEST]);
        self.queue.clear();
        self.show(EAST);
        self.show(WEST);
    }

    /// The object of a cluster has this journal.
    pub(super) fn tells(&mut self, cluster: &'static str, journal: &Journal) {
        let mut object = Value::clone(&self.object(cluster));
        object["metadata"]["annotations"][JOURNAL] = journal.encode().unwrap().into();
        self.apis.get_mut(cluster).unwrap().put(ObjectKind::VirtualService, object);
        self.restarts();
        self.push_again();
    }

    /// The journal of a cluster is taken off while no process runs.
    pub(super) fn loses_journal(&mut self, cluster: &'static str) {
        let mut object = Value::clone(&self.object(cluster));
        object["metadata"]["annotations"].as_object_mut().unwrap().remove(JOURNAL);
        self.apis.get_mut(cluster).unwrap().put(ObjectKind::VirtualService, object);
        self.restarts();
        self.push_again();
    }

    /// Until when it waits.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.worker.reason()?.until()
    }

    /// Somebody deletes the VirtualService.
    pub(super) fn loses_object(&mut self, cluster: &'static str) {
        self.apis.get_mut(cluster).unwrap().objects.remove(&ObjectKind::VirtualService);
        self.show(cluster);
        self.turn();
    }

    pub(super) fn ready(&mut self, place: &str, count: Option<u32>) {
        self.around.ready.insert(place.into(), count);
        self.queue.push(Event::Look);
    }

    pub(super) fn leave(&mut self, cluster: &'static str) {
        self.away = Some(cluster);
        self.queue.push(Event::Reach { cluster: cluster.into(), away_since: Some(self.now) });
        self.turn();
    }

    pub(super) fn come_back(&mut self) {
        let Some(cluster) = self.away.take() else { return };
        self.queue.push(Event::Reach { cluster: cluster.into(), away_since: None });
        self.show(cluster);
        self.turn();
    }

    /// The deadlines of what was not answered pass.
    fn speak(&mut self) {
        self.silent = None;
        for (cluster, kind) in std::mem::take(&mut self.lost) {
            let outcome = Outcome::Unknown { message: "no answer in 10s".into() };
            self.queue.insert(0, Event::Written { cluster, kind, outcome });
        }
        self.turn();
    }

    /// The answers of the last cluster come first, so that both orders are seen.
    pub(super) fn turn(&mut self) {
        for _ in 0..200 {
            let Some(event) = self.queue.pop() else { return };
            // An answer is never of the same instant as its question.
            self.now += jiff::SignedDuration::from_millis(1);
            for effect in self.worker.handle(event, self.now, &self.around) {
                match effect {
                    Effect::Write { cluster, edit, .. } => {
                        assert_ne!(self.away, Some(cluster.as_str()), "nothing is sent to a cluster that is away");
                        let refused = self.refuses.take_if(|refuses| *refuses == cluster.as_str());
                        let outcome = match refused {
                            Some(_) => Outcome::Rejected { message: "denied".into(), code: 422 },
                            None if self.throttles == Some(cluster.as_str()) => {
                                Outcome::Unknown { message: "it takes no more requests now (429)".into() }
                            }
                            None => self.apis.get_mut(cluster.as_str()).unwrap().write(&edit),
                        };
                        if self.silent == Some(cluster.as_str()) {
                            self.lost.push((cluster, edit.kind));
                            continue;
                        }
                        self.queue.insert(0, Event::Written { cluster, kind: edit.kind, outcome });
                    }
                    Effect::Look { cluster, .. } => {
                        let object = |kind| self.apis[cluster.as_str()].objects.get(&kind).cloned();
                        let found = Ok((object(ObjectKind::VirtualService), object(ObjectKind::DestinationRule)));
                        self.queue.insert(0, Event::Looked { cluster, found });
                    }
                    Effect::AskWriter { cluster, kind, .. } => {
                        self.queue.insert(0, Event::Writer { cluster, kind, by: None });
                    }
                    Effect::WakeAt(at) => self.wake_at = at,
                    Effect::Announce { news, .. } => {
                        assert!(!matches!(news, News::DriftCorrected(_)), "nobody changed anything by hand");
                    }
                    Effect::Hurry
                    | Effect::Reason(_)
                    | Effect::AskProxies { .. }
                    | Effect::Restore(_)
                    | Effect::Note(_)
                    | Effect::Recall(..) => {}
                }
            }
            let apis = &self.apis;
            self.worker.lie_down(|cluster, kind, _| apis.get(cluster)?.objects.get(&kind).map(|live| Packed::of(live)));
        }
        panic!("the worker spins: {:?}", self.worker.reason());
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += jiff::SignedDuration::from_secs(1);
            self.around.git.last_look = Some(self.now);
            if self.wake_at.is_some_and(|at| at <= self.now) {
                self.wake_at = None;
                self.queue.push(Event::Look);
            }
            self.turn();
        }
    }

    /// The pods of a version run this image in a cluster.
    pub(super) fn run(&mut self, cluster: &str, version: &str, image: &str) {
        let images = Images::of(Image::of([(image, None)])).unwrap();
        self.around.images.insert(format!("{cluster}/{version}"), images);
        self.queue.push(Event::Look);
        self.turn();
    }

    pub(super) fn object(&self, cluster: &str) -> Arc<Value> {
        self.apis[cluster].objects[&ObjectKind::VirtualService].clone()
    }

    pub(super) fn weights(&self) -> [String; 2] {
        [EAST, WEST].map(|cluster| self.weights_in(cluster))
    }

    pub(super) fn weights_in(&self, cluster: &str) -> String {
        let shares = crate::istio::live_shares(&self.object(cluster), &plan("v1=100").0.routing);
        shares.traffic.expect("one traffic").to_string()
    }

    pub(super) fn phase(&self, cluster: &str) -> Phase {
        Journal::on(&self.object(cluster)).unwrap().unwrap().phase
    }

    pub(super) fn reason(&self) -> &'static str {
        self.worker.reason().unwrap().name()
    }
}

pub(super) fn on_v1() -> Draft {
    plan("v1=100").steps(STEPS).from("v1=100")
}

pub(super) fn to_v2() -> Draft {
    plan("v2=100").steps(STEPS).from("v1=100")
}

pub(super) fn both(weights: &str) -> [String; 2] {
    [weights.to_owned(), weights.to_owned()]
}

/// The other one of the two.
pub(super) fn beside(cluster: &str) -> &'static str {
    if cluster == EAST { WEST } else { EAST }
}

pub(super) fn settled() -> Pair {
    let mut pair = Pair::new();
    pair.push(on_v1());
    pair.pass(60);
    assert_eq!(pair.weights(), both("v1=100"));
    pair
}

#[test]
fn two_clusters_walk_in_step() {
    let mut pair = settled();
    pair.push(to_v2());
    for (seconds, weights) in [(0, "v1=90 v2=10"), (303, "v1=75 v2=25"), (603, "v1=50 v2=50"), (603, "v2=100")] {
        pair.pass(seconds);
        assert_eq!(pair.weights(), both(weights));
    }
    pair.pass(700);
    assert_eq!([pair.phase(EAST), pair.phase(WEST)], [Phase::Settled, Phase::Settled]);
    for cluster in [EAST, WEST] {
        let journal = Journal::on(&pair.object(cluster)).unwrap().unwrap();
        let v2 = &journal.proof[&VersionName::new("v2")];
        assert_eq!(v2.weight, 100, "what {cluster} had settled was proven before the other had said so too");
    }
}

#[test]
fn another_image_in_one_cluster_sends_both_back_and_what_one_does_not_tell_is_none() {
    let mut pair = settled();
    pair.run(EAST, "v2", "web:2");
    pair.run(WEST, "v2", "mirror/web:2");
    pair.push(to_v2());
    pair.pass(310);
    assert_eq!(pair.weights(), both("v1=75 v2=25"));
    pair.leave(WEST);
    pair.pass(5);
    pair.come_back();
    pair.pass(5);
    pair.around.images.remove("west/v2");
    pair.run(EAST, "v2", "web:2");
    assert_eq!(pair.weights(), both("v1=75 v2=25"));
    pair.run(WEST, "v2", "mirror/web:3");
    assert_eq!(pair.weights(), both("v1=100"));
    pair.pass(4);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    pair.pass(3_000);
    assert_eq!([pair.phase(EAST), pair.phase(WEST)], [Phase::Settled, Phase::Settled]);
    assert_eq!(pair.reason(), "Settled");
    pair.run(EAST, "v2", "web:4");
    assert_eq!((pair.weights(), pair.reason()), (both("v2=100"), "ImagesChanged"), "what one runs is proven by none");
}

#[test]
fn law_07_nothing_has_converged_where_a_write_is_not_answered() {
    for silent in [EAST, WEST] {
        let mut pair = settled();
        pair.silent = Some(silent);
        pair.push(to_v2());
        pair.push(on_v1());
        pair.pass(3);
        pair.push(to_v2());
        pair.pass(5);
        let answers = usize::from(silent == EAST);
        assert_eq!(pair.weights()[answers], "v1=100", "it is not known whether {silent} has it");
        pair.speak();
        pair.pass(1);
        assert_eq!(pair.weights()[answers], "v1=100", "{silent} is seen as it is and gets a write");
        pair.pass(4);
        assert_eq!(pair.weights(), both("v1=90 v2=10"));
        pair.pass(299);
        assert_eq!(pair.weights(), both("v1=90 v2=10"), "a hold is never short");
        pair.pass(6);
        assert_eq!(pair.weights(), both("v1=75 v2=25"));
    }
}

#[test]
fn a_cluster_that_is_away_holds_raises_and_no_way_back_and_catches_up() {
    for gone in [EAST, WEST] {
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(60);
        pair.leave(gone);
        pair.pass(3_600);
        assert_eq!(pair.weights(), both("v1=90 v2=10"));
        pair.push(on_v1());
        let there = pair.weights()[usize::from(gone == EAST)].clone();
        assert_eq!(there, "v1=100", "a way back acts where it can");
        pair.pass(60);
        pair.come_back();
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=100"));
        pair.push(to_v2());
        pair.pass(3);
        assert_eq!(pair.weights(), both("v1=90 v2=10"), "what was reverted walks from its first step in both");
    }
}

#[test]
fn a_removed_plan_is_taken_back_also_where_it_was_missed() {
    for gone in [EAST, WEST] {
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(60);
        pair.leave(gone);
        pair.remove();
        pair.come_back();
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=100"), "{gone} was away");
    }
}

#[test]
fn a_failure_in_one_cluster_goes_back_in_both_and_stale_endpoints_of_one_that_is_away_gate_nothing() {
    let mut pair = settled();
    pair.push(to_v2());
    pair.pass(60);
    pair.around.ready.insert("v2".into(), Some(0));
    pair.queue.push(Event::Look);
    pair.pass(11);
    assert_eq!(pair.weights(), both("v1=100"));
    assert!(matches!(pair.phase(WEST), Phase::WentBack { cause: Cause::EndpointsGone(_) }));
}

#[test]
fn law_02_a_way_back_outweighs_a_step_that_another_cluster_entered_unheard() {
    for (refuses, silent) in [(WEST, EAST), (EAST, WEST)] {
        let mut pair = settled();
        (pair.refuses, pair.silent) = (Some(refuses), Some(silent));
        pair.push(to_v2());
        let back = usize::from(refuses == WEST);
        assert_eq!((&*pair.weights()[back], &*pair.weights()[1 - back]), ("v1=100", "v1=90 v2=10"));
        pair.speak();
        for _ in 0..400 {
            pair.pass(1);
            assert_eq!(pair.weights()[back], "v1=100", "{refuses} never gets what it has refused");
        }
        assert_eq!(pair.weights(), both("v1=100"));
        assert!(matches!(pair.phase(silent), Phase::WentBack { cause: Cause::Rejected(_) }));
    }
}

/// Which of them refused it does not matter: no cluster gets it again, and both get what is mended.
#[test]
fn what_one_cluster_refused_is_tried_again_in_both_once_it_is_mended() {
    for refuses in [WEST, EAST] {
        let mut pair = settled();
        pair.refuses = Some(refuses);
        pair.push(to_v2().timeout("bad"));
        pair.pass(60);
        pair.push(on_v1());
        pair.pass(60);
        pair.push(to_v2().timeout("bad"));
        pair.pass(60);
        assert_eq!((pair.weights(), pair.reason()), (both("v1=100"), "WentBack"), "{refuses}");
        pair.push(to_v2().timeout("5s"));
        pair.pass(60);
        assert_eq!(pair.weights(), both("v1=90 v2=10"), "{refuses}");
    }
}

#[test]
fn a_stop_in_one_cluster_goes_back_in_both_and_is_taken_off_where_it_stands() {
    for (stopped, away) in [(EAST, None), (WEST, None), (WEST, Some(EAST)), (EAST, Some(EAST))] {
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(60);
        let mut object = Value::clone(&pair.object(stopped));
        object["metadata"]["annotations"][STOP] = "ann".into();
        pair.apis.get_mut(stopped).unwrap().put(ObjectKind::VirtualService, object);
        pair.show(stopped);
        pair.turn();
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=100"));
        away.into_iter().for_each(|cluster| pair.leave(cluster));
        pair.push(on_v1());
        pair.pass(5);
        pair.come_back();
        pair.pass(60);
        for cluster in [EAST, WEST] {
            assert_eq!(pair.object(cluster)["metadata"]["annotations"][STOP], Value::Null, "{stopped} {away:?}");
            assert_eq!(Journal::on(&pair.object(cluster)).unwrap().unwrap().stop, None);
        }
        assert_eq!(pair.reason(), "Settled");
    }
}
