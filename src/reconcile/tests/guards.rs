//! A guard: nothing rises from it, and it goes back as whoever raises would have.

use serde_json::json;

use super::{
    draft::{Draft, on_v1, settled_on_v1, to_v2},
    simulation::{CLUSTER, Sim},
};
use crate::{
    istio::ObjectKind,
    plan::{Chosen, OnFailure, OnPartial, Plan},
    rollout::{Journal, Lease, Phase, STOP, Wanted},
};

/// A guard takes the place of whoever raised.
fn guarded(mut sim: Sim) -> (Sim, Wanted) {
    let wanted = std::mem::replace(&mut sim.wanted, Wanted::Unknown);
    sim.around.lease = Lease::Guard;
    sim.crash().settle_now();
    sim.trace();
    (sim, wanted)
}

/// Whoever raises is there again, and knows what Git asks for.
fn back_again(mut sim: Sim, wanted: Wanted) -> Sim {
    sim.around.lease = Lease::Alone;
    sim.wanted = wanted;
    sim.crash().settle_now();
    sim
}

fn walking(draft: Draft) -> Sim {
    let mut sim = settled_on_v1();
    sim.push(draft).pass("1m").trace();
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim
}

fn here_alone() -> Chosen {
    Chosen::Named(vec![CLUSTER.into()])
}

fn stop(sim: &mut Sim) {
    sim.edit(ObjectKind::VirtualService, |object| object["metadata"]["annotations"][STOP] = json!("Ann"));
}

/// What a way back writes, but for its instants.
fn position(journal: &Journal) -> impl PartialEq + std::fmt::Debug + use<> {
    let told: Vec<_> = journal.transitions.iter().map(|there| (there.what, there.note.clone())).collect();
    let restore = journal.restore.clone().map(|restore| (restore.failed, restore.undoes, restore.to, restore.reason));
    let settled: Vec<_> = journal.settled.iter().map(|settled| settled.state.clone()).collect();
    let kept = (journal.failed.clone(), journal.proof.clone(), journal.subsets.clone(), journal.stop.clone());
    (journal.state.clone(), journal.phase.clone(), journal.plan.digest.clone(), told, restore, settled, kept)
}

#[test]
fn law_02_a_guard_raises_nothing_whatever_is_due() {
    let starting = || {
        let mut sim = settled_on_v1();
        sim.ready("v2", 0).push(to_v2()).pass("1m");
        assert_eq!(sim.journal().phase, Phase::Starting);
        sim
    };
    let target = || {
        let mut sim = settled_on_v1();
        sim.push(to_v2()).pass("30m");
        assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v2=100", Phase::Target));
        sim
    };
    for open in [walking(to_v2()), starting(), target()] {
        let (weights, phase) = (open.weights(), open.journal().phase);
        let (mut sim, wanted) = guarded(open);
        let before = sim.patches;
        sim.ready("v2", 2).pass("1d");
        assert_eq!((sim.weights(), sim.patches), (weights, before), "{phase:?}");
        assert_eq!((sim.journal().phase, sim.reason().name()), (phase, "GuardOnly"));
        let mut sim = back_again(sim, wanted);
        sim.pass("1d");
        assert_eq!(
            (sim.weights().as_str(), sim.journal().phase),
            ("v2=100", Phase::Settled),
            "what is due is done now"
        );
    }
}

#[test]
fn law_03_a_guard_goes_back_as_whoever_raises_would() {
    let stopped: fn(&mut Sim) = stop;
    let gone: fn(&mut Sim) = |sim| {
        sim.ready("v2", 0).pass("11s");
    };
    let lowered: fn(&mut Sim) = |sim| {
        sim.set_weights("v1=95 v2=5");
    };
    for happens in [stopped, gone, lowered] {
        let mut hub = walking(to_v2().with(|plan| plan.clusters = here_alone()));
        let (mut guard, wanted) = guarded(hub.clone());
        happens(&mut hub);
        happens(&mut guard);
        assert_eq!(guard.pass("1s").trace(), ["v1=100"], "{}", guard.reason());
        assert_eq!(position(&guard.journal()), position(&hub.journal()));
        assert_eq!(guard.orders.len(), hub.orders.len(), "it says what Git is to say, and pushes nothing");
        let (before, journal) = (guard.patches, guard.journal());
        guard.pass("1d");
        assert_eq!(guard.patches, before, "once");
        let mut hub = back_again(guard, wanted);
        hub.pass("1h");
        assert_eq!((hub.trace(), hub.journal()), (vec![], journal), "there is nothing left to go back from");
        assert!(hub.orders.last().is_some_and(Option::is_some), "Git is to follow");
        hub.push(on_v1()).pass("1m");
        assert_eq!((hub.weights().as_str(), hub.journal().restore), ("v1=100", None));
        assert_eq!(hub.journal().phase, Phase::Settled);
        hub.ready("v2", 2).push(to_v2().build("v2", "mended")).pass("1d");
        assert_eq!(hub.weights(), "v2=100");
    }
}

