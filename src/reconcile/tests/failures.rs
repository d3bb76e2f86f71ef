//! What a plan may say about failures: `onFailure`, `attempt` and `progressDeadline`.

use serde_json::json;

use super::{
    draft::{Draft, on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    cluster::Outcome,
    istio::ObjectKind,
    plan::OnFailure,
    rollout::{Cause, Phase, Reason, What},
};

fn holding() -> Draft {
    to_v2().with(|plan| plan.on_failure = OnFailure::Hold)
}

fn attempt(draft: Draft, attempt: u32) -> Draft {
    draft.with(|plan| plan.attempt = attempt)
}

/// A plan that holds has failed at 25 percent.
fn failed_and_held() -> Sim {
    let mut sim = settled_on_v1();
    sim.push(holding()).pass("6m").trace();
    sim.ready("v2", 0).pass("10s");
    assert!(matches!(sim.reason(), Reason::FailureHeld { cause: Cause::EndpointsGone(_), .. }), "{}", sim.reason());
    sim
}

#[test]
fn a_failure_that_is_held_moves_nothing_and_stays_held() {
    let mut sim = failed_and_held();
    sim.ready("v2", 2).pass("1d");
    assert_eq!((sim.trace(), sim.reason().name()), (Vec::new(), "FailureHeld"));
    assert_eq!((sim.journal().phase, sim.journal().restore), (Phase::Walking { weight: 25 }, None));
    let told = sim.journal().transitions.iter().filter(|one| one.what == What::FailureHeld).count();
    assert_eq!(told, 1, "once");
    assert!(sim.reason().needs_a_person() && sim.reason().to_string().contains("`attempt`"), "{}", sim.reason());
    sim.crash().pass("1d");
    assert_eq!(
        (sim.weights().as_str(), sim.reason().name()),
        ("v1=75 v2=25", "FailureHeld"),
        "a restart forgets nothing"
    );
}

#[test]
fn a_failure_that_is_held_ends_by_a_commit() {
    for (draft, weights, reason) in [
        (on_v1(), "v1=100", "Settled"),
        (holding().timeout("5s"), "v1=75 v2=25", "FailureHeld"),
        (to_v2(), "v1=100", "WentBack"),
        (attempt(holding(), 2), "v1=50 v2=50", "Hold"),
        (holding().build("v2", "fixed"), "v1=100", "Converging"),
    ] {
        let mut sim = failed_and_held();
        sim.ready("v2", 2).pass("15m").push(draft);
        assert_eq!(sim.weights(), weights);
        if reason == "Hold" {
            sim.pass("2s");
        }
        assert_eq!(sim.reason().name(), reason, "{}", sim.reason());
    }
}

#[test]
fn a_stop_is_never_held() {
    let mut sim = failed_and_held();
    sim.edit(ObjectKind::VirtualService, |object| {
        object["metadata"]["annotations"]["tidegate.dev/stop"] = json!("alice")
    });
    assert_eq!(sim.trace(), ["v1=100"]);
    assert!(sim.journal().restore.is_some(), "and Git follows");
    let mut sim = failed_and_held();
    sim.set_weights("v1=80 v2=20");
    assert_eq!(sim.trace(), ["v1=100"]);
}

#[test]
fn a_refused_write_is_held_before_anything_rose() {
    let mut sim = settled_on_v1();
    sim.refuse.push_back(Outcome::Rejected { message: "denied by policy".into(), code: 400 });
    sim.push(holding()).pass("1d");
    assert!(matches!(sim.reason(), Reason::FailureHeld { cause: Cause::Rejected(_), .. }), "{}", sim.reason());
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn failed_content_is_tried_again_by_a_raised_attempt_from_the_first_step() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m").ready("v2", 0).pass("10s").ready("v2", 2).trace();
    sim.push(to_v2().timeout("5s")).pass("1d");
    assert!(matches!(sim.reason(), Reason::WentBack { .. }), "{}", sim.reason());
    sim.push(attempt(to_v2().timeout("5s"), 2)).pass("1d");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"]);
}

#[test]
fn a_raised_attempt_of_what_has_not_failed_goes_on() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m").push(attempt(to_v2(), 2)).pass("1d");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"]);
}

#[test]
fn the_progress_deadline_is_the_plans() {
    let lone = |deadline: &str| {
        let mut sim = settled_on_v1();
        let draft = plan("v2=100").steps("0:5m 10:5m").with(|plan| plan.progress_deadline = deadline.parse().unwrap());
        sim.ready("v2", 0).push(draft).pass("5m");
        sim
    };
    for (deadline, before) in [("2m", "1m59s"), ("1h", "59m59s")] {
        let mut sim = lone(deadline);
        sim.pass(before);
        assert!(matches!(sim.reason(), Reason::Endpoints { deadline: Some(_), .. }), "{}", sim.reason());
        sim.pass("1s");
        assert!(matches!(sim.reason(), Reason::WentBack { cause: Cause::Deadline(_), .. }), "{}", sim.reason());
    }
}
