//! One of several replicas: what it does with the lease, and what without.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    draft::{on_v1, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    istio::ObjectKind,
    reconcile::Event,
    rollout::{Lease, Phase, Reason, STOP},
};

fn held(term: u64) -> Lease {
    Lease::Held { term, until: Timestamp::MAX }
}

fn elsewhere() -> Lease {
    Lease::Elsewhere { holder: Some("web-7_4f2c".into()) }
}

/// Walking at 10 percent, in term 3 of the lease.
fn walking() -> Sim {
    let mut sim = settled_on_v1();
    sim.around.lease = held(3);
    sim.push(to_v2()).trace();
    assert_eq!((sim.weights().as_str(), sim.journal().term), ("v1=90 v2=10", 3));
    sim
}

/// The same, and another replica has the lease.
fn following() -> Sim {
    let mut sim = walking();
    sim.around.lease = elsewhere();
    sim.look();
    sim
}

#[test]
fn law_03_who_does_not_lead_decides_the_same_and_only_goes_back() {
    let mut sim = following();
    let before = sim.patches;
    sim.pass("1d");
    assert_eq!((sim.patches, sim.reason().name()), (before, "NoLease"), "nothing at all is written");
    assert!(sim.reason().to_string().contains("web-7_4f2c holds the lease"), "{}", sim.reason());
    sim.edit(ObjectKind::VirtualService, |object| object["metadata"]["annotations"][STOP] = json!("Ann"));
    assert_eq!(sim.weights(), "v1=90 v2=10", "whoever leads gets the first chance");
    sim.pass("1s");
    assert_eq!((sim.weights().as_str(), sim.patches), ("v1=100", before + 1));
    assert!(matches!(sim.journal().phase, Phase::WentBack { .. }) && sim.journal().restore.is_some());
    assert_eq!(sim.journal().term, 3, "who does not lead signs nothing");
}

#[test]
fn without_the_lease_a_revert_a_failure_and_an_exposing_hand_are_answered() {
    let mut sim = following();
    sim.push(on_v1());
    sim.pass("1s");
    assert_eq!(sim.weights(), "v1=100");
    assert_eq!(sim.journal().plan.digest, on_v1().done().digest, "the commit is in force");

    let mut sim = following();
    sim.ready("v2", 0).pass("11s");
    assert!(matches!(sim.journal().phase, Phase::WentBack { .. }), "{}", sim.reason());

    let mut sim = following();
    let (before, journal) = (sim.patches, sim.journal());
    sim.set_weights("v1=10 v2=90").pass("1s");
    assert_eq!((sim.weights().as_str(), sim.patches), ("v1=90 v2=10", before + 1));
    assert_eq!(sim.journal(), journal, "what was recorded is put back, and nothing is decided");
}

#[test]
fn without_the_lease_nothing_begins() {
    let mut sim = Sim::new();
    sim.around.lease = elsewhere();
    sim.push(on_v1()).pass("1d");
    assert_eq!((sim.weights().as_str(), sim.patches, sim.reason().name()), ("-", 0, "NoLease"));
    sim.around.lease = held(1);
    sim.look().pass("1d");
    assert_eq!((sim.weights().as_str(), sim.journal().term), ("v1=100", 1));

    let mut sim = settled_on_v1();
    sim.around.lease = elsewhere();
    let before = sim.patches;
    sim.push(to_v2()).pass("1d");
    assert_eq!((sim.patches, sim.reason().name()), (before, "NoLease"), "not even that the commit was accepted");
    sim.remove().pass("1d");
    assert_eq!(sim.patches, before, "what is settled is let go by whoever leads");
}

#[test]
fn a_lease_counts_until_its_instant_and_again_once_it_is_renewed() {
    let mut sim = walking();
    let until = sim.now.checked_add(SignedDuration::from_secs(3)).unwrap();
    sim.around.lease = Lease::Held { term: 3, until };
    sim.look().pass("1d");
    assert_eq!(
        (sim.weights().as_str(), sim.reason()),
        ("v1=90 v2=10", Reason::NoLease { holder: None, outdated: None })
    );
    sim.around.lease = held(3);
    sim.look();
    assert_ne!(sim.weights(), "v1=90 v2=10");
}

#[test]
fn law_11_a_term_that_is_outdated_raises_nothing_and_goes_back() {
    let mut sim = walking();
    sim.around.lease = held(2);
    sim.look().pass("1d");
    assert_eq!(
        (sim.weights().as_str(), sim.reason()),
        ("v1=90 v2=10", Reason::NoLease { holder: None, outdated: Some(3) })
    );
    sim.push(on_v1()).pass("1s");
    assert_eq!((sim.weights().as_str(), sim.journal().term), ("v1=100", 3));
    sim.around.lease = held(4);
    sim.push(to_v2()).pass("10s");
    assert_eq!((sim.weights().as_str(), sim.journal().term), ("v1=90 v2=10", 4));
}

/// A replica whose last look at Git came before a commit that another one follows already.
#[test]
fn an_older_commit_is_no_revert_of_one_that_was_not_seen() {
    let mut leader = settled_on_v1();
    leader.around.lease = held(1);
    let mut other = leader.clone();
    other.around.lease = elsewhere();
    other.look();
    leader.pass("1m").push(to_v2());
    assert_eq!(leader.weights(), "v1=90 v2=10");
    other.now = leader.now;
    other.api = leader.api.clone();
    for (kind, live) in leader.api.objects.clone() {
        other.queue.push_back(Event::Object { cluster: super::simulation::CLUSTER.into(), kind, live: Some(live) });
    }
    let before = other.patches;
    let looked = other.around.git.last_look;
    other.pass("2s");
    other.around.git.last_look = looked;
    other.look().pass("2s");
    assert!(other.worker.is_behind());
    assert_eq!((other.patches, other.weights().as_str()), (before, "v1=90 v2=10"));
    // It has looked, and that is what Git asks for: now it is one.
    other.around.git.last_look = Some(other.now);
    other.look().pass("2s");
    assert!(!other.worker.is_behind());
    assert_eq!(other.weights(), "v1=100");
    // Of what it has wanted itself it is never behind.
    let mut alone = walking();
    alone.around.git.last_look = None;
    alone.push(to_v2().timeout("9s")).look();
    assert!(!alone.worker.is_behind());
}
