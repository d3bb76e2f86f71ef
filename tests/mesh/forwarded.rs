//! Istiod and gateways in pods, found by their labels and reached by port-forward through the real API server: a gateway
//! that is cut off from istiod holds the walk, and nothing is asked where nothing is waited for.
//!
//! The node behind the API server is the test's own, with the kubelet's code for port-forwards.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};

use crate::bed::{GATEWAY, Mesh, Place, SOON, listener_port, namespace, subset_weight};
use crate::process::{self, Process};
use crate::support::controlplane::free_port;
use crate::support::envoy::Role;
use crate::support::istiod;
use crate::support::kubernetes::{self, eventually};
use crate::support::node::Node;
use crate::support::relay::Relay;
use crate::support::repository::Repository;
use crate::support::workloads;

const NAME: &str = "shop";
/// So long that a walk which relied on it would not end within the test.
const NEVER: [&str; 2] = ["--convergence-wait", "1h"];
const AUTO: [&str; 4] = ["--istiod", "auto", "--gateway-admin", "auto"];

/// A plan of a Service in a namespace of its own.
struct Shop<'m> {
    mesh: &'m Mesh,
    client: Client,
    namespace: &'static str,
    gateways: &'static str,
    port: u16,
    repository: Repository,
}

impl<'m> Shop<'m> {
    async fn open(mesh: &'m Mesh, name: &'static str, gateways: &'static str) -> Self {
        let client = mesh.client().await;
        namespace(&client, name).await;
        let port = listener_port();
        workloads::service(&client, name, NAME, port, &["v1", "v2"], None).await;
        Self { mesh, client, namespace: name, gateways, port, repository: Repository::empty() }
    }

    fn commit(&self, traffic: &str) -> String {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {NAME}, namespace: {}}}\nspec:\n  \
             service: {NAME}\n  port: {}\n  hosts: [{NAME}, {NAME}.{}.example.com]\n  gateways: {}\n  versions:\n    \
             v1: {{labels: {{version: v1}}}}\n    v2: {{labels: {{version: v2}}}}\n  traffic: {traffic}\n",
            self.namespace, self.port, self.namespace, self.gateways
        );
        self.repository.commit(traffic, &[("plans/shop.yaml", text)])
    }

    fn place(&self) -> Place<'static> {
        let versions = vec!["v1".into(), "v2".into()];
        Place { namespace: self.namespace, route: NAME, rule: NAME, versions }
    }

    /// The weight of v2 that stands in the cluster.
    async fn weight(&self) -> u64 {
        let route = kubernetes::virtual_service(&self.client, self.namespace, NAME).await;
        let legs = route.map(|route| route["spec"]["http"][0]["route"].clone()).unwrap_or_default();
        let v2 = legs.as_array().into_iter().flatten().find(|leg| leg["destination"]["subset"] == "v2").cloned();
        v2.map_or(0, |leg| leg["weight"].as_u64().unwrap_or(100))
    }

    /// A running tidegate, and where it is asked.
    fn follow(&self, flags: &[&str]) -> (Process, String) {
        self.follow_as(&self.mesh.plane.kubeconfig(), flags)
    }

    fn follow_as(&self, kubeconfig: &Path, flags: &[&str]) -> (Process, String) {
        let address = format!("127.0.0.1:{}", free_port());
        let listen = ["--read-only", "--listen", &address];
        (self.mesh.follow_as(kubeconfig, &self.repository, self.namespace, &[flags, &listen].concat()), address)
    }

    /// Why the plan is where it is, as the running tidegate says.
    async fn why(&self, address: &str) -> String {
        let server = format!("http://{address}");
        let plan = format!("{}/{NAME}", self.namespace);
        process::run(self.repository.home(), &["why", &plan, "--server", &server]).await.stdout
    }

    /// How the cluster stands, as the running tidegate says.
    async fn cluster(&self, address: &str) -> Value {
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        let (_, status) = tokio::task::block_in_place(|| istiod::get(port, "/status")).unwrap();
        serde_json::from_str::<Value>(&status).unwrap()["clusters"][0].clone()
    }
}

fn gateway(namespace: &str, selector: &str) -> Value {
    let port = json!({"number": listener_port(), "name": "http", "protocol": "HTTP"});
    json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": namespace},
        "spec": {"selector": {"istio": selector}, "servers": [{"port": port, "bind": "127.0.0.1", "hosts": ["*"]}]}})
}

