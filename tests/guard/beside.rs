//! Whoever raises is there, slow, or cut off: exactly one of the two goes back.

use std::time::Instant;

use crate::bed::{Bed, Replica, SOON};
use crate::kubernetes::eventually;
use crate::proxy::{Kind, When};
use crate::{MACHINE, SLOW, STILL, STOPPED, serve_v2, ways_back};

const STOP: &str = "tidegate.dev/stop";

/// At 10, with a guard beside whoever raises.
async fn both(bed: &Bed, spec: &str) -> (Replica, Replica) {
    let hub = bed.start("hub").await;
    bed.until_settled(&[("v1", 100)]).await;
    let guard = bed.guard("guard").await;
    guard.until_ready().await;
    let pushed = bed.plan(spec);
    bed.entered(10, pushed).await;
    (hub, guard)
}

/// One way back, and one commit that follows it.
async fn once(bed: &Bed) {
    eventually("Git follows", SOON, || async { bed.restores() == 1 }).await;
    bed.until_settled(&[("v1", 100)]).await;
    tokio::time::sleep(STILL).await;
    assert_eq!((bed.weights(), ways_back(bed), bed.restores()), (vec![0, 10, 0], 1, 1), "{:?}", bed.subjects());
}

#[tokio::test(flavor = "multi_thread")]
async fn law_06_where_both_are_there_whoever_raises_goes_back_and_the_guard_writes_nothing() {
    let _alone = MACHINE.lock().await;
    let bed = Bed::open("both").await;
    let (_hub, guard) = both(&bed, SLOW).await;
    // It may be done before the answer to the annotation is here.
    let asked = Instant::now();
    bed.annotate(STOP, "Ann: errors").await;
    let took = bed.entered(0, asked).await - asked;
    println!("stopped where both are there: back after {} ms", took.as_millis());
    once(&bed).await;
    assert_eq!(guard.proxy.done(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_06_a_raise_that_is_on_its_way_when_the_guard_goes_back_is_not_done() {
    let _alone = MACHINE.lock().await;
    let bed = Bed::open("raise").await;
    let (hub, guard) =
        both(&bed, "  steps: [{weight: 10, hold: 2s}, {weight: 20, hold: 1h}]\n  traffic: {v2: 100}").await;
    let caught = hub.proxy.catch(SOON, |kind| (kind == Kind::Weights).then_some(When::Before)).await;
    let stopped = bed.annotate(STOP, "Ann: errors").await;
    let took = bed.entered(0, stopped).await - stopped;
    assert!(took < STOPPED, "{took:?}");
    caught.release();
    once(&bed).await;
    assert_eq!(guard.raises(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_06_a_way_back_that_is_on_its_way_when_the_guard_has_gone_back_is_no_second_one() {
    let _alone = MACHINE.lock().await;
    let bed = Bed::open("back").await;
    let (hub, guard) = both(&bed, SLOW).await;
    let caught = hub.proxy.catch(SOON, |kind| (kind == Kind::Weights).then_some(When::Before));
    let (caught, stopped) = tokio::join!(caught, bed.annotate(STOP, "Ann: errors"));
    bed.entered(0, stopped).await;
    caught.release();
    once(&bed).await;
    assert_eq!(guard.raises(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_where_whoever_raises_is_frozen_or_cut_off_the_guard_goes_back_and_it_understands() {
    let _alone = MACHINE.lock().await;
    let bed = Bed::open("frozen").await;
    let (hub, guard) = both(&bed, SLOW).await;
    hub.freeze().await;
    let stopped = bed.annotate(STOP, "Ann: errors").await;
    let took = bed.entered(0, stopped).await - stopped;
    println!("stopped while whoever raises is frozen: back after {} ms", took.as_millis());
    assert!(took < STOPPED, "{took:?}");
    hub.wake().await;
    once(&bed).await;
    assert_eq!(guard.raises(), 1);
    drop((hub, guard));

    let bed = Bed::open("cut").await;
    let (hub, guard) = both(&bed, SLOW).await;
    hub.proxy.close().await;
    serve_v2(&bed, false).await;
    let gone = Instant::now();
    let took = bed.entered(0, gone).await - gone;
    println!("endpoints gone while whoever raises is cut off: back after {} ms", took.as_millis());
    serve_v2(&bed, true).await;
    tokio::time::sleep(STILL).await;
    assert_eq!(bed.restores(), 0, "it does not know, and the guard pushes nothing");
    hub.proxy.open().await;
    once(&bed).await;
    assert_eq!(guard.raises(), 1);
}
