//! The end that was asked for: the write in hand is finished, and nothing new is begun.

use std::time::{Duration, Instant};

use crate::MACHINE;
use crate::kubernetes::{eventually, virtual_service, weights};
use crate::process::Process;
use crate::proxy::{Caught, Kind, When};
use crate::shop::{SOON, Shop};

const PLAN: &str = "  versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\n  \
                    steps: [{weight: 10, hold: 0s}, {weight: 20, hold: 0s}]\n";

/// A process whose write of the weight 10 is held back, and which was asked to end.
async fn asked_in_mid_write(shop: &Shop) -> (Process, Caught) {
    let process = shop.start();
    shop.plan("web", &format!("{PLAN}  traffic: {{v1: 100}}"));
    shop.until_settled("web", &[("v1", 100)]).await;
    let raise = |write| (write == Kind::Weights).then_some(When::Before);
    let (caught, ()) = tokio::join!(shop.proxy.catch(SOON, raise), async {
        shop.plan("web", &format!("{PLAN}  traffic: {{v2: 100}}"));
    });
    process.terminate().await;
    eventually("it heard", SOON, || async { process.log().contains("asked to end") }).await;
    (process, caught)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_mid_write_finishes_the_write_in_hand_and_begins_no_other() {
    let _beside = MACHINE.read().await;
    let shop = Shop::open("ending", &["web"]).await;
    let (mut process, caught) = asked_in_mid_write(&shop).await;
    assert!(process.runs());
    let done = caught.done;
    caught.release();
    assert_eq!(process.ended(Duration::from_secs(15)).await, 0, "{}", process.log());
    assert_eq!(shop.proxy.done().len(), done + 1);
    let live = virtual_service(&shop.client, &shop.namespace, "web").await.unwrap();
    assert_eq!(weights(&live), [("v1".to_owned(), 90), ("v2".to_owned(), 10)]);
    // The next process ends where this one would have.
    let _next = shop.start();
    shop.until_settled("web", &[("v2", 100)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_does_not_wait_for_an_answer_that_never_comes() {
    let _beside = MACHINE.read().await;
    let shop = Shop::open("ending", &["web"]).await;
    let (mut process, _caught) = asked_in_mid_write(&shop).await;
    let asked = Instant::now();
    assert_eq!(process.ended(Duration::from_secs(15)).await, 0, "{}", process.log());
    println!("ended {} ms after it was asked to, with a write that was never answered", asked.elapsed().as_millis());
}
