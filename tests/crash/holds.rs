//! How exactly a hold is kept, as an independent watch sees it.

use std::time::Duration;

use crate::MACHINE;
use crate::shop::{SOON, Shop};

const HOLD: Duration = Duration::from_secs(1);
/// As the shop starts the binary.
const CONVERGENCE_WAIT: Duration = Duration::from_millis(100);
const SERVICES: [&str; 4] = ["one", "two", "three", "four"];

#[tokio::test(flavor = "multi_thread")]
async fn law_07_a_hold_is_never_short_and_hardly_longer() {
    let _alone = MACHINE.write().await;
    let shop = Shop::open("holds", &SERVICES).await;
    let versions = "  versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\n";
    let steps: Vec<_> = (1..=5).map(|step| format!("{{weight: {}, hold: 1s}}", step * 10)).collect();
    for service in SERVICES {
        shop.plan(service, &format!("{versions}  steps: [{}]\n  traffic: {{v2: 100}}", steps.join(", ")));
    }
    let _process = shop.start();
    for service in SERVICES {
        shop.until_live(service, &[("v2", 100)]).await;
    }
    let mut over = Vec::new();
    for service in SERVICES {
        let mut walk: Vec<_> = shop
            .recorder
            .events()
            .into_iter()
            .filter(|event| event.kind == "VirtualService" && event.name == service)
            .collect();
        walk.dedup_by(|next, last| next.weights == last.weights);
        // The baseline is converged, not held.
        let entered: Vec<_> = walk.iter().skip(1).map(|event| event.at).collect();
        for pair in entered.windows(2) {
            let kept = pair[1] - pair[0];
            assert!(kept >= HOLD, "{service}: a hold of {HOLD:?} was left after {kept:?}");
            over.push(kept.saturating_sub(HOLD + CONVERGENCE_WAIT));
        }
    }
    assert_eq!(over.len(), 20);
    over.sort();
    println!("20 holds of 1 s: over by p50 {:?}, p95 {:?}, at most {:?}", over[10], over[18], over[19]);
    assert!(over[10] < Duration::from_millis(200), "{over:?}");
    assert!(over[19] < SOON, "{over:?}");
}
