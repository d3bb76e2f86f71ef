//! Watches of the cluster room against a real control plane that comes and goes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails")]

#[path = "support/controlplane.rs"]
mod controlplane;
#[path = "support/kubernetes.rs"]
mod kubernetes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use controlplane::ControlPlane;
use kube::api::{Patch, PatchParams};
use kubernetes::{Endpoint, api, create, delete, endpoint_slice, namespace, ready_pod, run_image, set_ready, weights};
use serde_json::{Value, json};
use tidegate::cluster::{Access, Cluster, Seen, Verb, watch};
use tidegate::istio::ObjectKind;
use tidegate::rollout::{Image, Images};
use tokio::sync::mpsc::Receiver;

const ISTIO: &str = "networking.istio.io/v1";
const SOON: Duration = Duration::from_secs(30);
/// Long enough for an event that must not come to have come.
const QUIET: Duration = Duration::from_millis(500);

async fn cluster(plane: &ControlPlane) -> Cluster {
    let access = Access { kubeconfig: Some(plane.kubeconfig()), ..Access::default() };
    Cluster::connect("bed", &access).await.unwrap()
}

async fn until(seen: &mut Receiver<Seen>, what: &str, wanted: impl Fn(&Seen) -> bool) -> Vec<Seen> {
    let mut before = Vec::new();
    let found = tokio::time::timeout(SOON, async {
        while let Some(seen) = seen.recv().await {
            let found = wanted(&seen);
            before.push(seen);
            if found {
                return;
            }
        }
        panic!("the watch ended");
    })
    .await;
    assert!(found.is_ok(), "{what} was not seen in {SOON:?}; seen: {before:?}");
    before
}

/// Other tests share the control plane: what happens in other namespaces is theirs.
fn is_in(seen: &Seen, wanted: &str) -> bool {
    match seen {
        Seen::Object { key, .. } => key.namespace == wanted,
        Seen::Endpoints { namespace, .. } => namespace == wanted,
        Seen::ClusterLocal(_) | Seen::Synced | Seen::Away { .. } | Seen::Back => true,
    }
}

async fn nothing_more(seen: &mut Receiver<Seen>, namespace: &str) {
    let more = tokio::time::timeout(QUIET, async {
        loop {
            let seen = seen.recv().await.unwrap();
            if is_in(&seen, namespace) {
                return seen;
            }
        }
    });
    let more = more.await;
    assert!(more.is_err(), "{more:?}");
}

fn is_object(seen: &Seen, wanted: &str, there: bool) -> bool {
    matches!(seen, Seen::Object { key, live, .. } if key.name == wanted && live.is_some() == there)
}

fn live(seen: &[Seen]) -> Arc<Value> {
    match seen.last() {
        Some(Seen::Object { live: Some(live), .. }) => Arc::clone(live),
        other => panic!("{other:?}"),
    }
}

fn virtual_service(namespace: &str, name: &str, weight: u32) -> Value {
    let leg = json!({"destination": {"host": name, "subset": "v1"}, "weight": weight});
    json!({"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": [name], "http": [{"route": [leg]}]}})
}

fn reads(cluster: &Cluster) -> u64 {
    cluster.requests().into_iter().filter(|((verb, _), _)| *verb == Verb::Get).map(|(_, count)| count).sum()
}

fn version(version: &str) -> BTreeMap<String, String> {
    [("version".to_owned(), version.to_owned())].into()
}

