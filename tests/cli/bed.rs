//! A sandbox with services in three versions, a plan repository, and the arguments that name them.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::rollout::{Journal, Phase};
use tidegate::sandbox::{Options, Server, Store};

use crate::process::{Answer, Process, run};
use crate::repository::Repository;

pub const SOON: Duration = Duration::from_secs(30);

pub struct Bed {
    pub server: Server,
    pub repository: Repository,
}

impl Bed {
    /// A sandbox with the services `web` and `api` in the namespace `shop`.
    pub async fn open() -> Self {
        let bed = Self::with(Options::default()).await;
        for (number, service) in ["web", "api"].into_iter().enumerate() {
            serve(bed.store(), service, number);
        }
        bed
    }

    /// A sandbox without anything in it.
    pub async fn with(options: Options) -> Self {
        let bed = Self { server: Server::start(options).await.unwrap(), repository: Repository::empty() };
        std::fs::write(bed.kubeconfig(), bed.server.kubeconfig()).unwrap();
        bed
    }

    pub fn store(&self) -> &Store {
        self.server.store()
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.repository.home().join("kubeconfig")
    }

    /// These arguments and those that name the cluster.
    pub fn on_cluster(&self, arguments: &[&str]) -> Vec<String> {
        let kubeconfig = self.kubeconfig().display().to_string();
        arguments.iter().map(|word| (*word).to_owned()).chain(["--kubeconfig".to_owned(), kubeconfig]).collect()
    }

    /// The arguments of `tidegate run` on this bed, and more.
    pub fn run_arguments(&self, more: &[&str]) -> Vec<String> {
        let mut arguments = self.on_cluster(&["run", "--convergence-wait", "100ms", "--repo"]);
        arguments.insert(4, self.repository.location());
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        arguments
    }

    /// Runs a command on the cluster to its end.
    pub async fn ask(&self, arguments: &[&str]) -> Answer {
        run(self.repository.home(), &self.on_cluster(arguments)).await
    }

    /// `tidegate run --once`.
    pub async fn once(&self) -> Answer {
        run(self.repository.home(), &self.run_arguments(&["--once"])).await
    }

    /// Starts `tidegate run`.
    pub fn start(&self) -> Process {
        Process::start(self.repository.home(), &self.run_arguments(&[]))
    }

    /// Commits the plan of a service; `spec` is what stands beside service and versions.
    pub fn plan(&self, service: &str, spec: &str) -> String {
        self.plan_at(&format!("plans/{service}.yaml"), service, spec)
    }

    /// The same in another file.
    pub fn plan_at(&self, path: &str, service: &str, spec: &str) -> String {
        self.repository.commit(spec, &[(path, plan(service, spec))])
    }

    pub fn live(&self, service: &str) -> Option<Value> {
        self.store().get("virtualservices", "shop", service)
    }

    /// The live weights as `v1=90 v2=10`; empty where nothing is live.
    pub fn weights(&self, service: &str) -> String {
        let live = self.live(service).unwrap_or_default();
        let legs = live.pointer("/spec/http/0/route").and_then(Value::as_array).cloned().unwrap_or_default();
        let weight = |leg: &Value| leg["weight"].as_u64().unwrap_or(100);
        let leg = |leg: &Value| {
            let to = leg["destination"]["subset"].as_str().or(leg["destination"]["host"].as_str());
            format!("{}={}", to.unwrap_or_default(), weight(leg))
        };
        legs.iter().map(leg).collect::<Vec<_>>().join(" ")
    }

    pub fn journal(&self, service: &str) -> Option<Journal> {
        Journal::on(&self.live(service)?).and_then(Result::ok)
    }

    /// Waits until these weights are converged.
    pub async fn until_held(&self, service: &str, wanted: &str) {
        let converged = || self.journal(service).is_some_and(|journal| journal.converged.is_some());
        eventually(&format!("{service} held at {wanted}"), || self.weights(service) == wanted && converged()).await;
    }

    pub async fn until_weights(&self, service: &str, wanted: &str) {
        eventually(&format!("{service} at {wanted}"), || self.weights(service) == wanted).await;
    }

    pub async fn until_settled(&self, service: &str, wanted: &str) {
        let settled = || {
            self.weights(service) == wanted
                && self.journal(service).is_some_and(|journal| journal.phase == Phase::Settled)
        };
        eventually(&format!("{service} settled at {wanted}"), settled).await;
    }
}

/// A Service with a ready pod of each of three versions.
pub fn serve(store: &Store, service: &str, number: usize) {
    let meta = |name: &str, labels: Value| json!({"name": name, "namespace": "shop", "labels": labels});
    let mut endpoints = Vec::new();
    for version in 1..=3 {
        let pod = format!("{service}-v{version}");
        let labels = json!({"app": service, "version": format!("v{version}")});
        let containers = ["main", "istio-proxy"].map(|name| json!({"name": name, "image": "none"}));
        let spec = json!({"containers": containers});
        store.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta(&pod, labels), "spec": spec})).unwrap();
        let target = json!({"kind": "Pod", "name": pod, "namespace": "shop"});
        let ip = format!("10.0.{number}.{version}");
        endpoints.push(json!({"addresses": [ip], "conditions": {"ready": true}, "targetRef": target}));
    }
    let spec = json!({"selector": {"app": service}, "ports": [{"name": "http", "port": 8080}]});
    store
        .put(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(service, json!({})), "spec": spec}))
        .unwrap();
    store
        .put(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": meta(service, json!({"kubernetes.io/service-name": service})), "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}))
        .unwrap();
}

/// A plan of three versions in the namespace `shop`.
pub fn plan(service: &str, spec: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {service}, namespace: shop}}\nspec:\n  \
         service: {service}\n  versions: {{v1: {{labels: {{version: v1}}}}, v2: {{labels: {{version: v2}}}}, v3: \
         {{labels: {{version: v3}}}}}}\n  {spec}\n"
    )
}

/// Waits until a condition holds; panics with `what` when the deadline passes.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !holds() {
        assert!(std::time::Instant::now() < end, "{what}: not so after {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
