//! Two or three API servers, a namespace of the same name in each, a plan repository, and an independent watch of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};
use tidegate::rollout::{Journal, Phase};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::certificates::Certificates;
use crate::controlplane::ControlPlane;
use crate::kubernetes::{self, Endpoint, Recorder, eventually};
use crate::process::{self, Process};
use crate::repository::Repository;

pub const EAST: &str = "east";
pub const WEST: &str = "west";
pub const SOUTH: &str = "south";
const SOON: Duration = Duration::from_secs(60);
/// How long something is looked at that is not to move.
const STILL: Duration = Duration::from_secs(3);

/// The control planes of this test process, each started at first use.
pub fn plane(name: &str) -> &'static ControlPlane {
    static PLANES: [OnceLock<ControlPlane>; 3] = [const { OnceLock::new() }; 3];
    match name {
        EAST => PLANES[0].get_or_init(ControlPlane::start),
        WEST => PLANES[1].get_or_init(ControlPlane::start),
        _ => PLANES[2].get_or_init(|| {
            let authority = format!("--client-ca-file={}", authority().file("ca.pem").display());
            ControlPlane::start_with(&[], &[&authority])
        }),
    }
}

/// Who signs the client certificates that the third API server takes.
pub fn authority() -> &'static Certificates {
    static AUTHORITY: OnceLock<Certificates> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let name = format!("authority-{}", std::process::id());
        Certificates::make(&crate::controlplane::testbed_dir(), &name)
    })
}

/// How tests share the control planes: whoever breaks one has it alone.
static IN_USE: [RwLock<()>; 3] = [const { RwLock::const_new(()) }; 3];

enum Hold {
    Shared(#[allow(dead_code, reason = "held until it is dropped")] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "held until it is dropped")] RwLockWriteGuard<'static, ()>),
}

/// Holds these control planes, always in the same order.
async fn hold(clusters: &[&str], broken: &[&str]) -> Vec<Hold> {
    let mut holds = Vec::new();
    for (name, lock) in [EAST, WEST, SOUTH].into_iter().zip(&IN_USE) {
        if broken.contains(&name) {
            holds.push(Hold::Alone(lock.write().await));
        } else if clusters.contains(&name) {
            holds.push(Hold::Shared(lock.read().await));
        }
    }
    holds
}

pub struct Fleet {
    pub repository: Repository,
    pub namespace: String,
    pub clients: BTreeMap<&'static str, Client>,
    recorders: BTreeMap<&'static str, Recorder>,
    _holds: Vec<Hold>,
}

impl Fleet {
    /// A namespace in both clusters; in those that serve, the Service `web` has ready pods.
    pub async fn open(prefix: &str, serving: &[&'static str]) -> Self {
        Self::breaking(&[], prefix, serving).await
    }

    /// The same, where no other test has the broken ones meanwhile.
    pub async fn breaking(broken: &[&str], prefix: &str, serving: &[&'static str]) -> Self {
        Self::over(&[EAST, WEST], broken, prefix, serving).await
    }

    /// The same in these clusters.
    pub async fn over(clusters: &[&'static str], broken: &[&str], prefix: &str, serving: &[&'static str]) -> Self {
        let holds = hold(clusters, broken).await;
        let mut clients = BTreeMap::new();
        for name in clusters.iter().copied() {
            // A start blocks for seconds.
            let plane = tokio::task::spawn_blocking(move || plane(name)).await.unwrap();
            clients.insert(name, plane.client().await);
        }
        let namespace = kubernetes::namespace(&clients[EAST], prefix).await;
        for (_, client) in clients.iter().filter(|(name, _)| **name != EAST) {
            let there = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            kubernetes::create(client, there).await;
        }
        let mut recorders = BTreeMap::new();
        for (name, client) in &clients {
            recorders.insert(*name, Recorder::start(client, &namespace).await);
        }
        let fleet = Self { repository: Repository::empty(), namespace, clients, recorders, _holds: holds };
        for cluster in serving {
            fleet.serve(cluster).await;
        }
        fleet
    }

    /// Makes the Service and its ready pods in a cluster.
    pub async fn serve(&self, cluster: &str) {
        kubernetes::ready_services(&self.clients[cluster], &self.namespace, &["web"]).await;
    }

    /// The kubeconfig of one cluster alone, as text.
    pub fn kubeconfig_of(&self, cluster: &str) -> String {
        plane(cluster).kubeconfig_text()
    }

    /// Gives the clusters the definition of CanaryPlan.
    pub async fn define(&self) {
        let definition = include_str!("../../deploy/base/crd.yaml");
        for client in self.clients.values() {
            kubernetes::create(client, serde_yaml::from_str(definition).unwrap()).await;
            let served = || async { self.resources_of(client).await.is_some() };
            eventually("the definition is served", SOON, served).await;
        }
    }

    async fn resources_of(&self, client: &Client) -> Option<usize> {
        let api = kubernetes::api(client, &self.namespace, "tidegate.dev/v1alpha1", "CanaryPlan");
        Some(api.list(&Default::default()).await.ok()?.items.len())
    }

    /// Waits until there are so many CanaryPlan resources in a cluster.
    pub async fn until_resources(&self, cluster: &str, count: usize) {
        let there = || async { self.resources_of(&self.clients[cluster]).await == Some(count) };
        eventually(&format!("{count} resources in {cluster}"), SOON, there).await;
    }

    /// Whether nothing was ever made, changed or deleted in a cluster.
    pub fn is_untouched(&self, cluster: &str) -> bool {
        self.recorders[cluster].events().is_empty()
    }

    /// The phase in a cluster.
    pub async fn phase(&self, cluster: &str) -> Option<Phase> {
        Some(Journal::on(&self.live(cluster).await?)?.ok()?.phase)
    }

    /// A file in the repository's home with all clusters, each a context of its name.
    pub fn kubeconfig(&self) -> PathBuf {
        let mut merged = json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []});
        for name in self.clients.keys() {
            let one: Value = serde_yaml::from_str(&plane(name).kubeconfig_text()).unwrap();
            let context = json!({"name": name, "context": {"cluster": name, "user": name}});
            merged["clusters"]
                .as_array_mut()
                .unwrap()
                .push(json!({"name": name, "cluster": one["clusters"][0]["cluster"]}));
            merged["users"].as_array_mut().unwrap().push(json!({"name": name, "user": one["users"][0]["user"]}));
            merged["contexts"].as_array_mut().unwrap().push(context);
        }
        let path = self.repository.home().join("kubeconfig");
        std::fs::write(&path, merged.to_string()).unwrap();
        path
    }