/// What istiod says of those proxies that it has is not enough: a gateway that has lost it serves on as before.
pub async fn law_08_a_step_is_held_until_its_gateway_shows_it(mesh: Arc<Mesh>) {
    let shop = Shop::open(&mesh, "shown", "[mesh, edge]").await;
    let client = &shop.client;
    kubernetes::create(client, gateway("shown", "shown")).await;
    let relay = Relay::to(mesh.istiod.grpc_port()).await;
    let (node, edge) =
        tokio::task::block_in_place(|| (Node::start(), mesh.envoy_at(Role::Gateway("shown"), relay.port())));
    node.join(client).await;
    let ports = [(15014, mesh.istiod.monitoring_port())];
    node.pod(client, istiod::NAMESPACE, "istiod-1", json!({"app": "istiod", "istio.io/rev": "default"}), &ports).await;
    node.pod(client, istiod::NAMESPACE, "shown", json!({"istio": "shown"}), &[(15000, edge.admin_port())]).await;

    let (process, address) = shop.follow(&[&AUTO[..], &NEVER].concat());
    let id = shop.commit("{v1: 100}");
    mesh.settled(client, &shop.place(), &id, &[&edge, &mesh.caller]).await;
    let cluster = shop.cluster(&address).await;
    assert_eq!(cluster["istiods"], json!(["istiod istiod-1.istio-system of revision default"]), "{cluster}");
    assert_eq!((&cluster["gatewaysAsked"], &cluster["istiodsMissing"]), (&json!(true), &Value::Null), "{cluster}");
    let id = shop.commit("{v1: 50, v2: 50}\n  steps: [{weight: 10, hold: 1s}]");
    mesh.settled(client, &shop.place(), &id, &[&edge, &mesh.caller]).await;
    drop(process);

    // Another process knows nothing of the gateway but that it is there.
    relay.cut();
    let (_process, address) = shop.follow(&[&AUTO[..], &NEVER].concat());
    let id = shop.commit("{v2: 100}\n  steps: [{weight: 75, hold: 1s}]");
    eventually("the step is written and the caller's proxy has it", SOON, || async {
        tokio::task::block_in_place(|| subset_weight(&mesh.caller, "shown", NAME, "v2")) == Some(75)
    })
    .await;
    eventually("the gateway is named with its weights", SOON, || async {
        shop.why(&address).await.contains("gateway shown.istio-system has v1 50, v2 50 in route")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(shop.weight().await, 75, "nothing goes on");
    assert_eq!(subset_weight_of(&edge), Some(50), "it serves on as before");
    relay.mend();
    mesh.settled(client, &shop.place(), &id, &[&edge, &mesh.caller]).await;
}

fn subset_weight_of(edge: &crate::support::envoy::Envoy) -> Option<u64> {
    tokio::task::block_in_place(|| subset_weight(edge, "shown", NAME, "v2"))
}

/// A right that is missing is not taken for a mesh without istiod.
pub async fn a_missing_right_holds_and_is_named_and_no_istiod_at_all_is_waited_out(mesh: Arc<Mesh>) {
    let shop = Shop::open(&mesh, "rights", "[mesh]").await;
    let client = &shop.client;
    let node = tokio::task::block_in_place(Node::start);
    node.join(client).await;
    let istiod = [(15014, mesh.istiod.monitoring_port())];
    node.pod(client, istiod::NAMESPACE, "istiod-2", json!({"istiod": "second"}), &istiod).await;

    // Nobody of that label is anywhere.
    let none = ["--istiod", "auto", "--istiod-labels", "istiod=none", "--convergence-wait", "500ms"];
    let (process, address) = shop.follow(&none);
    let id = shop.commit("{v1: 100}");
    mesh.settled(client, &shop.place(), &id, &[&mesh.caller]).await;
    let id = shop.commit("{v1: 50, v2: 50}\n  steps: [{weight: 10, hold: 1s}]");
    mesh.settled(client, &shop.place(), &id, &[&mesh.caller]).await;
    let cluster = shop.cluster(&address).await;
    assert_eq!(cluster["istiods"], json!([]), "{cluster}");
    let missing = cluster["istiodsMissing"].as_str().unwrap();
    assert_eq!(missing, "there are no pods labelled istiod=none in namespace istio-system");
    drop(process);

    let but = json!({"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list", "watch"]});
    let istio = json!({"apiGroups": ["networking.istio.io"], "resources": ["*"], "verbs": ["*"]});
    let slices = json!({"apiGroups": ["discovery.k8s.io"], "resources": ["*"], "verbs": ["list", "watch"]});
    let named = json!({"name": "without-forwards"});
    kubernetes::create(client, role("ClusterRole", named.clone(), json!([but, istio, slices]))).await;
    kubernetes::create(client, binding("ClusterRole", named)).await;
    let kubeconfig = shop.repository.home().join("limited");
    let text = mesh.plane.kubeconfig_text().replace("user: {token:", "user: {as: limited, token:");
    std::fs::write(&kubeconfig, text).unwrap();
    let second = ["--istiod", "auto", "--istiod-labels", "istiod=second"];
    let (process, address) = shop.follow_as(&kubeconfig, &[&second[..], &NEVER].concat());
    let id = shop.commit("{v2: 100}\n  steps: [{weight: 75, hold: 1s}]");
    eventually("the right is named", SOON, || async {
        let why = shop.why(&address).await;
        why.contains("istiod-2.istio-system")
            && why.contains("`get` and `create` on pods/portforward in namespace istio-system")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(shop.weight().await, 75, "nothing goes on");
    drop(process);

    // A pod that does not listen is no missing istiod either.
    node.pod(client, istiod::NAMESPACE, "istiod-3", json!({"istiod": "third"}), &[]).await;
    let third = ["--istiod", "auto", "--istiod-labels", "istiod=third"];
    let (process, address) = shop.follow(&[&third[..], &NEVER].concat());
    eventually("the node's words are told", SOON, || async {
        shop.why(&address).await.contains("nothing listens on port 15014 of pod istio-system/istiod-3")
    })
    .await;
    drop(process);

    // Once it is granted, the walk goes on.
    let (_process, _) = shop.follow_as(&kubeconfig, &[&second[..], &NEVER].concat());
    let rule = json!({"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]});
    kubernetes::create(
        client,
        role("Role", json!({"name": "forwards", "namespace": istiod::NAMESPACE}), json!([rule])),
    )
    .await;
    kubernetes::create(client, binding("Role", json!({"name": "forwards", "namespace": istiod::NAMESPACE}))).await;
    mesh.settled(client, &shop.place(), &id, &[&mesh.caller]).await;
}

fn role(kind: &str, metadata: Value, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules})
}

/// Binds the role of the same name to the user of this test.
fn binding(kind: &str, metadata: Value) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({"apiVersion": format!("{group}/v1"), "kind": format!("{kind}Binding"),
        "roleRef": {"apiGroup": group, "kind": kind, "name": metadata["name"]}, "metadata": metadata,
        "subjects": [{"kind": "User", "name": "limited", "apiGroup": group}]})
}

/// At rest neither istiod nor gateways are asked anything, and istiod's connection ends. Of the two proxies that are asked as
/// gateways one has nothing to do with the plan.
pub async fn nothing_is_asked_at_rest(mesh: Arc<Mesh>) {
    let shop = Shop::open(&mesh, "resting", "[edge]").await;
    kubernetes::create(&shop.client, gateway("resting", GATEWAY)).await;
    let node = tokio::task::block_in_place(Node::start);
    node.join(&shop.client).await;
    let (relay, edge) = (Relay::to(mesh.istiod.monitoring_port()).await, Relay::to(mesh.gateway.admin_port()).await);
    let ports = [(15014, relay.port())];
    node.pod(&shop.client, istiod::NAMESPACE, "istiod-4", json!({"istiod": "resting"}), &ports).await;
    let at = |port: u16| format!("http://127.0.0.1:{port}");
    let admins = [at(edge.port()), at(mesh.caller.admin_port())].join(",");
    let flags = ["--istiod", "auto", "--istiod-labels", "istiod=resting", "--gateway-admin", &admins];
    let (_process, _) = shop.follow(&[&flags[..], &NEVER].concat());
    let id = shop.commit("{v1: 100}");
    mesh.settled(&shop.client, &shop.place(), &id, &[&mesh.gateway]).await;
    assert!(relay.bytes() > 0 && edge.bytes() > 0, "both were asked");
    eventually("the connection ends", SOON, || async { relay.connections() == 0 }).await;
    let before = (relay.bytes(), edge.bytes());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((relay.bytes(), edge.bytes()), before);
    let id = shop.commit("{v1: 50, v2: 50}");
    mesh.settled(&shop.client, &shop.place(), &id, &[&mesh.gateway]).await;
    assert!(relay.bytes() > before.0 && edge.bytes() > before.1, "they are asked again");
}
