//! The stop annotation: what it takes back, what it holds, when it goes, and what taking it off by hand means.

use serde_json::json;

use super::{
    draft::{on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    istio::ObjectKind,
    rollout::{Cause, Phase, Reason, STOP},
};

fn stop(sim: &mut Sim, text: &str) {
    sim.edit(ObjectKind::VirtualService, |object| object["metadata"]["annotations"][STOP] = json!(text));
}

fn take_off(sim: &mut Sim) {
    sim.edit(ObjectKind::VirtualService, |object| {
        object["metadata"]["annotations"].as_object_mut().unwrap().remove(STOP);
    });
}

fn stands(sim: &Sim) -> bool {
    sim.api.objects[&ObjectKind::VirtualService]["metadata"]["annotations"][STOP].is_string()
}

/// Stopped at 25 percent; Git does not say so yet.
fn stopped() -> Sim {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m").trace();
    stop(&mut sim, "alice INC-4711");
    assert_eq!(sim.trace(), ["v1=100"]);
    sim
}

#[test]
fn a_stop_goes_back_at_once_and_git_follows() {
    let mut sim = stopped();
    let restore = sim.journal().restore.expect("a restore");
    assert_eq!(restore.reason, "stopped by annotation: alice INC-4711");
    assert_eq!(sim.orders.last().unwrap().as_ref().map(|order| &order.restore), Some(&restore));
    sim.pass("1d");
    assert_eq!((sim.trace().len(), sim.reason()), (0, Reason::Stopped { text: "alice INC-4711".into() }));
    assert!(stands(&sim), "Git does not say so yet");
}

#[test]
fn a_stop_goes_with_the_document_that_asks_for_what_it_led_to() {
    let mut sim = stopped();
    sim.push(on_v1());
    assert!(!stands(&sim));
    assert_eq!((sim.journal().restore, sim.journal().stop, sim.reason()), (None, None, Reason::Settled));
    sim.push(to_v2()).pass("1m");
    assert_eq!(sim.trace(), ["v1=90 v2=10"], "a person who asks for it again in Git gets it");
    stop(&mut sim, "alice INC-4711");
    assert_eq!(sim.trace(), ["v1=100"], "the same words are a new stop");
}

#[test]
fn a_stop_stays_where_a_person_changed_the_document_until_a_person_takes_it_off() {
    let mut sim = stopped();
    sim.push(to_v2().build("v2", "fixed")).pass("1d");
    assert_eq!((sim.trace(), sim.reason().name(), stands(&sim)), (Vec::new(), "Stopped", true));
    assert_eq!(sim.journal().restore, None, "and the change stays in Git");
    assert!(sim.reason().to_string().contains("take it off"), "{}", sim.reason());
    take_off(&mut sim);
    sim.pass("10s");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn taking_a_stop_off_by_hand_lets_nothing_rise_that_it_took_back() {
    let mut sim = stopped();
    take_off(&mut sim);
    sim.pass("1d");
    assert_eq!(sim.trace(), [""; 0], "only a commit raises");
    assert!(matches!(sim.reason(), Reason::WentBack { cause: Cause::Stop(_), .. }), "{}", sim.reason());
    assert!(sim.journal().restore.is_some(), "and Git is still to follow");
    sim.crash().pass("1d");
    assert_eq!(sim.trace(), [""; 0]);
    sim.push(to_v2().with(|plan| plan.attempt = 2)).pass("1m");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn a_stop_works_without_git_and_its_restore_waits() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m").trace();
    sim.around.git.last_look = None;
    sim.now += jiff::SignedDuration::from_hours(1);
    stop(&mut sim, "bob");
    assert_eq!(sim.trace(), ["v1=100"]);
    let order = sim.orders.last().cloned();
    sim.orders.clear();
    sim.crash().settle_now();
    assert_eq!(sim.orders.last().cloned(), order, "a restart without Git still has it");
    sim.pass("1d");
    assert_eq!(sim.trace(), [""; 0]);
}

#[test]
fn a_stop_of_what_is_settled_holds_the_next_walk_and_undoes_no_commit() {
    let mut sim = settled_on_v1();
    stop(&mut sim, "freeze");
    assert_eq!((sim.trace(), sim.reason().name()), (Vec::new(), "Stopped"));
    sim.push(on_v1().timeout("5s")).pass("1d");
    let timeout = &sim.api.objects[&ObjectKind::VirtualService]["spec"]["http"][0]["timeout"];
    assert_eq!((timeout, sim.journal().phase), (&json!("5s"), Phase::Settled), "what raises nobody is let through");
    sim.push(to_v2()).pass("1d");
    assert_eq!((sim.trace(), sim.reason().name()), (Vec::new(), "Stopped"));
    assert!(stands(&sim) && sim.orders.is_empty(), "nothing went back, so Git stays as it is");
    take_off(&mut sim);
    sim.pass("10s");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn a_stop_before_anything_rose_lets_nothing_begin() {
    let mut sim = settled_on_v1();
    sim.ready("v2", 0).push(to_v2());
    stop(&mut sim, "not today");
    sim.ready("v2", 2).pass("1d");
    assert_eq!((sim.trace(), sim.reason().name()), (Vec::new(), "Stopped"));
    take_off(&mut sim);
    sim.pass("10s");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn another_text_is_another_stop() {
    let mut sim = stopped();
    sim.push(plan("v1=100").timeout("5s").with(|plan| plan.settle = "1h".parse().unwrap()));
    assert!(!stands(&sim), "nothing of it rises");
    stop(&mut sim, "the time-out is too short");
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::Stop(_) }));
    assert_eq!(sim.api.objects[&ObjectKind::VirtualService]["spec"]["http"][0]["timeout"], json!(null));
}

#[test]
fn words_of_any_length_and_form_stop() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m").trace();
    stop(&mut sim, &format!("first\nTidegate-Plan: shop/other {}", "x".repeat(100_000)));
    assert_eq!(sim.trace(), ["v1=100"]);
    let reason = sim.journal().restore.expect("a restore").reason;
    assert!(reason.len() < 300 && !reason.contains('\n'), "{reason}");
}

