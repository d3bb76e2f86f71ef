//! `ready` and `wayBack`: the endpoints without which nothing rises, and that never hold up a way back.

use super::{
    draft::{Draft, on_v1, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{plan::Readiness, rollout::Phase};

fn needing(readiness: Readiness) -> Draft {
    to_v2().with(|plan| plan.readiness = readiness)
}

/// v1 with 4 ready endpoints and v2 with 2; the walk to v2 stands at its first step.
fn walking(readiness: Readiness) -> Sim {
    let mut sim = settled_on_v1();
    sim.ready("v1", 4).ready("v2", 2).push(needing(readiness)).pass("10s");
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim.trace();
    sim
}

#[test]
fn a_version_gains_weight_once_it_has_its_least_number_of_endpoints() {
    let mut sim = settled_on_v1();
    sim.push(needing(Readiness { min_endpoints: 3, ..Readiness::default() })).pass("1d");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=100", "EndpointsNotReady"));
    assert!(sim.reason().to_string().contains("3 ready endpoints of version v2 (2 ready)"), "{}", sim.reason());
    sim.ready("v2", 3).pass("1s");
    assert_eq!(sim.weights(), "v1=90 v2=10");
}

/// 12 endpoints of v1, 2 of v2, and a walk with this factor, in percent.
fn with_factor(capacity_percent: u16) -> Sim {
    let mut sim = settled_on_v1();
    sim.ready("v1", 12).ready("v2", 2).push(needing(Readiness { capacity_percent, ..Readiness::default() }));
    sim
}

#[test]
fn a_version_gets_no_more_than_its_endpoints_can_take() {
    let mut sim = with_factor(100);
    sim.pass("10s");
    assert_eq!(sim.weights(), "v1=90 v2=10", "2 of 12 take 10 %");
    sim.ready("v1", 9).pass("1d");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "CapacityShort"));
    let said = sim.reason().to_string();
    assert!(said.contains("3 ready endpoints of version v2 (2 ready)") && said.contains("25 % of what 12"), "{said}");
    sim.ready("v2", 3).pass("1s");
    assert_eq!(sim.weights(), "v1=75 v2=25");
    sim.ready("v2", 1).push(on_v1());
    assert_eq!(sim.weights(), "v1=100", "going back asks for nothing");
}

#[test]
fn a_factor_asks_for_a_part_of_the_endpoints() {
    let mut sim = with_factor(50);
    sim.pass("6m");
    assert_eq!(sim.weights(), "v1=75 v2=25", "2 are more than half of 3");
}

#[test]
fn law_08_nothing_rises_while_too_little_is_left_of_the_way_back() {
    for (percent, enough) in [(50, 2), (100, 4), (60, 3)] {
        let mut sim = walking(Readiness { way_back_percent: percent, ..Readiness::default() });
        sim.ready("v1", enough - 1).pass("1d");
        assert_eq!(
            (sim.trace(), sim.reason().name()),
            (Vec::new(), "WayBackShort"),
            "{percent} %, and never a failure"
        );
        assert!(sim.reason().to_string().contains("4 when the walk began"), "{}", sim.reason());
        sim.crash().pass("1d");
        assert_eq!(sim.reason().name(), "WayBackShort", "a restart counts nothing anew");
        sim.ready("v1", enough).pass("1s");
        assert_eq!(sim.weights(), "v1=75 v2=25", "{percent} %");
        sim.ready("v1", 1).push(on_v1());
        assert_eq!(sim.weights(), "v1=100", "going back asks for nothing");
    }
}

#[test]
fn no_share_of_the_way_back_needs_to_be_left_where_the_plan_says_so() {
    let mut sim = walking(Readiness { way_back_percent: 0, ..Readiness::default() });
    sim.ready("v1", 1).pass("6m");
    assert_eq!(sim.weights(), "v1=75 v2=25");
}

#[test]
fn each_walk_counts_the_endpoints_of_its_way_back_anew() {
    let mut sim = walking(Readiness::default());
    assert_eq!(sim.journal().way_back_ready.values().collect::<Vec<_>>(), [&4]);
    sim.push(on_v1()).pass("1m");
    assert!(sim.journal().way_back_ready.is_empty());
    sim.ready("v1", 1).push(to_v2()).pass("1d");
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v2=100", Phase::Settled));
}
