//! Proof belongs to what runs: what other images behind the same labels do, and what they never do.

use super::{
    draft::{Draft, STEPS, on_v1, plan, to_v2},
    simulation::Sim,
};
use crate::{
    plan::VersionName,
    rollout::{Journal, Phase, Reason, What},
};

/// Everything on v1, settled, and what both versions run is known.
fn running() -> Sim {
    let mut sim = Sim::new();
    sim.run("v1", &["web:1"]).run("v2", &["web:2"]);
    sim.push(on_v1()).pass("1h");
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v1=100", Phase::Settled));
    sim.trace();
    sim
}

/// The same with everything on v2.
fn on_v2() -> Sim {
    let mut sim = running();
    sim.push(to_v2()).pass("2h");
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v2=100", Phase::Settled));
    sim.trace();
    sim
}

fn half() -> Draft {
    plan("v1=50 v2=50").steps(STEPS).from("v1=100")
}

fn proven(sim: &Sim, name: &str) -> u8 {
    let journal = sim.journal();
    journal.proven(journal.state.routing.version(&VersionName::new(name)).unwrap())
}

fn last_note(sim: &Sim) -> (What, String) {
    let last = sim.journal().transitions.last().cloned().unwrap();
    (last.what, last.note)
}

#[test]
fn another_image_in_mid_walk_goes_to_the_way_back_state_and_walks_again() {
    let mut sim = running();
    sim.push(to_v2()).pass("6m");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25"]);
    sim.run("v2", &["web:2", "web:3"]);
    assert_eq!(sim.trace(), ["v1=100"], "at once");
    let journal = sim.journal();
    assert_eq!((&journal.phase, &journal.failed, &journal.restore), (&Phase::Starting, &vec![], &None));
    let back = journal.transitions.iter().rfind(|there| there.what == What::WentBack).unwrap();
    assert_eq!(back.note, "the images of v2 changed from web:2 to web:2 and web:3: it walks again");
    sim.pass("3s").run("v2", &["web:3"]).pass("5m");
    assert_eq!(sim.trace(), ["v1=90 v2=10"], "the end of the rollout is no other image, and the hold is whole");
    let change = sim.journal().image_changes().remove(&VersionName::new("v2")).unwrap();
    assert_eq!(change.to_string(), "from web:2 to web:2 and web:3");
    sim.pass("2h");
    assert_eq!(sim.trace(), ["v1=75 v2=25", "v1=50 v2=50", "v2=100"]);
    assert_eq!((sim.journal().phase, proven(&sim, "v2")), (Phase::Settled, 100));
    assert!(sim.journal().image_changes().is_empty());
    sim.run("v2", &["web:2"]);
    assert_eq!(proven(&sim, "v2"), 0, "what had gone when it settled did not pass");
}

