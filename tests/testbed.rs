//! Proves that the test bed is real: Kubernetes' own API server, its controllers, Istio's CRDs.

mod conformance;
#[path = "support/controlplane.rs"]
mod controlplane;
#[path = "support/kubernetes.rs"]
mod kubernetes;

use std::time::Duration;

use controlplane::{ControlPlane, WORKLOAD_CONTROLLERS};
use kube::api::{ListParams, Patch, PatchParams};
use kubernetes::{Recorder, api, create, deployment, eventually, namespace, pods, service, set_ready};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_has_real_pods_and_its_ready_pod_is_a_real_endpoint() {
    let plane = ControlPlane::start_with(WORKLOAD_CONTROLLERS, &[]);
    let client = plane.client().await;
    let namespace = namespace(&client, "bed").await;
    service(&client, &namespace, "web", 8080).await;
    deployment(&client, &namespace, "web", "v1", 2).await;
    eventually("two pods", SOON, || async { pods(&client, &namespace, "version=v1").await.len() == 2 }).await;
    let replica_sets = api(&client, &namespace, "apps/v1", "ReplicaSet").list(&ListParams::default()).await.unwrap();
    assert_eq!(replica_sets.items.len(), 1);

    let pod = pods(&client, &namespace, "version=v1").await.remove(0);
    set_ready(&client, &namespace, &pod, "10.1.0.1", true).await;
    let slices = api(&client, &namespace, "discovery.k8s.io/v1", "EndpointSlice");
    eventually("the endpoint of the ready pod", SOON, || async {
        let list = slices.list(&ListParams::default()).await.unwrap();
        list.items.iter().any(|slice| {
            let endpoint = &slice.data["endpoints"][0];
            endpoint["targetRef"]["name"] == pod.as_str() && endpoint["conditions"]["ready"] == true
        })
    })
    .await;
}

#[tokio::test]
async fn an_independent_watch_records_weights_in_order() {
    let client = ControlPlane::shared().client().await;
    let namespace = namespace(&client, "bed").await;
    let recorder = Recorder::start(&client, &namespace).await;
    let leg = |subset: &str, weight: u32| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    create(
        &client,
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"hosts": ["web"], "http": [{"route": [leg("v1", 100), leg("v2", 0)]}]}}),
    )
    .await;
    let spec = json!({"spec": {"http": [{"route": [leg("v1", 90), leg("v2", 10)]}]}});
    let services = api(&client, &namespace, "networking.istio.io/v1", "VirtualService");
    services.patch("web", &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
    recorder.wait_for(SOON, |event| event.weights.iter().any(|(_, weight)| *weight == 10)).await;
    let steps = [[("v1".to_owned(), 100), ("v2".to_owned(), 0)], [("v1".to_owned(), 90), ("v2".to_owned(), 10)]];
    assert_eq!(recorder.walk("web"), steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_api_server_answers_as_the_sandbox_does() {
    conformance::suite(ControlPlane::shared().client().await).await;
}
