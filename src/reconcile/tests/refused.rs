//! Routing that the API server or a proxy refused: mended it is tried again by itself, and nothing else is.

use serde_json::{Value, json};

use super::{
    draft::{Draft, STEPS, on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    cluster::Outcome,
    istio::ObjectKind,
    plan::OnFailure,
    rollout::{Cause, FAILED_MAX, JOURNAL, Phase, Reason, STOP},
};

const WALK: [&str; 4] = ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"];

fn refuse(sim: &mut Sim) {
    sim.refuse.push_back(Outcome::Rejected { message: "spec.http[0].timeout: invalid".into(), code: 422 });
}

/// The routes of the walk to v2, with that time-out, were refused.
fn refused(timeout: &str) -> Sim {
    let mut sim = settled_on_v1();
    refuse(&mut sim);
    sim.push(to_v2().timeout(timeout)).pass("1m");
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::Rejected(_) }), "{}", sim.reason());
    sim
}

fn went_back_for(sim: &Sim) -> String {
    match sim.reason() {
        Reason::WentBack { cause, retry } => format!("{}, {retry:?}", cause.name()),
        other => panic!("{other}"),
    }
}

#[test]
fn a_refused_routing_that_is_mended_walks_by_itself() {
    let mut sim = refused("bad");
    assert!(sim.trace().is_empty(), "nothing of it was live");
    assert_eq!(went_back_for(&sim), "Rejected, Routing");
    assert!(sim.reason().to_string().contains("other routing is tried"), "{}", sim.reason());
    sim.push(to_v2().timeout("5s")).pass("1d");
    assert_eq!(sim.trace(), WALK);
    assert_eq!(sim.reason().name(), "Settled");
}

#[test]
fn a_refused_routing_is_not_tried_again_whatever_comes_in_between() {
    let mut sim = refused("bad");
    sim.push(on_v1()).pass("1h").push(to_v2().timeout("bad")).pass("1d");
    assert_eq!(went_back_for(&sim), "FailedBefore, Routing");
    assert!(sim.trace().is_empty() && sim.journal().restore.is_none(), "nobody is argued with");
    sim.push(to_v2().timeout("bad").with(|plan| plan.steps.truncate(1))).pass("1d");
    assert_eq!(went_back_for(&sim), "FailedBefore, Routing", "other steps are the same routing");
    sim.crash().push(to_v2().timeout("bad").with(|plan| plan.attempt = 2)).pass("1d");
    assert_eq!(sim.trace(), WALK, "the policy that refused it may be another by now");
}

#[test]
fn a_version_that_did_not_serve_is_not_tried_again_by_mended_routing() {
    let mut sim = refused("bad");
    sim.push(to_v2().timeout("5s")).pass("6m").ready("v2", 0).pass("11s").ready("v2", 2).trace();
    assert_eq!(went_back_for(&sim), "EndpointsGone, Content");
    assert!(sim.reason().to_string().contains("other routing alone is not"), "{}", sim.reason());
    for timeout in ["bad", "5s", "6s"] {
        sim.push(to_v2().timeout(timeout)).pass("1d");
        assert_eq!(went_back_for(&sim), "EndpointsGone, Content", "{timeout}");
    }
    sim.push(to_v2().timeout("6s").build("v2", "fixed")).pass("1d");
    assert_eq!(sim.trace(), WALK);
}

#[test]
fn however_often_routing_is_mended_no_version_that_failed_is_forgotten() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m").ready("v2", 0).pass("11s").ready("v2", 2);
    for attempt in 0..=FAILED_MAX {
        refuse(&mut sim);
        sim.push(plan("v3=100").steps(STEPS).timeout(&format!("{attempt}s"))).pass("1m");
        assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::Rejected(_) }), "{}", sim.reason());
    }
    assert_eq!(sim.journal().failed.len(), FAILED_MAX);
    sim.trace();
    sim.push(to_v2().timeout("9s")).pass("1d");
    assert_eq!((went_back_for(&sim).as_str(), sim.trace().len()), ("Rejected, Content", 0));
}

#[test]
fn what_a_person_stopped_is_tried_by_any_other_document() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    sim.edit(ObjectKind::VirtualService, |object| object["metadata"]["annotations"][STOP] = json!("ann"));
    sim.edit(ObjectKind::VirtualService, |object| {
        object["metadata"]["annotations"].as_object_mut().unwrap().remove(STOP);
    });
    assert_eq!(went_back_for(&sim), "Stop, Document");
    sim.pass("1m").trace();
    sim.push(to_v2().timeout("5s")).pass("1d");
    assert_eq!(sim.trace(), WALK);
}

#[test]
fn a_refusal_that_is_held_ends_by_mended_routing() {
    let holding = |draft: Draft| draft.with(|plan| plan.on_failure = OnFailure::Hold);
    let mut sim = settled_on_v1();
    refuse(&mut sim);
    sim.push(holding(to_v2().timeout("bad"))).pass("1d");
    assert!(matches!(sim.reason(), Reason::FailureHeld { .. }), "{}", sim.reason());
    assert!(sim.reason().to_string().contains("other routing is tried"), "{}", sim.reason());
    sim.push(holding(to_v2().timeout("bad").with(|plan| plan.prune = true))).pass("1h");
    assert!(matches!(sim.reason(), Reason::FailureHeld { .. }), "the same routing: {}", sim.reason());
    sim.push(holding(to_v2().timeout("5s"))).pass("1d");
    assert_eq!(sim.trace(), WALK);
}

/// The version before knew refused content without its routing.
#[test]
fn what_a_journal_of_the_version_before_calls_failed_stays_failed() {
    let mut sim = refused("bad");
    sim.edit(ObjectKind::VirtualService, |object| {
        let text = object["metadata"]["annotations"][JOURNAL].as_str().unwrap();
        let mut journal: Value = serde_json::from_str(text).unwrap();
        assert!(journal["failed"][0].as_object_mut().unwrap().remove("routing").is_some());
        object["metadata"]["annotations"][JOURNAL] = json!(journal.to_string());
    });
    sim.crash().pass("1m");
    assert_eq!(went_back_for(&sim), "Rejected, Content", "and that is what is said");
    sim.push(to_v2().timeout("5s")).pass("1d");
    assert_eq!((went_back_for(&sim).as_str(), sim.trace().len()), ("Rejected, Content", 0));
    sim.push(to_v2().timeout("5s").with(|plan| plan.attempt = 2)).pass("1d");
    assert_eq!(sim.trace(), WALK);
}