#[test]
fn law_04_what_was_lowered_stays_so_while_nothing_settled_can_serve() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m").trace();
    sim.ready("v1", 0).set_weights("v1=90 v2=10");
    let lowered = |sim: &Sim| {
        assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "NoWayBack"));
        assert!(sim.reason().to_string().contains("lowered by hand"), "{}", sim.reason());
    };
    lowered(&sim);
    sim.pass("5m");
    lowered(&sim);
    sim.crash().pass("1h");
    lowered(&sim);
    sim.push(to_v2().timeout("5s")).pass("1h");
    lowered(&sim);
    sim.ready("v1", 2);
    assert_eq!(sim.trace(), ["v1=100"]);
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::LoweredByHand(_) }));
}

#[test]
fn law_04_what_a_hand_raised_beside_is_put_back_though_nothing_settled_can_serve() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m").trace();
    sim.ready("v1", 0).set_weights("v1=75 v2=15 v3=10").pass("10s");
    assert_eq!(sim.weights(), "v1=75 v2=25");
}

#[test]
fn law_11_a_lowering_that_is_seen_with_a_newer_commit_holds_it_up_for_one_write_only() {
    let mut sim = settled_on_v1();
    sim.push(plan("v2=100").build("v2", "old")).pass("1h");
    sim.push(plan("v1=50 v3=50").steps("0:1h 25:1h")).pass("1m").trace();
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v2=100", Phase::Walking { weight: 0 }));
    // While no process runs a hand takes v2, of which this build has proven nothing, away, and a commit asks for it.
    let mut route = serde_json::Value::clone(&sim.api.objects[&ObjectKind::VirtualService]);
    let lowered = crate::istio::virtual_service(&sim.journal().state.routing, &super::draft::traffic("v1=100"));
    route["spec"]["http"] = lowered["spec"]["http"].clone();
    sim.api.put(ObjectKind::VirtualService, route);
    sim.commit(plan("v2=100"));
    sim.crash().pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason()), ("v2=100", Reason::Settled));
    let happened = sim.journal().transitions;
    assert!(happened.iter().any(|one| one.note.contains("lowered by hand")), "{happened:?}");
}

#[test]
fn a_stop_takes_nothing_back_where_the_plan_asks_for_the_way_back() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m").push(on_v1().timeout("5s")).trace();
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v1=100", Phase::Target));
    sim.push(on_v1()).trace();
    stop(&mut sim, "alice INC-4711");
    take_off(&mut sim);
    sim.pass("1h");
    assert_eq!((sim.trace().len(), sim.reason()), (0, Reason::Settled));
}
