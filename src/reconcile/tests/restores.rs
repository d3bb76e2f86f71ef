//! What Git should say again after traffic went back: ordered once traffic is back, kept in the journal, void when it lands.

use jiff::Timestamp;

use super::{
    draft::{on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    cluster::Outcome,
    reconcile::{News, RestoreOrder, RestoreState},
    rollout::{Restore, What},
};

/// At 25 percent, with what was ordered since.
fn walking() -> Sim {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25"]);
    sim
}

fn pending(sim: &Sim) -> Option<Restore> {
    sim.journal().restore
}

fn last_order(sim: &Sim) -> Option<RestoreOrder> {
    sim.orders.last().cloned().flatten()
}

fn has_noted(sim: &Sim, what: What) -> bool {
    sim.journal().transitions.iter().any(|transition| transition.what == what)
}

#[test]
fn a_failure_leaves_a_restore_in_the_patch_that_moved_traffic_and_orders_it_after() {
    let mut sim = walking();
    let failed = sim.journal();
    sim.ready("v2", 0).pass("9s");
    let patches = sim.patches;
    sim.pass("1s");
    // One patch for weights and restore, and then one for the copy of the journal.
    assert_eq!((sim.trace(), sim.patches - patches), (vec!["v1=100".to_owned()], 2));
    let restore = pending(&sim).expect("a restore");
    assert_eq!((&restore.failed, &restore.undoes), (&failed.plan.digest, &failed.revision));
    assert_eq!(restore.to, failed.way_back.and_then(|back| back.revision), "the commit of the way-back state");
    assert_eq!((restore.traffic.to_string().as_str(), restore.at), ("v1=100", sim.now));
    assert_eq!(restore.reason, "version v2 had no ready endpoint");
    let order = last_order(&sim).expect("an order");
    assert_eq!((order.owner, order.restore), (sim.journal().owner, restore));
    assert_eq!(sim.orders.len(), 1);
}

#[test]
fn nothing_is_ordered_before_traffic_is_back() {
    let mut sim = walking();
    sim.refuse.extend([Outcome::Stale, Outcome::Unknown { message: "torn".into() }]);
    sim.ready("v2", 0);
    sim.now += jiff::SignedDuration::from_secs(10);
    sim.look();
    while sim.weights() != "v1=100" {
        assert_eq!(sim.orders, [], "traffic first");
        sim.pass("1s");
    }
    assert_eq!(sim.orders.len(), 1);
}

#[test]
fn a_process_that_starts_anew_orders_what_is_pending() {
    let mut sim = walking();
    sim.ready("v2", 0).pass("10s");
    let order = last_order(&sim);
    sim.orders.clear();
    sim.crash().settle_now();
    assert_eq!((sim.orders.len(), last_order(&sim)), (1, order));
}

#[test]
fn a_restore_that_lands_is_cleared_with_the_document_and_nothing_rises() {
    let mut sim = walking();
    sim.ready("v2", 0).pass("10s").ready("v2", 2).trace();
    sim.push(on_v1());
    assert_eq!((pending(&sim), sim.orders.last()), (None, Some(&None)));
    assert!(has_noted(&sim, What::RestoreLanded));
    sim.pass("1d");
    assert_eq!((sim.trace().len(), sim.reason().name(), sim.orders.len()), (0, "Settled", 2));
    sim.push(to_v2()).pass("1d");
    assert_eq!(sim.trace(), [""; 0], "the same content is not tried again");
    assert_eq!((pending(&sim), sim.orders.len()), (None, 2), "and what a person asks for again stays in Git");
}

#[test]
fn a_persons_fix_voids_the_restore() {
    let mut sim = walking();
    sim.ready("v2", 0).pass("10s").trace();
    sim.push(to_v2().build("v2", "fixed"));
    assert_eq!((pending(&sim), sim.orders.last()), (None, Some(&None)));
    assert!(has_noted(&sim, What::RestoreDropped));
    sim.ready("v2", 2).pass("1m");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn a_plan_that_is_removed_or_renamed_has_nothing_to_restore() {
    let mut sim = walking();
    sim.ready("v2", 0).pass("10s").remove();
    assert_eq!((pending(&sim), sim.orders.last()), (None, Some(&None)));
    let mut sim = walking();
    sim.ready("v2", 0).pass("10s").push(to_v2().name("frontend"));
    assert_eq!((pending(&sim), sim.orders.last()), (None, Some(&None)));
}

#[test]
fn a_state_that_was_found_live_has_no_commit_and_only_traffic_is_edited() {
    let mut sim = Sim::new();
    sim.push(to_v2()).pass("1m");
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim.ready("v2", 0).pass("10s");
    let restore = pending(&sim).expect("a restore");
    assert_eq!((restore.to, restore.traffic.to_string().as_str()), (None, "v1=100"));
}

#[test]
fn weights_lowered_by_hand_are_restored_in_git_too() {
    let mut sim = walking();
    sim.set_weights("v1=90 v2=10");
    assert!(pending(&sim).is_some_and(|restore| restore.reason.starts_with("weights were lowered by hand")));
}

#[test]
fn people_are_told_once_what_keeps_a_restore_out_of_git() {
    let mut sim = walking();
    sim.ready("v2", 0).pass("10s");
    let told = |sim: &Sim| sim.news.iter().filter(|news| matches!(news, News::Restore(_))).count();
    let refused = |words: &str, until: Timestamp| RestoreState::Refused { words: words.into(), until };
    let (soon, later) = (sim.now, sim.now + jiff::SignedDuration::from_mins(1));
    sim.restored(RestoreState::Trying { since: soon }).restored(refused("protected", soon));
    assert_eq!(told(&sim), 1);
    sim.restored(RestoreState::Trying { since: later }).restored(refused("protected", later));
    assert_eq!(told(&sim), 1, "the same words are told once");
    sim.restored(refused("hook", later));
    assert_eq!(told(&sim), 2);
    sim.restored(RestoreState::Landed { commit: "4f".into() });
    assert_eq!(told(&sim), 2, "the transition tells it");
}

#[test]
fn a_routing_that_fails_is_restored_to_the_text_of_what_can_serve() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100")).pass("1m").push(plan("v1=50 v2=50")).pass("1m");
    sim.push(plan("v1=50 v2=50").timeout("5s").with(|plan| plan.settle = "1h".parse().unwrap()));
    sim.ready("v2", 0).pass("10s");
    assert_eq!((sim.weights().as_str(), pending(&sim).is_some_and(|one| one.to.is_some())), ("v1=100", true));
    sim.ready("v2", 2).push(plan("v1=100")).trace();
    assert_eq!(pending(&sim), None);
}
