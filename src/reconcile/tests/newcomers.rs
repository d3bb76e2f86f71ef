//! A cluster that joins a plan which stands in another one already.

use super::{
    draft::{plan, traffic},
    pair::{EAST, Pair, WEST, beside, both, on_v1, settled, to_v2},
};
use crate::{
    istio::ObjectKind,
    plan::VersionName,
    rollout::{Journal, Phase},
};

#[test]
fn a_cluster_that_joins_in_mid_walk_is_waited_for_and_holds_as_long_as_the_others() {
    for new in [EAST, WEST] {
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(200);
        pair.meets(new);
        pair.ready(&format!("{new}/v2"), Some(0));
        pair.push(to_v2());
        pair.pass(3_600);
        assert!(pair.apis[new].objects.is_empty(), "nothing there could serve v2");
        assert_eq!(pair.reason(), "ClusterNew");
        let other = beside(new);
        assert_eq!(pair.weights_in(other), "v1=90 v2=10", "nothing rises meanwhile");
        pair.ready(&format!("{new}/v2"), Some(1));
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=90 v2=10"));
        pair.pass(295);
        assert_eq!(pair.weights(), both("v1=90 v2=10"), "the hold counts from when the last has it");
        pair.pass(10);
        assert_eq!(pair.weights(), both("v1=75 v2=25"));
    }
}

#[test]
fn law_03_a_way_back_waits_for_no_cluster_that_is_new() {
    for new in [EAST, WEST] {
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(200);
        pair.meets(new);
        pair.ready(&format!("{new}/v2"), None);
        pair.push(to_v2());
        pair.pass(60);
        let other = beside(new);
        assert_eq!((pair.weights_in(other).as_str(), pair.reason()), ("v1=90 v2=10", "ClusterNew"));
        pair.push(on_v1());
        assert_eq!(pair.weights_in(other), "v1=100");
        pair.pass(5);
        assert_eq!(pair.weights(), both("v1=100"), "v1 can serve there");
    }
}

/// Each of the clusters may be given the first state by a decision of its own: what settles is proven in all of them.
#[test]
fn nothing_settles_while_a_cluster_has_another_past() {
    for late in [EAST, WEST] {
        let mut pair = Pair::new();
        pair.push(plan("v1=100"));
        pair.pass(2);
        pair.throttles = Some(late);
        let other = beside(late);
        let created = |pair: &Pair, cluster: &str| {
            let journal = Journal::on(&pair.object(cluster)).unwrap().unwrap();
            journal.transitions[0].at
        };
        let mut journal = Journal::on(&pair.object(other)).unwrap().unwrap();
        let mut past = journal.transitions[0].clone();
        past.at -= jiff::SignedDuration::from_secs(1);
        journal.transitions = std::sync::Arc::new(vec![past]);
        pair.tells(late, &journal);
        assert_ne!(created(&pair, late), created(&pair, other));
        pair.pass(60);
        assert_ne!((pair.phase(other), pair.reason()), (Phase::Settled, "Settled"), "{late} has another past");
        pair.throttles = None;
        pair.pass(60);
        assert_eq!((created(&pair, late), pair.reason()), (created(&pair, other), "Settled"));
        for cluster in [EAST, WEST] {
            let journal = Journal::on(&pair.object(cluster)).unwrap().unwrap();
            assert_eq!(journal.proof[&VersionName::new("v1")].weight, 100, "{cluster}");
        }
    }
}

#[test]
fn law_10_a_route_of_somebody_else_in_a_new_cluster_stays_and_stops_no_way_back_in_the_others() {
    for new in [EAST, WEST] {
        let mut pair = settled();
        pair.push(to_v2());
        pair.pass(200);
        pair.meets(new);
        let theirs = crate::istio::virtual_service(&plan("v1=100").0.routing, &traffic("v1=50 v2=50"));
        let theirs = pair.apis.get_mut(new).unwrap().put(ObjectKind::VirtualService, theirs);
        pair.show(new);
        for takes in [false, true] {
            pair.push(to_v2().with(|plan| plan.take_ownership = takes));
            pair.pass(600);
            let other = beside(new);
            assert_eq!((pair.weights_in(other).as_str(), pair.reason()), ("v1=90 v2=10", "ClusterNew"));
        }
        pair.push(on_v1());
        pair.pass(60);
        let other = beside(new);
        assert_eq!((pair.weights_in(other).as_str(), pair.reason()), ("v1=100", "ClusterNew"));
        assert_eq!(pair.object(new), theirs);
    }
}

#[test]
fn routes_that_are_taken_over_in_several_clusters_carry_the_same_weights() {
    let mut pair = Pair::new();
    pair.turn();
    for (cluster, weights) in [(EAST, "v1=100"), (WEST, "v1=50 v2=50")] {
        let theirs = crate::istio::virtual_service(&plan("v1=100").0.routing, &traffic(weights));
        pair.apis.get_mut(cluster).unwrap().put(ObjectKind::VirtualService, theirs);
        pair.show(cluster);
    }
    let adopts = || on_v1().with(|plan| plan.take_ownership = true);
    pair.push(adopts());
    pair.pass(60);
    assert_eq!(pair.weights(), ["v1=100", "v1=50 v2=50"].map(str::to_owned));
    assert_eq!(pair.reason(), "CannotAdopt");
    let theirs = crate::istio::virtual_service(&plan("v1=100").0.routing, &traffic("v1=100"));
    pair.apis.get_mut(WEST).unwrap().put(ObjectKind::VirtualService, theirs);
    pair.show(WEST);
    pair.turn();
    pair.pass(5);
    assert_eq!(pair.weights(), both("v1=100"));
    assert_eq!(pair.reason(), "Settled");
}

#[test]
fn law_09_what_somebody_else_routes_in_a_new_cluster_is_no_lowering_and_is_not_pruned() {
    for new in [EAST, WEST] {
        let other = beside(new);
        let pruned = || to_v2().with(|plan| plan.prune = true);
        let mut pair = settled();
        pair.push(pruned());
        pair.pass(200);
        pair.meets(new);
        let theirs = crate::istio::virtual_service(&plan("v1=100").0.routing, &traffic("v1=100"));
        let theirs = pair.apis.get_mut(new).unwrap().put(ObjectKind::VirtualService, theirs);
        pair.show(new);
        pair.push(pruned());
        pair.pass(60);
        assert_eq!((pair.weights_in(other).as_str(), pair.reason()), ("v1=90 v2=10", "ClusterNew"));
        pair.push(on_v1().with(|plan| plan.prune = true));
        pair.pass(60);
        pair.remove();
        pair.pass(60);
        assert!(pair.apis[other].objects.is_empty(), "what was made is deleted");
        assert_eq!(pair.object(new), theirs);
        assert!(pair.is_done());
    }
}

#[test]
fn a_plan_starts_only_where_every_cluster_is_known() {
    let mut pair = Pair::new();
    pair.leave(WEST);
    pair.push(on_v1());
    pair.pass(60);
    assert!(pair.apis[EAST].objects.is_empty());
    assert_eq!(pair.reason(), "ClusterAway");
    pair.come_back();
    pair.pass(5);
    assert_eq!(pair.weights(), both("v1=100"));
}

#[test]
fn a_document_that_moves_nothing_is_written_once_though_a_cluster_is_away() {
    for gone in [EAST, WEST] {
        let mut pair = settled();
        pair.leave(gone);
        pair.push(plan("v1=100").steps("20:5m").from("v1=100"));
        let other = beside(gone);
        let written = pair.object(other);
        pair.pass(60);
        assert_eq!(pair.object(other), written, "{gone} is away");
    }
}
