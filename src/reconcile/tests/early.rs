//! A process that dies between the first DestinationRule and its VirtualService: what it made there stays tidegate's own.

use serde_json::json;

use super::{
    draft::{Draft, STEPS, on_v1, plan, version},
    simulation::Sim,
};
use crate::{
    istio::{ObjectKind, lens},
    rollout::SUBSETS,
};

const RULE: ObjectKind = ObjectKind::DestinationRule;

fn lean() -> Draft {
    plan("v1=100").steps(STEPS).from("v1=100").versions(&[version("v1", "v1")])
}

/// The first DestinationRule is there, and the process is gone.
fn died_early() -> Sim {
    let mut sim = Sim::new();
    sim.push(on_v1()).pass_ms(500);
    assert!(!sim.api.objects.contains_key(&ObjectKind::VirtualService), "it waits for the proxies");
    assert_eq!(sim.subsets(), "v1,v2,v3");
    sim.crash();
    sim
}

fn names(sim: &Sim) -> Option<String> {
    lens::annotation(&sim.api.objects[&RULE], SUBSETS).map(str::to_owned)
}

#[test]
fn law_11_a_subset_made_before_there_was_a_journal_goes_with_the_version() {
    let mut sim = died_early();
    assert_eq!(names(&sim).as_deref(), Some("v1,v2,v3"));
    sim.push(lean()).pass("1m");
    assert_eq!((sim.weights().as_str(), sim.subsets().as_str()), ("v1=100", "v1"));
    assert_eq!(names(&sim), None, "the journal names them now");
}

#[test]
fn law_09_a_subset_that_a_person_adds_meanwhile_stays_theirs() {
    let mut sim = died_early();
    sim.edit(RULE, |rule| {
        let subsets = rule["spec"]["subsets"].as_array_mut().unwrap();
        subsets.push(json!({"name": "theirs", "labels": {"version": "theirs"}}));
    });
    sim.push(lean()).pass("1m");
    assert_eq!(sim.subsets(), "v1,theirs");
}
