//! Clusters of one mesh: the pods of v1 are in the east alone and those of v2 in the west alone, before real API servers.

use std::time::Duration;

use serde_json::json;
use tidegate::rollout::Phase;

use crate::bed::{EAST, Fleet, WEST};
use crate::configured::Configured;
use crate::kubernetes::{self, Endpoint, eventually};
use crate::{FAST, SLOW, V1};

/// A cluster of the mesh, and what it is there.
pub fn cluster(name: &str, role: &str) -> String {
    format!("{{name: {name}, kubeconfig: ../kubeconfig, context: {name}, mesh: shop, role: {role}}}")
}

/// The Service in a cluster, with one ready pod of one version.
pub async fn serve(fleet: &Fleet, cluster: &str, version: &str) {
    let (client, namespace) = (&fleet.clients[cluster], &fleet.namespace);
    kubernetes::service(client, namespace, "web", 8080).await;
    let pod = format!("web-{version}");
    kubernetes::ready_pod(client, namespace, &pod, json!({"app": "web", "version": version}), "10.1.0.1").await;
    ready(fleet, cluster, version, true).await;
}

async fn ready(fleet: &Fleet, cluster: &str, version: &str, ready: bool) {
    let pod = format!("web-{version}");
    let endpoint = Endpoint { ready: Some(ready), ..Endpoint::of(&pod, "10.1.0.1") };
    kubernetes::endpoint_slice(&fleet.clients[cluster], &fleet.namespace, "web", "web", &[endpoint]).await;
}

/// Waits until the plan has settled in the east with this weight of v2.
pub async fn settled(fleet: &Fleet, v2: u64) {
    fleet.until_live(EAST, v2).await;
    let there = || async { fleet.phase(EAST).await == Some(Phase::Settled) };
    eventually("it has settled", Duration::from_secs(60), there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_a_remote_count_and_nothing_is_written_there() {
    let bed = Configured::open("remote", &[]).await;
    bed.write(&[cluster(EAST, "primary"), cluster(WEST, "remote")]);
    let (fleet, process) = (&bed.fleet, bed.start());
    serve(fleet, EAST, "v1").await;
    fleet.plan(V1);
    settled(fleet, 0).await;
    fleet.plan(FAST);
    fleet.until_reason("EndpointsNotReady", "waits for a ready endpoint of version v2 (0 ready)").await;
    serve(fleet, WEST, "v2").await;
    settled(fleet, 100).await;
    let told = |status: &serde_json::Value| {
        let of =
            |cluster: &serde_json::Value| (cluster["name"].clone(), cluster["mesh"].clone(), cluster["role"].clone());
        let clusters: Vec<_> = status["clusters"].as_array().into_iter().flatten().map(of).collect();
        clusters == [(EAST, "primary"), (WEST, "remote")].map(|(name, role)| (json!(name), json!("shop"), json!(role)))
    };
    bed.until_status("both clusters are told", told).await;

    // Once it is gone there, it is gone.
    fleet.plan(V1);
    settled(fleet, 0).await;
    fleet.plan(SLOW);
    fleet.until_live(EAST, 10).await;
    ready(fleet, WEST, "v2", false).await;
    fleet.until_live(EAST, 0).await;
    assert!(fleet.is_untouched(WEST));
    assert!(!process.log().contains("panicked"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn law_10_a_remote_that_does_not_answer_holds_raises_and_no_way_back() {
    let bed = Configured::of(Fleet::breaking(&[WEST], "away", &[]).await);
    bed.write(&[cluster(EAST, "primary"), cluster(WEST, "remote")]);
    let (fleet, _process) = (&bed.fleet, bed.start());
    serve(fleet, EAST, "v1").await;
    serve(fleet, WEST, "v2").await;
    fleet.plan(V1);
    settled(fleet, 0).await;
    fleet.plan(SLOW);
    fleet.until_live(EAST, 10).await;
    fleet.stop(WEST);
    fleet.plan(FAST);
    fleet.until_reason("MeshIncomplete", "nothing rises: cluster west of the mesh of east does not answer").await;
    fleet.stays(EAST, 10).await;
    fleet.plan(V1);
    fleet.until_live(EAST, 0).await;
    fleet.plan(FAST);
    fleet.until_reason("MeshIncomplete", "nothing rises: cluster west of the mesh of east does not answer").await;
    fleet.restart(WEST).await;
    settled(fleet, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_walks_over_two_primaries_and_one_that_becomes_a_remote_keeps_its_objects() {
    let bed = Configured::open("primaries", &[]).await;
    bed.write(&[cluster(EAST, "primary"), cluster(WEST, "primary")]);
    let (fleet, process) = (&bed.fleet, bed.start());
    serve(fleet, EAST, "v1").await;
    serve(fleet, WEST, "v2").await;
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    bed.write(&[cluster(EAST, "primary"), cluster(WEST, "remote")]);
    bed.until_status("west is a remote", |status| status["clusters"][1]["role"] == "remote").await;
    fleet.plan(V1);
    fleet.until_live(EAST, 0).await;
    fleet.stays(WEST, 100).await;
    bed.write(&[cluster(EAST, "primary"), cluster(WEST, "primary")]);
    fleet.until_settled(&[("v1", 100)]).await;
    assert!(!process.log().contains("panicked"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_the_mesh_config_keeps_in_their_cluster_get_nothing_that_is_not_there() {
    let bed = Configured::of(Fleet::breaking(&[EAST, WEST], "local", &[]).await);
    let (fleet, client) = (&bed.fleet, &bed.fleet.clients[EAST]);
    let hosts = format!("*.{}.svc.cluster.local", fleet.namespace);
    let mesh = format!("serviceSettings: [{{settings: {{clusterLocal: true}}, hosts: ['{hosts}']}}]");
    kubernetes::create(client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}))
        .await;
    let metadata = json!({"name": "istio", "namespace": "istio-system"});
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": mesh}});
    kubernetes::create(client, settings).await;
    bed.write(&[cluster(EAST, "primary"), cluster(WEST, "remote")]);
    serve(fleet, EAST, "v1").await;
    serve(fleet, WEST, "v2").await;
    let _process = bed.start();
    fleet.plan(V1);
    settled(fleet, 0).await;
    fleet.plan(FAST);
    let words = "nothing rises: the pods of version v2 are in other clusters than east, whose mesh config says";
    fleet.until_reason("MeshIncomplete", words).await;
    fleet.stays(EAST, 0).await;
    kubernetes::delete(client, "istio-system", "v1", "ConfigMap", "istio").await;
    settled(fleet, 100).await;
}
