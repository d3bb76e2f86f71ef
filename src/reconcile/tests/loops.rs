//! The restores and a model of Git against each other: whatever fails, nobody argues with a commit for ever.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::{
    draft::{Draft, on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    cluster::Outcome,
    istio::ObjectKind,
    plan::{Digest, OnFailure, Revision, Span, Traffic},
    rollout::{Restore, STOP, Wanted},
};

/// What happens to a plan. Of these, commits and hands are a person's.
#[derive(Clone, Debug)]
enum Act {
    Commit(usize),
    Remove,
    Stop,
    TakeOff,
    Lower,
    Ready(&'static str, u32),
    /// It loses its endpoints for long enough to fail, and gets them back.
    Fail(&'static str),
    Reject,
    /// A proxy refuses what stands, or takes it.
    Proxies(bool),
    Pass(&'static str),
    Crash,
    /// Whoever writes commits takes up what is ordered.
    Publish,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let version = prop::sample::select(vec!["v1", "v2", "v3"]);
    let act = prop_oneof![
        4 => (0..documents().len()).prop_map(Act::Commit),
        1 => Just(Act::Remove),
        1 => Just(Act::Stop),
        1 => Just(Act::TakeOff),
        1 => Just(Act::Lower),
        4 => version.clone().prop_map(Act::Fail),
        2 => (version, prop::sample::select(vec![0, 2])).prop_map(|(version, count)| Act::Ready(version, count)),
        2 => Just(Act::Reject),
        2 => any::<bool>().prop_map(Act::Proxies),
        5 => prop::sample::select(vec!["1s", "11s", "5m2s", "1h"]).prop_map(Act::Pass),
        1 => Just(Act::Crash),
        5 => Just(Act::Publish),
    ];
    prop::collection::vec(act, 1..50)
}

/// Documents that walk, that are applied at once, and that settle late or wait for a pin while they can fail.
fn documents() -> Vec<Draft> {
    let late = |draft: Draft| draft.with(|plan| plan.settle = Span::from_seconds(3_600));
    vec![
        on_v1(),
        to_v2(),
        to_v2().build("v2", "fixed"),
        to_v2().with(|plan| plan.attempt = 2),
        to_v2().with(|plan| plan.on_failure = OnFailure::Hold),
        late(plan("v1=50 v2=50")),
        late(plan("v1=50 v2=50").timeout("5s")),
        late(plan("v1=50 v2=50").pin("qa", "v3")),
        late(plan("v1=100").timeout("9s").pin("qa", "v3")),
        late(plan("v2=40 v3=60")),
        late(plan("v3=100")),
        to_v2().timeout("5s"),
        to_v2().timeout("5s").with(|plan| plan.on_failure = OnFailure::Hold),
    ]
}

/// Git, tidegate and the cluster.
struct World {
    sim: Sim,
    /// Every commit of the plan, oldest first; none: it removed the plan.
    commits: Vec<(Revision, Option<Draft>)>,
    /// What was restored since a person last asked for something.
    restored: BTreeSet<Digest>,
}

impl World {
    /// With v1 settled by a commit, or with a walk whose origin was found live.
    fn new(found: bool) -> Self {
        let (sim, draft) = if found { (Sim::new(), to_v2()) } else { (settled_on_v1(), on_v1()) };
        let mut world = Self { sim, commits: Vec::new(), restored: BTreeSet::new() };
        if found {
            world.sim.push(draft.clone()).pass("1m");
        }
        world.note(Some(draft));
        world
    }

    /// Notes what the model of Git was just told.
    fn note(&mut self, draft: Option<Draft>) {
        let revision = match &self.sim.wanted {
            Wanted::Plan { revision, .. } | Wanted::Removed { revision, .. } => revision.clone(),
            Wanted::Unknown => return,
        };
        self.commits.push((revision, draft));
    }

    fn act(&mut self, act: &Act) {
        let by_a_person = matches!(act, Act::Commit(_) | Act::Remove | Act::Stop | Act::TakeOff | Act::Lower);
        if by_a_person {
            self.restored.clear();
        }
        match act {
            Act::Commit(number) => {
                let draft = documents()[*number].clone();
                self.sim.push(draft.clone());
                self.note(Some(draft));
            }
            Act::Remove => {
                self.sim.remove();
                self.note(None);
            }
            Act::Stop => self.annotate(json!("ann")),
            Act::TakeOff => self.annotate(serde_json::Value::Null),
            Act::Lower => drop(self.sim.set_weights("v1=100")),
            Act::Ready(version, count) => drop(self.sim.ready(version, *count)),
            Act::Fail(version) => drop(self.sim.ready(version, 0).pass("11s").ready(version, 2)),
            Act::Reject => {
                self.sim.refuse.push_back(Outcome::Rejected { message: "denied".into(), code: 400 });
            }
            Act::Proxies(refuse) => drop(self.sim.proxies(*refuse)),
            Act::Pass(span) => drop(self.sim.pass(span)),
            Act::Crash => self.sim.crash().settle_now(),
            Act::Publish => self.publish(),
        }
    }

    fn annotate(&mut self, text: serde_json::Value) {
        self.sim.edit(ObjectKind::VirtualService, |object| {
            let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
            if text.is_null() {
                annotations.remove(STOP);
            } else {
                annotations.insert(STOP.to_owned(), text);
            }
        });
    }

    /// Commits what is ordered, if the tip still holds what failed.
    fn publish(&mut self) {
        let Some(Some(order)) = self.sim.orders.last().cloned() else { return };
        let Restore { failed, undoes, to, traffic, .. } = order.restore;
        let Some((_, Some(tip))) = self.commits.last().cloned() else { return };
        let digest = tip.clone().done().digest.clone();
        if digest != failed {
            return;
        }
        assert!(self.commits.iter().any(|(revision, _)| *revision == undoes), "it undoes a commit of the plan");
        let text = match &to {
            Some(to) => {
                let there = self.commits.iter().find(|(revision, _)| revision == to);
                there.and_then(|(_, draft)| draft.clone()).expect("the plan's text at that commit")
            }
            None => tip.with(|plan| plan.traffic = traffic),
        };
        assert_ne!(text.clone().done().digest, failed, "a commit that changes nothing is none");
        assert!(self.restored.insert(failed), "the same content is restored once: {}", text.0.traffic);
        let decided = self.sim.journal().state.traffic;
        let before = self.sim.weights();
        self.sim.push(text.clone());
        self.note(Some(text));
        assert_eq!(self.sim.journal().state.traffic, decided, "a restore moves no traffic: it is back already");
        // What a hand did, and the API server did not let be put back, may be put back with the next write.
        let after = self.sim.weights();
        assert!(after == before || after == shown(&decided), "a restore moved traffic from {before} to {after}");
    }
}

/// The weights of the routes of this traffic.
fn shown(traffic: &Traffic) -> String {
    let legs: Vec<String> =
        traffic.iter().filter(|(_, weight)| *weight > 0).map(|(name, weight)| format!("{name}={weight}")).collect();
    legs.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Law 3: what Git is restored to moves no traffic, and what failed is restored at most once for each time that a
    /// person asks for it, whatever fails in between and however long endpoints come and go afterwards.
    #[test]
    fn law_03_what_failed_is_restored_once_and_no_restore_leads_to_another(found: bool, acts in acts()) {
        let mut world = World::new(found);
        for act in &acts {
            world.act(act);
        }
        for round in 0..8_u32 {
            for version in ["v1", "v2", "v3"] {
                let gone = if version.ends_with(char::from_digit(round % 3 + 1, 10).unwrap()) { 0 } else { 2 };
                world.act(&Act::Ready(version, gone));
            }
            world.act(&Act::Pass("11s"));
            world.act(&Act::Publish);
            world.act(&Act::Pass("1h"));
        }
        let orders = world.sim.orders.len();
        world.act(&Act::Pass("1w"));
        prop_assert_eq!(world.sim.orders.len(), orders, "nothing is ordered for ever");
    }
}

/// The correction of a hand is refused, or the write that follows the restore: neither is a reason to go elsewhere.
#[test]
fn law_03_a_refused_write_beside_a_restore_moves_no_traffic() {
    let mut world = World::new(false);
    for act in [
        Act::Commit(10),
        Act::Pass("1h"),
        Act::Pass("11s"),
        Act::Commit(1),
        Act::Lower,
        Act::Reject,
        Act::Lower,
        Act::Publish,
    ] {
        world.act(&act);
    }
    assert_eq!(world.sim.weights(), "v3=100");
    let mut world = World::new(true);
    for act in [Act::Pass("1h"), Act::Remove, Act::Commit(2), Act::Lower, Act::Reject, Act::Publish] {
        world.act(&act);
    }
    assert_eq!(world.sim.weights(), "v1=100");
}

/// What a hand took back is restored while its endpoints are gone: that is no failure of the restore, and what the hand
/// left stays left.
#[test]
fn law_03_a_restore_without_endpoints_does_not_lead_to_what_a_hand_left() {
    let mut world = World::new(true);
    for act in [Act::Pass("1h"), Act::Commit(2), Act::Lower, Act::Ready("v1", 0), Act::Publish, Act::Pass("1h")] {
        world.act(&act);
    }
    assert_eq!(world.sim.weights(), "v1=100");
    world.act(&Act::Ready("v1", 2));
    world.act(&Act::Pass("1h"));
    assert_eq!((world.sim.weights().as_str(), world.sim.reason().name()), ("v1=100", "Settled"));
}

/// A robot that commits the same content whenever Git says something else, and every way to fail.
#[test]
fn nobody_is_argued_with_for_ever() {
    for (number, draft) in documents().into_iter().enumerate() {
        for refused in [false, true] {
            let mut world = World::new(false);
            let mut restored = 0;
            for _ in 0..6 {
                if refused {
                    world.act(&Act::Reject);
                }
                world.act(&Act::Commit(number));
                world.act(&Act::Pass("5m2s"));
                let failing = if draft.0.traffic.to_string().contains("v3") { "v3" } else { "v2" };
                world.act(&Act::Fail(failing));
                let before = world.commits.len();
                world.act(&Act::Publish);
                restored += world.commits.len() - before;
            }
            assert!(restored <= 2, "{}: restored {restored} times", draft.0.traffic);
        }
    }
}
