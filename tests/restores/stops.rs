//! A person's stop and a hand that lowers, with Git away: nothing rises, the restore lands later, the stop is taken off.

use std::time::Duration;

use serde_json::json;
use tidegate::rollout::Phase;

use crate::bed::{Bed, STOP, TO_V2, UP};
use crate::support::kubernetes::Recorded;

const FILE: &str = "plans/shop.yaml";

async fn walking() -> Bed {
    let bed = Bed::shop(&[]).await;
    bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_git_away_lands_when_it_returns_and_the_annotation_goes() {
    let bed = walking().await;
    let first = bed.git(&["rev-parse", "main~1"]);
    bed.away(true);
    let passed = bed.recorder.events().len();
    let done = bed.stop("shop").await;
    let back = bed
        .recorder
        .wait_for_after(passed, Duration::from_secs(10), |event| event.weights == [("v1".to_owned(), 100)])
        .await;
    println!("traffic was back {:?} after the stop", back.at.saturating_duration_since(done));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(bed.weights("shop"), "v1=100", "nothing rises");
    let annotation = || bed.live("shop").unwrap().0["metadata"]["annotations"][STOP].clone();
    assert_eq!(annotation(), "ada: errors");
    bed.away(false);
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    bed.landed("shop").await;
    bed.wait("the annotation goes", || annotation().is_null()).await;
    assert_eq!(bed.text("main", FILE), bed.text(&first, FILE));
    assert!(bed.restores()[0].contains("ada: errors"), "{:?}", bed.restores());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((bed.weights("shop").as_str(), bed.restores().len()), ("v1=100", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weight_lowered_by_hand_is_never_raised_by_a_restart() {
    let mut bed = walking().await;
    bed.away(true);
    let mut http = bed.live("shop").unwrap().0["spec"]["http"].clone();
    http[0]["route"][0]["weight"] = json!(98);
    http[0]["route"][1]["weight"] = json!(2);
    bed.patch("shop", json!({"spec": {"http": http}})).await;
    bed.went_back("shop").await;
    for _ in 0..2 {
        bed.restart().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(bed.weights("shop"), "v1=100");
    }
    bed.away(false);
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    bed.landed("shop").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.walk("shop").last().unwrap(), "v1=100");
    let after: Vec<_> = bed.walk("shop").into_iter().skip_while(|weights| weights != "v1=98 v2=2").collect();
    assert_eq!(after, ["v1=98 v2=2", "v1=100"]);
    assert_eq!(bed.restores().len(), 1);
}

/// The two commands of docs/operations.md, by kubectl itself, while no tidegate runs.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_that_kubectl_applies_while_tidegate_is_gone_is_understood_as_a_stop() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let path = r"jsonpath={.metadata.annotations.tidegate\.dev/way-back}";
    assert!(page.contains(&path.replacen('=', "='", 1)) && page.contains("--type=json"), "the page shows another way");
    let mut bed = walking().await;
    let first = bed.git(&["rev-parse", "main~1"]);
    bed.kill().await;
    let patch = bed.kubectl(&["get", "virtualservice", "shop", "-o", path]);
    let apply = ["patch", "virtualservice", "shop", "--type=json", "-p", &patch];
    let passed = bed.recorder.events().len();
    assert!(bed.kubectl(&apply).contains("patched"));
    let all = |event: &Recorded| event.weights == [("v1".to_owned(), 100)];
    bed.recorder.wait_for_after(passed, Duration::from_secs(10), all).await;
    bed.start();
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    bed.landed("shop").await;
    assert_eq!(bed.text("main", FILE), bed.text(&first, FILE));
    let after: Vec<_> = bed.walk("shop").into_iter().skip_while(|weights| weights != UP[1]).collect();
    assert_eq!(after, [UP[1], "v1=100"], "nothing rose again");
    assert!(bed.kubectl(&["get", "virtualservice", "shop", "-o", path]).is_empty(), "what is settled has no way back");
}
