//! Git away: traffic goes back at once, and the commit lands when the repository is there again.

use std::time::{Duration, Instant};

use tidegate::rollout::Phase;

use crate::bed::{Bed, TO_V2, UP};

const FILE: &str = "plans/shop.yaml";

/// How long the repository is away: `TIDEGATE_OUTAGE_SECONDS=60` shows a minute.
fn outage() -> Duration {
    let said = std::env::var("TIDEGATE_OUTAGE_SECONDS").ok().and_then(|said| said.parse().ok());
    Duration::from_secs(said.unwrap_or(5))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_while_the_repository_is_away() {
    let bed = Bed::shop(&[]).await;
    let first = bed.git(&["rev-parse", "main"]);
    bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    bed.away(true);
    bed.endpoints("shop", &["v1"]).await;
    bed.went_back("shop").await;
    bed.endpoints("shop", &["v1", "v2"]).await;
    let said = bed.restore_is("shop", "Unreachable").await;
    assert_eq!(said["to"].as_str().unwrap(), format!("main@sha1:{first}"));
    assert_eq!(bed.metric("tidegate_restore_pending{").await, Some(1.0));
    tokio::time::sleep(outage()).await;
    assert!(bed.metric("tidegate_restores_total{outcome=\"unreachable\"}").await.unwrap() < 12.0, "no busy loop");
    bed.away(false);
    let back = Instant::now();
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    println!("the restore landed {:?} after the repository was back", back.elapsed());
    bed.landed("shop").await;
    assert_eq!(bed.text("main", FILE), bed.text(&first, FILE));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        (bed.walk("shop"), bed.restores().len()),
        ([&["v1=100"], &UP[..], &["v1=100"]].concat().iter().map(|text| (*text).to_owned()).collect(), 1)
    );
    assert_eq!(bed.metric("tidegate_restore_pending{").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_restore_survives_the_process() {
    let mut bed = Bed::shop(&[]).await;
    bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    bed.away(true);
    bed.stop("shop").await;
    bed.went_back("shop").await;
    bed.restart().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bed.weights("shop"), "v1=100");
    bed.restart().await;
    bed.away(false);
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    bed.landed("shop").await;
    assert_eq!(bed.restores().len(), 1);
}