#[test]
fn what_a_guard_finds_names_its_cluster_where_the_plan_may_have_others() {
    let in_it = format!("version v2 in cluster {CLUSTER} had no ready endpoint");
    for (clusters, cause) in [(here_alone(), "version v2 had no ready endpoint"), (Chosen::All, &in_it)] {
        let (mut sim, _) = guarded(walking(to_v2().with(|plan| plan.clusters = clusters.clone())));
        sim.ready("v2", 0).pass("12s");
        let journal = sim.journal();
        let Phase::WentBack { cause: told } = &journal.phase else { panic!("{:?}", journal.phase) };
        assert_eq!((told.to_string().as_str(), journal.restore.unwrap().reason.as_str()), (cause, cause));
    }
}

#[test]
fn a_guard_takes_no_raise_for_late_as_whoever_raises_may_hold_it_for_another_reason() {
    let needs_two = to_v2().with(|plan| plan.readiness.min_endpoints = 2);
    let (mut sim, wanted) = guarded(walking(needs_two));
    let before = sim.patches;
    sim.ready("v2", 1).pass("1d");
    assert_eq!((sim.weights().as_str(), sim.patches), ("v1=90 v2=10", before));
    assert_eq!(sim.reason().name(), "EndpointsNotReady");
    let mut sim = back_again(sim, wanted);
    sim.pass("1m");
    assert_eq!(sim.weights(), "v1=100", "whoever raises knows that it waits for nothing else");
}

#[test]
fn a_guard_heeds_what_the_plan_says_of_failures() {
    let mut sim = walking(to_v2().with(|plan| plan.on_failure = OnFailure::Hold));
    sim.ready("v2", 0).pass("11s");
    let (mut sim, _) = guarded(sim);
    let before = sim.patches;
    sim.pass("1d");
    assert_eq!((sim.weights().as_str(), sim.patches, sim.reason().name()), ("v1=90 v2=10", before, "FailureHeld"));
    stop(&mut sim);
    sim.pass("1s");
    assert_eq!(sim.weights(), "v1=100", "a person's stop is no failure");
}

#[test]
fn a_guard_that_sees_all_of_a_plan_takes_its_failure_for_one_of_all() {
    for (clusters, weights) in [(here_alone(), "v1=100"), (Chosen::All, "v1=90 v2=10")] {
        let held = |plan: &mut Plan| (plan.on_partial, plan.clusters) = (OnPartial::Hold, clusters);
        let (mut sim, _) = guarded(walking(to_v2().with(held)));
        sim.ready("v2", 0).pass("1m");
        assert_eq!(sim.weights(), weights);
    }
}

#[test]
fn a_guard_makes_and_removes_nothing_and_puts_no_change_back() {
    let (mut sim, _) = guarded(walking(to_v2()));
    let before = sim.patches;
    sim.set_weights("v1=10 v2=90").pass("1d");
    assert_eq!(
        (sim.patches, sim.weights().as_str()),
        (before, "v1=10 v2=90"),
        "where nobody else is left, it is theirs"
    );
    sim.ready("v2", 0).pass("1m");
    assert_eq!(sim.weights(), "v1=100", "what fails goes back all the same");

    let (mut sim, _) = guarded(walking(to_v2()));
    sim.delete(ObjectKind::DestinationRule);
    sim.trace();
    stop(&mut sim);
    sim.pass("1d");
    assert_eq!((sim.trace(), sim.subsets().as_str()), (vec![], "-"));

    let (mut sim, _) = guarded(walking(to_v2()));
    sim.delete(ObjectKind::VirtualService);
    sim.trace();
    sim.pass("1d");
    assert_eq!((sim.trace(), sim.weights().as_str()), (vec![], "-"));
}

#[test]
fn a_guard_puts_a_subset_back_that_the_way_back_needs() {
    let (mut sim, _) = guarded(walking(to_v2()));
    sim.edit(ObjectKind::DestinationRule, |object| {
        object["spec"]["subsets"].as_array_mut().unwrap().retain(|subset| subset["name"] != "v1");
    });
    assert!(!sim.subsets().contains("v1"));
    stop(&mut sim);
    sim.pass("5s");
    assert_eq!(sim.weights(), "v1=100");
    assert!(sim.subsets().contains("v1"), "{}", sim.subsets());
}
