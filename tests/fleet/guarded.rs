//! A guard in a cluster of a mesh whose versions are split over it: the journal tells it what it cannot see.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::SLOW;
use crate::bed::{EAST, WEST};
use crate::configured::Configured;
use crate::kubernetes::api;
use crate::meshes::{cluster, serve, settled};
use crate::process::Process;

/// Longer than a version with traffic may be without endpoints.
const LONG: Duration = Duration::from_secs(13);

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_does_not_take_what_is_in_another_cluster_of_the_mesh_for_gone() {
    let bed = Configured::open("guarded", &[]).await;
    bed.write(&[cluster(EAST, "primary"), cluster(WEST, "remote")]);
    let fleet = &bed.fleet;
    let mut hub = bed.start();
    serve(fleet, EAST, "v1").await;
    serve(fleet, WEST, "v2").await;
    fleet.plan(crate::V1);
    settled(fleet, 0).await;
    fleet.plan(SLOW);
    fleet.until_live(EAST, 10).await;
    hub.kill().await;
    let home = fleet.repository.home().join("guard");
    std::fs::create_dir_all(&home).unwrap();
    let kubeconfig = fleet.kubeconfig().display().to_string();
    let guard = ["run", "--guard", "--kubeconfig", &kubeconfig, "--context", EAST, "--convergence-wait", "300ms"];
    let _guard = Process::start(&home, &guard);
    tokio::time::sleep(LONG).await;
    assert_eq!(fleet.walk(EAST), [0_u64, 10]);
    let routes = api(&fleet.clients[EAST], &fleet.namespace, "networking.istio.io/v1", "VirtualService");
    let stop = Patch::Merge(json!({"metadata": {"annotations": {"tidegate.dev/stop": "Ann: errors"}}}));
    routes.patch("web", &PatchParams::default(), &stop).await.unwrap();
    fleet.until_live(EAST, 0).await;
}