#[tokio::test]
async fn a_watch_tells_what_is_there_then_that_it_is_complete_then_each_change() {
    let plane = ControlPlane::shared();
    let cluster = cluster(plane).await;
    let client = plane.client().await;
    let namespace = namespace(&client, "watch").await;
    create(&client, virtual_service(&namespace, "web", 100)).await;
    let (mut seen, _) = watch(&cluster);
    let first = until(&mut seen, "completeness", |seen| *seen == Seen::Synced).await;
    assert!(first.iter().any(|seen| is_object(seen, "web", true)), "{first:?}");
    // One look at the API; the lists were streamed.
    assert_eq!(reads(&cluster), 1, "{:?}", cluster.requests());

    let patch = json!({"spec": {"http": [{"route": [{"destination": {"host": "web"}, "weight": 7}]}]}});
    let services = api(&client, &namespace, ISTIO, "VirtualService");
    services.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let changed = until(&mut seen, "the change", |seen| is_object(seen, "web", true)).await;
    assert_eq!(weights(&live(&changed))[0].1, 7);
    assert_eq!(live(&changed)["kind"], "VirtualService");
    assert!(live(&changed)["metadata"].get("managedFields").is_none());

    create(
        &client,
        json!({"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": {"name": "rule", "namespace": namespace},
            "spec": {"host": "web"}}),
    )
    .await;
    let made = until(&mut seen, "the rule", |seen| is_object(seen, "rule", true)).await;
    assert!(matches!(made.last(), Some(Seen::Object { kind: ObjectKind::DestinationRule, .. })));
    delete(&client, &namespace, ISTIO, "VirtualService", "web").await;
    until(&mut seen, "the deletion", |seen| is_object(seen, "web", false)).await;
}

#[tokio::test]
async fn a_server_that_streams_no_lists_is_listed() {
    let plane = ControlPlane::start_with(&[], &["--feature-gates=WatchList=false"]);
    let cluster = cluster(&plane).await;
    let client = plane.client().await;
    let namespace = namespace(&client, "list").await;
    create(&client, virtual_service(&namespace, "web", 100)).await;
    let (mut seen, _) = watch(&cluster);
    let first = until(&mut seen, "completeness", |seen| *seen == Seen::Synced).await;
    assert!(first.iter().any(|seen| is_object(seen, "web", true)), "{first:?}");
    assert!(!first.iter().any(|seen| matches!(seen, Seen::Away { .. })), "{first:?}");
    assert_eq!(reads(&cluster), 5, "{:?}", cluster.requests());
    delete(&client, &namespace, ISTIO, "VirtualService", "web").await;
    until(&mut seen, "the deletion", |seen| is_object(seen, "web", false)).await;
}

