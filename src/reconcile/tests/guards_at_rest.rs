//! A guard rests with what is settled, as whoever raises does, and gets up for what happens.

use super::{
    draft::Draft,
    guards_of_two::{Guard, stop},
    pair::{Pair, WEST, both, on_v1, to_v2},
};
use crate::{plan::Host, reconcile::Event, rollout::Wanted};

/// A rule of another name than the service: at rest it is to be known still.
fn named(draft: Draft) -> Draft {
    draft.with(|plan| plan.routing.destination_rule.name = "web-subsets".into())
}

fn resting() -> (Pair, Guard) {
    let mut pair = Pair::new();
    pair.push(named(on_v1()));
    pair.pass(60);
    assert_eq!(pair.weights(), both("v1=100"));
    let mut guard = Guard::start(&mut pair);
    guard.pass(&mut pair, 60);
    (pair, guard)
}

fn lies(guard: &Guard) -> bool {
    let rests = guard.worker.is_at_rest();
    assert_eq!(guard.worker.destination_rule().name, "web-subsets");
    assert_eq!(guard.worker.service(), Some(Host::resolve("web", "shop")));
    assert!(!rests || guard.wake_at.is_none(), "it asks for no instant");
    rests
}

#[test]
fn a_guard_rests_with_what_is_settled_and_looks_tell_it_nothing() {
    let (mut pair, mut guard) = resting();
    assert!(lies(&guard));
    for event in [Event::Look, Event::Wanted(Wanted::Unknown)] {
        let told = guard.tell(&pair, event);
        assert!(told.is_empty() && lies(&guard), "{told:?}");
    }
    guard.pass(&mut pair, 300);
    assert!(lies(&guard) && guard.done == 0);
    // A version of the plan that is gone, and is back.
    guard.lose_v2(&mut pair);
    guard.pass(&mut pair, 60);
    assert!(!lies(&guard) && guard.done == 0);
    pair.ready("west/v2", Some(2));
    guard.ready("v2", 2);
    guard.pass(&mut pair, 60);
    assert!(lies(&guard) && guard.done == 0);
}

#[test]
fn law_03_a_guard_that_rested_goes_back() {
    let stopped: fn(&mut Pair, &mut Guard) = |pair, _| stop(pair, WEST);
    let gone: fn(&mut Pair, &mut Guard) = |pair, guard| guard.lose_v2(pair);
    for happens in [stopped, gone] {
        let (mut pair, mut guard) = resting();
        assert!(lies(&guard));
        pair.push(named(to_v2()));
        guard.pass(&mut pair, 60);
        assert_eq!((pair.weights(), lies(&guard), guard.done), (both("v1=90 v2=10"), false, 0));
        pair.leave(WEST);
        happens(&mut pair, &mut guard);
        guard.pass(&mut pair, 12);
        assert_eq!((pair.weights_in(WEST).as_str(), guard.done), ("v1=100", 1));
    }
}
