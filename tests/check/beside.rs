//! Each rule that needs what is live: first a world in which the plan is good, then one thing in it that is not.

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::process::{Answer, run};
use crate::support::controlplane::ControlPlane;
use crate::support::kubernetes::{self, ready_pod};

/// A namespace with the Service `web`, a pod of each of two versions, and a Gateway elsewhere that has its host.
struct World {
    client: Client,
    namespace: String,
    edge: String,
    home: tempfile::TempDir,
}

impl World {
    async fn open() -> Self {
        let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap();
        let client = plane.client().await;
        kubernetes::node(&client).await;
        let namespace = kubernetes::namespace(&client, "check").await;
        let edge = kubernetes::namespace(&client, "check-edge").await;
        kubernetes::service(&client, &namespace, "web", 8080).await;
        for (number, version) in ["v1", "v2"].into_iter().enumerate() {
            let labels = json!({"app": "web", "version": version, "sidecar.istio.io/inject": "false"});
            ready_pod(&client, &namespace, version, labels, &format!("10.9.0.{}", number + 1)).await;
        }
        let world = Self { client, namespace, edge, home: tempfile::tempdir().unwrap() };
        world.gateway("gw", "www.example.com").await;
        world
    }

    async fn put(&self, api_version: &str, kind: &str, namespace: &str, name: &str, spec: Value) {
        let metadata = json!({"name": name, "namespace": namespace});
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec});
        kubernetes::create(&self.client, object).await;
    }

    async fn istio(&self, kind: &str, namespace: &str, name: &str, spec: Value) {
        self.put("networking.istio.io/v1", kind, namespace, name, spec).await;
    }

    async fn gateway(&self, name: &str, host: &str) {
        let port = json!({"number": 80, "name": "http", "protocol": "HTTP"});
        let selector = json!({"istio": format!("{}-{name}", self.edge)});
        let spec = json!({"selector": selector, "servers": [{"port": port, "hosts": [host]}]});
        self.istio("Gateway", &self.edge, name, spec).await;
    }

    async fn patch(&self, kind: &str, name: &str, patch: Value) {
        let namespace = if kind == "Namespace" { "" } else { self.namespace.as_str() };
        let api = kubernetes::api(&self.client, namespace, "v1", kind);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    fn plan(&self, gateways: &str) -> String {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: web, namespace: {}}}\nspec:\n  \
             service: web\n  hosts: [web, www.example.com]\n  gateways: [{gateways}]\n  versions:\n    \
             v1: {{labels: {{version: v1}}}}\n    v2: {{labels: {{version: v2}}}}\n  traffic: {{v1: 60, v2: 40}}\n",
            self.namespace
        )
    }

    /// `tidegate check --context … -o json` of this file.
    async fn check(&self, text: &str) -> (Answer, Vec<Value>) {
        let path = self.home.path().join("web.yaml");
        std::fs::write(&path, text).unwrap();
        let kubeconfig = ControlPlane::shared().kubeconfig().display().to_string();
        let path = path.display().to_string();
        let arguments = ["check", &path, "-o", "json", "--kubeconfig", &kubeconfig, "--context", "testbed"];
        let answer = run(self.home.path(), &arguments).await;
        let told: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
        assert_eq!(told["gaps"], Value::Null, "{answer:?}");
        let findings = told["findings"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
        (answer, findings)
    }

    fn good(&self) -> String {
        self.plan(&format!("mesh, {}/gw", self.edge))
    }

    /// Holds that the good plan has just this finding by now, at this line and column.
    async fn only(&self, code: &str, place: (u64, u64)) {
        self.only_of(&self.good(), code, place).await;
    }

    async fn only_of(&self, text: &str, code: &str, place: (u64, u64)) {
        let (answer, findings) = self.check(text).await;
        let told = |finding: &Value| {
            let number = |field: &str| finding["place"][field].as_u64().unwrap();
            (finding["code"].as_str().unwrap().to_owned(), (number("line"), number("column")))
        };
        let all: Vec<_> = findings.iter().map(told).collect();
        assert_eq!(all, [(code.to_owned(), place)], "{}", answer.stdout);
        assert!(!findings[0]["hints"][0].as_str().unwrap_or_default().is_empty(), "{}", answer.stdout);
        assert_eq!(answer.code, i32::from(findings[0]["severity"] == "error"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_plan_has_no_finding_and_nothing_is_written() {
    let world = World::open().await;
    let (answer, findings) = world.check(&world.good()).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "{answer:?}");
    for kind in ["VirtualService", "DestinationRule"] {
        let api = kubernetes::api(&world.client, &world.namespace, "networking.istio.io/v1", kind);
        assert!(api.list(&kube::api::ListParams::default()).await.unwrap().items.is_empty(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_are_missing_named_short_or_without_the_host() {
    let world = World::open().await;
    world.gateway("shop", "shop.example.com").await;
    let edge = &world.edge;
    let column = 14 + u64::try_from("mesh, ".len()).unwrap();
    world.only_of(&world.plan(&format!("mesh, {edge}/nowhere")), "IST0101", (7, column)).await;
    world.only_of(&world.plan("mesh, gw"), "TG18", (7, column)).await;
    world.only_of(&world.plan(&format!("mesh, {edge}/shop")), "IST0132", (7, column)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_without_a_name() {
    let world = World::open().await;
    world.patch("Service", "web", json!({"spec": {"ports": [{"port": 8080}]}})).await;
    world.only("IST0118", (5, 12)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_the_callers_take_instead() {
    let world = World::open().await;
    let subset = json!({"name": "v1", "labels": {"version": "v1"}});
    let host = format!("web.{}.svc.cluster.local", world.namespace);
    world.istio("DestinationRule", &world.edge, "theirs", json!({"host": host, "subsets": [subset]})).await;
    world.only("TG10", (11, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_route_of_the_host() {
    let world = World::open().await;
    let leg = json!([{"route": [{"destination": {"host": "web"}}]}]);
    world.istio("VirtualService", &world.namespace, "old", json!({"hosts": ["web"], "http": leg})).await;
    world.only("IST0109", (6, 11)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_leaves_a_version_out() {
    let world = World::open().await;
    world.patch("Service", "web", json!({"spec": {"selector": {"version": "v1"}}})).await;
    world.only("TG14", (11, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_without_pods() {
    let world = World::open().await;
    kubernetes::delete(&world.client, &world.namespace, "v1", "Pod", "v2").await;
    world.only("IST0173", (11, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_without_proxies() {
    let world = World::open().await;
    let label = |value: Value| json!({"metadata": {"labels": {"sidecar.istio.io/inject": value}}});
    world.patch("Pod", "v1", label(Value::Null)).await;
    world.only("IST0102", (5, 12)).await;
    let labels = json!({"metadata": {"labels": {"istio-injection": "enabled"}}});
    world.patch("Namespace", &world.namespace, labels).await;
    world.only("IST0103", (5, 12)).await;
}
