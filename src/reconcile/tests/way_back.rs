//! The way back that needs no tidegate: the patch on the VirtualService, and what tidegate makes of it afterwards.

use json_patch::Patch;
use serde_json::{Value, json};

use super::{
    draft::{Draft, STEPS, on_v1, plan, settled_on_v1, to_v2, traffic},
    simulation::Sim,
};
use crate::{
    istio::ObjectKind,
    rollout::{Cause, Phase, WAY_BACK},
};

const ROUTE: ObjectKind = ObjectKind::VirtualService;

fn annotation(sim: &Sim) -> Option<String> {
    sim.api.objects[&ROUTE]["metadata"]["annotations"][WAY_BACK].as_str().map(str::to_owned)
}

/// As `kubectl patch --type=json` does it, while no tidegate runs; then one starts.
fn apply_and_start(sim: &mut Sim) {
    let patch: Patch = serde_json::from_str(&annotation(sim).expect("a patch")).unwrap();
    let mut object = Value::clone(&sim.api.objects[&ROUTE]);
    json_patch::patch(&mut object, &patch).expect("its tests hold");
    sim.api.put(ROUTE, object);
    sim.trace();
}

/// Worlds with a walk open or a target that has not settled, and the weights of their way back.
fn open() -> Vec<(Sim, &'static str)> {
    let walking = |draft: Draft| {
        let mut sim = settled_on_v1();
        sim.push(draft).pass("6m");
        sim
    };
    let mut by_hand = Sim::new();
    by_hand.push(plan("v1=100")).pass("1m").push(plan("v1=90 v2=10")).pass("1m");
    by_hand.push(plan("v1=50 v3=50").steps(STEPS)).pass("1m");
    let mut target = settled_on_v1();
    target.push(to_v2()).pass("26m");
    assert_eq!((target.weights().as_str(), target.journal().phase), ("v2=100", Phase::Target));
    let mut retreat = Sim::new();
    retreat.push(plan("v1=100")).pass("1m").push(plan("v1=50 v2=50")).pass("1m");
    retreat.push(plan("v1=90 v2=10").timeout("5s").with(|plan| plan.settle = "1h".parse().unwrap()));
    let mut routing = settled_on_v1();
    routing.push(on_v1().timeout("5s"));
    vec![
        (walking(to_v2()), "v1=100"),
        (walking(to_v2().timeout("5s")), "v1=100"),
        (walking(to_v2().pin("qa", "v2")), "v1=100"),
        (by_hand, "v1=90 v2=10"),
        (target, "v1=100"),
        (retreat, "v1=100"),
        (routing, "v1=100"),
    ]
}

#[test]
fn the_patch_leads_to_the_way_back_state_and_tidegate_understands_it_afterwards() {
    for (mut sim, weights) in open() {
        let back = sim.journal().way_back.expect("a way back");
        apply_and_start(&mut sim);
        let live = sim.api.objects[&ROUTE].clone();
        let drift = crate::istio::drift(&live, &back.state.routing, &back.state.traffic);
        assert!(!drift.weights_differ && !drift.spec_differs, "{live:#}");
        sim.crash().pass("1d");
        assert_eq!((sim.weights().as_str(), sim.trace()), (weights, Vec::new()), "nothing rises again");
        let journal = sim.journal();
        assert!(matches!(journal.phase, Phase::WentBack { cause: Cause::LoweredByHand(_) }), "{:?}", journal.phase);
        assert!(journal.restore.is_some() && sim.orders.len() == 1, "Git is to follow");
        assert_eq!(annotation(&sim), None, "it is used up");
    }
}

#[test]
fn the_patch_tests_what_it_changes_and_nothing_that_grows_old() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    let patch: Value = serde_json::from_str(&annotation(&sim).unwrap()).unwrap();
    let host = "web.shop.svc.cluster.local";
    let destination = |subset: &str| json!({"host": host, "subset": subset});
    assert_eq!(
        patch,
        json!([
            {"op": "test", "path": "/spec/http/0/route/0/destination", "value": destination("v1")},
            {"op": "test", "path": "/spec/http/0/route/1/destination", "value": destination("v2")},
            {"op": "replace", "path": "/spec/http/0/route", "value": [{"destination": destination("v1")}]},
        ])
    );
    let mut other = Value::clone(&sim.api.objects[&ROUTE]);
    other["spec"]["http"][0]["route"][1]["destination"]["subset"] = json!("v3");
    let patch: Patch = serde_json::from_value(patch).unwrap();
    assert!(json_patch::patch(&mut other, &patch).is_err(), "another route is not overwritten");
}

#[test]
fn weights_alone_change_where_the_destinations_are_the_same() {
    let routing = plan("v1=100").0.routing;
    let live = crate::istio::virtual_service(&routing, &traffic("v1=75 v2=25"));
    let patch = crate::istio::way_back(&live, &routing, &traffic("v1=95 v2=5")).unwrap();
    let paths: Vec<&str> = patch.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    let legs = ["/spec/http/0/route/0/", "/spec/http/0/route/1/"];
    assert_eq!(
        paths,
        [
            format!("{}destination", legs[0]),
            format!("{}destination", legs[1]),
            format!("{}weight", legs[0]),
            format!("{}weight", legs[1]),
        ]
    );
}

#[test]
fn the_patch_is_there_while_there_is_a_way_back_and_costs_no_write_of_its_own() {
    let mut sim = settled_on_v1();
    assert_eq!(annotation(&sim), None);
    let mut seen = Vec::new();
    for span in ["0s", "5m2s", "10m2s", "10m2s"] {
        let before = sim.patches;
        if seen.is_empty() {
            sim.push(to_v2());
        }
        sim.pass(span);
        seen.push((sim.patches - before, annotation(&sim).is_some()));
    }
    assert_eq!(seen, [(1, true), (2, true), (2, true), (2, true)]);
    sim.pass("1h");
    assert_eq!((sim.journal().phase, annotation(&sim)), (Phase::Settled, None));
    sim.push(to_v2().build("v2", "2")).ready("v2", 0).push(plan("v3=100").steps(STEPS));
    sim.push(on_v1());
    assert_eq!(annotation(&sim), None);
}

#[test]
fn a_patch_that_somebody_changes_is_put_back() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    let there = annotation(&sim);
    sim.edit(ROUTE, |object| object["metadata"]["annotations"][WAY_BACK] = json!("[]"));
    assert_eq!(annotation(&sim), there);
    sim.edit(ROUTE, |object| {
        object["metadata"]["annotations"].as_object_mut().unwrap().remove(WAY_BACK);
    });
    sim.pass("1s");
    assert_eq!(annotation(&sim), there);
}