    /// Starts the binary on these clusters.
    pub fn start(&self, clusters: &[&str]) -> Process {
        self.start_with(clusters, &[])
    }

    /// The same with more flags.
    pub fn start_with(&self, clusters: &[&str], flags: &[&str]) -> Process {
        let (location, kubeconfig) = (self.repository.location(), self.kubeconfig().display().to_string());
        let contexts = clusters.join(",");
        let mut arguments = vec![
            "run",
            "--repo",
            &location,
            "--repo-name",
            &self.namespace,
            "--kubeconfig",
            &kubeconfig,
            "--context",
            &contexts,
            "--convergence-wait",
            "300ms",
            "--listen",
            "127.0.0.1:0",
        ];
        arguments.extend(flags);
        Process::start(self.repository.home(), &arguments)
    }

    /// No pod of v2 is ready there any more.
    pub async fn fail(&self, cluster: &str) {
        let ips = ["10.1.0.1", "10.1.0.2", "10.1.0.3"];
        let pods = ["web-v1", "web-v2", "web-v3"];
        let endpoints = pods.iter().zip(ips).map(|(pod, ip)| {
            let endpoint = Endpoint::of(pod, ip);
            Endpoint { ready: Some(*pod != "web-v2"), ..endpoint }
        });
        let endpoints: Vec<_> = endpoints.collect();
        kubernetes::endpoint_slice(&self.clients[cluster], &self.namespace, "web", "web", &endpoints).await;
    }

    /// What a command with these arguments says that is refused as they are.
    pub async fn refused(&self, arguments: &[&str]) -> String {
        let (location, kubeconfig) = (self.repository.location(), self.kubeconfig().display().to_string());
        let mut all = vec!["run", "--repo", &location, "--kubeconfig", &kubeconfig];
        all.extend(arguments);
        let answer = process::run(self.repository.home(), &all).await;
        assert_eq!(answer.code, 2, "{}", answer.stderr);
        answer.stderr
    }

