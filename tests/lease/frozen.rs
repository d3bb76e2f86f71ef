//! A leader that is frozen and wakes up while another leads: what it has in hand changes nothing any more.

use std::time::{Duration, Instant};

use crate::MACHINE;
use crate::bed::{Bed, SOON};
use crate::proxy::{Kind, When};

/// How long it is frozen, unless `TIDEGATE_FREEZE_SECONDS` says otherwise.
const FREEZE_S: u64 = 15;
const STEPS: [u64; 11] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

/// A walk that is long enough for the other to be in the middle of it when the first wakes up.
fn walk(freeze_s: u64) -> String {
    let hold_s = (freeze_s / 5).max(2);
    let steps = STEPS.iter().filter(|step| (1..100).contains(*step));
    let steps: Vec<String> = steps.map(|step| format!("{{weight: {step}, hold: {hold_s}s}}")).collect();
    format!("  steps: [{}]\n  traffic: {{v2: 100}}", steps.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn law_06_a_leader_that_was_frozen_changes_nothing_that_the_next_one_has_written() {
    let _shared = MACHINE.read().await;
    let freeze_s = std::env::var("TIDEGATE_FREEZE_SECONDS").map_or(FREEZE_S, |text| text.parse().unwrap());
    let bed = Bed::open("frozen").await;
    let (one, two) = bed.pair().await;
    bed.plan(&walk(freeze_s));
    bed.entered(10, Instant::now() - SOON).await;
    // The next raise is in hand, and on its way, when it is frozen.
    let caught = one.proxy.catch(SOON, |kind| (kind == Kind::Weights).then_some(When::Before)).await;
    one.freeze().await;
    let (frozen, done) = (Instant::now(), one.raises());
    let by = bed.followed("one").await;
    bed.entered(30, frozen).await;
    assert_eq!((bed.leader().await.as_str(), bed.weights().as_slice()), ("two", &STEPS[..4]));
    // What was on its way arrives: it meets what the other has written.
    caught.release();
    tokio::time::sleep(Duration::from_secs(freeze_s).saturating_sub(frozen.elapsed())).await;
    let woken_at = bed.weights();
    assert!(woken_at.len() < STEPS.len() - 1, "in the middle of the walk: {woken_at:?}");
    one.wake().await;
    one.until_holder("two").await;
    bed.until_settled(&[("v2", 100)]).await;
    println!("frozen for {freeze_s} s: followed after {} ms, woken at {woken_at:?}", (by - frozen).as_millis());
    assert_eq!(bed.weights(), STEPS, "the undisturbed walk");
    assert_eq!(one.raises(), done, "nothing that the old one sent was done");
    assert!(bed.terms() == [1, 2], "{:?}", bed.terms());
    assert!(two.raises() > 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_a_revert_goes_back_while_the_leader_is_frozen_though_nobody_leads_yet() {
    let _shared = MACHINE.read().await;
    let bed = Bed::open("revert").await;
    let (one, two) = bed.pair().await;
    bed.plan("  steps: [{weight: 10, hold: 1h}]\n  traffic: {v2: 100}");
    bed.entered(10, Instant::now() - SOON).await;
    // Both have looked at the commit that is reverted.
    two.until_reason("Hold").await;
    one.freeze().await;
    let reverted = bed.revert();
    let back = bed.entered(0, reverted).await - reverted;
    assert_eq!(bed.leader().await, "one", "the lease still stands");
    println!("reverted while the leader is frozen: back after {} ms", back.as_millis());
    assert!(back < Duration::from_millis(1_500), "{back:?}");
    bed.followed("one").await;
    bed.until_settled(&[("v1", 100)]).await;
    one.wake().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bed.weights(), [0, 10, 0]);
    // And it walks again where somebody asks for that.
    bed.plan("  steps: [{weight: 20, hold: 1s}]\n  traffic: {v2: 100}");
    bed.until_settled(&[("v2", 100)]).await;
    assert_eq!(bed.weights(), [0, 10, 0, 20, 100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_a_stop_is_heeded_while_the_leader_is_frozen_and_git_follows_once() {
    let _shared = MACHINE.read().await;
    let bed = Bed::open("stop").await;
    let (one, two) = bed.pair().await;
    bed.plan("  steps: [{weight: 10, hold: 1h}]\n  traffic: {v2: 100}");
    bed.entered(10, Instant::now() - SOON).await;
    two.until_reason("Hold").await;
    one.freeze().await;
    let stopped = bed.annotate("tidegate.dev/stop", "Ann: errors").await;
    let back = bed.entered(0, stopped).await - stopped;
    println!("stopped while the leader is frozen: back after {} ms", back.as_millis());
    assert!(back < Duration::from_millis(1_500), "{back:?}");
    assert_eq!((bed.leader().await.as_str(), bed.restores()), ("one", 0), "who does not lead pushes nothing");
    bed.followed("one").await;
    crate::support::kubernetes::eventually("Git follows", SOON, || async { bed.restores() == 1 }).await;
    one.wake().await;
    bed.until_settled(&[("v1", 100)]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((bed.restores(), bed.weights()), (1, vec![0, 10, 0]), "{:?}", bed.subjects());
}
