//! Two clusters one after the other: what the first has not held, the second does not get.

use super::{
    draft::{Draft, plan},
    pair::{EAST, Pair, WEST, both, on_v1, settled, to_v2},
};
use crate::{
    plan::{OnFailure, OnPartial, Span},
    rollout::{Cause, Journal, Phase, What},
};

fn waved(draft: Draft, order: &[&[&str]]) -> Draft {
    let names = |wave: &&[&str]| wave.iter().map(|name| (*name).to_owned()).collect();
    draft.with(|plan| plan.waves = order.iter().map(names).collect())
}

fn west_last(draft: Draft) -> Draft {
    waved(draft, &[&[EAST], &[WEST]])
}

fn weights(east: &str, west: &str) -> [String; 2] {
    [east.to_owned(), west.to_owned()]
}

fn journal(pair: &Pair, cluster: &str) -> Journal {
    Journal::on(&pair.object(cluster)).unwrap().unwrap()
}

fn names(pair: &Pair, cluster: &str) -> Vec<What> {
    journal(pair, cluster).transitions.iter().map(|there| there.what).collect()
}

#[test]
fn law_07_a_later_wave_enters_a_step_once_the_one_before_it_has_held_it() {
    for order in [[EAST, WEST], [WEST, EAST]] {
        let mut pair = settled();
        let [first, second] = order;
        let at = |one: &str, two: &str| if first == EAST { weights(one, two) } else { weights(two, one) };
        pair.push(waved(to_v2(), &[&[first], &[second]]));
        for (seconds, one, two) in [
            (0, "v1=90 v2=10", "v1=100"),
            (301, "v1=90 v2=10", "v1=100"),
            (2, "v1=90 v2=10", "v1=90 v2=10"),
            (300, "v1=90 v2=10", "v1=90 v2=10"),
            (4, "v1=75 v2=25", "v1=90 v2=10"),
            (603, "v1=75 v2=25", "v1=75 v2=25"),
            (603, "v1=50 v2=50", "v1=75 v2=25"),
            (603, "v1=50 v2=50", "v1=50 v2=50"),
            (603, "v2=100", "v1=50 v2=50"),
            (603, "v2=100", "v2=100"),
        ] {
            pair.pass(seconds);
            assert_eq!(pair.weights(), at(one, two), "{first} first");
            let (there, alike) = (journal(&pair, second), one == two);
            assert_eq!(there.waves(), (!alike).then_some((1, 2, false)), "{first} first, at {one}");
            assert_eq!(there.state.traffic.to_string(), two, "a journal tells what stands beside it");
        }
        pair.pass(603);
        assert_eq!([pair.phase(EAST), pair.phase(WEST)], [Phase::Settled, Phase::Settled]);
        assert_eq!(names(&pair, EAST), names(&pair, WEST));
        assert_eq!(names(&pair, EAST).iter().filter(|what| **what == What::WaveEntered).count(), 4);
    }
}

#[test]
fn law_03_what_fails_or_is_reverted_in_the_first_wave_never_reaches_the_second() {
    let reverts: fn(&mut Pair) = |pair| pair.push(on_v1());
    let fails: fn(&mut Pair) = |pair| {
        pair.ready("east/v2", Some(0));
        pair.pass(12);
    };
    let removes: fn(&mut Pair) = Pair::remove;
    for back in [reverts, fails, removes] {
        let mut pair = settled();
        pair.push(west_last(to_v2()));
        pair.pass(200);
        assert_eq!(pair.weights(), weights("v1=90 v2=10", "v1=100"));
        back(&mut pair);
        assert_eq!(pair.weights(), both("v1=100"));
        for _ in 0..3_600 {
            pair.pass(1);
            assert_eq!(pair.weights_in(WEST), "v1=100");
        }
        assert!(journal(&pair, EAST).apart.is_none() && journal(&pair, WEST).apart.is_none());
    }
}

