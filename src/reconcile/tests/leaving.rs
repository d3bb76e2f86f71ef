//! Clusters that a commit takes out of a plan, and that it takes in again.

use proptest::prelude::*;

use super::{
    draft::Draft,
    pair::{EAST, Pair, WEST, beside, both, on_v1, settled, to_v2},
    simulation::new_worker,
};
use crate::{
    istio::ObjectKind,
    reconcile::Event,
    rollout::{Journal, Phase},
};

impl Pair {
    /// The plan is for these clusters from the next commit on.
    fn chooses(&mut self, clusters: &[&'static str]) {
        let chosen = clusters.iter().map(|name| (*name).to_owned()).collect();
        for unknown in self.worker.choose(&chosen, "plans", |name| [EAST, WEST].contains(&name)) {
            if self.away == Some(unknown.as_str()) {
                self.queue.push(Event::Reach { cluster: unknown, away_since: Some(self.now) });
            } else {
                self.show(if unknown == EAST { EAST } else { WEST });
            }
        }
    }

    /// Another process takes over for a plan of these clusters: it sees what is there, and what is in the others.
    fn starts_anew(&mut self, clusters: &[&'static str], draft: Draft) {
        self.worker = new_worker([]);
        self.queue.clear();
        self.wake_at = None;
        self.chooses(clusters);
        self.push(draft);
        for other in [EAST, WEST].into_iter().filter(|name| !clusters.contains(name)) {
            let live = self.apis[other].objects.get(&ObjectKind::VirtualService).cloned();
            if live.is_some_and(|live| self.worker.meet(other, &live)) {
                self.show(other);
            }
        }
        self.turn();
    }

    /// Whether the route has to do with a cluster.
    fn holds(&self, cluster: &str) -> bool {
        self.worker.holds(cluster)
    }
}

const LET_GO: Phase = Phase::Released { prune: false, elsewhere: true };

/// The same plan, for one cluster alone.
fn only(cluster: &'static str, draft: Draft) -> Draft {
    draft.with(|plan| plan.clusters = crate::plan::Chosen::Named(vec![cluster.to_owned()]))
}

/// Takes the other cluster out of the plan, by a commit.
fn keeps(pair: &mut Pair, cluster: &'static str, draft: Draft) {
    pair.chooses(&[cluster]);
    pair.push(only(cluster, draft));
}

#[test]
fn law_12_taking_a_settled_cluster_out_moves_no_traffic_there() {
    for stays in [EAST, WEST] {
        let leaves = beside(stays);
        let mut pair = settled();
        keeps(&mut pair, stays, on_v1());
        pair.pass(5);
        assert_eq!((pair.weights(), pair.phase(leaves)), (both("v1=100"), LET_GO));
        assert!(!pair.holds(leaves) && pair.reason() == "Settled");
        let left = pair.object(leaves);
        pair.push(only(stays, to_v2()));
        pair.pass(2_500);
        assert_eq!((pair.weights_in(stays).as_str(), pair.reason()), ("v2=100", "Settled"));
        assert_eq!(pair.object(leaves), left, "nothing puts back or moves what was let go");
    }
}

#[test]
fn a_cluster_that_is_taken_out_in_mid_walk_stays_in_step_until_the_plan_has_settled_there() {
    for stays in [EAST, WEST] {
        let leaves = beside(stays);
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(200);
        keeps(&mut pair, stays, to_v2());
        pair.pass(110);
        assert_eq!(pair.weights(), both("v1=75 v2=25"));
        assert!(pair.holds(leaves));
        pair.pass(2_000);
        assert_eq!((pair.weights(), pair.phase(leaves)), (both("v2=100"), LET_GO));
        assert_eq!((pair.phase(stays), pair.holds(leaves)), (Phase::Settled, false));
    }
}

#[test]
fn a_cluster_that_was_left_behind_and_is_taken_out_is_not_waited_for() {
    let mut pair = settled();
    let of = |draft: Draft| draft.with(|plan| plan.quorum = Some(1));
    pair.push(of(to_v2()));
    pair.pass(100);
    pair.leave(WEST);
    pair.pass(900);
    assert_eq!(pair.weights_in(EAST), "v1=75 v2=25");
    keeps(&mut pair, EAST, of(to_v2()));
    pair.pass(2);
    assert_eq!(pair.weights_in(EAST), "v1=50 v2=50", "it has held the step before");
}

#[test]
fn what_goes_back_before_it_has_settled_goes_back_in_the_cluster_that_leaves_too() {
    for stays in [EAST, WEST] {
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(200);
        keeps(&mut pair, stays, to_v2());
        pair.push(only(stays, on_v1()));
        pair.pass(5);
        assert_eq!((pair.weights(), pair.phase(beside(stays))), (both("v1=100"), LET_GO));
    }
}

#[test]
fn law_12_a_cluster_that_is_away_when_it_is_taken_out_holds_nothing_up_and_goes_back_when_it_answers() {
    for stays in [EAST, WEST] {
        let leaves = beside(stays);
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(200);
        pair.leave(leaves);
        pair.pass(600);
        assert_eq!((pair.weights(), pair.reason()), (both("v1=90 v2=10"), "ClusterAway"));
        keeps(&mut pair, stays, to_v2());
        pair.pass(2_500);
        assert_eq!((pair.weights_in(stays).as_str(), pair.reason()), ("v2=100", "Settled"));
        assert_eq!(pair.weights_in(leaves), "v1=90 v2=10");
        assert!(pair.holds(leaves), "it is let go as soon as it answers");
        pair.come_back();
        pair.pass(5);
        assert_eq!((pair.weights_in(leaves).as_str(), pair.phase(leaves)), ("v1=100", LET_GO));
        assert!(!pair.holds(leaves));
    }
}

#[test]
fn with_prune_what_is_let_go_is_deleted_there_and_nowhere_else() {
    for stays in [EAST, WEST] {
        let pruned = |draft: Draft| draft.with(|plan| plan.prune = true);
        let mut pair = settled();
        keeps(&mut pair, stays, pruned(on_v1()));
        pair.pass(60);
        assert!(pair.apis[beside(stays)].objects.is_empty());
        assert_eq!((pair.weights_in(stays).as_str(), pair.reason()), ("v1=100", "Settled"));
    }
}

#[test]
fn a_cluster_that_comes_again_is_new_and_gets_what_stands_once_it_can_serve_it() {
    for stays in [EAST, WEST] {
        let comes = beside(stays);
        let mut pair = settled();
        keeps(&mut pair, stays, on_v1());
        pair.pass(5);
        pair.push(only(stays, to_v2()));
        pair.pass(200);
        pair.ready(&format!("{comes}/v2"), Some(0));
        pair.chooses(&[EAST, WEST]);
        pair.push(to_v2());
        pair.pass(600);
        assert_eq!((pair.weights_in(stays).as_str(), pair.reason()), ("v1=90 v2=10", "ClusterNew"));
        assert_eq!(pair.weights_in(comes), "v1=100", "nothing there could serve v2");
        pair.ready(&format!("{comes}/v2"), Some(1));
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=90 v2=10"));
        pair.pass(2_500);
        assert_eq!((pair.weights(), pair.reason()), (both("v2=100"), "Settled"));
    }
}

#[test]
fn a_plan_that_moves_from_one_cluster_to_another_keeps_its_position() {
    for from in [EAST, WEST] {
        let to = beside(from);
        let mut pair = Pair::new();
        pair.chooses(&[from]);
        pair.push(only(from, on_v1()));
        pair.pass(5);
        pair.push(only(from, to_v2()));
        pair.pass(200);
        assert!(pair.apis[to].objects.is_empty());
        keeps(&mut pair, to, to_v2());
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=90 v2=10"), "it is not let go before it stands in the other");
        pair.pass(2_500);
        assert_eq!((pair.weights(), pair.phase(from)), (both("v2=100"), LET_GO));
    }
}

#[test]
fn law_11_another_process_lets_go_what_the_one_before_did_not_come_to() {
    for stays in [EAST, WEST] {
        let leaves = beside(stays);
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(200);
        pair.starts_anew(&[stays], only(stays, to_v2()));
        assert!(pair.holds(leaves));
        pair.pass(2_500);
        assert_eq!((pair.weights(), pair.phase(leaves)), (both("v2=100"), LET_GO));
        let left = pair.object(leaves);
        pair.starts_anew(&[stays], only(stays, on_v1()));
        pair.pass(60);
        assert_eq!((pair.weights_in(stays).as_str(), pair.holds(leaves)), ("v1=100", false));
        assert_eq!(pair.object(leaves), left);
    }
}

#[test]
fn law_09_nothing_is_made_or_touched_where_the_plan_is_not_for() {
    for stays in [EAST, WEST] {
        let other = beside(stays);
        let mut pair = Pair::new();
        pair.turn();
        let theirs = crate::istio::virtual_service(
            &super::draft::plan("v1=100").0.routing,
            &super::draft::traffic("v1=50 v2=50"),
        );
        let theirs = pair.apis.get_mut(other).unwrap().put(ObjectKind::VirtualService, theirs);
        pair.show(other);
        pair.turn();
        keeps(&mut pair, stays, on_v1());
        pair.pass(60);
        assert_eq!((pair.weights_in(stays).as_str(), pair.reason()), ("v1=100", "Settled"));
        assert_eq!(pair.object(other), theirs);
        assert!(!pair.holds(other));
    }
}

#[test]
fn a_removed_plan_is_done_once_what_was_taken_out_is_let_go_too() {
    let mut pair = settled();
    pair.leave(WEST);
    keeps(&mut pair, EAST, on_v1());
    pair.remove();
    pair.pass(5);
    assert!(!pair.is_done(), "west has not let go yet");
    pair.come_back();
    pair.pass(5);
    assert!(pair.is_done());
    assert_eq!(pair.phase(WEST), LET_GO);
}

/// What may happen to a plan that chooses its clusters.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A commit: whether it asks for v2, and which clusters.
    Push(bool, usize),
    Pass(i64),
    Leave(&'static str),
    Back,
    /// Another process takes over.
    Anew,
}

const CHOICES: [&[&str]; 3] = [&[EAST, WEST], &[EAST], &[WEST]];

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        5 => (any::<bool>(), 0..CHOICES.len()).prop_map(|(to_v2, choice)| Act::Push(to_v2, choice)),
        5 => (0_i64..900).prop_map(Act::Pass),
        1 => prop_oneof![Just(EAST), Just(WEST)].prop_map(Act::Leave),
        2 => Just(Act::Back),
        1 => Just(Act::Anew),
    ];
    prop::collection::vec(act, 1..14)
}

