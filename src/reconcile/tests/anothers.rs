//! A route that is of a plan of another repository.

use super::{
    draft::{Draft, STEPS, on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{istio::ObjectKind, rollout::Reason};

const ROUTE: ObjectKind = ObjectKind::VirtualService;
const RULE: ObjectKind = ObjectKind::DestinationRule;

fn pruned(draft: Draft) -> Draft {
    draft.with(|plan| plan.prune = true)
}

/// From now on the process follows another repository, and knows nothing.
fn of_another(mut sim: Sim) -> Sim {
    sim.around.repository = Some("pay".into());
    sim.wanted = crate::rollout::Wanted::Unknown;
    sim.crash();
    sim
}

fn is_held(sim: &Sim) -> bool {
    matches!(sim.reason().plainly(), Reason::OtherPlan { owner } if owner == "plans/shop/web")
}

#[test]
fn law_09_a_route_of_another_repository_is_left_alone_whatever_becomes_of_the_plan_here() {
    let mut walking = settled_on_v1();
    walking.push(to_v2()).pass("6m");
    assert_eq!(walking.weights(), "v1=75 v2=25");
    let mut kept = Sim::new();
    kept.push(pruned(on_v1())).pass("1h");
    for theirs in [settled_on_v1(), walking, kept] {
        let (objects, weights) = (theirs.api.objects.clone(), theirs.weights());
        let mut sim = of_another(theirs);
        let patches = sim.patches;
        sim.push(pruned(plan("v3=100").steps(STEPS))).pass("1h");
        assert!(is_held(&sim), "{:?}", sim.reason());
        // Whatever happens there is for whoever has it to see to.
        sim.ready("v1", 0).ready("v2", 0).pass("1m");
        sim.remove().pass("1h");
        assert!(sim.is_done(), "{:?}", sim.reason());
        assert_eq!((sim.weights(), sim.patches), (weights, patches));
        assert_eq!(sim.api.objects, objects, "nothing of it was touched");
    }
}

#[test]
fn law_09_what_another_repository_is_about_to_make_is_left_alone() {
    let mut theirs = Sim::new();
    theirs.push(on_v1()).pass_ms(500);
    assert!(!theirs.api.objects.contains_key(&ROUTE), "it waits for the proxies");
    let rule = theirs.api.objects[&RULE].clone();
    let mut sim = of_another(theirs);
    sim.push(pruned(on_v1())).pass("1m");
    assert!(is_held(&sim), "{:?}", sim.reason());
    sim.remove().pass("1m");
    assert_eq!((sim.api.objects.get(&RULE), sim.api.objects.get(&ROUTE)), (Some(&rule), None));
}

#[test]
fn what_another_repository_commits_is_no_commit_that_was_not_seen_here() {
    let mut sim = of_another(settled_on_v1());
    sim.around.lease = crate::rollout::Lease::Elsewhere { holder: None };
    sim.push(to_v2()).pass("1s");
    assert!(is_held(&sim), "{:?}", sim.reason());
    assert!(!sim.worker.is_behind());
}
