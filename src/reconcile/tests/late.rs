//! Writes whose answer was lost and that are done late: nothing that was seen since may rely on what they take away.

use super::{
    draft::{STEPS, on_v1, plan, settled_on_v1, to_v2, version},
    simulation::Sim,
};
use crate::istio::{Change, Edit, ObjectKind, SEAL, lens};

/// v1 alone is declared: the subsets of the others go.
fn lean() -> super::draft::Draft {
    plan("v1=100").steps(STEPS).versions(&[version("v1", "v1")])
}

fn removes_v2(edit: &Edit) -> bool {
    let meant = match &edit.change {
        Change::Patch { meant, .. } => meant,
        Change::Create(_) | Change::Delete { .. } => return false,
    };
    edit.kind == ObjectKind::DestinationRule && lens::subsets(meant).all(|name| name != "v2")
}

fn raises(edit: &Edit) -> bool {
    edit.kind == ObjectKind::VirtualService && format!("{:?}", edit.change).contains("\"weight\"")
}

/// The removal of v2's subset is on its way, and nobody knows where.
fn removing() -> Sim {
    let mut sim = settled_on_v1();
    sim.holds_back = Some(removes_v2);
    sim.push(lean());
    for _ in 0..50 {
        if sim.held_back.is_none() {
            sim.pass_ms(100);
        }
    }
    assert!(sim.held_back.is_some(), "{:?}", sim.writes);
    assert_eq!(sim.subsets(), "v1,v2,v3");
    sim.trace();
    sim
}

#[test]
fn a_subset_that_may_still_go_is_sealed_before_requests_are_led_to_it() {
    for dies in [false, true] {
        let mut sim = removing();
        if dies {
            sim.crash();
        }
        sim.push(to_v2());
        for _ in 0..8 {
            if sim.weights() != "v1=100" {
                break;
            }
            sim.pass_ms(500);
        }
        assert_eq!(sim.weights(), "v1=90 v2=10");
        assert!(!sim.lands(), "it met another object");
        assert_eq!(sim.subsets(), "v1,v2,v3");
        sim.pass("1m");
        assert_eq!((sim.weights().as_str(), sim.subsets().as_str()), ("v1=90 v2=10", "v1,v2,v3"));
    }
}

#[test]
fn a_subset_that_went_late_comes_back_before_requests_are_led_to_it() {
    let mut sim = removing();
    assert!(sim.lands());
    sim.push(to_v2());
    assert_eq!((sim.weights().as_str(), sim.subsets().as_str()), ("v1=100", "v1,v2,v3"));
    sim.pass("3s");
    assert_eq!(sim.weights(), "v1=90 v2=10");
}

#[test]
fn a_subset_that_is_left_for_good_goes_in_the_end_and_nothing_is_sealed() {
    let mut sim = removing();
    sim.pass("1m");
    assert_eq!(sim.subsets(), "v1");
    assert!(!sim.lands());
    let marks = &sim.api.objects[&ObjectKind::DestinationRule]["metadata"]["annotations"];
    assert!(marks.get(SEAL).is_none(), "{marks}");
}

#[test]
fn what_is_back_as_it_was_is_not_raised_by_what_comes_late() {
    let mut sim = settled_on_v1();
    sim.holds_back = Some(raises);
    sim.push(to_v2()).pass_ms(100);
    assert!(sim.held_back.is_some());
    sim.push(on_v1()).pass("1m");
    sim.lands();
    sim.pass("1m");
    assert_eq!(sim.weights(), "v1=100");
}
