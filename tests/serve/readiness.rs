//! Pods of a real API server that go and come while a walk stands: what holds it, and what status and metrics say.

use serde_json::json;

use crate::kubernetes::{Endpoint, create, delete, endpoint_slice, eventually, namespace, ready_pod};
use crate::running::{Running, commit};
use crate::shop::SOON;

const ISTIO: &str = "networking.istio.io/v1";

const WALK: &str =
    "traffic: {v2: 100}\n  steps: [{weight: 10, hold: 0s}, {weight: 20, hold: 0s}]\n  settle: {hold: 1h}";

/// The pods of each version.
const PODS: usize = 6;

fn pod(version: usize, number: usize) -> (String, String) {
    (format!("web-v{version}-{number}"), format!("10.2.{version}.{number}"))
}

/// Makes the pods, none of them ready.
async fn make_pods(running: &Running) {
    for (version, number) in (1..=2).flat_map(|version| (0..PODS).map(move |number| (version, number))) {
        let (name, ip) = pod(version, number);
        let labels = json!({"app": "web", "version": format!("v{version}")});
        ready_pod(&running.shop.client, &running.shop.namespace, &name, labels, &ip).await;
    }
}

/// Makes so many pods of v1 and of v2 the ready endpoints.
async fn pods(running: &Running, counts: [usize; 2]) {
    let ready: Vec<_> =
        (1..=2).zip(counts).flat_map(|(version, count)| (0..count).map(move |number| pod(version, number))).collect();
    let endpoints: Vec<Endpoint<'_>> = ready.iter().map(|(name, ip)| Endpoint::of(name, ip)).collect();
    endpoint_slice(&running.shop.client, &running.shop.namespace, "web", "web", &endpoints).await;
}

async fn until_reason(running: &Running, reason: &str) -> String {
    let plan = || async { running.get("/status").await.json()["plans"][0].clone() };
    let is = || async { plan().await["reason"]["name"] == reason };
    eventually(reason, SOON, is).await;
    plan().await["reason"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_go_hold_the_next_raise_and_pods_that_come_open_it() {
    let running = Running::open("readiness", &[]).await;
    let shop = &running.shop;
    make_pods(&running).await;
    pods(&running, [4, 1]).await;
    commit(shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;

    let gates = "ready: {minEndpoints: 2, capacityFactor: 1}\n  wayBack: {minReady: 75%}";
    commit(shop, &format!("{WALK}\n  {gates}"));
    let said = until_reason(&running, "EndpointsNotReady").await;
    assert!(said.contains("2 ready endpoints of version v2 (1 ready)"), "{said}");
    pods(&running, [4, 2]).await;
    shop.until_live("web", &[("v1", 80), ("v2", 20)]).await;
    let said = until_reason(&running, "CapacityShort").await;
    assert!(said.contains("4 ready endpoints of version v2 (2 ready)") && said.contains("100 % of what 4"), "{said}");

    pods(&running, [2, 6]).await;
    let said = until_reason(&running, "WayBackShort").await;
    assert!(said.contains("has 2 ready endpoints, 4 when the walk began; it needs 3"), "{said}");
    let name = &shop.namespace;
    let ratio = format!(
        "tidegate_way_back_ready_ratio{{repository=\"{name}\",namespace=\"{name}\",plan=\"web\",cluster=\"proxy\"}}"
    );
    running.until_metric(&ratio, 0.5).await;
    let status = running.get("/status").await.json();
    assert_eq!(status["plans"][0]["wayBackReady"], json!({"v1": {"began": 4, "ready": 2}}));

    pods(&running, [3, 6]).await;
    shop.until_live("web", &[("v2", 100)]).await;
    pods(&running, [1, 1]).await;
    commit(shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;
    eventually("nothing is raised", SOON, || async { running.metric(&ratio).await.is_none() }).await;
    assert_eq!(running.get("/status").await.json()["plans"][0]["wayBackReady"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_hides_the_subsets_from_callers_elsewhere_holds_every_raise_and_no_way_back() {
    let running = Running::open("shadowed", &[]).await;
    let shop = &running.shop;
    make_pods(&running).await;
    pods(&running, [2, 2]).await;
    commit(shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;

    let callers = namespace(&shop.client, "shadowed-callers").await;
    let host = format!("web.{}.svc.cluster.local", shop.namespace);
    let rule = json!({
        "apiVersion": ISTIO, "kind": "DestinationRule",
        "metadata": {"name": "tls", "namespace": callers},
        "spec": {"host": host, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}},
    });
    create(&shop.client, rule).await;
    commit(shop, "traffic: {v2: 100}\n  steps: [{weight: 10, hold: 1h}]");
    let said = until_reason(&running, "SubsetsShadowed").await;
    assert!(said.contains(&format!("DestinationRule {callers}/tls hides")), "{said}");
    delete(&shop.client, &callers, ISTIO, "DestinationRule", "tls").await;
    shop.until_live("web", &[("v1", 90), ("v2", 10)]).await;

    let rule = json!({
        "apiVersion": ISTIO, "kind": "DestinationRule",
        "metadata": {"name": "again", "namespace": callers}, "spec": {"host": host},
    });
    create(&shop.client, rule).await;
    commit(shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;
}
