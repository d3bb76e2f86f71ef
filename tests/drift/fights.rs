//! Somebody who never gives in: it is held, named once, and told what ends it.

use std::time::{Duration, Instant};

use kube::api::ListParams;
use serde_json::{Value, json};
use tidegate::rollout::Phase;

use crate::bed::{Bed, ROUTE, SOON};
use crate::controlplane::ControlPlane;
use crate::kubernetes::{Recorded, api, create, eventually, weights};

/// The Events of this reason about the route.
async fn events(bed: &Bed<'_>, reason: &str) -> Vec<String> {
    let list =
        api(&bed.client, &bed.namespace, "events.k8s.io/v1", "Event").list(&ListParams::default()).await.unwrap();
    let told = list.items.into_iter().filter(|event| event.data["reason"] == reason);
    told.map(|event| event.data["note"].as_str().unwrap().to_owned()).collect()
}

/// The spec of the service's route with a time-out that no plan asks for.
fn slow(bed: &Bed<'_>, v1: u64) -> Value {
    let host = format!("web.{}.svc.cluster.local", bed.namespace);
    let leg = |subset: &str, weight: u64| json!({"destination": {"host": host, "subset": subset}, "weight": weight});
    json!({"hosts": [host], "http": [{"name": "web", "timeout": "77s", "route": [leg("v1", v1), leg("v3", 100 - v1)]}]})
}

fn is_slow(bed: &Bed<'_>) -> bool {
    bed.live(ROUTE, "web").unwrap()["spec"]["http"][0]["timeout"] == "77s"
}

async fn settled(plane: &ControlPlane) -> Bed<'_> {
    let bed = Bed::open(plane, &["web"]).await;
    bed.plan(&["web"], "  traffic: {v1: 50, v3: 50}");
    bed
}

/// Lets a tool write until nobody puts it back any more; returns how long each of its writes stood.
async fn fight(bed: &Bed<'_>, manager: &str) -> Vec<Duration> {
    let mut stood = Vec::new();
    for _ in 0..5 {
        bed.apply(ROUTE, "web", manager, &slow(bed, 50)).await;
        let since = Instant::now();
        eventually("it is seen", SOON, || async { is_slow(bed) || since.elapsed() > Duration::from_millis(50) }).await;
        eventually("it is put back", SOON, || async { !is_slow(bed) }).await;
        stood.push(since.elapsed());
    }
    bed.apply(ROUTE, "web", manager, &slow(bed, 50)).await;
    stood
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitops_tool_is_named_once_with_the_setting_that_ends_the_fight() {
    for (manager, setting) in [
        ("kustomize-controller", "kustomize.toolkit.fluxcd.io/reconcile=disabled"),
        ("argocd-controller", "RespectIgnoreDifferences=true"),
    ] {
        let bed = settled(ControlPlane::shared()).await;
        let process = bed.start();
        bed.until(&["web"], &[("v1", 50), ("v3", 50)], &Phase::Settled).await;
        println!("{manager}: its changes stood {:?}", fight(&bed, manager).await);
        eventually("it alarms", SOON, || async { !events(&bed, "DriftFight").await.is_empty() }).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(is_slow(&bed), "what exposes nobody is left alone");
        let told = events(&bed, "DriftFight").await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!("field manager {manager:?} (Apply at 20")), "{}", told[0]);
        assert!(told[0].contains(setting), "{}", told[0]);
        assert_eq!(process.log().matches("DriftFight").count(), 1, "{}", process.log());
        // A version above its proof is put back in a fight, too.
        bed.apply(ROUTE, "web", manager, &slow(&bed, 10)).await;
        let since = Instant::now();
        let seen = |event: &Recorded| event.weights.first().is_some_and(|(_, weight)| *weight == 10);
        bed.recorder.wait_for(SOON, seen).await;
        let back = || async { weights(&bed.live(ROUTE, "web").unwrap())[0].1 == 50 };
        eventually("v3 is back at its proof", SOON, back).await;
        assert!(since.elapsed() < Duration::from_secs(12), "{:?}", since.elapsed());
        println!("{manager}: a version above its proof stood {:?} in the fight", since.elapsed());
        // The plan takes the other's wish up: the fight is over.
        bed.apply(ROUTE, "web", manager, &slow(&bed, 50)).await;
        bed.plan(&["web"], "  http: {timeout: 77s}\n  traffic: {v1: 50, v3: 50}");
        bed.until(&["web"], &[("v1", 50), ("v3", 50)], &Phase::Settled).await;
        eventually("it is as the plan says", SOON, || async { is_slow(&bed) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_what_is_written_is_named_with_the_place() {
    let beta =
        ["--feature-gates=MutatingAdmissionPolicy=true", "--runtime-config=admissionregistration.k8s.io/v1beta1=true"];
    let plane = tokio::task::spawn_blocking(move || ControlPlane::start_with(&[], &beta)).await.unwrap();
    let bed = settled(&plane).await;
    let process = bed.start();
    bed.until(&["web"], &[("v1", 50), ("v3", 50)], &Phase::Settled).await;
    let rule = json!({"apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
        "resources": ["virtualservices"]});
    let admission = "admissionregistration.k8s.io/v1beta1";
    let expression = "[JSONPatch{op: \"add\", path: \"/spec/http/0/timeout\", value: \"77s\"}]";
    create(
        &bed.client,
        json!({"apiVersion": admission, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "slow"},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "reinvocationPolicy": "Never",
                "failurePolicy": "Fail", "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]}}),
    )
    .await;
    create(
        &bed.client,
        json!({"apiVersion": admission, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "slow"},
            "spec": {"policyName": "slow"}}),
    )
    .await;
    // The policy works some moments after it is made.
    let touched = || async {
        bed.edit(
            ROUTE,
            "web",
            "kubectl-label",
            &json!({"metadata": {"labels": {"at": format!("{}", bed.recorder.events().len())}}}),
        )
        .await;
        is_slow(&bed)
    };
    eventually("the policy works", SOON, touched).await;
    eventually("it is told", SOON, || async { !events(&bed, "WriteAltered").await.is_empty() }).await;
    let told = events(&bed, "WriteAltered").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("another /spec/http/0/timeout of the VirtualService"), "{}", told[0]);
    assert!(!process.log().contains("put back"), "{}", process.log());
}
