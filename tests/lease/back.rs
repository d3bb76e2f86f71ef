//! The lease cannot be reached: nothing rises once it has run out, all goes back, and it recovers by itself.

use std::time::{Duration, Instant};

use crate::MACHINE;
use crate::bed::{Bed, LEASE, SOON};
use crate::support::kubernetes;

#[tokio::test(flavor = "multi_thread")]
async fn law_03_without_the_lease_nothing_rises_and_all_goes_back() {
    let _shared = MACHINE.read().await;
    let bed = Bed::open("away").await;
    let one = bed.start("one").await;
    bed.until_settled(&[("v1", 100)]).await;
    bed.plan("  steps: [{weight: 10, hold: 6s}, {weight: 20, hold: 1s}]\n  traffic: {v2: 100}");
    bed.entered(10, Instant::now() - SOON).await;
    one.proxy.refuse(Some("/leases"));
    // Its hold opens while the lease has run out.
    let told = one.until_reason("NoLease").await;
    assert_eq!(told["lease"]["leads"], false, "{told:#}");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(bed.weights(), [0, 10], "nothing rises");
    let reverted = bed.revert();
    let back = bed.entered(0, reverted).await - reverted;
    assert!(back < Duration::from_millis(1_500), "{back:?}");
    one.proxy.refuse(None);
    bed.until_settled(&[("v1", 100)]).await;
    bed.plan("  steps: [{weight: 30, hold: 0s}]\n  traffic: {v2: 100}");
    bed.until_settled(&[("v2", 100)]).await;
    assert_eq!(bed.weights(), [0, 10, 0, 30, 100]);
    assert!(one.log().contains("the lease can be reached again"), "{}", one.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_made_anew_does_not_stop_its_holder_for_ever() {
    let _shared = MACHINE.read().await;
    let bed = Bed::open("anew").await;
    let (one, two) = bed.pair().await;
    one.kill().await;
    bed.until_leads("two").await;
    bed.plan("  traffic: {v2: 100}\n  steps: [{weight: 10, hold: 1s}]");
    bed.until_settled(&[("v2", 100)]).await;
    assert_eq!(bed.journal().unwrap().term, 2);
    two.kill().await;
    kubernetes::delete(&bed.client, &bed.namespace, "coordination.k8s.io/v1", "Lease", LEASE).await;
    let three = bed.start("three").await;
    bed.until_leads("three").await;
    let back = bed.plan("  traffic: {v1: 100}");
    bed.entered(0, back).await;
    bed.plan("  traffic: {v2: 100}\n  steps: [{weight: 70, hold: 1s}]");
    bed.until_settled(&[("v2", 100)]).await;
    assert_eq!((bed.weights(), bed.terms()), (vec![0, 10, 100, 0, 70, 100], vec![1, 2, 3]));
    assert!(three.raises() > 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_only_the_other_was_told_of_rises_within_a_second_or_so() {
    let _shared = MACHINE.read().await;
    let bed = Bed::open_over_http("hint").await;
    let _one = bed.start_with("one", &["--interval", "1h"]).await;
    bed.until_leads("one").await;
    bed.until_settled(&[("v1", 100)]).await;
    let two = bed.start_with("two", &["--interval", "300ms"]).await;
    two.until_ready().await;
    let pushed = bed.plan("  traffic: {v2: 100}\n  steps: [{weight: 10, hold: 1h}]");
    let took = bed.entered(10, pushed).await - pushed;
    println!("seen by who does not lead: raised after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!((two.raises(), bed.leader().await.as_str()), (0, "one"));
}