#[tokio::test]
async fn endpoints_are_counted_by_the_labels_of_their_pods() {
    let plane = ControlPlane::shared();
    let cluster = cluster(plane).await;
    let client = plane.client().await;
    let namespace = namespace(&client, "ends").await;
    let (mut seen, endpoints) = watch(&cluster);
    assert_eq!(endpoints.ready(&namespace, "web", &version("v1")), None);
    until(&mut seen, "completeness", |seen| *seen == Seen::Synced).await;
    assert_eq!(endpoints.ready(&namespace, "web", &version("v1")), Some(0));

    for (pod, version, ip) in [("a", "v1", "10.1.0.1"), ("b", "v2", "10.1.0.2"), ("c", "v2", "10.1.0.3")] {
        ready_pod(&client, &namespace, pod, json!({"app": "web", "version": version}), ip).await;
    }
    let mine = |seen: &Seen| *seen == Seen::Endpoints { namespace: namespace.clone(), service: "web".into() };
    let all = [Endpoint::of("a", "10.1.0.1"), Endpoint::of("b", "10.1.0.2"), Endpoint::of("c", "10.1.0.3")];
    endpoint_slice(&client, &namespace, "web", "web-1", &all).await;
    until(&mut seen, "the endpoints", mine).await;
    // Pods and slices are watches of their own: the labels may come a moment after the endpoints.
    kubernetes::eventually("the labels", SOON, || async {
        endpoints.ready(&namespace, "web", &version("v2")) == Some(2)
    })
    .await;
    assert_eq!(endpoints.ready(&namespace, "web", &version("v1")), Some(1));
    while tokio::time::timeout(QUIET, seen.recv()).await.is_ok() {}

    let unready = |ready| [Endpoint { ready, ..Endpoint::of("b", "10.1.0.2") }, Endpoint::of("c", "10.1.0.3")];
    endpoint_slice(&client, &namespace, "web", "web-1", &unready(Some(false))).await;
    until(&mut seen, "an endpoint less", mine).await;
    assert_eq!(endpoints.ready(&namespace, "web", &version("v2")), Some(1));
    assert_eq!(endpoints.ready(&namespace, "web", &version("v1")), Some(0));

    set_ready(&client, &namespace, "c", "10.1.0.3", true).await;
    nothing_more(&mut seen, &namespace).await;
    let labels = json!({"metadata": {"labels": {"version": "v3"}}});
    api(&client, &namespace, "v1", "Pod").patch("c", &PatchParams::default(), &Patch::Merge(labels)).await.unwrap();
    until(&mut seen, "the other label", mine).await;
    assert_eq!(endpoints.ready(&namespace, "web", &version("v3")), Some(1));

    let run = |image: &str| Images::of(Image::of([(image, None)]));
    assert_eq!(endpoints.images(&namespace, "web", &version("v3")), run("none.invalid/none"));
    run_image(&client, &namespace, "c", "none.invalid/other").await;
    until(&mut seen, "the other image", mine).await;
    assert_eq!(endpoints.images(&namespace, "web", &version("v3")), run("none.invalid/other"));
    let pulled = json!([{"name": "main", "imageID": format!("none.invalid/other@sha256:{}", "ab".repeat(32)), "image": "x",
        "ready": true, "restartCount": 0}]);
    let status = json!({"status": {"containerStatuses": pulled}});
    api(&client, &namespace, "v1", "Pod")
        .patch_status("c", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    until(&mut seen, "what the name was resolved to", mine).await;
    let resolved = Images::of(Image::of([("none.invalid/other", Some("ab".repeat(32).as_str()))]));
    assert_eq!(endpoints.images(&namespace, "web", &version("v3")), resolved);
}

#[tokio::test]
async fn a_server_that_goes_away_comes_back_with_what_changed_and_nothing_else() {
    let plane = ControlPlane::start();
    let cluster = cluster(&plane).await;
    let client = plane.client().await;
    let namespace = namespace(&client, "away").await;
    for name in ["stays", "changes", "goes"] {
        create(&client, virtual_service(&namespace, name, 100)).await;
    }
    let (mut seen, _) = watch(&cluster);
    until(&mut seen, "completeness", |seen| *seen == Seen::Synced).await;

    let plane = tokio::task::spawn_blocking(move || {
        plane.stop_apiserver();
        plane
    })
    .await
    .unwrap();
    until(&mut seen, "that it is away", |seen| matches!(seen, Seen::Away { .. })).await;
    let (mut late, _) = watch(&cluster);
    until(&mut late, "that it is away", |seen| matches!(seen, Seen::Away { .. })).await;
    let plane = tokio::task::spawn_blocking(move || {
        plane.restart_apiserver();
        plane
    })
    .await
    .unwrap();
    let client = plane.client().await;
    delete(&client, &namespace, ISTIO, "VirtualService", "goes").await;
    let patch = json!({"metadata": {"labels": {"touched": "yes"}}});
    let services = api(&client, &namespace, ISTIO, "VirtualService");
    services.patch("changes", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();

    let mut told = Vec::new();
    while !(told.contains(&Seen::Back)
        && told.iter().any(|seen| is_object(seen, "goes", false))
        && told.iter().any(|seen| is_object(seen, "changes", true)))
    {
        told.extend(until(&mut seen, "the return and both changes", |_| true).await);
    }
    told.retain(|seen| is_in(seen, &namespace));
    assert_eq!(told.len(), 3, "{told:?}");
    nothing_more(&mut seen, &namespace).await;

    let told = until(&mut late, "completeness", |seen| *seen == Seen::Synced).await;
    assert!(told.iter().any(|seen| is_object(seen, "stays", true)), "{told:?}");
    if !told.contains(&Seen::Back) {
        until(&mut late, "the return", |seen| *seen == Seen::Back).await;
    }
}
