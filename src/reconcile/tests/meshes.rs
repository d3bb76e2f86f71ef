//! Two clusters that share their endpoints: the pods of one version are in the one, and those of the other in the other.

use super::{
    draft::Draft,
    pair::{EAST, Pair, WEST, both, on_v1, settled, to_v2},
};
use crate::{plan::Readiness, rollout::Phase};

const COUNTS: [(&str, u32); 4] = [("east/v1", 12), ("west/v1", 0), ("east/v2", 0), ("west/v2", 2)];

fn count(pair: &mut Pair) {
    COUNTS.iter().for_each(|(place, count)| pair.ready(place, Some(*count)));
}

/// Settled on v1, whose pods are in the east; those of v2 are in the west.
fn split() -> Pair {
    let mut pair = Pair::new();
    pair.around.shares = true;
    count(&mut pair);
    pair.push(on_v1());
    pair.pass(60);
    assert_eq!(pair.weights(), both("v1=100"));
    pair
}

fn walking(draft: Draft) -> Pair {
    let mut pair = split();
    pair.push(draft);
    pair.pass(10);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    pair
}

#[test]
fn versions_of_different_clusters_walk_to_the_end_in_one_mesh_and_not_at_all_in_two() {
    let mut pair = walking(to_v2());
    pair.pass(2_600);
    assert_eq!(pair.weights(), both("v2=100"));
    assert_eq!([pair.phase(EAST), pair.phase(WEST)], [Phase::Settled, Phase::Settled]);

    let mut apart = settled();
    count(&mut apart);
    apart.push(to_v2());
    apart.pass(2_600);
    assert_eq!((apart.weights(), apart.reason()), (both("v1=100"), "EndpointsNotReady"));
}

#[test]
fn endpoints_of_all_clusters_make_up_what_a_version_needs() {
    let readiness = Readiness { capacity_percent: 100, min_endpoints: 2, ..Readiness::default() };
    let mut pair = walking(to_v2().with(|plan| plan.readiness = readiness));
    pair.pass(600);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=90 v2=10"), "CapacityShort"));
    pair.ready("east/v2", Some(1));
    pair.pass(2);
    assert_eq!(pair.weights(), both("v1=75 v2=25"), "3 of 12 take 25 %");
}

#[test]
fn a_version_that_is_gone_where_it_was_fails_everywhere() {
    let mut pair = walking(to_v2());
    pair.ready("west/v2", Some(0));
    pair.pass(12);
    assert_eq!(pair.weights(), both("v1=100"));
    assert!(matches!(pair.phase(EAST), Phase::WentBack { .. }) && matches!(pair.phase(WEST), Phase::WentBack { .. }));
}

#[test]
fn law_03_what_is_gone_in_one_cluster_of_a_mesh_and_serves_in_another_is_gone_back_to() {
    let mut pair = walking(to_v2());
    pair.ready("east/v1", Some(0));
    pair.ready("west/v1", Some(1));
    pair.push(on_v1());
    assert_eq!(pair.weights(), both("v1=100"));
}

#[test]
fn law_08_what_is_not_known_of_one_cluster_of_a_mesh_holds_what_rises_and_nothing_else() {
    let mut pair = walking(to_v2());
    pair.ready("east/v2", None);
    pair.pass(3_600);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=90 v2=10"), "EndpointsNotReady"));
    pair.ready("east/v1", None);
    pair.push(on_v1());
    assert_eq!(pair.weights(), both("v1=100"), "going back asks for nothing");
}

#[test]
fn law_08_a_cluster_of_the_mesh_that_is_none_of_the_plans_holds_too_while_it_is_away() {
    let mut pair = split();
    pair.around.beyond = Some("cluster north of the mesh of east does not answer: torn".into());
    pair.push(to_v2());
    pair.pass(600);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=100"), "MeshIncomplete"));
    pair.around.beyond = None;
    pair.ready("west/v2", Some(2));
    pair.pass(10);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    pair.around.beyond = Some("cluster north of the mesh of east does not answer: torn".into());
    pair.pass(600);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=90 v2=10"), "MeshIncomplete"));
    pair.push(on_v1());
    assert_eq!(pair.weights(), both("v1=100"));
}
