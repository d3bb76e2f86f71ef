//! What the drills would see if subsets went before the proxies have left them: proof that they can see it.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::bed::{Mesh, SOON, listener_port, local, namespace, routes_as};
use crate::support::kubernetes::{self, eventually};
use crate::support::load::{Load, Target};
use crate::support::workloads;

const NAMESPACE: &str = "gap";
const NAME: &str = "shop";
/// How much later than the subset its route goes.
const GAP: Duration = Duration::from_millis(300);
/// istiod gathers changes for a while: on a busy machine one push may bring both.
const TRIES_MAX: usize = 5;

/// Without tidegate: the subset goes first, and 300 ms later the route leaves it.
pub async fn a_subset_removed_too_soon_fails_requests(mesh: Arc<Mesh>) {
    let client = mesh.client().await;
    namespace(&client, NAMESPACE).await;
    let port = listener_port();
    workloads::service(&client, NAMESPACE, NAME, port, &["v1", "v2"], None).await;
    let host = format!("{NAME}.{NAMESPACE}.svc.cluster.local");
    let api = |kind: &str| kubernetes::api(&client, NAMESPACE, "networking.istio.io/v1", kind);
    let (routes, rules) = (api("VirtualService"), api("DestinationRule"));
    let put = async |kind: &str, spec: Value| {
        let metadata = json!({"name": NAME, "namespace": NAMESPACE});
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec});
        let api = if kind == "VirtualService" { &routes } else { &rules };
        let put = api.patch(NAME, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.unwrap();
        serde_json::to_value(put).unwrap()
    };
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    let leg = |name: &str, weight: u32| json!({"destination": {"host": host, "subset": name}, "weight": weight});
    let leads = async |legs: Value| {
        let http = json!([{"name": "all", "route": legs}]);
        let route = put("VirtualService", json!({"hosts": [host], "http": http})).await;
        eventually("the proxy has it", SOON, || async { routes_as(&mesh.caller, &route) }).await;
    };
    for _ in 0..TRIES_MAX {
        put("DestinationRule", json!({"host": host, "subsets": [subset("v1"), subset("v2")]})).await;
        leads(json!([leg("v1", 50), leg("v2", 50)])).await;
        let load = Load::start(&[Target::new(local(port), &format!("{host}:{port}"), "/")], 165, 4);
        put("DestinationRule", json!({"host": host, "subsets": [subset("v1")]})).await;
        tokio::time::sleep(GAP).await;
        leads(json!([leg("v1", 100)])).await;
        let tally = load.stop().await;
        println!("a subset removed {GAP:?} too soon: {} of {} requests failed", tally.failures(), tally.requests());
        if tally.status(503) > 0 {
            return;
        }
    }
    panic!("no request failed in {TRIES_MAX} tries: the drills would not see a failure");
}
