//! Clusters that a step leaves behind while they do not answer: never by more than that step, and never for good.

use super::{
    draft::{Draft, plan},
    pair::{EAST, Pair, WEST, beside, both, on_v1, settled, to_v2},
};
use crate::{
    istio::ObjectKind,
    plan::Span,
    rollout::{Journal, What},
};

fn of(quorum: u32, draft: Draft) -> Draft {
    draft.with(|plan| plan.quorum = Some(quorum))
}

/// Weights here and in the other cluster.
fn weights(pair: &Pair, cluster: &str) -> [String; 2] {
    [pair.weights_in(cluster), pair.weights_in(beside(cluster))]
}

/// A walk under way, a cluster of which leaves in the hold of the first step.
fn left_by(gone: &'static str, quorum: u32) -> Pair {
    let mut pair = settled();
    pair.push(of(quorum, to_v2()));
    pair.pass(100);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    pair.leave(gone);
    pair
}

#[test]
fn law_07_a_quorum_goes_one_step_further_and_what_was_left_behind_enters_it_after_that_was_held() {
    for gone in [EAST, WEST] {
        let here = beside(gone);
        let mut pair = left_by(gone, 1);
        pair.pass(210);
        assert_eq!(weights(&pair, here), ["v1=75 v2=25", "v1=90 v2=10"], "{gone} is left behind");
        pair.pass(7_200);
        assert_eq!(weights(&pair, here), ["v1=75 v2=25", "v1=90 v2=10"], "never by more than a step");
        assert_eq!(pair.reason(), "ClusterAway");
        pair.come_back();
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=75 v2=25"), "{here} has held it");
        let entered = Journal::on(&pair.object(gone)).unwrap().unwrap().transitions.last().cloned().unwrap();
        assert_eq!((entered.what, entered.note), (What::WaveEntered, format!("{gone} behind the others")));
        pair.pass(590);
        assert_eq!(pair.weights(), both("v1=75 v2=25"), "it is held there, too");
        for expected in ["v1=50 v2=50", "v2=100"] {
            pair.pass(603);
            assert_eq!(pair.weights(), both(expected));
        }
        pair.pass(603);
        assert_eq!(pair.reason(), "Settled");
    }
}

#[test]
fn law_08_who_comes_back_before_the_step_was_held_waits_for_that() {
    let mut pair = left_by(WEST, 1);
    pair.pass(210);
    pair.come_back();
    pair.pass(300);
    assert_eq!(weights(&pair, EAST), ["v1=75 v2=25", "v1=90 v2=10"]);
    pair.pass(310);
    assert_eq!(pair.weights(), both("v1=75 v2=25"));
}

#[test]
fn without_a_quorum_of_clusters_that_answer_nothing_rises() {
    let mut pair = left_by(WEST, 2);
    pair.pass(3_600);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=90 v2=10"), "ClusterAway"));
}

#[test]
fn a_wave_of_which_no_cluster_answers_is_not_passed_over() {
    for (gone, expected) in [(EAST, ["v1=90 v2=10", "v1=100"]), (WEST, ["v1=90 v2=10", "v1=100"])] {
        let mut pair = settled();
        let waves = vec![vec![EAST.to_owned()], vec![WEST.to_owned()]];
        pair.push(of(1, to_v2()).with(|plan| plan.waves = waves));
        pair.pass(100);
        pair.leave(gone);
        pair.pass(3_600);
        assert_eq!(pair.weights(), expected, "{gone} is away");
    }
}

#[test]
fn law_03_a_way_back_goes_at_once_where_it_can_and_follows_where_it_could_not() {
    let reverts: fn(&mut Pair) = |pair| pair.push(of(1, on_v1()));
    let fails: fn(&mut Pair) = |pair| {
        pair.ready("east/v2", Some(0));
        pair.pass(12);
    };
    for back in [reverts, fails] {
        let mut pair = left_by(WEST, 1);
        pair.pass(210);
        back(&mut pair);
        assert_eq!(weights(&pair, EAST), ["v1=100", "v1=90 v2=10"]);
        pair.come_back();
        pair.pass(1);
        assert_eq!(pair.weights(), both("v1=100"));
        pair.pass(3_600);
        assert_eq!(pair.weights(), both("v1=100"));
    }
}

#[test]
fn the_target_settles_in_all_clusters_or_not_at_all() {
    let mut pair = settled();
    let draft = plan("v1=50 v2=50").from("v1=100").with(|plan| plan.settle = Span::from_seconds(60));
    pair.push(of(1, draft));
    pair.pass(1);
    assert_eq!(pair.weights(), both("v1=50 v2=50"));
    pair.leave(WEST);
    pair.pass(3_600);
    assert_eq!(pair.reason(), "ClusterAway");
    pair.come_back();
    pair.pass(70);
    assert_eq!(pair.reason(), "Settled");
}

#[test]
fn law_11_another_process_leaves_no_cluster_further_behind() {
    let mut pair = left_by(WEST, 1);
    pair.pass(210);
    pair.come_back();
    pair.restarts();
    pair.push(of(1, to_v2()));
    pair.pass(1);
    assert_eq!(weights(&pair, EAST), ["v1=75 v2=25", "v1=90 v2=10"]);
    pair.leave(WEST);
    pair.pass(7_200);
    assert_eq!(weights(&pair, EAST), ["v1=75 v2=25", "v1=90 v2=10"]);
}

#[test]
fn where_nobody_knows_what_stands_in_a_cluster_it_is_not_left_behind() {
    let mut pair = settled();
    pair.silent = Some(WEST);
    pair.push(of(1, to_v2()));
    pair.leave(WEST);
    pair.pass(3_600);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=90 v2=10"), "ClusterAway"), "its write was not answered");
}

#[test]
fn law_03_what_went_back_unseen_in_a_cluster_that_was_left_behind_takes_the_others_back() {
    let mut pair = left_by(WEST, 1);
    // There a guard went back from the same step while nobody else could see it.
    let mut unseen = settled();
    unseen.push(of(1, to_v2()));
    unseen.pass(100);
    unseen.ready("west/v2", Some(0));
    unseen.pass(12);
    assert_eq!(unseen.weights_in(WEST), "v1=100");
    let back = serde_json::Value::clone(&unseen.object(WEST));
    pair.pass(210);
    assert_eq!(pair.weights_in(EAST), "v1=75 v2=25");
    pair.apis.get_mut(WEST).unwrap().put(ObjectKind::VirtualService, back);
    pair.come_back();
    pair.pass(2);
    assert_eq!(pair.weights(), both("v1=100"));
    pair.pass(7_200);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=100"), "WentBack"));
}

#[test]
fn who_was_left_behind_is_given_time_for_its_endpoints() {
    let mut pair = settled();
    pair.push(of(1, to_v2()).with(|plan| plan.readiness.min_endpoints = 2));
    pair.pass(100);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    pair.leave(WEST);
    pair.pass(7_200);
    pair.ready("west/v2", Some(1));
    pair.come_back();
    pair.pass(60);
    assert_eq!(weights(&pair, EAST), ["v1=75 v2=25", "v1=90 v2=10"]);
    pair.ready("west/v2", Some(2));
    pair.pass(2);
    assert_eq!(pair.weights(), both("v1=75 v2=25"));
}