#[test]
fn law_11_another_process_goes_on_with_the_waves_where_they_were() {
    for keeps in [EAST, WEST] {
        let mut pair = settled();
        pair.push(west_last(to_v2()));
        pair.pass(200);
        let apart = journal(&pair, EAST).apart;
        pair.restarts();
        pair.push(west_last(to_v2()));
        pair.pass(5);
        assert_eq!((pair.weights(), journal(&pair, EAST).apart), (weights("v1=90 v2=10", "v1=100"), apart));
        pair.pass(110);
        assert_eq!(pair.weights(), both("v1=90 v2=10"), "what was held before counts");
        pair.pass(310);
        assert_eq!(pair.weights(), weights("v1=75 v2=25", "v1=90 v2=10"));
        pair.loses_object(if keeps == EAST { WEST } else { EAST });
        pair.pass(5);
        assert_eq!(
            pair.weights(),
            weights("v1=75 v2=25", "v1=90 v2=10"),
            "made again as it was there, {keeps} kept it"
        );
    }
}

#[test]
fn only_the_clusters_of_a_wave_have_to_be_able_to_serve_it() {
    let mut pair = settled();
    pair.ready("west/v2", Some(0));
    pair.push(west_last(to_v2()));
    pair.pass(310);
    assert_eq!((pair.weights(), pair.reason()), (weights("v1=90 v2=10", "v1=100"), "EndpointsNotReady"));
    pair.ready("west/v2", Some(1));
    pair.pass(2);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
}

#[test]
fn a_cluster_that_is_away_stops_the_waves() {
    for gone in [EAST, WEST] {
        let mut pair = settled();
        pair.push(west_last(to_v2()));
        pair.pass(60);
        pair.leave(gone);
        pair.pass(3_600);
        assert_eq!(pair.weights(), weights("v1=90 v2=10", "v1=100"), "{gone} is away");
        pair.come_back();
        pair.pass(610);
        assert_ne!(pair.weights(), weights("v1=90 v2=10", "v1=100"), "{gone} is back");
    }
}

#[test]
fn law_02_a_commit_in_mid_walk_goes_on_in_order_and_another_order_takes_back_what_the_first_had_alone() {
    let mut pair = settled();
    pair.push(west_last(to_v2()));
    pair.pass(200);
    pair.push(west_last(to_v2().timeout("5s")));
    assert_eq!(pair.weights(), weights("v1=90 v2=10", "v1=100"));
    pair.push(waved(to_v2(), &[&[WEST], &[EAST]]));
    assert_eq!(pair.weights(), both("v1=100"), "the order is another one");
    pair.pass(4);
    assert_eq!(pair.weights(), weights("v1=100", "v1=90 v2=10"));
    pair.pass(310);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
}

#[test]
fn a_step_that_fails_in_some_clusters_alone_is_taken_back_in_them_where_the_plan_says_so() {
    for (policy, expected) in [
        (OnPartial::RollbackAll, both("v1=100")),
        (OnPartial::RollbackFailed, weights("v1=100", "v1=75 v2=25")),
        (OnPartial::Hold, both("v1=75 v2=25")),
    ] {
        let mut pair = settled();
        let draft = || to_v2().with(|plan| plan.on_partial = policy);
        pair.push(draft());
        pair.pass(310);
        assert_eq!(pair.weights(), both("v1=75 v2=25"));
        pair.ready("east/v2", Some(0));
        pair.pass(12);
        assert_eq!(pair.weights(), expected, "{policy:?}");
        pair.pass(3_600);
        assert_eq!(pair.weights(), expected, "{policy:?}: nothing rises");
        if policy == OnPartial::RollbackAll {
            continue;
        }
        assert_eq!(pair.reason(), "FailureHeld");
        pair.restarts();
        pair.push(draft());
        pair.pass(60);
        assert_eq!((pair.weights(), pair.reason()), (expected, "FailureHeld"), "{policy:?}: after a restart");
        pair.ready("west/v2", Some(0));
        pair.pass(12);
        if policy == OnPartial::RollbackFailed {
            assert_eq!(pair.weights(), both("v1=100"), "it has failed in all of them");
            assert!(matches!(pair.phase(WEST), Phase::WentBack { cause: Cause::EndpointsGone(_) }));
        }
        pair.ready("east/v2", Some(1));
        pair.ready("west/v2", Some(1));
        pair.push(draft().with(|plan| plan.attempt = 2));
        pair.pass(3_600);
        assert_eq!((pair.weights(), pair.reason()), (both("v2=100"), "Settled"), "{policy:?}: another attempt");
    }
}

