//! Who leads, and how soon the next one does.

use std::time::{Duration, Instant};

use crate::MACHINE;
use crate::bed::Bed;

/// How often each hand-over is measured.
const ROUNDS: usize = 5;
/// The steps of the walk, each held for a second: no replica is killed at its end.
const STEPS: std::ops::Range<u64> = 1..25;

fn walk() -> String {
    let steps: Vec<String> = STEPS.map(|step| format!("{{weight: {}, hold: 1s}}", 4 * step)).collect();
    format!("  steps: [{}]\n  traffic: {{v2: 100}}", steps.join(", "))
}

/// The weights of v2 in a walk that nothing disturbs.
fn undisturbed() -> Vec<u64> {
    [0].into_iter().chain(STEPS.map(|step| 4 * step)).chain([100]).collect()
}

fn ms(of: &[Duration]) -> Vec<u128> {
    of.iter().map(Duration::as_millis).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn law_06_only_whoever_holds_the_lease_raises() {
    let _alone = MACHINE.write().await;
    let bed = Bed::open("lease").await;
    let (one, two) = bed.pair().await;
    bed.plan(&walk());
    bed.entered(4, Instant::now() - Duration::from_secs(60)).await;
    let status = two.status().await;
    let holder = status["lease"]["holder"].as_str().unwrap_or_default();
    assert!(holder.starts_with("one_"), "{status:#}");
    assert_eq!((&status["lease"]["leads"], &status["lease"]["term"]), (&false.into(), &serde_json::Value::Null));
    let lease = &one.status().await["lease"];
    assert_eq!((&lease["leads"], &lease["term"]), (&true.into(), &1.into()), "{lease}");
    bed.until_settled(&[("v2", 100)]).await;
    assert_eq!(bed.weights(), undisturbed());
    assert_eq!((two.proxy.done(), bed.terms()), (vec![], vec![1]), "who does not lead writes nothing at all");
    assert_eq!(bed.restores(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_11_a_leader_that_is_killed_in_mid_walk_is_followed_in_under_five_seconds() {
    let _alone = MACHINE.write().await;
    let bed = Bed::open("killed").await;
    let (mut leads, mut follows) = bed.pair().await;
    let (mut held, mut walked) = (Vec::new(), Vec::new());
    bed.plan(&walk());
    for round in 0..ROUNDS {
        bed.moved(Instant::now()).await;
        let name = leads.name.clone();
        let killed = leads.kill().await;
        let (by, moved) = tokio::join!(bed.followed(&name), bed.moved(killed + Duration::from_millis(50)));
        held.push(by - killed);
        walked.push(moved - killed);
        leads = follows;
        follows = bed.start(&format!("spare-{round}")).await;
        follows.until_ready().await;
    }
    bed.until_settled(&[("v2", 100)]).await;
    println!("killed: the lease was held again after {:?} ms, the walk went on after {:?} ms", ms(&held), ms(&walked));
    assert!(walked.iter().all(|took| *took < Duration::from_secs(5)), "{walked:?}");
    assert_eq!(bed.weights(), undisturbed(), "the undisturbed walk");
    assert!(bed.terms().windows(2).all(|pair| pair[0] < pair[1]), "{:?}", bed.terms());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_gives_the_lease_away_at_once() {
    let _alone = MACHINE.write().await;
    let bed = Bed::open("asked").await;
    let (mut leads, mut follows) = bed.pair().await;
    let (mut held, mut walked) = (Vec::new(), Vec::new());
    bed.plan(&walk());
    for round in 0..ROUNDS {
        bed.moved(Instant::now()).await;
        let asked = leads.terminate().await;
        let (by, moved) = tokio::join!(bed.followed(&leads.name), bed.moved(asked + Duration::from_millis(50)));
        held.push(by - asked);
        walked.push(moved - asked);
        leads.ended().await;
        leads = follows;
        follows = bed.start(&format!("spare-{round}")).await;
        follows.until_ready().await;
    }
    bed.until_settled(&[("v2", 100)]).await;
    println!("asked: the lease was held again after {:?} ms, the walk went on after {:?} ms", ms(&held), ms(&walked));
    assert!(held.iter().all(|took| *took < Duration::from_secs(1)), "{held:?}");
    assert!(walked.iter().all(|took| *took < Duration::from_millis(2_500)), "a hold of 1 s included: {walked:?}");
    assert_eq!(bed.weights(), undisturbed(), "the undisturbed walk");
}
