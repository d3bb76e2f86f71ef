//! Plans that are well written and that the cluster cannot take: each is told by `run --once` and by `why`, and the good
//! plan beside it is applied all the same.

use serde_json::json;

use crate::bed::{Bed, plan};
use crate::process::Answer;

const STEPS: &str = "steps: [{weight: 10, hold: 1h}, {weight: 50, hold: 1h}]";

/// One round on a bed with a good plan for `api`, which must be applied.
async fn once(bed: &Bed) -> Answer {
    bed.plan("api", "traffic: {v1: 60, v2: 40}");
    let once = bed.once().await;
    assert_eq!(bed.weights("api"), "v1=60 v2=40", "{once:?}");
    once
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_does_not_exist_is_named() {
    let bed = Bed::open().await;
    let text = plan("web", &format!("from: {{v1: 100}}\n  {STEPS}\n  traffic: {{v2: 100}}"))
        .replace("namespace: shop", "namespace: ghost");
    bed.repository.commit("A ghost", &[("plans/ghost.yaml", text)]);
    let once = once(&bed).await;
    assert_eq!(once.code, 1, "{once:?}");
    let says = "ghost/web: cluster sandbox has no namespace ghost; create it, or correct the plan's metadata.namespace";
    assert!(once.stdout.lines().any(|line| line == says), "{}", once.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_service_of_somebody_else_is_left_alone() {
    let bed = Bed::open().await;
    let spec = json!({"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]});
    let metadata = json!({"name": "web", "namespace": "shop"});
    let theirs =
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec});
    let theirs = bed.store().put(theirs).unwrap();
    bed.plan("web", "traffic: {v1: 100}");
    let once = once(&bed).await;
    assert_eq!(once.code, 1, "{once:?}");
    let says = "shop/web: VirtualService shop/web was made by somebody else; delete it, name another under `objects`, or say \
                `takeOwnership: true`";
    assert!(once.stdout.lines().any(|line| line == says), "{}", once.stdout);
    assert_eq!(bed.live("web"), Some(theirs));
    let why = bed.ask(&["why", "web"]).await;
    assert_eq!(why.code, 2);
    assert!(why.stderr.contains("what keeps another one out is said by `tidegate run --once`"), "{}", why.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_carries_traffic_keeps_its_labels() {
    let bed = Bed::open().await;
    bed.plan("web", "traffic: {v1: 100}");
    assert_eq!(once(&bed).await.code, 0);
    let before = bed.store().get("destinationrules", "shop", "web");
    let text = plan("web", "traffic: {v1: 100}").replace("v1: {labels: {version: v1}}", "v1: {labels: {version: v9}}");
    bed.repository.commit("Another label", &[("plans/web.yaml", text)]);
    let once = once(&bed).await;
    assert_eq!(once.code, 1, "{once:?}");
    let says = "shop/web: version v1 carries traffic or is needed for the way back and cannot get other labels; add a version \
                of another name";
    assert!(once.stdout.lines().any(|line| line == says), "{}", once.stdout);
    assert_eq!(bed.store().get("destinationrules", "shop", "web"), before);
    // What is applied goes on as it is.
    assert_eq!((bed.weights("web").as_str(), bed.ask(&["why", "web"]).await.code), ("v1=100", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_without_a_baseline_are_not_guessed() {
    let bed = Bed::open().await;
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    let once = once(&bed).await;
    assert_eq!(once.code, 1, "{once:?}");
    let says = "shop/web: nothing is live and several versions could be what callers get today; say which under `from`";
    assert!(once.stdout.lines().any(|line| line == says), "{}", once.stdout);
    assert_eq!(bed.live("web"), None);
}