#[test]
fn law_03_a_failure_that_is_held_is_not_entered_where_it_does_not_stand() {
    for (last, refuses, expected) in [
        (true, EAST, both("v1=100")),
        (false, WEST, weights("v1=90 v2=10", "v1=100")),
        (false, EAST, weights("v1=100", "v1=90 v2=10")),
    ] {
        let mut pair = settled();
        pair.refuses = Some(refuses);
        let holds =
            |draft: Draft| draft.with(|plan| (plan.on_failure, plan.on_partial) = (OnFailure::Hold, OnPartial::Hold));
        pair.push(holds(if last { west_last(to_v2()) } else { to_v2() }));
        pair.pass(3_600);
        assert_eq!((pair.weights(), pair.reason()), (expected, "FailureHeld"), "{refuses} refuses, in order: {last}");
        pair.push(holds(to_v2().timeout("5s")));
        pair.pass(3_600);
        assert_eq!((pair.weights(), pair.reason()), (both("v2=100"), "Settled"), "other routing is tried");
    }
}

#[test]
fn clusters_that_fell_walk_again_with_all_others() {
    let mut pair = settled();
    let draft = || to_v2().with(|plan| plan.on_partial = OnPartial::RollbackFailed);
    pair.push(draft());
    pair.pass(310);
    pair.ready("east/v2", Some(0));
    pair.pass(12);
    pair.ready("east/v2", Some(1));
    pair.push(draft().with(|plan| plan.attempt = 2));
    pair.pass(4);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    let mut pair = settled();
    pair.push(draft());
    pair.pass(310);
    pair.ready("east/v2", Some(0));
    pair.pass(12);
    pair.push(on_v1());
    pair.pass(5);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=100"), "Settled"), "reverted");
}

#[test]
fn a_new_cluster_is_none_in_which_the_step_stands() {
    for policy in [OnPartial::Hold, OnPartial::RollbackFailed] {
        let mut pair = settled();
        let draft = || to_v2().with(|plan| plan.on_partial = policy);
        pair.push(draft());
        pair.pass(200);
        pair.meets(WEST);
        pair.ready("west/v2", Some(0));
        pair.push(draft());
        pair.pass(5);
        assert_eq!((pair.weights_in(EAST).as_str(), pair.reason()), ("v1=90 v2=10", "ClusterNew"));
        pair.ready("east/v2", Some(0));
        pair.pass(12);
        assert_eq!(pair.weights_in(EAST), "v1=100", "{policy:?}: it has failed in all that have it");
        pair.ready("west/v2", Some(1));
        pair.pass(60);
        assert_eq!(pair.weights(), both("v1=100"), "{policy:?}: and goes nowhere else");
    }
}

#[test]
fn law_13_a_later_wave_that_cannot_serve_the_target_fails_by_the_deadline() {
    let mut pair = settled();
    pair.ready("west/v2", Some(0));
    let at_once = |target| plan(target).from("v1=100").with(|plan| plan.settle = Span::from_seconds(60));
    pair.push(west_last(at_once("v2=100")));
    pair.pass(100);
    assert_eq!((pair.weights(), pair.reason()), (weights("v2=100", "v1=100"), "EndpointsNotReady"));
    assert!(pair.until().is_some(), "it says until when");
    pair.pass(600);
    assert_eq!((pair.weights(), pair.reason()), (both("v1=100"), "WentBack"));
}

#[test]
fn a_later_wave_that_has_lost_its_journal_is_no_way_back() {
    let mut pair = settled();
    pair.push(west_last(to_v2()));
    pair.pass(200);
    pair.loses_journal(WEST);
    pair.pass(5);
    assert_eq!(pair.weights(), weights("v1=90 v2=10", "v1=100"));
    assert_eq!(journal(&pair, WEST).waves(), Some((1, 2, false)), "its journal is restored as it was there");
    pair.pass(400);
    assert_ne!(pair.reason(), "WentBack");
}

#[test]
fn law_02_what_fell_is_not_raised_where_nothing_can_serve_the_way_back() {
    let mut pair = settled();
    let draft = || to_v2().with(|plan| plan.on_partial = OnPartial::RollbackFailed);
    pair.push(draft());
    pair.pass(310);
    pair.ready("east/v2", Some(0));
    pair.pass(12);
    assert_eq!(pair.weights(), weights("v1=100", "v1=75 v2=25"));
    pair.ready("east/v2", Some(1));
    pair.ready("v1", Some(0));
    pair.push(draft().with(|plan| plan.attempt = 2));
    pair.pass(8);
    assert_eq!(pair.weights(), weights("v1=100", "v1=75 v2=25"));
}