    pub fn plan(&self, spec: &str) {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: web, namespace: {}}}\nspec:\n  \
             service: web\n  from: {{v1: 100}}\n  versions: {{v1: {{labels: {{version: v1}}}}, v2: {{labels: {{version: \
             v2}}}}}}\n{spec}\n",
            self.namespace
        );
        self.repository.commit(spec, &[("plans/web.yaml", text)]);
    }

    /// Kills the API server of a cluster.
    pub fn stop(&self, cluster: &str) {
        plane(cluster).stop_apiserver();
    }

    /// Starts it again.
    pub async fn restart(&self, cluster: &'static str) {
        tokio::task::spawn_blocking(move || plane(cluster).restart_apiserver()).await.unwrap();
    }

    /// The VirtualService as it is: a watch ends with its API server.
    async fn live(&self, cluster: &str) -> Option<Value> {
        kubernetes::virtual_service(&self.clients[cluster], &self.namespace, "web").await
    }

    async fn v2(&self, cluster: &str) -> Option<u64> {
        let weights = kubernetes::weights(&self.live(cluster).await?);
        Some(weights.iter().find(|(version, _)| version == "v2").map_or(0, |(_, weight)| *weight))
    }

    /// The weights that v2 had in a cluster, in order.
    pub fn walk(&self, cluster: &str) -> Vec<u64> {
        let v2 = |weights: &Vec<(String, u64)>| {
            weights.iter().find(|(version, _)| version == "v2").map_or(0, |(_, weight)| *weight)
        };
        self.recorders[cluster].walk("web").iter().map(v2).collect()
    }

    /// When a cluster got v2 to this weight.
    pub fn got(&self, cluster: &str, weight: u64) -> Instant {
        let mut events = self.recorders[cluster].events().into_iter().filter(|event| event.kind == "VirtualService");
        let has = |object: &Value| kubernetes::weights(object).contains(&("v2".to_owned(), weight));
        events.find(|event| has(&event.object)).unwrap().at
    }

    /// When the first and when the last cluster got v2 to this weight.
    pub fn entered(&self, weight: u64) -> (Instant, Instant) {
        let (east, west) = (self.got(EAST, weight), self.got(WEST, weight));
        (east.min(west), east.max(west))
    }

    /// When a cluster got v2 to this weight the last time.
    pub fn got_last(&self, cluster: &str, weight: u64) -> Instant {
        let events = self.recorders[cluster].events();
        let routes = events.iter().filter(|event| event.kind == "VirtualService");
        let weights = |object: &Value| {
            let all = kubernetes::weights(object);
            all.iter().find(|(version, _)| version == "v2").map_or(0, |(_, weight)| *weight)
        };
        let mut last = None;
        let mut before = None;
        for event in routes {
            let now = weights(&event.object);
            if now == weight && before != Some(weight) {
                last = Some(event.at);
            }
            before = Some(now);
        }
        last.unwrap()
    }

    /// When each cluster got v2 to this weight the last time: the first and the last of them.
    pub fn last(&self, weight: u64) -> (Instant, Instant) {
        let (east, west) = (self.got_last(EAST, weight), self.got_last(WEST, weight));
        (east.min(west), east.max(west))
    }

    pub async fn until(&self, clusters: &[&str], v2: u64) {
        let there = || async {
            for cluster in clusters {
                if self.v2(cluster).await != Some(v2) {
                    return false;
                }
            }
            true
        };
        eventually(&format!("v2 at {v2} in {clusters:?}"), SOON, there).await;
    }

    pub async fn until_live(&self, cluster: &str, v2: u64) {
        self.until(&[cluster], v2).await;
    }

    pub async fn until_settled(&self, weights: &[(&str, u64)]) {
        let wanted: Vec<_> = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect();
        let all = || async {
            for cluster in self.clients.keys() {
                let Some(live) = self.live(cluster).await else { return false };
                let journal = Journal::on(&live).and_then(Result::ok);
                if kubernetes::weights(&live) != wanted || journal.is_none_or(|journal| journal.phase != Phase::Settled)
                {
                    return false;
                }
            }
            true
        };
        eventually(&format!("{weights:?} settled in all"), SOON, all).await;
    }

    /// Looks at a weight that is not to move.
    pub async fn stays(&self, cluster: &str, v2: u64) {
        tokio::time::sleep(STILL).await;
        assert_eq!(self.v2(cluster).await, Some(v2), "{cluster}");
    }

    /// Where the running process serves; none before it does.
    pub fn address(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.repository.home().join("log")).unwrap();
        let (_, address) = log.lines().rev().find_map(|line| line.split_once("listening address="))?;
        Some(format!("http://{}", address.split_whitespace().next()?))
    }

    /// `status -o json` of the running process.
    pub async fn status(&self) -> Value {
        serde_json::from_str(&self.asked_for_status("json").await).unwrap_or(Value::Null)
    }

    /// The table that `status` prints of it.
    pub async fn status_table(&self) -> String {
        self.asked_for_status("table").await
    }

    /// Plans by clusters, as `status` prints them of it.
    pub async fn status_matrix(&self) -> String {
        self.asked_for_status("matrix").await
    }

    async fn asked_for_status(&self, output: &str) -> String {
        let Some(server) = self.address() else { return String::new() };
        let answer = process::run(self.repository.home(), &["status", "--server", &server, "-o", output]).await;
        answer.stdout
    }

    /// Waits until the process is sure that it holds the lease, or that it is not.
    pub async fn until_leads(&self, leads: bool) {
        let is = || async { self.status().await["lease"]["leads"] == leads };
        eventually(&format!("leads: {leads}"), SOON, is).await;
    }

    /// Waits until the plan stands for a reason whose words begin so.
    pub async fn until_reason(&self, name: &str, words: &str) {
        let mut last = Value::Null;
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            last = self.status().await;
            let reason = &last["plans"][0]["reason"];
            let says = reason["message"].as_str().unwrap_or_default();
            if reason["name"] == name && says.starts_with(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name}: {words} is not in {last:#}");
    }
}
