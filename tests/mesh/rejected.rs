//! A route that Istio accepts and Envoy refuses: the step fails, callers notice nothing, and what is asked for later
//! gets through.

use std::sync::Arc;

use serde_json::json;
use tidegate::rollout::{Journal, Phase};

use crate::bed::{Mesh, Place, SOON, listener_port, local, namespace};
use crate::process;
use crate::support::envoy::Role;
use crate::support::kubernetes::{self, eventually};
use crate::support::load::{Load, Target};
use crate::support::repository::Repository;
use crate::support::workloads;

const NAMESPACE: &str = "rejected";
const NAME: &str = "shop";
/// Istio takes it for one of Envoy's variables, and Envoy does not know it.
const HEADER: &str = "\n  http: {headers: {request: {set: {x-trace: \"%NOSUCH(1)%\"}}}}";
/// What Envoy says of it.
const WORDS: &str = "NOSUCH";

/// A gateway of its own sees the bad route, so that no other test's routes are frozen with it.
pub async fn a_route_that_envoy_refuses_fails_its_step(mesh: Arc<Mesh>) {
    let gateway = tokio::task::block_in_place(|| mesh.envoy(Role::Gateway("refusing")));
    let client = mesh.client().await;
    namespace(&client, NAMESPACE).await;
    let (port, gateway_port) = (listener_port(), listener_port());
    for name in [NAME, "neighbour"] {
        workloads::service(&client, NAMESPACE, name, port, &["v1", "v2"], None).await;
    }
    let server = json!({"port": {"number": gateway_port, "name": "http", "protocol": "HTTP"}, "bind": "127.0.0.1",
        "hosts": ["*"]});
    kubernetes::create(
        &client,
        json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {"name": "gateway", "namespace": NAMESPACE},
            "spec": {"selector": {"istio": "refusing"}, "servers": [server]}}),
    )
    .await;
    let repository = Repository::empty();
    let plan = |name: &str, more: &str| {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\n\
             spec:\n  service: {name}\n  port: {port}\n  hosts: [{name}, {name}.example.com]\n  gateways: [gateway]\n  \
             versions:\n    v1: {{labels: {{version: v1}}}}\n    v2: {{labels: {{version: v2}}}}{more}\n"
        );
        (format!("plans/{name}.yaml"), text)
    };
    let (start, walk) =
        ("\n  traffic: {v1: 100}", "\n  traffic: {v2: 100}\n  steps: [{weight: 10, hold: 1s}, {weight: 50, hold: 1s}]");
    let settled = async |name: &str, commit: &str| {
        let at = Place { namespace: NAMESPACE, route: name, rule: name, versions: vec!["v1".into(), "v2".into()] };
        mesh.settled(&client, &at, commit, &[&gateway]).await;
    };
    let _process = mesh.follow(&repository, NAMESPACE, &["--istiod", &mesh.istiod.url(), "--read-only"]);
    let id = repository.commit("Begin", &[plan(NAME, start), plan("neighbour", start)]);
    settled(NAME, &id).await;
    settled("neighbour", &id).await;
    let load = Load::start(&[Target::new(local(gateway_port), "shop.example.com", "/")], 165, 4);

    repository.commit("Walk, with a header that Envoy cannot make", &[plan(NAME, &format!("{walk}{HEADER}"))]);
    eventually("the step fails", SOON, || async {
        let route = kubernetes::virtual_service(&client, NAMESPACE, NAME).await.unwrap();
        matches!(Journal::on(&route), Some(Ok(Journal { phase: Phase::WentBack { .. }, .. })))
    })
    .await;
    let (plan_name, kubeconfig) = (format!("{NAMESPACE}/{NAME}"), mesh.plane.kubeconfig().display().to_string());
    let on = ["--kubeconfig", &kubeconfig, "--context", "testbed"];
    let why = process::run(repository.home(), &[&["why", &plan_name][..], &on].concat()).await;
    assert!(why.stdout.contains(WORDS) && why.stdout.contains("other routing is tried"), "{why:?}");
    let tally = load.tally();
    assert_eq!((tally.failures(), tally.of("v2")), (0, 0), "{tally:?}");

    let id = repository.commit("Of another service", &[plan("neighbour", "\n  traffic: {v1: 50, v2: 50}")]);
    settled("neighbour", &id).await;
    // What was refused is mended: nobody has to ask for it twice.
    let id = repository.commit("Walk, without the header", &[plan(NAME, walk)]);
    settled(NAME, &id).await;
    let tally = load.stop().await;
    assert_eq!(tally.failures(), 0, "{tally:?}");
    assert!(tally.of("v2") > 0, "{tally:?}");
}