#[test]
fn a_target_that_a_walk_has_reached_goes_back_too_and_a_restart_forgets_nothing() {
    let mut sim = running();
    sim.push(to_v2()).pass("27m");
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v2=100", Phase::Target));
    sim.trace();
    sim.around.images.clear();
    sim.crash().pass("1m");
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v2=100", Phase::Target), "unknown is no change");
    sim.run("v2", &["web:3"]);
    assert_eq!(sim.trace(), ["v1=100"]);
    sim.pass("3s");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn another_image_after_a_re_plan_and_at_a_lowered_target_goes_back_as_well() {
    for target in ["v2=100", "v1=75 v2=25", "v1=90 v2=10"] {
        let mut sim = running();
        sim.push(to_v2()).pass("6m").push(plan(target).steps("10:1h 60:1h").from("v1=100")).pass("1m");
        sim.trace();
        assert_ne!(sim.weights(), "v1=100");
        sim.run("v2", &["web:3"]);
        assert_eq!(sim.trace(), ["v1=100"], "{target}");
        sim.pass("3s");
        assert_eq!(sim.trace(), ["v1=90 v2=10"], "{target}");
    }
}

#[test]
fn law_03_what_a_walk_goes_back_to_is_never_doubted() {
    for weights in ["v1=75 v2=25", "v2=100"] {
        let mut sim = running();
        sim.push(to_v2()).pass(if weights == "v2=100" { "27m" } else { "6m" });
        assert_eq!(sim.weights(), weights);
        sim.run("v1", &["web:0"]);
        assert_eq!(sim.weights(), weights, "what falls moves nothing");
        sim.around.git.last_look = None;
        sim.push(on_v1().with(|plan| plan.pause = true));
        assert_eq!(sim.weights(), "v1=100", "a revert is at once");
        assert_eq!(sim.journal().phase, Phase::Settled);
        sim.pass("11m");
        assert_eq!((sim.reason(), proven(&sim, "v1")), (Reason::Settled, 100), "{weights}");
    }
}

#[test]
fn what_runs_beside_a_walk_has_its_hold_from_then_on_and_takes_over() {
    let mut sim = running();
    sim.push(to_v2()).pass("4m").run("v1", &["web:1", "web:1.1"]);
    assert_eq!(last_note(&sim), (What::Accepted, "the images of v1 changed from web:1 to web:1 and web:1.1".into()));
    sim.pass("4m");
    assert_eq!(sim.trace(), ["v1=90 v2=10"], "its hold counts from then");
    sim.run("v1", &["web:1.1"]).pass("2m");
    assert_eq!(sim.trace(), ["v1=75 v2=25"]);
    sim.pass("2h");
    assert_eq!((sim.weights().as_str(), proven(&sim, "v1")), ("v2=100", 100));
    sim.trace();
    sim.push(on_v1());
    assert_eq!(sim.trace(), ["v1=100"], "a revert is at once");
}

#[test]
fn a_settled_target_keeps_its_traffic_and_is_proven_by_standing_again() {
    let mut sim = on_v2();
    sim.run("v2", &["web:2", "web:3"]);
    assert_eq!((sim.trace(), proven(&sim, "v2")), (vec![], 0));
    let until = sim.now + jiff::SignedDuration::from_mins(10);
    let reason = sim.reason();
    assert_eq!((reason.name(), reason.until()), ("ImagesChanged", Some(until)));
    assert!(reason.to_string().contains("the images of version v2 changed from web:2 to web:2 and web:3"), "{reason}");
    sim.pass("5m").run("v2", &["web:3"]).pass("4m");
    assert_eq!((sim.reason().name(), proven(&sim, "v2")), ("ImagesChanged", 0));
    sim.run("v2", &["web:4"]).pass("9m");
    assert_eq!(sim.reason().name(), "ImagesChanged", "yet another one has its own hold");
    sim.crash().settle_now();
    sim.pass("1m");
    assert_eq!((sim.reason(), proven(&sim, "v2"), sim.trace()), (Reason::Settled, 100, vec![]));
    assert_eq!(last_note(&sim), (What::Settled, "the images of v2 have stood `settle`".into()));
    sim.run("v2", &["web:3"]);
    assert_eq!(proven(&sim, "v2"), 0);
    sim.run("v2", &["web:4"]);
    assert_eq!((sim.reason(), proven(&sim, "v2")), (Reason::Settled, 100), "what is undone is proven as before");
}

#[test]
fn at_rest_nothing_but_a_commit_moves_traffic_whatever_runs() {
    let mut sim = on_v2();
    sim.run("v2", &["web:3"]).run("v1", &["web:0"]);
    sim.edit(crate::istio::ObjectKind::VirtualService, |object| {
        object["metadata"]["annotations"]["tidegate.dev/stop"] = serde_json::json!("a person");
    });
    sim.pass("1h");
    assert_eq!((sim.reason().name(), sim.weights().as_str(), proven(&sim, "v2")), ("Stopped", "v2=100", 0));
    sim.set_weights("v1=50 v2=50");
    assert_eq!(sim.weights(), "v2=100", "the weights of a settled route are put back");
    sim.ready("v2", 0).pass("1h");
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v2=100", Phase::Settled));
}

#[test]
fn who_uses_labels_again_walks_without_changing_build() {
    let mut sim = on_v2();
    sim.run("v1", &[]).pass("1m");
    assert_eq!(proven(&sim, "v1"), 100, "no pod tells nothing");
    sim.run("v1", &["web:3"]);
    assert_eq!((proven(&sim, "v1"), sim.reason()), (0, Reason::Settled));
    sim.run("v1", &["web:1"]);
    assert_eq!(proven(&sim, "v1"), 100, "what it was it is again");
    sim.run("v1", &["web:3"]).push(on_v1());
    assert_eq!(sim.trace(), ["v1=10 v2=90"]);
    sim.pass("2h");
    assert_eq!((sim.weights().as_str(), proven(&sim, "v1")), ("v1=100", 100));
}

#[test]
fn a_baseline_that_stood_again_can_be_gone_back_to_at_once() {
    let mut sim = running();
    sim.push(half()).pass("2h").run("v1", &["web:1.1"]);
    assert_eq!(proven(&sim, "v1"), 0);
    sim.pass("11m");
    assert_eq!(proven(&sim, "v1"), 100);
    sim.trace();
    sim.push(on_v1());
    assert_eq!(sim.trace(), ["v1=100"]);
}

#[test]
fn a_commit_that_raises_what_still_has_to_stand_again_waits_for_that() {
    let mut sim = running();
    sim.push(half()).pass("2h").run("v2", &["web:3"]).pass("4m");
    sim.trace();
    sim.push(plan("v2=100").steps("10:5m 75:10m").from("v1=100")).pass("5m");
    assert_eq!(sim.trace(), [""; 0]);
    assert!(matches!(sim.reason(), Reason::Hold { .. }));
    sim.pass("2m");
    assert_eq!(sim.trace(), ["v1=25 v2=75"]);
    sim.run("v2", &["web:4"]);
    assert_eq!(sim.trace(), ["v1=100"], "what the walk has raised goes to where it began to be proven");
}

#[test]
fn another_version_walks_from_a_base_whose_image_has_just_changed_and_goes_back_to_it() {
    let mut sim = on_v2();
    sim.run("v2", &["web:2.1"]);
    let to_v3 = || plan("v3=100").steps(STEPS).from("v1=100");
    sim.push(to_v3());
    assert_eq!(sim.trace(), ["v2=90 v3=10"], "not distrusted: nothing had been raised");
    sim.push(to_v2());
    assert_eq!((sim.trace(), sim.journal().phase), (vec!["v2=100".to_owned()], Phase::Settled));
    sim.push(to_v3()).run("v3", &["web:9"]).pass("1m").ready("v3", 0).pass("20s");
    assert_eq!(sim.weights(), "v2=100");
}

#[test]
fn what_failed_is_launched_again_with_another_image_and_only_by_a_commit() {
    let mut sim = running();
    sim.push(to_v2()).pass("6m").ready("v2", 0).pass("11s");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25", "v1=100"]);
    sim.ready("v2", 2).run("v2", &["web:3"]).pass("1h");
    assert_eq!((sim.trace(), sim.journal().phase.name()), (vec![], "WentBack"));
    sim.push(on_v1()).run("v2", &["web:2"]).push(to_v2());
    assert_eq!((sim.trace(), sim.reason().name()), (vec![], "WentBack"), "it has failed before");
    sim.push(on_v1()).run("v2", &["web:3"]).push(to_v2());
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
    sim.run("v2", &["web:2"]);
    assert_eq!((sim.trace(), sim.journal().phase.name()), (vec!["v1=100".to_owned()], "WentBack"));
}

#[test]
fn a_journal_without_images_adopts_the_first_that_are_seen() {
    let mut sim = Sim::new();
    sim.push(on_v1()).pass("1h").push(half()).pass("2h");
    assert_eq!((proven(&sim, "v1"), proven(&sim, "v2")), (100, 50));
    sim.run("v1", &["web:1"]).run("v2", &["web:2"]);
    assert_eq!((proven(&sim, "v1"), proven(&sim, "v2"), sim.reason()), (100, 50, Reason::Settled));
    sim.run("v2", &["web:3"]);
    assert_eq!(proven(&sim, "v2"), 0);
    // In mid-walk it is the same.
    let mut sim = Sim::new();
    sim.push(on_v1()).pass("1h").push(to_v2()).pass("6m").run("v2", &["web:2"]);
    assert_eq!(sim.weights(), "v1=75 v2=25");
    sim.run("v2", &["web:3"]);
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn an_older_tidegate_reads_the_journal_and_loses_nothing_but_the_images() {
    let mut sim = running();
    sim.push(to_v2()).pass("6m").run("v2", &["web:3"]);
    let journal = sim.journal();
    let text = journal.encode().unwrap();
    assert_eq!(Journal::decode(&text).unwrap(), journal);
    let mut older: serde_json::Value = serde_json::from_str(&text).unwrap();
    older.as_object_mut().unwrap().remove("tested");
    for proof in older["proof"].as_object_mut().unwrap().values_mut() {
        proof.as_object_mut().unwrap().retain(|field, _| field == "weight" || field == "digest");
    }
    let older = Journal::decode(&older.to_string()).unwrap();
    assert_eq!(older.proof.values().map(|proof| proof.weight).collect::<Vec<_>>(), [100]);
    assert_eq!((older.state, older.phase), (journal.state, journal.phase));
}