fn draft(to_v2: bool, choice: usize) -> Draft {
    let names = CHOICES[choice].iter().map(|name| (*name).to_owned()).collect();
    let draft = if to_v2 { super::pair::to_v2() } else { on_v1() };
    draft.with(|plan| plan.clusters = crate::plan::Chosen::Named(names))
}

/// Whether nothing is there, or what is there was let go.
fn is_let_go(pair: &Pair, cluster: &str) -> bool {
    let live = pair.apis[cluster].objects.get(&ObjectKind::VirtualService);
    let journal = live.map(|live| Journal::on(live).expect("a journal").expect("a good one"));
    journal.is_none_or(|journal| matches!(journal.phase, Phase::Released { .. }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever commits, clusters and processes come and go: a cluster that a plan is not for and that was let go is never
    /// written, and in the end every cluster that it is for has its target, and every other one was let go.
    #[test]
    fn law_12_whatever_comes_and_goes_what_was_let_go_stays_as_it_is(acts in acts()) {
        let mut pair = Pair::new();
        pair.turn();
        let (mut to_v2, mut choice) = (false, 0);
        pair.chooses(CHOICES[choice]);
        pair.push(draft(to_v2, choice));
        for act in acts {
            let left = |pair: &Pair, cluster: &str| pair.apis[cluster].objects.clone();
            let before: Vec<_> = [EAST, WEST]
                .into_iter()
                .filter(|name| !pair.holds(name) && is_let_go(&pair, name))
                .map(|name| (name, left(&pair, name)))
                .collect();
            match act {
                Act::Push(v2, chosen) => {
                    (to_v2, choice) = (v2, chosen);
                    pair.chooses(CHOICES[choice]);
                    pair.push(draft(to_v2, choice));
                }
                Act::Pass(seconds) => pair.pass(seconds),
                Act::Leave(cluster) => {
                    pair.come_back();
                    pair.leave(cluster);
                }
                Act::Back => pair.come_back(),
                Act::Anew => {
                    pair.come_back();
                    pair.starts_anew(CHOICES[choice], draft(to_v2, choice));
                }
            }
            for (name, objects) in before {
                prop_assert!(CHOICES[choice].contains(&name) || left(&pair, name) == objects, "{} was written", name);
            }
        }
        pair.come_back();
        pair.pass(6_000);
        prop_assert_eq!(pair.reason(), "Settled");
        let target = if to_v2 { "v2=100" } else { "v1=100" };
        for cluster in [EAST, WEST] {
            if CHOICES[choice].contains(&cluster) {
                prop_assert_eq!(pair.weights_in(cluster), target);
            } else {
                prop_assert!(is_let_go(&pair, cluster) && !pair.holds(cluster), "{} was not let go", cluster);
            }
        }
    }
}
